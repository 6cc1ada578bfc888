//! The definitions of tables and indexes.

use std::fmt::Write as _;

use sora_core::{Column, Error, ErrorKind, Index, Result, Schema, Type, Value};

use crate::Dialect;
use crate::dialect::KeyRole;
use crate::out::quote;

/// Returns the statement that creates the table of a schema, without its indexes.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] if the store cannot assign a column's value as the schema says.
pub fn create_table<D: Dialect>(schema: &Schema) -> Result<String> {
    let mut text = String::from("CREATE TABLE IF NOT EXISTS ");
    quote(&mut text, schema.table());
    text.push_str(" (");
    let visible: Vec<u16> = schema.visible().collect();
    for (index, at) in visible.iter().enumerate() {
        text.push_str(if index > 0 { ", " } else { "" });
        let role = match schema.key() {
            [key] if key == at => KeyRole::Whole,
            key if key.contains(at) => KeyRole::Part,
            _ => KeyRole::None,
        };
        D::define(&mut text, schema.column(*at), role)
            .map_err(|error| error.with("table", schema.table()))?;
    }
    if schema.key().len() > 1 {
        text.push_str(", PRIMARY KEY (");
        names(&mut text, schema, schema.key().iter().copied());
        text.push(')');
    }
    text.push(')');
    text.push_str(D::TABLE_OPTIONS);
    Ok(text)
}

/// Returns the statement that creates an index of a schema.
///
/// An index that is not unique ends in the key, so that it serves pages that are sorted by it. Its
/// nulls are where a sort of Sora wants them, or no page could be read from it in order.
pub fn create_index<D: Dialect>(schema: &Schema, index: &Index) -> String {
    let mut text =
        String::from(if index.unique { "CREATE UNIQUE INDEX " } else { "CREATE INDEX " });
    quote(&mut text, &index.name);
    text.push_str(" ON ");
    quote(&mut text, schema.table());
    text.push_str(" (");
    for (at, column) in index_columns::<D>(schema, index).into_iter().enumerate() {
        text.push_str(if at > 0 { ", " } else { "" });
        let column = schema.column(column);
        quote(&mut text, &column.name);
        text.push_str(D::nulls(column.nullable, false));
    }
    text.push(')');
    text
}

/// Returns the columns of an index as it is created.
pub fn index_columns<D: Dialect>(schema: &Schema, index: &Index) -> Vec<u16> {
    let mut columns = index.columns.to_vec();
    let key: Vec<&Column> = schema.key().iter().map(|column| schema.column(*column)).collect();
    if !index.unique && !D::key_is_address(&key) {
        let missing = schema.key().iter().filter(|column| !index.columns.contains(column));
        columns.extend(missing);
    }
    columns
}

/// Returns the statement that adds a column to a table that is there already; `None` if no statement
/// can, because rows that are there would have no value for it.
///
/// # Errors
///
/// Those of [`create_table`].
pub fn add_column<D: Dialect>(table: &str, column: &Column) -> Result<Option<String>> {
    if !D::can_be_added(&column.assigned, column.nullable) {
        return Ok(None);
    }
    let mut text = String::from("ALTER TABLE ");
    quote(&mut text, table);
    text.push_str(" ADD COLUMN ");
    D::define(&mut text, column, KeyRole::None)?;
    Ok(Some(text))
}

/// Returns a value of a column type as the literal of a default.
pub fn default_literal<D: Dialect>(value: &Value, column_type: Type) -> String {
    let mut text = String::new();
    D::literal(&mut text, value.cell(), column_type);
    text
}

/// Returns a name as it stands in a statement.
pub fn quoted(name: &str) -> String {
    let mut text = String::new();
    quote(&mut text, name);
    text
}

fn names(text: &mut String, schema: &Schema, columns: impl Iterator<Item = u16>) {
    for (index, column) in columns.enumerate() {
        text.push_str(if index > 0 { ", " } else { "" });
        quote(text, &schema.column(column).name);
    }
}

/// The error of an assignment that a store cannot do.
pub(crate) fn not_assigned(column: &Column, why: &str) -> Error {
    let mut message = String::new();
    // Writing to a String cannot fail.
    let _ = write!(message, "the column {:?} {why}", column.name);
    Error::new(ErrorKind::Unsupported, message)
}
