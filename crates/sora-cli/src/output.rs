//! Rows as they are written: a table for people, JSON, NDJSON and CSV for programs.

mod csv;
mod json;
mod table;
mod text;

use std::io::Write;

use clap::ValueEnum;
use sora::{Row, Schema, Type};

use crate::failure::Outcome;

pub(crate) use table::{Look, one_line};

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// Aligned columns, for people
    Table,
    /// One array of objects
    Json,
    /// One object a line
    Ndjson,
    /// RFC 4180 with a header; null is a bare empty field, empty text is ""
    Csv,
}

/// A column of what is written.
#[derive(Clone, Debug)]
pub(crate) struct Heading {
    name: Box<str>,
    column_type: Type,
}

/// Writes rows one after another, without holding more of them than a table needs to find its
/// widths.
#[derive(Debug)]
pub(crate) struct RowWriter<W> {
    out: W,
    layout: Layout,
    rows: u64,
}

#[derive(Debug)]
enum Layout {
    Csv(csv::Csv),
    Json(json::Json),
    Table(table::Table),
}

impl Heading {
    /// Returns the headings of some columns of a schema.
    pub(crate) fn of(schema: &Schema, columns: &[u16]) -> Vec<Self> {
        let heading = |at: &u16| {
            let column = schema.column(*at);
            Self { name: column.name.clone(), column_type: column.column_type }
        };
        columns.iter().map(heading).collect()
    }

    /// Returns a heading.
    pub(crate) fn new(name: &str, column_type: Type) -> Self {
        Self { name: name.into(), column_type }
    }
}

impl<W: Write> RowWriter<W> {
    /// Returns a writer of rows with these columns. `null` is how CSV writes null.
    pub(crate) fn new(
        out: W,
        format: RowFormat,
        headings: Vec<Heading>,
        null: &str,
        look: Look,
    ) -> Self {
        let layout = match format {
            RowFormat::Csv => Layout::Csv(csv::Csv::new(&headings, null)),
            RowFormat::Json => Layout::Json(json::Json::new(&headings, true)),
            RowFormat::Ndjson => Layout::Json(json::Json::new(&headings, false)),
            RowFormat::Table => Layout::Table(table::Table::new(headings, look)),
        };
        Self { out, layout, rows: 0 }
    }

    /// Writes one row.
    pub(crate) fn row(&mut self, row: &dyn Row) -> Outcome {
        match &mut self.layout {
            Layout::Csv(csv) => csv.row(&mut self.out, row)?,
            Layout::Json(json) => json.row(&mut self.out, row)?,
            Layout::Table(table) => table.row(&mut self.out, row)?,
        }
        self.rows += 1;
        Ok(())
    }

    /// The number of rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes what comes behind the last row and returns the names of the columns that had no room.
    pub(crate) fn finish(mut self) -> Outcome<Vec<Box<str>>> {
        let mut left_out = Vec::new();
        match &mut self.layout {
            Layout::Csv(csv) => csv.start(&mut self.out)?,
            Layout::Json(json) => json.finish(&mut self.out)?,
            Layout::Table(table) => left_out = table.finish(&mut self.out)?,
        }
        self.out.flush()?;
        Ok(left_out)
    }
}

#[cfg(test)]
mod tests;
