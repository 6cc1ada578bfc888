//! CSV as RFC 4180 has it, read without losing the difference between a bare empty field, which is
//! null, and `""`, which is empty text.
//!
//! The `csv` crate drops that difference, ends a file inside quotes without a word and joins text
//! behind a closing quote to the field. A data importer must tell all three, hence this reader; the
//! tests hold it against the crate on everything that is well-formed. A quote inside a bare field
//! is a character like any other. Line feeds and CR LF end records, also mixed in one file.

use std::io::{self, Read};

use super::record::{Kind, Record, Slot};
use super::window::{RECORD_BYTES_MAX, Window};
use super::{Advance, long_record};

/// Reads records one after another and names each bad line.
#[derive(Debug)]
pub(crate) struct CsvReader {
    window: Window,
    delimiter: u8,
    nulls: Box<[Box<str>]>,
    width: Option<usize>,
    /// The line of the current record, counted from 1.
    line: u64,
    /// The lines and bytes of the current record.
    lines: u64,
    len: usize,
    slots: Vec<Slot>,
    unescaped: Vec<u8>,
}

impl CsvReader {
    /// Returns a reader in front of the first line. A bare field that equals one of `nulls` is null.
    pub(crate) fn new(
        reader: Box<dyn Read + Send>,
        delimiter: u8,
        nulls: Box<[Box<str>]>,
    ) -> io::Result<Self> {
        Ok(Self {
            window: Window::open(reader)?,
            delimiter,
            nulls,
            width: None,
            line: 1,
            lines: 0,
            len: 0,
            slots: Vec::new(),
            unescaped: Vec::new(),
        })
    }

    /// Sets the number of fields that every record from here on must have.
    pub(crate) fn expect_width(&mut self, width: usize) {
        self.width = Some(width);
    }

    /// The line on which the current record begins, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Goes to the next record. Empty lines are left out, unless the file has one column: there an
    /// empty line is a null.
    pub(crate) fn advance(&mut self) -> io::Result<Advance> {
        loop {
            self.window.consume(std::mem::take(&mut self.len));
            self.line += std::mem::take(&mut self.lines);
            self.slots.clear();
            self.unescaped.clear();
            let ending = match self.scan() {
                Scan::Record { len, lines } => {
                    (self.len, self.lines) = (len, lines);
                    if self.is_empty_line() {
                        continue;
                    }
                    return Ok(Advance::Record);
                }
                Scan::More if self.window.data().len() >= RECORD_BYTES_MAX => long_record(),
                Scan::More => {
                    self.window.fill()?;
                    continue;
                }
                Scan::End => return Ok(Advance::End),
                Scan::Bad(reason) => reason,
            };
            // What follows a wrong quote is a guess; the next line is the best place to start over.
            self.window.skip_line()?;
            self.lines = 1;
            return Ok(Advance::Bad(ending));
        }
    }

