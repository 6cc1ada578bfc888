//! Statements in SQLite's own SQL, beside Sora's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{CachedStatement, Connection};
use sora_core::read::{Output, Read, ReadReport};
use sora_core::write::{Effect, Outcome, Write, WriteReport};
use sora_core::{
    Cell, Error, ErrorKind, Result, Row, RowBuffer, RowSink, Schema, Statement, find_columns,
    hand_out_columns,
};
use sora_sql::{Operand, Out};

use crate::binder::Binder;
use crate::declared;
use crate::failure::store_error;
use crate::row::convert;
use crate::write::Written;

/// Pushes the rows of a statement that reads into a sink.
pub(crate) fn read(
    db: &Connection,
    statement: &Statement,
    read: &Read,
    pulled: &AtomicU64,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    if read.output == Output::Columns {
        return columns(&prepare(db, statement, Kind::Write)?, sink);
    }
    let mut prepared = prepare(db, statement, Kind::Read)?;
    let schema = read.binding.schema();
    let positions = positions(&prepared, schema, &read.columns)?;
    let mut gate = read.gate(sink);
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next().map_err(store_error)? {
        pulled.fetch_add(1, Ordering::Relaxed);
        let row = NativeRow { row, schema, columns: &read.columns, positions: &positions };
        if gate.row(&row)?.is_break() {
            break;
        }
    }
    Ok(gate.report())
}

/// Runs a statement that writes, inside a transaction, and keeps the rows that it returns.
pub(crate) fn write(db: &Connection, statement: &Statement, write: &Write) -> Result<Written> {
    let columns = write.returning.as_deref().unwrap_or_default();
    let schema = write.binding.schema();
    let before = db.total_changes();
    let mut prepared = prepare(db, statement, Kind::Write)?;
    let positions = positions(&prepared, schema, columns)?;
    let mut returned = RowBuffer::new(columns.len());
    let mut failed = None;
    {
        let mut rows = prepared.raw_query();
        // To the end even if a row cannot be read: only then is the statement done.
        while let Some(row) = rows.next().map_err(store_error)? {
            let row = NativeRow { row, schema, columns, positions: &positions };
            if failed.is_none() && !columns.is_empty() {
                failed = returned.push(&row).err();
            }
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    // What SQLite counts is of the last statement that wrote rows, which need not be this one.
    let affected = if db.total_changes() == before { 0 } else { db.changes() };
    let effect = if affected > 0 { Effect::Updated } else { Effect::Unchanged };
    let mut report = WriteReport::default();
    report.outcomes.push(Outcome::Applied(effect));
    report.affected = affected;
    Ok(Written { report, rows: returned })
}

/// Hands out what columns a statement has: of those that come from tables the declared types.
fn columns(prepared: &CachedStatement<'_>, sink: &mut dyn RowSink) -> Result<ReadReport> {
    let mut columns = Vec::new();
    // A loop takes what each version of rusqlite gives: a vector or an iterator.
    for column in prepared.columns() {
        let declared = column.decl_type().unwrap_or_default().to_owned();
        let column_type = declared::column_type(&declared);
        columns.push((column.name().to_owned(), declared, column_type));
    }
    let columns =
        columns.iter().map(|(name, declared, of)| (name.as_str(), declared.as_str(), *of));
    hand_out_columns(columns, sink)
}

/// What a statement may do.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Read,
    Write,
}

/// What statements that read begin with.
const READS: [&str; 4] = ["EXPLAIN", "SELECT", "VALUES", "WITH"];
/// What others begin with that do not change the connection under Sora. All else does, or may:
/// `PRAGMA`, `ATTACH`, and whatever begins or ends a transaction.
const WRITES: [&str; 9] =
    ["ALTER", "ANALYZE", "CREATE", "DELETE", "DROP", "INSERT", "REINDEX", "REPLACE", "UPDATE"];

/// Returns the statement with its values bound.
fn prepare<'a>(
    db: &'a Connection,
    statement: &Statement,
    kind: Kind,
) -> Result<CachedStatement<'a>> {
    let text = statement.text();
    let word = first_word(text);
    let is = |words: &[&str]| words.iter().any(|other| word.eq_ignore_ascii_case(other));
    if !is(&READS) && !is(&WRITES) {
        let message = match word {
            "" => "there is no statement in the text".into(),
            word => format!(
                "a statement that begins with {word:?} would change the connection under Sora; \
                 use its own transactions and configuration"
            ),
        };
        return Err(refused(message));
    }
    let mut prepared = db.prepare_cached(text).map_err(not_prepared)?;
    if kind == Kind::Read && (!prepared.readonly() || is(&WRITES)) {
        let message = "the statement writes; name the tables that it writes by \
                       `Statement::writing`, and run it beside or inside a transaction";
        return Err(refused(message.into()));
    }
    let parameters = statement.parameters()?;
    if prepared.parameter_count() != parameters.len() {
        return Err(refused(format!(
            "the statement has {} placeholders, and {} values are bound",
            prepared.parameter_count(),
            parameters.len()
        )));
    }
    let mut binder = Binder::new(&mut prepared);
    for parameter in parameters {
        binder.value(parameter.cell(), Operand::Number);
    }
    binder.finish()?;
    Ok(prepared)
}

