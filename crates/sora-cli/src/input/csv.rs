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
    nulls: Nulls,
    width: Option<usize>,
    /// The line of the current record, counted from 1.
    line: u64,
    /// The lines and bytes of the current record.
    lines: u64,
    len: usize,
    slots: Vec<Slot>,
    unescaped: String,
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
            nulls: Nulls::new(nulls),
            width: None,
            line: 1,
            lines: 0,
            len: 0,
            slots: Vec::new(),
            unescaped: String::new(),
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
                Scan::Record { len, .. } if len > RECORD_BYTES_MAX => long_record(),
                Scan::Record { len, lines } => {
                    (self.len, self.lines) = (len, lines);
                    if self.is_empty_line() {
                        continue;
                    }
                    return Ok(Advance::Record);
                }
                Scan::More if self.window.text().len() > RECORD_BYTES_MAX => long_record(),
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
        if let Some(place) = self.window.replaced(self.len) {
            let before = self.slots.iter().take_while(|slot| !slot.is_at(place)).count();
            return Err(match before < self.slots.len() {
                true => format!("field {} is not UTF-8", before + 1),
                // What was unescaped does not tell where it came from.
                false => "it is not UTF-8".into(),
            });
        }
        let text = self.window.text().get(..self.len).unwrap_or_default();
        Ok(Record { text, unescaped: &self.unescaped, slots: &self.slots })
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
        let text = self.window.text();
        let data = text.as_bytes();
        let is_ended = self.window.is_ended();
        if data.is_empty() {
            return if is_ended { Scan::End } else { Scan::More };
        }
        let mut at = 0;
        let mut has_quotes = false;
        loop {
            if data.get(at) != Some(&b'"') {
                let (end, behind) = match end_of_bare(data, at, self.delimiter) {
                    Some(end) if data[end] == self.delimiter => {
                        self.slots.push(self.nulls.slot(data, at, end));
                        at = end + 1;
                        continue;
                    }
                    Some(end) => (end, end + 1),
                    None if is_ended => (data.len(), data.len()),
                    None => return Scan::More,
                };
                let is_return = end > at && data[end - 1] == b'\r';
                let end = if is_return { end - 1 } else { end };
                self.slots.push(self.nulls.slot(data, at, end));
                return Scan::record(data, behind, has_quotes);
            }
            has_quotes = true;
            let (slot, end) = match quoted(text, at + 1, is_ended, &mut self.unescaped) {
                Ok(found) => found,
                Err(scan) => return scan,
            };
            self.slots.push(slot);
            let len = match &data[end..] {
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
            return Scan::record(data, end + len, has_quotes);
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

impl Scan {
    fn record(data: &[u8], len: usize, has_quotes: bool) -> Self {
        let lines = match has_quotes {
            true => memchr::memchr_iter(b'\n', &data[..len]).count() as u64,
            false => 1,
        };
        Self::Record { len, lines: lines.max(1) }
    }
}

/// How null is written.
#[derive(Debug)]
struct Nulls {
    spellings: Box<[Box<str>]>,
    /// The longest of them: most fields are longer.
    len_max: usize,
}

impl Nulls {
    fn new(spellings: Box<[Box<str>]>) -> Self {
        let len_max = spellings.iter().map(|null| null.len()).max().unwrap_or(0);
        Self { spellings, len_max }
    }

    /// Returns the bare field between two places.
    fn slot(&self, data: &[u8], start: usize, end: usize) -> Slot {
        let is_null = end - start <= self.len_max
            && self.spellings.iter().any(|null| null.as_bytes() == &data[start..end]);
        let kind = if is_null { Kind::Null } else { Kind::Bare };
        Slot::new(kind, start, end, false)
    }
}

/// Finds the delimiter or line feed that ends a bare field.
///
/// Most fields are short, and for those eight bytes at a time in a register beat setting up a
/// vectorised search.
fn end_of_bare(data: &[u8], at: usize, delimiter: u8) -> Option<usize> {
    const SHORT_WORDS: usize = 4;
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let repeated = |byte: u8| ONES * u64::from(byte);
    let (delimiters, line_feeds) = (repeated(delimiter), repeated(b'\n'));
    let mut at = at;
    for _ in 0..SHORT_WORDS {
        let Some(bytes) = data.get(at..).and_then(<[u8]>::first_chunk::<8>) else { break };
        let word = u64::from_le_bytes(*bytes);
        let found = zero_bytes(word ^ delimiters) | zero_bytes(word ^ line_feeds);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    memchr::memchr2(delimiter, b'\n', data.get(at..)?).map(|len| at + len)
}

/// Sets the highest bit of the first byte that is zero, and none before it (Anderson, "Bit Twiddling
/// Hacks": <https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>).
fn zero_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

/// Returns the quoted field that begins at a place, and where it ends with its quote.
fn quoted(
    text: &str,
    start: usize,
    is_ended: bool,
    unescaped: &mut String,
) -> Result<(Slot, usize), Scan> {
    let data = text.as_bytes();
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
                unescaped.push_str(&text[from..=quote]);
                is_unescaped = true;
                from = quote + 2;
            }
            _ => break quote,
        }
    };
    if !is_unescaped {
        return Ok((Slot::new(Kind::Bare, start, end, false), end + 1));
    }
    unescaped.push_str(&text[from..end]);
    Ok((Slot::new(Kind::Bare, unescaped_start, unescaped.len(), true), end + 1))
}

#[cfg(test)]
mod tests;