    /// Returns the current record.
    ///
    /// # Errors
    ///
    /// Why it is bad: not UTF-8, or too many or too few fields.
    pub(crate) fn record(&self) -> Result<Record<'_>, String> {
        if let Some(width) = self.width.filter(|width| *width != self.slots.len()) {
            return Err(format!("{} fields, where {width} are expected", self.slots.len()));
        }
        let bytes = self.window.data().get(..self.len).unwrap_or_default();
        let (Ok(text), Ok(unescaped)) =
            (std::str::from_utf8(bytes), std::str::from_utf8(&self.unescaped))
        else {
            return Err(self.invalid_utf8(bytes));
        };
        Ok(Record { text, unescaped, slots: &self.slots })
    }

    fn invalid_utf8(&self, bytes: &[u8]) -> String {
        let valid = |slot: &&Slot| std::str::from_utf8(&bytes[slot.start..slot.end]).is_ok();
        let plain = self.slots.iter().take_while(|slot| slot.is_unescaped || valid(slot)).count();
        match plain < self.slots.len() {
            true => format!("field {} is not UTF-8", plain + 1),
            false => "it is not UTF-8".into(),
        }
    }

    fn is_empty_line(&self) -> bool {
        // A quoted empty field starts behind its quote.
        let is_bare_empty = |slot: &Slot| !slot.is_unescaped && slot.start == 0 && slot.end == 0;
        matches!(&*self.slots, [slot] if is_bare_empty(slot)) && self.width != Some(1)
    }

    /// Finds the fields of the record at the start of the window.
    fn scan(&mut self) -> Scan {
        self.slots.clear();
        self.unescaped.clear();
        let data = self.window.data();
        let is_ended = self.window.is_ended();
        if data.is_empty() {
            return if is_ended { Scan::End } else { Scan::More };
        }
        let mut at = 0;
        let mut has_quotes = false;
        loop {
            let (slot, end) = match data.get(at) {
                None if !is_ended => return Scan::More,
                Some(b'"') => {
                    has_quotes = true;
                    match quoted(data, at + 1, is_ended, &mut self.unescaped) {
                        Ok(found) => found,
                        Err(scan) => return scan,
                    }
                }
                _ => match memchr::memchr2(self.delimiter, b'\n', &data[at..]) {
                    Some(len) => (bare(data, at, at + len, &self.nulls), at + len),
                    None if is_ended => (bare(data, at, data.len(), &self.nulls), data.len()),
                    None => return Scan::More,
                },
            };
            self.slots.push(slot);
            let rest = &data[end..];
            let len = match rest {
                [first, ..] if *first == self.delimiter => {
                    at = end + 1;
                    continue;
                }
                [] if is_ended => 0,
                [b'\r'] if is_ended => 1,
                [] | [b'\r'] => return Scan::More,
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                _ => {
                    let column = self.slots.len();
                    return Scan::Bad(format!(
                        "field {column} goes on behind its closing quote; a quote inside a quoted \
                         field is written twice"
                    ));
                }
            };
            let len = end + len;
            let lines = match has_quotes {
                true => memchr::memchr_iter(b'\n', &data[..len]).count() as u64,
                false => 1,
            };
            return Scan::Record { len, lines: lines.max(1) };
        }
    }
}

enum Scan {
    /// Neither text nor the end of the record is there yet.
    More,
    End,
    Record {
        len: usize,
        lines: u64,
    },
    Bad(String),
}

/// Returns the bare field between two places. The CR of a CR LF does not belong to it.
fn bare(data: &[u8], start: usize, end: usize, nulls: &[Box<str>]) -> Slot {
    let at_line_end = data.get(end).is_none_or(|byte| *byte == b'\n');
    let end = match data[start..end].last() {
        Some(b'\r') if at_line_end => end - 1,
        _ => end,
    };
    let is_null = nulls.iter().any(|null| null.as_bytes() == &data[start..end]);
    let kind = if is_null { Kind::Null } else { Kind::Bare };
    Slot { kind, start, end, is_unescaped: false }
}

/// Returns the quoted field that begins at a place, and where it ends with its quote.
fn quoted(
    data: &[u8],
    start: usize,
    is_ended: bool,
    unescaped: &mut Vec<u8>,
) -> Result<(Slot, usize), Scan> {
    let unescaped_start = unescaped.len();
    let mut is_unescaped = false;
    let mut from = start;
    let end = loop {
        let Some(len) = memchr::memchr(b'"', &data[from..]) else {
            let reason = "a quoted field begins here and is never closed";
            return Err(if is_ended { Scan::Bad(reason.into()) } else { Scan::More });
        };
        let quote = from + len;
        match data.get(quote + 1) {
            None if !is_ended => return Err(Scan::More),
            Some(b'"') => {
                // The first of two quotes is the text's own.
                unescaped.extend_from_slice(&data[from..=quote]);
                is_unescaped = true;
                from = quote + 2;
            }
            _ => break quote,
        }
    };
    let slot = if is_unescaped {
        unescaped.extend_from_slice(&data[from..end]);
        let (start, end) = (unescaped_start, unescaped.len());
        Slot { kind: Kind::Bare, start, end, is_unescaped }
    } else {
        Slot { kind: Kind::Bare, start, end, is_unescaped }
    };
    Ok((slot, end + 1))
}

#[cfg(test)]
mod tests;