/// The first word behind spaces and comments.
fn first_word(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let behind = if let Some(line) = rest.strip_prefix("--") {
            line.split_once('\n').map(|(_, behind)| behind)
        } else if let Some(block) = rest.strip_prefix("/*") {
            block.split_once("*/").map(|(_, behind)| behind)
        } else {
            break;
        };
        rest = behind.unwrap_or_default().trim_start();
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    &rest[..end]
}

fn positions(
    prepared: &CachedStatement<'_>,
    schema: &Arc<Schema>,
    columns: &[u16],
) -> Result<Vec<usize>> {
    find_columns(schema, columns, prepared.column_names())
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

/// The error of a text that SQLite does not take for a statement.
fn not_prepared(error: rusqlite::Error) -> Error {
    let message = match &error {
        rusqlite::Error::MultipleStatement => "the text holds more than one statement".into(),
        rusqlite::Error::SqlInputError { msg, .. } => {
            format!("SQLite does not take the statement: {msg}")
        }
        rusqlite::Error::SqliteFailure(failure, Some(message))
            if failure.extended_code == rusqlite::ffi::SQLITE_ERROR =>
        {
            format!("SQLite does not take the statement: {message}")
        }
        _ => return store_error(error),
    };
    refused(message).with_source(error)
}

/// A row of a statement, whose columns stand wherever the statement has them.
struct NativeRow<'a> {
    row: &'a rusqlite::Row<'a>,
    schema: &'a Schema,
    columns: &'a [u16],
    positions: &'a [usize],
}

impl Row for NativeRow<'_> {
    fn width(&self) -> usize {
        self.columns.len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        let (Some(column), Some(at)) = (self.columns.get(position), self.positions.get(position))
        else {
            let message = format!("the row has no cell at position {position}");
            return Err(Error::new(ErrorKind::Internal, message));
        };
        let column = self.schema.column(*column);
        let value = self.row.get_ref(*at).map_err(store_error)?;
        convert(column.column_type, value).map_err(|why| {
            let message = format!("the column {:?} of the statement {why}", column.name);
            Error::new(ErrorKind::Data, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_stands_behind_spaces_and_comments() {
        for (text, expected) in [
            ("SELECT 1", "SELECT"),
            (" \n\tselect(1)", "select"),
            ("-- BEGIN\nSELECT 1", "SELECT"),
            ("/* SELECT */ /**/ PRAGMA x", "PRAGMA"),
            ("--", ""),
            ("/* SELECT", ""),
            ("; BEGIN", ""),
            ("\u{feff}BEGIN", ""),
            ("", ""),
        ] {
            assert_eq!(first_word(text), expected, "{text:?}");
        }
    }
}
