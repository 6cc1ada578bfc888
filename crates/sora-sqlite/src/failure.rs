//! SQLite's errors as Sora's.

use rusqlite::ffi;
use sora_core::{Error, ErrorKind, LiveTable, Retry};

/// What the SQL functions of Sora put in front of their messages: SQLite hands on the text alone.
pub(crate) const SUM_PREFIX: &str = "sora sum: ";
/// The same, of a stored cell that is not of its column's type.
pub(crate) const CELL_PREFIX: &str = "sora cell: ";

/// Returns an error of SQLite as one of Sora's.
pub(crate) fn store_error(error: rusqlite::Error) -> Error {
    let Some(code) = code_of(&error) else { return other_error(error) };
    let text = message_of(&error);
    let new = |kind, message: String| Error::new(kind, message);
    let made = match code & 0xff {
        ffi::SQLITE_CONSTRAINT => constraint(code, &text),
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => new(
            ErrorKind::Busy,
            "the database is locked by another connection; try again, or raise busy_timeout_ms"
                .into(),
        ),
        ffi::SQLITE_READONLY => {
            new(ErrorKind::ReadOnly, format!("SQLite refused to write: {text}"))
        }
        ffi::SQLITE_NOTADB => {
            new(ErrorKind::Store, "the file is not a SQLite database, or it is encrypted".into())
        }
        ffi::SQLITE_CORRUPT => new(
            ErrorKind::Store,
            format!("the database is damaged: {text}; restore it, or try `sqlite3 FILE .recover`"),
        ),
        ffi::SQLITE_FULL => new(
            ErrorKind::Store,
            "the disk is full, or the database has reached its largest size".into(),
        ),
        ffi::SQLITE_TOOBIG => {
            new(ErrorKind::Limit, "a value or statement exceeds a limit of SQLite".into())
        }
        ffi::SQLITE_INTERRUPT => new(ErrorKind::Cancelled, "the statement was stopped".into()),
        ffi::SQLITE_CANTOPEN => {
            new(ErrorKind::Unavailable, format!("SQLite cannot open the database: {text}"))
                .with_retry(Retry::Never)
        }
        ffi::SQLITE_ERROR => plain_error(&text),
        _ => new(ErrorKind::Store, format!("SQLite failed: {text}")),
    };
    made.with_source(error)
}

/// Names the unique index of a conflict, which SQLite tells by its columns: `t.a, t.b`.
pub(crate) fn name_conflict(error: Error, live: &LiveTable) -> Error {
    if error.kind() != ErrorKind::Conflict {
        return error;
    }
    let Some(found) = error.constraint().map(str::to_owned) else { return error };
    let prefix = format!("{}.", live.name);
    let columns: Option<Vec<u16>> = found
        .split(", ")
        .map(|part| {
            let name = part.strip_prefix(&prefix)?;
            let at = live.columns.iter().position(|column| &*column.name == name)?;
            u16::try_from(at).ok()
        })
        .collect();
    let Some(columns) = columns else { return error };
    if *columns == *live.key {
        return error.with_constraint(format!("{}_pkey", live.name));
    }
    let fits = |index: &&sora_core::LiveIndex| index.unique && *index.columns == *columns;
    match live.indexes.iter().find(fits) {
        Some(index) => error.with_constraint(index.name.clone()),
        None => error,
    }
}

/// Whether the error may be one of what became of a commit, not of the statement.
pub(crate) fn commit_error(error: rusqlite::Error) -> Error {
    let io = code_of(&error).is_some_and(|code| code & 0xff == ffi::SQLITE_IOERR);
    // The commit was undone; but if flushing failed, the log may hold it all the same.
    let retry = if io { Retry::IfIdempotent } else { Retry::Safe };
    let error = store_error(error);
    match error.kind() {
        ErrorKind::Constraint | ErrorKind::Conflict => error,
        _ => error.with_retry(retry),
    }
}

/// Whether a statement that was a transaction of its own is undone for certain, and may be run again
/// to learn why: not if flushing failed, and not if it has waited for a lock in vain.
pub(crate) fn is_undone(error: &rusqlite::Error) -> bool {
    let may_not = [ffi::SQLITE_IOERR, ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED];
    code_of(error).is_none_or(|code| !may_not.contains(&(code & 0xff)))
}

fn constraint(code: i32, text: &str) -> Error {
    let subject = text.split_once(": ").map(|(_, subject)| subject);
    let (kind, message) = match code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => {
            (ErrorKind::Conflict, format!("a row with the same {} is there already", subject.unwrap_or("key")))
        }
        ffi::SQLITE_CONSTRAINT_NOTNULL => {
            (ErrorKind::Constraint, format!("{} cannot be null", subject.unwrap_or("a column")))
        }
        ffi::SQLITE_CONSTRAINT_CHECK => {
            (ErrorKind::Constraint, format!("the check {} refused the row", subject.unwrap_or("of a column")))
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => (
            ErrorKind::Constraint,
            "a foreign key refused the row: what it refers to is missing, or something refers to it"
                .into(),
        ),
        ffi::SQLITE_CONSTRAINT_DATATYPE => {
            (ErrorKind::InvalidInput, format!("the store refused a value: {text}"))
        }
        _ => (ErrorKind::Constraint, format!("the store refused the row: {text}")),
    };
    let error = Error::new(kind, message);
    match subject {
        Some(subject) if kind != ErrorKind::InvalidInput => error.with_constraint(subject),
        _ => error,
    }
}

/// The errors without a code of their own: of Sora's functions, and of names that are gone.
fn plain_error(text: &str) -> Error {
    if let Some(message) = text.strip_prefix(SUM_PREFIX) {
        return Error::new(ErrorKind::Constraint, message);
    }
    if let Some(message) = text.strip_prefix(CELL_PREFIX) {
        return Error::new(ErrorKind::Data, message);
    }
    let gone = ["no such table", "no such column", "no such collation", "has no column named"];
    if gone.iter().any(|gone| text.contains(gone)) || text.starts_with("ON CONFLICT clause") {
        let message = format!("the table has changed since it was opened: {text}; open it again");
        return Error::new(ErrorKind::Schema, message);
    }
    if text.contains("too many SQL variables") || text.contains("Expression tree is too large") {
        return Error::new(
            ErrorKind::Limit,
            format!("SQLite cannot run so large a statement: {text}"),
        );
    }
    Error::new(ErrorKind::Store, format!("SQLite failed: {text}"))
}

/// The extended code, if SQLite gave one.
fn code_of(error: &rusqlite::Error) -> Option<i32> {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => Some(failure.extended_code),
        rusqlite::Error::SqlInputError { error, .. } => Some(error.extended_code),
        _ => None,
    }
}

fn message_of(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

fn other_error(error: rusqlite::Error) -> Error {
    match error {
        // What a binder refused: it is Sora's own error.
        rusqlite::Error::ToSqlConversionFailure(source) => match source.downcast::<Error>() {
            Ok(error) => *error,
            Err(source) => Error::new(ErrorKind::Internal, source.to_string()),
        },
        other => Error::new(ErrorKind::Store, format!("SQLite failed: {other}")).with_source(other),
    }
}
