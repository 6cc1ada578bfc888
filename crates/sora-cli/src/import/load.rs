//! The second pass over a file: rows in batches, each one durable transaction.

use std::sync::Arc;
use std::time::Duration;

use sora::write::{Change, Effect, OnConflict, Outcome as RowOutcome, WriteReport};
use sora::{Cell, Error, ErrorKind, Intake, Name, RowBuffer, Table, Type};
use tokio::task::JoinHandle;

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

/// What became of the lines. The first six sum to the lines of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) inserted: u64,
    pub(super) updated: u64,
    /// Written, where the store does not tell which of the two.
    pub(super) upserted: u64,
    pub(super) unchanged: u64,
    pub(super) failed: u64,
    /// Left out because the import was told to stop.
    pub(super) skipped: u64,
    /// Lines whose key a line before them had.
    pub(super) duplicates: u64,
    pub(super) elapsed: Duration,
    /// Whether it ended before the end of the file.
    pub(super) is_stopped: bool,
}

/// A batch ends when its rows are so large in memory, even if they are few.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Tally {
    /// Tells inserted rows from updated ones where the store did not and the table was empty: then
    /// a row is updated if its key came before.
    pub(super) fn tell_apart(&mut self) {
        let upserted = std::mem::take(&mut self.upserted);
        self.updated += self.duplicates.min(upserted);
        self.inserted += upserted.saturating_sub(self.duplicates);
    }

    /// The rows that are in the table now, each as often as it was written.
    pub(super) fn written(&self) -> u64 {
        self.inserted + self.updated + self.upserted + self.unchanged
    }
}

impl Load<'_> {
    /// Reads, checks and writes all lines.
    ///
    /// While a batch is being written, the next one is read.
    pub(super) async fn run(self, bad: &mut BadLines, console: &mut Console) -> Outcome<Tally> {
        let reader = self.source.read()?;
        let mut reader = Reader::open(reader, self.dialect, Some(self.names))?;
        let mut columns = self.target.columns.clone();
        columns.splice(0..0, self.target.row_column);
        let mut pass = Pass {
            intake: self.table.intake(&columns),
            scratch: Scratch::default(),
            lines: Vec::new(),
            in_flight: None,
            keys: KeyCount::default(),
            tally: Tally::default(),
            stopped: false,
            bad,
            progress: Progress::start(console, "importing", Some(self.lines)),
            load: &self,
        };
        let mut records = 0;
        loop {
            let reason = match reader.advance()? {
                Advance::End => break,
                Advance::Bad(reason) => Err(reason),
                Advance::Record => {
                    let line = reader.line();
                    reader.record().and_then(|record| pass.take(line, records, &record))
                }
            };
            records += 1;
            if let Err(reason) = reason {
                pass.refuse(console, reader.line(), &reason)?;
            }
            if pass.stopped {
                break;
            }
            if pass.is_full() {
                pass.flush(console).await?;
            }
        }
        pass.flush(console).await?;
        pass.settle(console).await?;
        let Pass { mut tally, keys, stopped, progress, .. } = pass;
        tally.duplicates = keys.duplicates().map_err(|error| temporary(&error))?;
        tally.elapsed = progress.elapsed();
        tally.is_stopped = stopped;
        if stopped {
            tally.skipped += self.lines.saturating_sub(records);
        } else if records != self.lines || !self.source.is_unchanged() {
            return Err(Failure::failed(
                "the file changed while it was imported; import it again to complete it",
            ));
        }
        Ok(tally)
    }
}

/// One pass over the records.
struct Pass<'a> {
    load: &'a Load<'a>,
    intake: Intake<'a>,
    scratch: Scratch,
    /// The lines of the rows that wait in the intake.
    lines: Vec<u64>,
    in_flight: Option<Batch>,
    keys: KeyCount,
    tally: Tally,
    stopped: bool,
    bad: &'a mut BadLines,
    progress: Progress,
}

/// Rows that are being written.
struct Batch {
    rows: Arc<RowBuffer>,
    lines: Vec<u64>,
    report: JoinHandle<sora::Result<WriteReport>>,
}

