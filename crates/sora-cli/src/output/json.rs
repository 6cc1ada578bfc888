//! JSON: one array of objects, or one object a line.

use std::io::Write;

use serde::de::IgnoredAny;
use sora::{Cell, Row};

use super::{Heading, text};
use crate::failure::{Failure, Outcome};

#[derive(Debug)]
pub(super) struct Json {
    /// What stands before each value: `{"name":` or `,"name":`.
    names: Box<[Box<str>]>,
    is_array: bool,
    is_first: bool,
    text: String,
}

impl Json {
    pub(super) fn new(headings: &[Heading], is_array: bool) -> Self {
        let name = |(place, heading): (usize, &Heading)| {
            let open = if place == 0 { '{' } else { ',' };
            format!("{open}{}:", serde_json::Value::from(&*heading.name)).into()
        };
        let names = headings.iter().enumerate().map(name).collect();
        Self { names, is_array, is_first: true, text: String::new() }
    }

    pub(super) fn row(&mut self, out: &mut dyn Write, row: &dyn Row) -> Outcome {
        let is_first = std::mem::take(&mut self.is_first);
        if self.is_array {
            out.write_all(if is_first { b"[\n" } else { b",\n" })?;
        }
        if self.names.is_empty() {
            out.write_all(b"{")?;
        }
        for (place, name) in self.names.iter().enumerate() {
            out.write_all(name.as_bytes())?;
            value(out, row.cell(place)?, &mut self.text)?;
        }
        out.write_all(if self.is_array { b"}" } else { b"}\n" })?;
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut dyn Write) -> Outcome {
        match (self.is_array, self.is_first) {
            (true, true) => out.write_all(b"[]\n")?,
            (true, false) => out.write_all(b"\n]\n")?,
            (false, _) => {}
        }
        Ok(())
    }
}

/// Writes a value. Numbers that JSON readers would round, which are decimals, are text, as is what
/// JSON has no form for.
fn value(out: &mut dyn Write, cell: Cell<'_>, scratch: &mut String) -> Outcome {
    scratch.clear();
    match cell {
        Cell::Null => out.write_all(b"null")?,
        Cell::F64(value) if !value.is_finite() => {
            text::push(cell, scratch);
            string(out, scratch)?;
        }
        Cell::Bool(_) | Cell::I64(_) | Cell::F64(_) => {
            text::push(cell, scratch);
            out.write_all(scratch.as_bytes())?;
        }
        Cell::Json(document) => match is_one_line(document) {
            true => out.write_all(document.as_bytes())?,
            false => match sora::json::canonical(document) {
                Ok(document) => out.write_all(document.as_bytes())?,
                // Another program's text in a JSON column must not break what is written here.
                Err(_) => string(out, document)?,
            },
        },
        Cell::Text(value) => string(out, value)?,
        cell => {
            text::push(cell, scratch);
            string(out, scratch)?;
        }
    }
    Ok(())
}

fn is_one_line(document: &str) -> bool {
    !document.contains(['\n', '\r']) && serde_json::from_str::<IgnoredAny>(document).is_ok()
}

fn string(out: &mut dyn Write, value: &str) -> Outcome {
    serde_json::to_writer(out, value).map_err(|error| match error.io_error_kind() {
        Some(kind) => Failure::from(std::io::Error::from(kind)),
        None => Failure::failed(error),
    })
}
