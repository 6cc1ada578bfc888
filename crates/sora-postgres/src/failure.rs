//! PostgreSQL's errors as Sora's, by SQLSTATE and never by text.

use std::error::Error as _;
use std::io;

use sora_core::{Error, ErrorKind, Retry};
use tokio_postgres::error::{DbError, Severity, SqlState};

/// How far a call had come when it failed: it decides what a broken connection means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was sent.
    BeforeSend,
    /// A read, or anything inside a transaction: what was not committed is undone.
    Reading,
    /// A write that commits by itself.
    Writing,
    /// A commit.
    Committing,
}

impl Stage {
    /// Whether a write may stand without its answer having come.
    fn is_unknown(self) -> bool {
        matches!(self, Self::Writing | Self::Committing)
    }
}

/// Returns an error of the client as one of Sora's.
///
/// Rows' values are not repeated: the server's details, hints and contexts are left out, and of the
/// class that complains of values its message too.
pub(crate) fn store_error(error: tokio_postgres::Error, stage: Stage) -> Error {
    if let Some(failure) = error.as_db_error() {
        return server_error(failure, stage);
    }
    let Some(source) = error.source() else {
        return match error.is_closed() {
            true => broken(stage),
            false => protocol_error(&error, stage).with_source(error),
        };
    };
    // What a parameter refused to become: it is Sora's own error.
    if let Some(own) = source.downcast_ref::<Error>() {
        return own.clone();
    }
    match source.downcast_ref::<io::Error>().map(io::Error::kind) {
        // The client's codec reports what it cannot read by these.
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) | None => {
            protocol_error(&error, stage).with_source(error)
        }
        Some(_) => broken(stage).with_source(error),
    }
}

/// The connection is gone, whatever was under way.
pub(crate) fn broken(stage: Stage) -> Error {
    let message = match stage {
        Stage::BeforeSend => "the connection to the server was closed before anything was sent",
        Stage::Reading => "the connection to the server broke",
        Stage::Writing => "the connection to the server broke before it confirmed the write",
        Stage::Committing => "the connection to the server broke before it confirmed the commit",
    };
    Error::new(ErrorKind::Unavailable, message).with_retry(retry_of_loss(stage))
}

/// The error of a text that the server does not take for a statement; none if that is not what is
/// wrong.
pub(crate) fn not_taken(error: &tokio_postgres::Error) -> Option<Error> {
    let failure = error.as_db_error().filter(|failure| !is_stale_failure(failure))?;
    let state = failure.code().code();
    let is_text = ["0A", "22", "42"].iter().any(|class| state.starts_with(class));
    // Values stand apart from the text: the server can repeat none.
    let message = format!("PostgreSQL does not take the statement: {}", failure.message());
    is_text.then(|| Error::new(ErrorKind::InvalidInput, message).with("sqlstate", state))
}

/// Whether the statement must be prepared again: its name or its plan is gone.
pub(crate) fn is_stale(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(is_stale_failure)
}

fn is_stale_failure(failure: &DbError) -> bool {
    let state = failure.code();
    *state == SqlState::INVALID_SQL_STATEMENT_NAME
        || *state == SqlState::DUPLICATE_PSTATEMENT
        // By the function of the server that raises it, since the code means much else too.
        || *state == SqlState::FEATURE_NOT_SUPPORTED
            && failure.routine() == Some("RevalidateCachedQuery")
}

/// Whether the server ends the session with this error: it closes the connection after it.
pub(crate) fn is_last(error: &tokio_postgres::Error) -> bool {
    let Some(failure) = error.as_db_error() else { return false };
    let state = failure.code().code();
    matches!(failure.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
        || state.starts_with("08")
        || state.starts_with("57P")
}

/// Whether the server refused who connects, so that no other host is asked.
pub(crate) fn is_refused_user(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|state| state.code().starts_with("28"))
}

fn retry_of_loss(stage: Stage) -> Retry {
    match stage.is_unknown() {
        true => Retry::IfIdempotent,
        false => Retry::Safe,
    }
}

