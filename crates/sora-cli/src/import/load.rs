//! The second pass over a file: rows in batches, each one durable transaction.

use std::collections::VecDeque;
use std::time::Duration;

use sora::write::{Effect, Outcome as RowOutcome};
use sora::{
    Atomic, BatchEnd, BatchMode, BatchOptions, BatchWriter, Cell, Error, ErrorKind, Name, Retry,
    Table, Type,
};

use super::bad_lines::BadLines;
use super::keys::KeyCount;
use super::target::Target;
use crate::arguments::OnError;
use crate::console::Console;
use crate::conversion::{self, Refusal, Scratch};
use crate::failure::{Failure, Outcome};
use crate::input::{Advance, Dialect, Reader, Record, Source};
use crate::progress::Progress;

/// What is loaded, from where and how.
#[derive(Debug)]
pub(super) struct Load<'a> {
    pub(super) source: &'a Source,
    pub(super) dialect: &'a Dialect,
    /// The columns that the first pass found.
    pub(super) names: &'a [Box<str>],
    /// The records that the first pass found.
    pub(super) lines: u64,
    pub(super) table: &'a Table,
    pub(super) target: &'a Target,
    /// The number of the first row, where rows are numbered.
    pub(super) first_row: i64,
    pub(super) batch_rows: usize,
    pub(super) on_error: OnError,
}

/// What became of the lines. The first seven sum to the lines of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) inserted: u64,
    pub(super) updated: u64,
    /// Written, where the store does not tell which of the two.
    pub(super) upserted: u64,
    pub(super) unchanged: u64,
    /// Written by a later line of the same batch in their place.
    pub(super) superseded: u64,
    pub(super) failed: u64,
    /// Left out because the import was told to stop.
    pub(super) skipped: u64,
    /// Lines whose key a line before them had.
    pub(super) duplicates: u64,
    pub(super) elapsed: Duration,
    /// Whether it ended before the end of the file.
    pub(super) is_stopped: bool,
}

impl Tally {
    /// Counts superseded rows as what they would have been alone: the row that took their place
    /// then is an update of theirs.
    pub(super) fn resolve(&mut self) {
        let superseded = std::mem::take(&mut self.superseded);
        match self.upserted {
            0 => self.updated += superseded,
            _ => self.upserted += superseded,
        }
    }

    /// Tells inserted rows from updated ones where the store did not and the table was empty: then
    /// a row is updated if its key came before.
    pub(super) fn tell_apart(&mut self) {
        let upserted = std::mem::take(&mut self.upserted);
        self.updated += self.duplicates.min(upserted);
        self.inserted += upserted.saturating_sub(self.duplicates);
    }

    /// The rows that are in the table now, each as often as it was written.
    pub(super) fn written(&self) -> u64 {
        self.inserted + self.updated + self.upserted + self.unchanged + self.superseded
    }
}

impl Load<'_> {
    /// Reads, checks and writes all lines.
    ///
    /// While a batch is being written, the next one is read.
    pub(super) async fn run(self, bad: &mut BadLines, console: &mut Console) -> Outcome<Tally> {
        let reader = self.source.read()?;
        let mut reader = Reader::open(reader, self.dialect, Some(self.names))?;
        let mut columns: Vec<u16> = self.target.columns.iter().flatten().copied().collect();
        columns.splice(0..0, self.target.row_column);
        let mut writer = self.table.batch_writer(BatchMode::Upsert, &columns, self.options())?;
        let mut pass = Pass {
            key: key_positions(self.target, writer.columns()),
            load: &self,
            scratch: Scratch::default(),
            lines: VecDeque::new(),
            keys: KeyCount::default(),
            tally: Tally::default(),
            transient: None,
            bad,
            progress: Progress::start(console, "importing", Some(self.lines)),
        };
        let mut records = 0;
        while !writer.is_stopped() {
            let reason = match reader.advance()? {
                Advance::End => break,
                Advance::Bad(reason) => Err(reason),
                Advance::Record => {
                    reader.record().map(|record| pass.take(&mut writer, records, &record))
                }
            };
            if let Err(reason) = reason {
                writer.refuse(Error::new(ErrorKind::InvalidInput, reason));
            }
            pass.lines.push_back(reader.line());
            records += 1;
            if writer.is_full() {
                writer.advance().await;
                pass.settle(&mut writer, console)?;
            }
        }
        let report = writer.finish().await;
        pass.settle(&mut writer, console)?;
        let Pass { mut tally, keys, transient, progress, .. } = pass;
        if let BatchEnd::Failed(error) = report.end {
            return Err(error.into());
        }
        if let Some(error) = transient {
            // Not a failure of these lines: the import stays incomplete, so that the next completes it.
            return Err(error.into());
        }
        tally.duplicates = keys.duplicates().map_err(|error| temporary(&error))?;
        tally.elapsed = progress.elapsed();
        tally.is_stopped = matches!(report.end, BatchEnd::Stopped);
        if tally.is_stopped {
            tally.skipped += self.lines.saturating_sub(records);
        } else if records != self.lines || !self.source.is_unchanged() {
            return Err(Failure::failed(
                "the file changed while it was imported; import it again to complete it",
            ));
        }
        Ok(tally)
    }

    fn options(&self) -> BatchOptions {
        // Whoever wants to stop at the first failure wants nothing behind it.
        let stops = self.on_error == OnError::Stop;
        BatchOptions {
            atomic: if stops { Atomic::Chunk } else { Atomic::Row },
            errors_max: stops.then_some(1),
            rows_per_chunk: Some(self.batch_rows),
            ..BatchOptions::default()
        }
    }
}

