//! What the demo shows, laid out for the width of a terminal.

use std::fmt;
use std::io::{self, Write};

use sora::{Row, Type, Value};

use crate::console::Console;
use crate::failure::Outcome;
use crate::output::{Heading, Look, RowFormat, RowWriter};

/// Writes headings, lines and tables to standard output.
#[derive(Debug)]
pub(super) struct Screen<'a> {
    console: &'a mut Console,
    look: Look,
}

/// A column of a small table.
pub(super) type Column = (&'static str, Type);

/// What stands before everything under a heading.
const INDENT: &str = "  ";

impl<'a> Screen<'a> {
    pub(super) fn new(console: &'a mut Console) -> Self {
        let look = console.look;
        Self { console, look }
    }

    pub(super) fn title(&mut self, text: &str) -> Outcome {
        self.emphasised(text)
    }

    /// Starts a part. Its first word says it, the rest explains.
    pub(super) fn heading(&mut self, name: &str, about: &str) -> Outcome {
        self.console.print("")?;
        match self.look.is_styled {
            true => self
                .console
                .print(format_args!("\u{1b}[1m{name}\u{1b}[0m  \u{1b}[2m{about}\u{1b}[0m")),
            false => self.console.print(format_args!("{name}  ({about})")),
        }
    }

    /// A command that anyone can type.
    pub(super) fn command(&mut self, text: &str) -> Outcome {
        match self.look.is_styled {
            true => self.console.print(format_args!("{INDENT}\u{1b}[36m$ {text}\u{1b}[0m")),
            false => self.console.print(format_args!("{INDENT}$ {text}")),
        }
    }

    pub(super) fn line(&mut self, text: impl fmt::Display) -> Outcome {
        self.console.print(text)
    }

    /// Lines under a heading.
    pub(super) fn lines(&mut self, text: impl fmt::Display) -> Outcome {
        for line in text.to_string().lines() {
            let indent = if line.is_empty() { "" } else { INDENT };
            self.console.print(format_args!("{indent}{line}"))?;
        }
        Ok(())
    }

    /// A table under a heading.
    pub(super) fn table(&mut self, columns: &[Column], rows: &[Vec<Value>]) -> Outcome {
        let headings = columns.iter().map(|(name, column)| Heading::new(name, *column)).collect();
        let rows: Vec<&dyn Row> = rows.iter().map(|row| row as &dyn Row).collect();
        self.rows(headings, &rows)
    }

    /// Rows of a store under a heading.
    pub(super) fn rows(&mut self, headings: Vec<Heading>, rows: &[&dyn Row]) -> Outcome {
        let width = self.look.width.map(|width| width.saturating_sub(INDENT.len()));
        let out = Indented { out: &mut *self.console.out, at_start: true };
        let look = Look { width, ..self.look };
        let mut writer = RowWriter::new(out, RowFormat::Table, headings, "", look);
        for row in rows {
            writer.row(*row)?;
        }
        writer.finish().map(drop)
    }

    /// Shows at once what was written so far.
    pub(super) fn flush(&mut self) -> Outcome {
        Ok(self.console.out.flush()?)
    }

    fn emphasised(&mut self, text: &str) -> Outcome {
        match self.look.is_styled {
            true => self.console.print(format_args!("\u{1b}[1m{text}\u{1b}[0m")),
            false => self.console.print(text),
        }
    }
}

/// Puts the indent before every line.
struct Indented<'a> {
    out: &'a mut (dyn Write + Send),
    at_start: bool,
}

impl Write for Indented<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.at_start {
                self.out.write_all(INDENT.as_bytes())?;
            }
            self.out.write_all(line)?;
            self.at_start = line.ends_with(b"\n");
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Returns a number with its thousands apart: `42,049`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a time in the unit that suits it.
pub(super) fn time(duration: std::time::Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
    }
}

/// Returns a size in MiB.
pub(super) fn mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1_000, 42_049, 1_234_567].map(grouped),
            ["0", "999", "1,000", "42,049", "1,234,567"]
        );
        assert_eq!(time(Duration::from_nanos(12_500)), "12 µs");
        assert_eq!(time(Duration::from_micros(12_340)), "12.3 ms");
        assert_eq!(time(Duration::from_millis(2_050)), "2.05 s");
        assert_eq!(mebibytes(15 * 1024 * 1024 + 600 * 1024), "15.5 MiB");
    }
}