fn server_error(failure: &DbError, stage: Stage) -> Error {
    let made = match failure.code().code().split_at_checked(2) {
        Some(("08", _)) => broken(stage),
        Some(("22", rest)) => value_error(rest),
        Some(("23" | "44", rest)) => constraint_error(rest, failure),
        Some(("25", _)) => transaction_state_error(failure),
        Some(("28" | "3D", _)) => login_error(failure),
        Some(("40", rest)) => rollback_error(rest, failure, stage),
        Some(("42" | "26" | "3F" | "0A" | "34", _)) => schema_error(failure),
        Some(("53" | "54" | "55" | "57", _)) => resource_error(failure, stage),
        Some(("P0", _)) => {
            let message = format!("the database refused: {}", failure.message());
            Error::new(ErrorKind::Constraint, message)
        }
        _ => store_failed(failure),
    };
    let made = made.with("sqlstate", failure.code().code());
    match failure.table() {
        Some(table) => made.with("table", table),
        None => made,
    }
}

fn store_failed(failure: &DbError) -> Error {
    Error::new(ErrorKind::Store, format!("PostgreSQL failed: {}", failure.message()))
}

/// Class 22, data exceptions: the server's messages quote the value.
fn value_error(rest: &str) -> Error {
    let (kind, message) = match rest {
        "001" => (ErrorKind::Constraint, "a text is longer than its column allows"),
        "003" => (ErrorKind::Constraint, "a number is out of the range of its type"),
        "007" | "008" => (ErrorKind::InvalidInput, "a date or time is not one, or out of range"),
        "012" => (ErrorKind::InvalidInput, "a division by zero"),
        "021" | "P05" => (
            ErrorKind::InvalidInput,
            "a text has a character that the encoding of the database cannot hold",
        ),
        "026" => (ErrorKind::Constraint, "a bit string has another length than its column"),
        "P02" | "P03" => (
            ErrorKind::InvalidInput,
            "a value is not of the type that it is compared with or stored in",
        ),
        _ => (ErrorKind::InvalidInput, "the server refused a value"),
    };
    Error::new(kind, message)
}

/// Class 23, and 44 of views with a check.
fn constraint_error(rest: &str, failure: &DbError) -> Error {
    let constraint = failure.constraint().or(failure.column());
    let named = constraint.map_or_else(String::new, |name| format!(" {name}"));
    let (kind, message) = match rest {
        "502" => (
            ErrorKind::Constraint,
            format!("{} cannot be null", failure.column().unwrap_or("a column")),
        ),
        "503" => (
            ErrorKind::Constraint,
            format!(
                "the foreign key{named} refused the row: what it refers to is missing, or something \
                 refers to it"
            ),
        ),
        "505" => {
            (ErrorKind::Conflict, format!("a row with the same key of{named} is there already"))
        }
        "514" => (ErrorKind::Constraint, format!("the check{named} refused the row")),
        "P01" => (
            ErrorKind::Constraint,
            format!("the exclusion{named} refused the row: another one excludes it"),
        ),
        _ => (ErrorKind::Constraint, format!("the constraint{named} refused the row")),
    };
    let error = Error::new(kind, message);
    match constraint {
        Some(constraint) => error.with_constraint(constraint),
        None => error,
    }
}

fn transaction_state_error(failure: &DbError) -> Error {
    match *failure.code() == SqlState::READ_ONLY_SQL_TRANSACTION {
        true => Error::new(
            ErrorKind::ReadOnly,
            "the server or the transaction is read-only; write to the primary \
             (target_session_attrs=read-write finds it)",
        ),
        // An idle transaction was ended by the server, which closes the connection too.
        false if *failure.code() == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Error::new(
            ErrorKind::Timeout,
            "the server ended the transaction, which was idle for too long",
        ),
        false => store_failed(failure),
    }
}

