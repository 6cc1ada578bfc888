//! CSV as RFC 4180 has it, with line feeds: null is bare, what equals it is in quotes.

use std::io::{self, Write};

use sora::{Cell, Row};

use super::{Heading, text};
use crate::failure::Outcome;

#[derive(Debug)]
pub(super) struct Csv {
    null: Box<str>,
    text: String,
}

impl Csv {
    /// Writes the header.
    pub(super) fn start(out: &mut dyn Write, headings: &[Heading], null: &str) -> Outcome<Self> {
        for (place, heading) in headings.iter().enumerate() {
            separate(out, place)?;
            field(out, &heading.name, null)?;
        }
        out.write_all(b"\n")?;
        Ok(Self { null: null.into(), text: String::new() })
    }

    pub(super) fn row(&mut self, out: &mut dyn Write, row: &dyn Row) -> Outcome {
        for place in 0..row.width() {
            separate(out, place)?;
            match row.cell(place)? {
                Cell::Null => out.write_all(self.null.as_bytes())?,
                Cell::Text(value) | Cell::Json(value) => field(out, value, &self.null)?,
                cell => {
                    self.text.clear();
                    text::push(cell, &mut self.text);
                    field(out, &self.text, &self.null)?;
                }
            }
        }
        Ok(out.write_all(b"\n")?)
    }
}

fn separate(out: &mut dyn Write, place: usize) -> io::Result<()> {
    if place > 0 { out.write_all(b",") } else { Ok(()) }
}

/// Writes a value, in quotes if it could be read as something else without them.
fn field(out: &mut dyn Write, value: &str, null: &str) -> io::Result<()> {
    let is_special = |byte: u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    let needs_quotes = value.is_empty()
        || value == null
        || value.starts_with('\u{feff}')
        || value.bytes().any(is_special);
    if !needs_quotes {
        return out.write_all(value.as_bytes());
    }
    out.write_all(b"\"")?;
    for (place, part) in value.split('"').enumerate() {
        if place > 0 {
            out.write_all(b"\"\"")?;
        }
        out.write_all(part.as_bytes())?;
    }
    out.write_all(b"\"")
}
