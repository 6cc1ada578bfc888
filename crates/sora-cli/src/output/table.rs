//! Aligned columns for people.

use std::fmt::Write as _;
use std::io::Write;

use sora::{Cell, Row, Type};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Heading, text};
use crate::failure::Outcome;

/// What the place that a table is shown in can show.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// The columns of the terminal; as wide as it takes, if there is none.
    pub(crate) width: Option<usize>,
    /// Whether parts may be dimmed and emphasised.
    pub(crate) is_styled: bool,
}

/// Holds the first rows until it knows the widths of the columns, then writes row by row.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    left_out: Vec<Box<str>>,
    look: Look,
    /// The texts of the rows that are held, row by row.
    held: Vec<Shown>,
    is_started: bool,
    line: String,
}

#[derive(Debug)]
struct Column {
    name: String,
    width: usize,
    is_number: bool,
}

/// The text of a cell.
#[derive(Debug)]
struct Shown {
    text: String,
    is_null: bool,
}

/// Rows that are looked at to find the widths.
const HELD_ROWS: usize = 1_000;
/// The width below which a column is rather left out than cut, for a terminal.
const WIDTH_MIN: usize = 8;
const GAP: &str = "  ";

impl Table {
    pub(super) fn new(headings: Vec<Heading>, look: Look) -> Self {
        let column = |heading: Heading| {
            let name = one_line(&heading.name);
            let is_number =
                matches!(heading.column_type, Type::I64 | Type::F64 | Type::Decimal { .. });
            Column { width: name.width(), name, is_number }
        };
        let columns = headings.into_iter().map(column).collect();
        let (left_out, held, line) = (Vec::new(), Vec::new(), String::new());
        Self { columns, left_out, look, held, is_started: false, line }
    }

    pub(super) fn row(&mut self, out: &mut dyn Write, row: &dyn Row) -> Outcome {
        let mut cells = Vec::with_capacity(self.columns.len());
        for place in 0..self.columns.len() {
            cells.push(Shown::new(row.cell(place)?));
        }
        if self.is_started {
            return self.write_row(out, &cells);
        }
        for (column, cell) in self.columns.iter_mut().zip(&cells) {
            column.width = column.width.max(cell.text.width());
        }
        self.held.extend(cells);
        if self.held.len() >= HELD_ROWS * self.columns.len().max(1) {
            self.start(out)?;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut dyn Write) -> Outcome<Vec<Box<str>>> {
        if !self.is_started {
            self.start(out)?;
        }
        Ok(std::mem::take(&mut self.left_out))
    }

    /// Writes the header and the rows that were held.
    fn start(&mut self, out: &mut dyn Write) -> Outcome {
        self.is_started = true;
        let stride = self.columns.len();
        if let Some(width) = self.look.width {
            self.fit(width);
        }
        let names: Vec<Shown> = self
            .columns
            .iter()
            .map(|column| Shown { text: column.name.clone(), is_null: false })
            .collect();
        self.write_row(out, &names)?;
        let rule: Vec<String> =
            self.columns.iter().map(|column| "─".repeat(column.width)).collect();
        writeln!(out, "{}", rule.join(GAP))?;
        let held = std::mem::take(&mut self.held);
        for row in held.chunks(stride.max(1)) {
            self.write_row(out, row)?;
        }
        Ok(())
    }

    /// Narrows the widest columns until all fit; those that would be too narrow are left out from
    /// the right. A number is never cut.
    fn fit(&mut self, width: usize) {
        let total = |columns: &[Column], limit: usize| {
            let widths: usize = columns.iter().map(|column| column.limited(limit)).sum();
            widths + GAP.len() * columns.len().saturating_sub(1)
        };
        while self.columns.len() > 1 && total(&self.columns, WIDTH_MIN) > width {
            self.left_out.extend(self.columns.pop().map(|column| column.name.into()));
        }
        self.left_out.reverse();
        let limit = (WIDTH_MIN..width).rev().find(|limit| total(&self.columns, *limit) <= width);
        for column in &mut self.columns {
            column.width = column.limited(limit.unwrap_or(WIDTH_MIN));
        }
    }

    fn write_row(&mut self, out: &mut dyn Write, cells: &[Shown]) -> Outcome {
        self.line.clear();
        let last = self.columns.len().saturating_sub(1);
        for (place, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            if place > 0 {
                self.line.push_str(GAP);
            }
            let is_limited = self.look.width.is_some() && !column.is_number;
            let cut = if is_limited { cut(&cell.text, column.width) } else { None };
            let shown = cut.as_deref().unwrap_or(&cell.text);
            let padding = column.width.saturating_sub(shown.width());
            if column.is_number {
                push_spaces(&mut self.line, padding);
            }
            if cell.is_null && self.look.is_styled {
                // Writing to a String cannot fail.
                let _ = write!(self.line, "\u{1b}[2m{shown}\u{1b}[0m");
            } else {
                self.line.push_str(shown);
            }
            if !column.is_number && place < last {
                push_spaces(&mut self.line, padding);
            }
        }
        self.line.truncate(self.line.trim_end_matches(' ').len());
        self.line.push('\n');
        out.write_all(self.line.as_bytes())?;
        Ok(())
    }
}

impl Column {
    fn limited(&self, limit: usize) -> usize {
        if self.is_number { self.width } else { self.width.min(limit) }
    }
}

impl Shown {
    /// Null is `NULL`; a text that reads so, or is empty, is in quotes.
    fn new(cell: Cell<'_>) -> Self {
        let text = match cell {
            Cell::Null => return Self { text: "NULL".into(), is_null: true },
            Cell::Text(value) if value.is_empty() || value == "NULL" => format!("\"{value}\""),
            Cell::Text(value) | Cell::Json(value) => one_line(value),
            cell => {
                let mut text = String::new();
                text::push(cell, &mut text);
                text
            }
        };
        Self { text, is_null: false }
    }
}

fn push_spaces(line: &mut String, count: usize) {
    line.extend(std::iter::repeat_n(' ', count));
}

/// Returns a text on one line that no terminal obeys: control characters are escaped.
pub(crate) fn one_line(text: &str) -> String {
    let is_odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_odd) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_odd(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// Returns the start of a text that is too wide, and a mark that it goes on.
fn cut(text: &str, width: usize) -> Option<String> {
    if text.width() <= width {
        return None;
    }
    let mut cut = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    Some(cut)
}
