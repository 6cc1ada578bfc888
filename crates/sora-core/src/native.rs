//! Statements in a store's own language, beside Sora's.

use std::fmt;
use std::sync::Arc;

use crate::{ColumnType, Error, Result, Value};

/// A statement in the store's own language, with its parameters apart.
///
/// Placeholders are the store's own: `?1` for SQLite, `$1` for PostgreSQL. Values are never part of
/// the text. Display shows the text alone, because parameters may be secrets.
#[derive(Clone)]
pub struct Statement {
    text: Arc<str>,
    /// The first value that no store takes is kept as an error, and fails the statement.
    parameters: Result<Vec<Value>, Error>,
    writes: Vec<Box<str>>,
}

impl Statement {
    /// Returns a statement without parameters, that writes no table.
    pub fn new(text: &'static str) -> Self {
        Self::from_text(text.into())
    }

    /// Returns a statement whose text comes from elsewhere, such as a file of queries.
    ///
    /// The name says what to look for in a review: a text that holds values of users can be made to
    /// say anything.
    pub fn from_trusted_text(text: impl Into<Arc<str>>) -> Self {
        Self::from_text(text.into())
    }

    fn from_text(text: Arc<str>) -> Self {
        Self { text, parameters: Ok(Vec::new()), writes: Vec::new() }
    }

    /// Adds the value of the next placeholder.
    pub fn bind<T: ColumnType>(mut self, value: &T) -> Self {
        self.parameters = self.parameters.and_then(|mut parameters| {
            value.encode(&mut parameters)?;
            Ok(parameters)
        });
        self
    }

    /// Names a table that the statement writes, so that what is kept of it elsewhere is refreshed.
    pub fn writing(mut self, table: impl Into<Box<str>>) -> Self {
        self.writes.push(table.into());
        self
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values of the placeholders, in order.
    ///
    /// # Errors
    ///
    /// That of the first value that was refused.
    pub fn parameters(&self) -> Result<&[Value]> {
        self.parameters.as_deref().map_err(Clone::clone)
    }

    /// The tables that it writes.
    pub fn writes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.writes.iter().map(|table| &**table)
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("text", &self.text)
            .field("parameters", &self.parameters.as_ref().map_or(0, Vec::len))
            .field("writes", &self.writes)
            .finish()
    }
}
