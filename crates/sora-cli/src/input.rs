//! Files as they are read: CSV or NDJSON, record by record, bad lines named.

mod csv;
mod ndjson;
mod record;
mod source;
mod window;

use std::io::{self, Read};

pub(crate) use record::{Field, Record};
pub(crate) use source::{Format, Source};

use csv::CsvReader;
use ndjson::NdjsonReader;
use window::RECORD_BYTES_MAX;

use crate::failure::{Failure, Outcome};

/// How a file is read.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    /// What it is.
    pub(crate) format: Format,
    /// What separates the fields of a CSV file.
    pub(crate) delimiter: u8,
    /// How null is written in a CSV file.
    pub(crate) nulls: Box<[Box<str>]>,
    /// The names of the columns, if no header line gives them.
    pub(crate) names: Option<Box<[Box<str>]>>,
}

/// Reads the records of a file of either format.
#[derive(Debug)]
pub(crate) struct Reader {
    lines: Lines,
    names: Vec<Box<str>>,
}

#[derive(Debug)]
enum Lines {
    Csv(CsvReader),
    Ndjson(NdjsonReader),
}

/// What the next line is.
#[derive(Debug)]
pub(crate) enum Advance {
    /// Not a record, and why.
    Bad(String),
    /// There is none.
    End,
    /// A record, as far as its ends are concerned.
    Record,
}

impl Reader {
    /// Returns a reader in front of the first record, behind the header.
    ///
    /// `known` are the names that an earlier pass over an NDJSON file found.
    ///
    /// # Errors
    ///
    /// What the file gives, and a header that names no columns.
    pub(crate) fn open(
        reader: Box<dyn Read + Send>,
        dialect: &Dialect,
        known: Option<&[Box<str>]>,
    ) -> Outcome<Self> {
        match dialect.format {
            Format::Ndjson => {
                let lines = NdjsonReader::new(reader, known)?;
                Ok(Self { lines: Lines::Ndjson(lines), names: Vec::new() })
            }
            Format::Csv => {
                let nulls = dialect.nulls.clone();
                let mut lines = CsvReader::new(reader, dialect.delimiter, nulls)?;
                let names = match &dialect.names {
                    Some(names) => names.to_vec(),
                    None => header(&mut lines, dialect.delimiter)?,
                };
                lines.expect_width(names.len());
                Ok(Self { lines: Lines::Csv(lines), names })
            }
        }
    }

    /// The names of the columns, in the order of the fields. Those of an NDJSON file grow while it
    /// is read.
    pub(crate) fn names(&self) -> &[Box<str>] {
        match &self.lines {
            Lines::Csv(_) => &self.names,
            Lines::Ndjson(lines) => lines.names(),
        }
    }

    /// The line on which the current record begins, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        match &self.lines {
            Lines::Csv(lines) => lines.line(),
            Lines::Ndjson(lines) => lines.line(),
        }
    }

    /// Goes to the next record.
    pub(crate) fn advance(&mut self) -> io::Result<Advance> {
        match &mut self.lines {
            Lines::Csv(lines) => lines.advance(),
            Lines::Ndjson(lines) => lines.advance(),
        }
    }

    /// Returns the current record.
    ///
    /// # Errors
    ///
    /// Why the line is bad.
    pub(crate) fn record(&mut self) -> Result<Record<'_>, String> {
        match &mut self.lines {
            Lines::Csv(lines) => lines.record(),
            Lines::Ndjson(lines) => lines.record(),
        }
    }
}

/// Reads all records that are good, and returns the number of those that are bad.
#[cfg(test)]
pub(crate) fn scan(reader: &mut Reader, mut take: impl FnMut(u64, &Record<'_>)) -> io::Result<u64> {
    let mut bad = 0;
    loop {
        match reader.advance()? {
            Advance::End => return Ok(bad),
            Advance::Bad(_) => bad += 1,
            Advance::Record => {
                let line = reader.line();
                match reader.record() {
                    Ok(record) => take(line, &record),
                    Err(_) => bad += 1,
                }
            }
        }
    }
}

/// Reads the names of the columns from the first line.
fn header(lines: &mut CsvReader, delimiter: u8) -> Outcome<Vec<Box<str>>> {
    let wrong = |why: String| Failure::failed(format!("the header line cannot be used: {why}"));
    match lines.advance()? {
        Advance::End => return Err(wrong("the file is empty".into())),
        Advance::Bad(reason) => return Err(wrong(reason)),
        Advance::Record => {}
    }
    let record = lines.record().map_err(wrong)?;
    let mut names: Vec<Box<str>> = Vec::with_capacity(record.len());
    for place in 0..record.len() {
        let name = match record.field(place) {
            Field::Bare(name) if !name.is_empty() => name,
            _ => return Err(wrong(format!("field {} is empty", place + 1))),
        };
        sora::check_name("column", name).map_err(|error| wrong(error.message().into()))?;
        if names.iter().any(|other| **other == *name) {
            return Err(wrong(format!("two columns are named {name:?}")));
        }
        names.push(name.into());
    }
    if let [name] = &*names {
        for other in [b',', b';', b'\t', b'|'] {
            if other != delimiter && name.contains(char::from(other)) {
                let other = char::from(other).escape_default();
                return Err(wrong(format!(
                    "it has one column, {name:?}; perhaps `--delimiter '{other}'` is missing"
                )));
            }
        }
    }
    Ok(names)
}

fn long_record() -> String {
    format!("the record is longer than {} MiB", RECORD_BYTES_MAX / 1024 / 1024)
}