impl Pass<'_> {
    /// Takes a record into the batch.
    fn take(&mut self, line: u64, records: u64, record: &Record<'_>) -> Result<(), String> {
        let Self { load: Load { target, first_row, .. }, scratch, .. } = self;
        let taken = self.intake.row(|out| {
            if target.row_column.is_some() {
                let number = i64::try_from(records).ok().and_then(|row| first_row.checked_add(row));
                out.cell(Cell::I64(number.ok_or_else(too_many_rows)?))?;
            }
            for (place, column) in target.columns.iter().enumerate() {
                let column = target.schema.column(*column);
                match conversion::cell(record.field(place), column.column_type, scratch) {
                    Ok(cell) => out.cell(cell)?,
                    Err(refusal) => return Err(unfit(&column.name, &refusal)),
                }
            }
            Ok(())
        });
        taken.map_err(|error| error.message().to_owned())?;
        self.lines.push(line);
        Ok(())
    }

    /// Reports a line that cannot be imported, and stops if told so.
    fn refuse(&mut self, console: &mut Console, line: u64, reason: &str) -> Outcome {
        self.tally.failed += 1;
        self.stopped |= self.load.on_error == OnError::Stop;
        self.bad.add(console, &self.progress, line, reason)
    }

    fn is_full(&self) -> bool {
        self.intake.len() >= self.load.batch_rows || self.intake.size() >= BATCH_BYTES_MAX
    }

    /// Starts to write the rows that wait, when those before them are durable.
    async fn flush(&mut self, console: &mut Console) -> Outcome {
        let was_stopped = self.stopped;
        self.settle(console).await?;
        let lines = std::mem::take(&mut self.lines);
        let rows = Arc::new(self.intake.take());
        if rows.is_empty() {
            return Ok(());
        }
        if self.stopped && !was_stopped {
            // The batch before this one has failed.
            self.tally.skipped += lines.len() as u64;
            return Ok(());
        }
        let table = self.load.table.clone();
        let change = Change::Insert {
            rows: rows.clone(),
            columns: self.intake.columns().clone(),
            on_conflict: OnConflict::Update(table.schema().key().into()),
        };
        let stops = self.load.on_error == OnError::Stop;
        let report = tokio::spawn(async move {
            // Whoever wants to stop at the first failure wants nothing behind it.
            if stops { table.write_atomic(change).await } else { table.write(change).await }
        });
        self.in_flight = Some(Batch { rows, lines, report });
        Ok(())
    }

    /// Waits for the batch that is being written, and counts what became of its lines.
    async fn settle(&mut self, console: &mut Console) -> Outcome {
        let Some(Batch { rows, lines, report }) = self.in_flight.take() else { return Ok(()) };
        let report = report.await.map_err(Failure::failed)??;
        let key = self.key_positions();
        let mut written = 0;
        for ((outcome, line), row) in report.outcomes.iter().zip(&lines).zip(rows.iter()) {
            let tally = &mut self.tally;
            match outcome {
                RowOutcome::Applied(effect) => {
                    written += 1;
                    match effect {
                        Effect::Inserted => tally.inserted += 1,
                        Effect::Updated => tally.updated += 1,
                        Effect::Unchanged => tally.unchanged += 1,
                        _ => tally.upserted += 1,
                    }
                    if self.load.target.row_column.is_none() {
                        self.keys.add(&row, &key).map_err(|error| temporary(&error))?;
                    }
                }
                RowOutcome::Failed(error) => self.refuse(console, *line, &text_of(error))?,
                RowOutcome::Unknown(error) => {
                    let reason =
                        format!("it is unknown whether it was written: {}", text_of(error));
                    self.refuse(console, *line, &reason)?;
                }
                _ => tally.skipped += 1,
            }
        }
        if written > 0 {
            self.progress.committed(console, self.tally.written());
        }
        Ok(())
    }

    /// Where the columns of the key stand in a row of the batch.
    fn key_positions(&self) -> Vec<usize> {
        let columns = self.intake.columns();
        let position = |key: &u16| columns.iter().position(|column| column == key);
        self.load.target.schema.key().iter().filter_map(position).collect()
    }
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