/// One pass over the records.
struct Pass<'a> {
    load: &'a Load<'a>,
    /// Where the columns of the key stand in a row.
    key: Vec<usize>,
    scratch: Scratch,
    /// The lines of the rows that have no outcome yet.
    lines: VecDeque<u64>,
    keys: KeyCount,
    tally: Tally,
    /// A failure that may pass.
    transient: Option<Error>,
    bad: &'a mut BadLines,
    progress: Progress,
}

impl Pass<'_> {
    /// Takes a record into the batch. One that does not fit is refused there.
    fn take(&mut self, writer: &mut BatchWriter<'_>, records: u64, record: &Record<'_>) {
        let Self { load: Load { target, first_row, .. }, scratch, .. } = self;
        let taken = writer.row(|out| {
            if target.row_column.is_some() {
                let number = i64::try_from(records).ok().and_then(|row| first_row.checked_add(row));
                out.cell(Cell::I64(number.ok_or_else(too_many_rows)?))?;
            }
            for (place, column) in target.columns.iter().enumerate() {
                let Some(column) = column.map(|column| target.schema.column(column)) else {
                    continue;
                };
                match conversion::cell(record.field(place), column.column_type, scratch) {
                    Ok(cell) => out.cell(cell)?,
                    Err(refusal) => return Err(unfit(&column.name, &refusal)),
                }
            }
            Ok(())
        });
        // The refusal is the outcome of the line.
        drop(taken);
    }

    /// Counts what became of the lines whose outcomes are known.
    fn settle(&mut self, writer: &mut BatchWriter<'_>, console: &mut Console) -> Outcome {
        while let Some(settled) = writer.settled() {
            let written = self.tally.written();
            let has_key = self.load.target.row_column.is_none();
            let mut last = None;
            for (row, outcome) in settled.iter() {
                // Each row has a line.
                let line = self.lines.pop_front().unwrap_or_default();
                if !self.count(row.is_none(), outcome, line, console)? {
                    continue;
                }
                if let Some(row) = row.filter(|_| has_key) {
                    let is_above = settled.is_by_key() && last.is_some();
                    self.keys.add(&row, &self.key, is_above).map_err(|error| temporary(&error))?;
                    last = Some(row);
                }
            }
            if let Some(last) = last {
                self.keys.last(&last, &self.key);
            }
            if self.tally.written() > written {
                self.progress.committed(console, self.tally.written());
            }
        }
        Ok(())
    }

    /// Counts the outcome of a line, and returns whether it was written.
    fn count(
        &mut self,
        is_refused: bool,
        outcome: &RowOutcome,
        line: u64,
        console: &mut Console,
    ) -> Outcome<bool> {
        let tally = &mut self.tally;
        match outcome {
            RowOutcome::Applied(effect) => {
                match effect {
                    Effect::Inserted => tally.inserted += 1,
                    Effect::Updated => tally.updated += 1,
                    Effect::Superseded => tally.superseded += 1,
                    Effect::Unchanged => tally.unchanged += 1,
                    _ => tally.upserted += 1,
                }
                return Ok(true);
            }
            RowOutcome::Failed(error) if is_refused => {
                self.refuse(console, line, error.message())?;
            }
            RowOutcome::Failed(error) => {
                if error.retry() == Retry::Safe {
                    self.transient.get_or_insert_with(|| error.clone());
                }
                self.refuse(console, line, &text_of(error))?;
            }
            RowOutcome::Unknown(error) => {
                let reason = format!("it is unknown whether it was written: {}", text_of(error));
                self.refuse(console, line, &reason)?;
            }
            _ => tally.skipped += 1,
        }
        Ok(false)
    }

    /// Reports a line that was not imported.
    fn refuse(&mut self, console: &mut Console, line: u64, reason: &str) -> Outcome {
        self.tally.failed += 1;
        self.bad.add(console, &self.progress, line, reason)
    }
}

/// Where the columns of the key stand in a row of these columns.
fn key_positions(target: &Target, columns: &[u16]) -> Vec<usize> {
    let position = |key: &u16| columns.iter().position(|column| column == key);
    target.schema.key().iter().filter_map(position).collect()
}

#[cold]
fn unfit(name: &str, refusal: &Refusal) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("column {}: {refusal}", Name(name)))
}

fn too_many_rows() -> Error {
    Error::new(ErrorKind::Limit, format!("there are no more row numbers in an {}", Type::I64))
}

fn text_of(error: &Error) -> String {
    Failure::from(error.clone()).message().unwrap_or_default().to_owned()
}

fn temporary(error: &std::io::Error) -> Failure {
    Failure::failed(format!("the keys cannot be counted in a temporary file: {error}"))
}
