//! Binds the values of a statement, cell by cell.

use std::fmt::Write as _;
use std::rc::Rc;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Statement, ToSql};
use sora_core::{Cell, Error, ErrorKind, Result, RowBuffer, UuidText};
use sora_sql::{Operand, Out};

use crate::failure::store_error;

/// Takes a walk's values into a statement.
pub(crate) struct Binder<'a, 'c> {
    statement: &'a mut Statement<'c>,
    index: usize,
    result: rusqlite::Result<()>,
}

impl<'a, 'c> Binder<'a, 'c> {
    pub(crate) fn new(statement: &'a mut Statement<'c>) -> Self {
        Self { statement, index: 0, result: Ok(()) }
    }

    /// Says whether all values were taken.
    pub(crate) fn finish(self) -> Result<()> {
        self.result.map_err(store_error)
    }

    fn bind(&mut self, value: impl ToSql) {
        self.index += 1;
        if self.result.is_ok() {
            self.result = self.statement.raw_bind_parameter(self.index, value);
        }
    }

    fn cell(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Decimal(value) => self.bind(value.to_string()),
            Cell::Timestamp(value) => self.bind(value.text().as_str()),
            Cell::Date(value) => self.bind(value.text().as_str()),
            Cell::Uuid(value) => self.bind(&value[..]),
            Cell::F64(value) if value.is_nan() => {
                // SQLite would take it for null.
                let error = Error::new(ErrorKind::InvalidInput, "NaN cannot be written");
                self.index += 1;
                self.result = Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error)));
            }
            plain => self.bind(Plain(plain)),
        }
    }
}

impl Out for Binder<'_, '_> {
    const TEXT: bool = false;

    fn text(&mut self, _: &str) {}

    fn name(&mut self, _: &str) {}

    #[inline]
    fn value(&mut self, cell: Cell<'_>, _: Operand<'_>) {
        self.cell(cell);
    }

    fn list<'v>(&mut self, values: impl Iterator<Item = Cell<'v>>, _: Operand<'_>) {
        let values: Vec<Value> = values.map(owned).collect();
        self.bind(Rc::new(values));
    }

    fn keys(&mut self, keys: &RowBuffer) {
        self.bind(json_keys(keys));
    }
}

/// A cell that SQLite takes as it is.
struct Plain<'a>(Cell<'a>);

impl ToSql for Plain<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Cell::Bool(value) => ValueRef::Integer(value.into()),
            Cell::I64(value) => ValueRef::Integer(value),
            // −0.0 + 0.0 is 0.0, and all else is itself.
            Cell::F64(value) => ValueRef::Real(value + 0.0),
            Cell::Text(value) | Cell::Json(value) => ValueRef::Text(value.as_bytes()),
            Cell::Bytes(value) => ValueRef::Blob(value),
            _ => ValueRef::Null,
        }))
    }
}

fn owned(cell: Cell<'_>) -> Value {
    match cell {
        Cell::Bool(value) => Value::Integer(value.into()),
        Cell::I64(value) => Value::Integer(value),
        Cell::F64(value) => Value::Real(value + 0.0),
        Cell::Text(value) | Cell::Json(value) => Value::Text(value.into()),
        Cell::Bytes(value) => Value::Blob(value.into()),
        Cell::Uuid(value) => Value::Blob(value.into()),
        Cell::Decimal(value) => Value::Text(value.to_string()),
        Cell::Timestamp(value) => Value::Text(value.to_string()),
        Cell::Date(value) => Value::Text(value.to_string()),
        _ => Value::Null,
    }
}

/// Returns keys as a JSON array of arrays: bytes as hexadecimal digits, all else as SQLite's JSON
/// functions give it back.
fn json_keys(keys: &RowBuffer) -> String {
    let mut text = String::from("[");
    for (index, row) in keys.iter().enumerate() {
        text.push_str(if index > 0 { ",[" } else { "[" });
        for position in 0..keys.width() {
            text.push_str(if position > 0 { "," } else { "" });
            json_cell(&mut text, row.get(position));
        }
        text.push(']');
    }
    text.push(']');
    text
}

fn json_cell(text: &mut String, cell: Cell<'_>) {
    match cell {
        Cell::I64(value) => text.push_str(&value.to_string()),
        Cell::Text(value) | Cell::Json(value) => json_text(text, value),
        Cell::Bytes(value) => json_hex(text, value),
        Cell::Uuid(value) => json_text(text, &UuidText(value).to_string().replace('-', "")),
        Cell::Timestamp(value) => json_text(text, value.text().as_str()),
        Cell::Date(value) => json_text(text, value.text().as_str()),
        // No other type can be in a key.
        _ => text.push_str("null"),
    }
}

fn json_hex(text: &mut String, bytes: &[u8]) {
    text.push('"');
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    text.push('"');
}

fn json_text(text: &mut String, value: &str) {
    text.push('"');
    for char in value.chars() {
        match char {
            '"' | '\\' => text.extend(['\\', char]),
            char if char < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(char));
            }
            char => text.push(char),
        }
    }
    text.push('"');
}
