//! CSV as RFC 4180 has it, with line feeds: null is bare, what equals it is in quotes.

use std::io::{self, Write};

use sora::{Cell, Row};

use super::{Heading, text};
use crate::failure::Outcome;

#[derive(Debug)]
pub(super) struct Csv {
    /// The header, until it is written: what fails before the first row leaves nothing behind.
    header: Option<Vec<u8>>,
    null: Box<str>,
    text: String,
}

impl Csv {
    pub(super) fn new(headings: &[Heading], null: &str) -> Self {
        let mut header = Vec::new();
        for (place, heading) in headings.iter().enumerate() {
            // Writing to memory cannot fail.
            let _ = separate(&mut header, place);
            let _ = field(&mut header, &heading.name, null);
        }
        header.push(b'\n');
        Self { header: Some(header), null: null.into(), text: String::new() }
    }

    /// Writes the header, if that is not done yet.
    pub(super) fn start(&mut self, out: &mut dyn Write) -> Outcome {
        match self.header.take() {
            Some(header) => Ok(out.write_all(&header)?),
            None => Ok(()),
        }
    }

    pub(super) fn row(&mut self, out: &mut dyn Write, row: &dyn Row) -> Outcome {
        self.start(out)?;
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