fn login_error(failure: &DbError) -> Error {
    // The message names the role or the database, never the password.
    let remedy = match failure.code().code() {
        "28P01" => "; see PGPASSWORD, ~/.pgpass or the password in the address",
        "28000" => "; see the user in the address, and pg_hba.conf of the server",
        "3D000" => "; see the database in the address, or create it",
        _ => "",
    };
    let message = format!("the server refused the connection: {}{remedy}", failure.message());
    Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Never)
}

/// Class 40: the transaction was rolled back.
fn rollback_error(rest: &str, failure: &DbError, stage: Stage) -> Error {
    match rest {
        "002" => constraint_error("", failure),
        "003" => {
            Error::new(ErrorKind::Unavailable, "it is unknown whether the statement completed")
                .with_retry(retry_of_loss(stage))
        }
        "P01" => Error::new(
            ErrorKind::Serialization,
            "the transaction was ended to resolve a deadlock; run it again as a whole",
        ),
        _ => Error::new(
            ErrorKind::Serialization,
            "the transaction lost against another one; run it again as a whole",
        ),
    }
    .with_retry(if rest == "002" {
        Retry::Never
    } else if rest == "003" {
        retry_of_loss(stage)
    } else {
        Retry::Safe
    })
}

/// What the statement speaks of is not what it was, or never was.
fn schema_error(failure: &DbError) -> Error {
    let state = failure.code();
    if is_stale_failure(failure) {
        let message = "the table has changed since the statement was prepared; open it again";
        return Error::new(ErrorKind::Schema, message).with_retry(Retry::Safe);
    }
    let gone = [
        SqlState::AMBIGUOUS_COLUMN,
        SqlState::DATATYPE_MISMATCH,
        SqlState::INVALID_COLUMN_REFERENCE,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::UNDEFINED_COLUMN,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::UNDEFINED_OBJECT,
        SqlState::UNDEFINED_TABLE,
    ];
    if gone.contains(state) {
        let message = format!(
            "the table has changed since it was opened: {}; open it again",
            failure.message()
        );
        return Error::new(ErrorKind::Schema, message);
    }
    let (kind, message) = match state.code() {
        "42501" => (ErrorKind::Store, "the role lacks a privilege, which the owner can grant"),
        "42601" => (ErrorKind::InvalidInput, "the SQL is not valid"),
        _ if state.code().starts_with("0A") => {
            (ErrorKind::Unsupported, "PostgreSQL cannot do this")
        }
        _ => (ErrorKind::Store, "PostgreSQL failed"),
    };
    Error::new(kind, format!("{message}: {}", failure.message()))
}

/// Classes 53 to 57: the server lacks something, or was told to stop.
fn resource_error(failure: &DbError, stage: Stage) -> Error {
    let message = failure.message();
    match failure.code().code() {
        "53300" => Error::new(
            ErrorKind::Unavailable,
            "the server has no connection left; lower connections_max, or raise its max_connections",
        ),
        "53100" => Error::new(ErrorKind::Store, "the disk of the server is full"),
        "55P03" => Error::new(
            ErrorKind::Busy,
            "a lock was not free in time; try again, or raise lock_timeout",
        ),
        "57014" => Error::new(
            ErrorKind::Timeout,
            "the server ended the statement: it took longer than statement_timeout, or was cancelled",
        ),
        // Only whoever connects is told these; nothing was run.
        "57P03" => Error::new(
            ErrorKind::Unavailable,
            format!("the server takes no connections: {message}"),
        ),
        "57P01" | "57P02" | "57P05" => broken(stage).with("server", message),
        "57P04" => login_error(failure),
        code if code.starts_with("54") => Error::new(
            ErrorKind::Limit,
            format!("the statement exceeds a limit of PostgreSQL: {message}"),
        ),
        _ => store_failed(failure),
    }
}

/// The client could not read an answer, or could not write a message.
fn protocol_error(error: &tokio_postgres::Error, stage: Stage) -> Error {
    let retry = match stage.is_unknown() {
        true => Retry::IfIdempotent,
        false => Retry::Never,
    };
    let message = format!("the exchange with the server failed: {error}");
    Error::new(ErrorKind::Store, message).with_retry(retry)
}
