//! Writes a stream of rows of any length, in chunks, with one outcome for each row.

mod begin;
mod chunk;
mod delivery;
mod flights;
mod options;
mod repeats;
mod report;
mod sending;
mod settled;
mod source;
mod tally;
mod transaction;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use sora_core::{CellSink, Error, ErrorKind, Intake, Operation, Result, Retry};
use tokio::runtime::Handle;
use tokio::time::Sleep;
use tracing::Instrument;

pub use options::{Atomic, BatchMode, BatchOptions};
pub use report::{BatchCounts, BatchEnd, BatchErrors, BatchProgress, BatchReport};
pub use settled::{DeadLetter, Settled};
pub use source::WriteStream;

use self::chunk::Chunk;
use self::delivery::Delivery;
use self::flights::Flights;
use self::sending::{Course, Sent, send};
use self::settled::Held;
use self::tally::Tally;
use self::transaction::Transaction;
use crate::watch::Watch;
use crate::{Table, deadline};

/// Writes rows that are pushed one by one, and holds no more of them than the chunks in flight.
///
/// Each row that is taken ends with exactly one outcome: applied, failed, unknown (sent, never
/// confirmed) or skipped. [`settled`](BatchWriter::settled) hands them out in the order of the
/// rows; [`finish`](BatchWriter::finish) reports their sums.
///
/// # Order
///
/// Rows of one key are applied in order, so that the last wins. Of rows with one key in one chunk
/// only the last is sent; the others are [`Superseded`](sora_core::write::Effect::Superseded), on
/// every store, unless the last fails: then the one before it is sent. Chunks are sent one after
/// another unless [`chunks_in_flight`](BatchOptions::chunks_in_flight) permits several. Inside of a
/// chunk rows are sent by key where that cannot change what becomes of them.
///
/// # Failures
///
/// A row that the table's columns do not take is refused and fails alone. What the store says of
/// single rows stands. If it refuses a write as a whole, having written nothing, the write is
/// repeated if that is safe, else its halves are sent alone, and so on, until the row is alone that
/// is to blame. After a failure that says that nothing more can be written the rest is skipped.
///
/// # Dropping it
///
/// What is on its way is cut off: its outcome is unknown, but each write is whole or not there. A
/// transaction that is open is undone. The last progress is told then, too. A
/// [deadline](crate::with_deadline) of the task does the same, and lets it report.
pub struct BatchWriter<'t> {
    delivery: Arc<Delivery>,
    intake: Intake<'t>,
    /// The index of the first row in the intake, and what was refused since, by place.
    first: u64,
    refused: Vec<(usize, Error)>,
    rows_per_chunk: usize,
    /// A chunk that waits for a lane.
    waiting: Option<Chunk>,
    flights: Flights,
    transaction: Transaction,
    /// Rows from this index on are not sent any more.
    stopped_at: Option<u64>,
    /// Rows that failed or are unknown.
    failures: u64,
    fatal: Option<Error>,
    tally: Tally<'t>,
    settled: VecDeque<Settled>,
    watch: Option<Watch<'t>>,
    report: Option<BatchReport>,
    /// When the task's deadline is over.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Table {
    /// Starts to write rows of these columns. For [`BatchMode::Delete`] the columns are the key.
    ///
    /// No round trip; one for each chunk. Chunks are written by tasks of the tokio runtime that it
    /// is called in.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the mode cannot do with these columns,
    /// [`ErrorKind::Unsupported`] if the store cannot write them so, [`ErrorKind::ReadOnly`].
    #[track_caller]
    pub fn batch_writer(
        &self,
        mode: BatchMode,
        columns: &[u16],
        options: BatchOptions,
    ) -> Result<BatchWriter<'_>> {
        BatchWriter::start(self, mode, columns, options, Location::caller())
    }
}

impl<'t> BatchWriter<'t> {
    pub(crate) fn start(
        table: &'t Table,
        mode: BatchMode,
        columns: &[u16],
        options: BatchOptions,
        location: &'static Location<'static>,
    ) -> Result<Self> {
        let watch = table.watch(Operation::BatchWrite, location);
        match Self::begin(table, mode, columns, options, location) {
            Ok(mut writer) => {
                writer.watch = Some(watch);
                Ok(writer)
            }
            Err(error) => watch.end(Err(error)),
        }
    }

    /// Tells how far it has come: by rows and time, never less than before, and at its end.
    pub fn on_progress(&mut self, tell: impl FnMut(&BatchProgress) + Send + 't) {
        self.tally.on_progress(Box::new(tell));
    }

    /// Hands out each row that fails or is unknown.
    pub fn on_dead_letter(&mut self, take: impl FnMut(DeadLetter<'_>) + Send + 't) {
        self.tally.on_dead_letter(Box::new(take));
    }

    /// The columns of the rows as they are sent: those that are given, then those that Sora assigns.
    pub fn columns(&self) -> &Arc<[u16]> {
        self.intake.columns()
    }

    /// Takes a row, whose cells `encode` writes.
    ///
    /// # Errors
    ///
    /// Why the row is refused; it is taken all the same, and has failed. An error of kind
    /// [`ErrorKind::Cancelled`] if the writer has stopped: the row is not taken.
    pub fn row(&mut self, encode: impl FnOnce(&mut dyn CellSink) -> Result<()>) -> Result<()> {
        if self.is_stopped() {
            return Err(stopped());
        }
        match self.intake.row(encode) {
            Ok(()) => {
                self.tally.take();
                Ok(())
            }
            Err(error) => {
                self.refuse(error.clone());
                Err(error)
            }
        }
    }

    /// Takes a row that the caller could not make: it has failed.
    pub fn refuse(&mut self, error: Error) {
        if self.is_stopped() {
            return;
        }
        let place = self.intake.len() + self.refused.len();
        self.refused.push((place, error));
        let index = self.tally.take();
        self.failed(1, index + 1);
    }

    /// Whether [`advance`](BatchWriter::advance) has something to do: a chunk is full.
    pub fn is_full(&self) -> bool {
        self.intake.len() + self.refused.len() >= self.rows_per_chunk
            || self.intake.size() >= self.delivery.options.bytes_per_chunk
    }

    /// Whether no more rows are taken: enough have failed, or the store, or it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped_at.is_some() || self.report.is_some()
    }

    /// Takes no more rows. Those that were taken are still written.
    pub fn stop(&mut self) {
        let taken = self.tally.taken();
        self.stopped_at.get_or_insert(taken);
    }

    /// Sends what is full, when there is room for it. Nothing is lost if it is dropped before its
    /// end: call it again.
    pub async fn advance(&mut self) {
        poll_fn(|context| self.poll_advance(context)).await;
    }

    /// Returns the next rows that have their outcomes, in the order of the stream.
    ///
    /// They wait in memory until they are taken.
    pub fn settled(&mut self) -> Option<Settled> {
        if let Some(settled) = self.settled.pop_front() {
            return Some(settled);
        }
        self.transaction.pop()
    }

    /// Writes what is left, ends the transaction if there is one, and reports.
    ///
    /// It does not fail: what went wrong stands in the report.
    pub async fn finish(&mut self) -> BatchReport {
        poll_fn(|context| self.poll_finish(context)).await
    }

    pub(crate) fn poll_advance(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_deadline(context);
        self.poll_landed(context);
        ready!(self.poll_sent(context));
        if self.is_full() {
            self.seal();
            ready!(self.poll_sent(context));
        }
        Poll::Ready(())
    }

    /// Ends with an error of the source: what was taken is still written.
    pub(crate) fn fail(&mut self, error: Error) {
        self.stop();
        self.fatal.get_or_insert(error);
    }

    /// Whether [`settled`](BatchWriter::settled) has something.
    pub(crate) fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    fn failed(&mut self, rows: u64, end: u64) {
        self.failures += rows;
        let is_enough =
            self.delivery.options.errors_max.is_some_and(|max| self.failures >= max.max(1));
        let undoes_all = !self.transaction.is_none();
        if rows > 0 && (is_enough || undoes_all) {
            self.stopped_at = Some(self.stopped_at.map_or(end, |at| at.min(end)));
        }
    }

    /// Makes a chunk of the rows that were taken.
    fn seal(&mut self) {
        let (rows, refused) = (self.intake.take(), std::mem::take(&mut self.refused));
        let chunk = Chunk::new(&self.delivery.identity, self.first, rows, refused);
        self.first += chunk.len() as u64;
        self.waiting = Some(chunk);
    }

    /// Cuts off what is on its way when the task's deadline is over: nobody knows what becomes of it.
    fn poll_deadline(&mut self, context: &mut Context<'_>) {
        let Some(deadline) = &mut self.deadline else { return };
        if deadline.as_mut().poll(context).is_pending() {
            return;
        }
        self.deadline = None;
        let error = deadline::over().with_retry(Retry::IfIdempotent);
        self.flights.cut_off(&error);
        self.transaction.cut_off(&error);
        // From here on nothing is sent.
        self.stopped_at = Some(0);
        self.fatal.get_or_insert(error);
    }

    /// Sends the chunk that waits, when there is room.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(chunk) = self.waiting.take() else { return Poll::Ready(()) };
            if self.flights.has_room(&chunk, &self.delivery.identity) {
                self.launch(chunk);
                // The task is looked at once, so that its end wakes this one.
                self.poll_landed(context);
                return Poll::Ready(());
            }
            self.waiting = Some(chunk);
            if !self.poll_landed(context) && !self.has_room() {
                return Poll::Pending;
            }
        }
    }

    fn has_room(&self) -> bool {
        let identity = &self.delivery.identity;
        self.waiting.as_ref().is_none_or(|chunk| self.flights.has_room(chunk, identity))
    }

    fn launch(&mut self, chunk: Chunk) {
        let chunk = Arc::new(chunk);
        let is_undone = !self.transaction.is_none() && self.stopped_at.is_some();
        let is_behind = self.stopped_at.is_some_and(|at| chunk.first >= at);
        if chunk.rows.is_empty() || is_behind || is_undone {
            return self.flights.skip(chunk);
        }
        let course = match &mut self.transaction {
            Transaction::Open { session, .. } => {
                session.take().map_or(Course::Open, Course::Inside)
            }
            _ if self.delivery.options.atomic == Atomic::Chunk => Course::Whole,
            _ => Course::Rows,
        };
        let errors_max = self.delivery.options.errors_max;
        let errors_left = errors_max.map(|max| max.saturating_sub(self.failures).max(1));
        let task = send(self.delivery.clone(), chunk.clone(), course, errors_left);
        // The task that writes does not know in whose closure this one runs.
        if let Err(error) = self.delivery.table.refuse_inside(self.delivery.location) {
            self.fail(error);
            return self.flights.skip(chunk);
        }
        match (Handle::try_current(), &self.watch) {
            (Ok(runtime), Some(watch)) => {
                self.flights.start(chunk, runtime.spawn(task.instrument(watch.span())));
            }
            (Ok(runtime), None) => self.flights.start(chunk, runtime.spawn(task)),
            (Err(error), _) => {
                let message = "a batch is written inside a tokio runtime";
                self.fail(Error::new(ErrorKind::InvalidInput, message).with_source(error));
                self.flights.skip(chunk);
            }
        }
    }

    /// Settles the chunks whose turn it is. Returns whether there were any.
    fn poll_landed(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Poll::Ready((chunk, sent)) = self.flights.poll_first(context) {
            self.land(chunk, sent);
            any = true;
        }
        any
    }

    fn land(&mut self, chunk: Arc<Chunk>, sent: Sent) {
        let Sent { outcomes, waited, fatal, session: returned } = sent;
        let end = chunk.first + chunk.len() as u64;
        let failed = outcomes.iter().filter(|outcome| outcome.error().is_some()).count();
        self.failed(failed as u64, end);
        if let Some(error) = fatal {
            self.stopped_at = Some(self.stopped_at.map_or(end, |at| at.min(end)));
            self.fatal.get_or_insert(error);
        }
        if let Some(watch) = &mut self.watch {
            watch.waited(waited);
        }
        self.tally.answered(chunk.len() as u64);
        let settled = Settled::new(chunk, outcomes, &self.delivery.identity);
        match &mut self.transaction {
            Transaction::Open { session, held, .. } => {
                *session = returned;
                held.push_back(Held::new(settled));
            }
            _ => {
                self.tally.settle(&settled);
                self.settled.push_back(settled);
            }
        }
        self.tally.tell();
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<BatchReport> {
        if let Some(report) = &self.report {
            return Poll::Ready(report.clone());
        }
        self.poll_deadline(context);
        ready!(self.poll_sent(context));
        if !self.intake.is_empty() || !self.refused.is_empty() {
            self.seal();
            ready!(self.poll_sent(context));
        }
        self.poll_landed(context);
        if !self.flights.is_empty() {
            return Poll::Pending;
        }
        let is_good = self.failures == 0 && self.fatal.is_none();
        if let Some(error) = ready!(self.transaction.poll_end(is_good, context)) {
            self.fatal.get_or_insert(error);
        }
        Poll::Ready(self.close())
    }

    fn close(&mut self) -> BatchReport {
        // Counted here, and handed out one by one later.
        for settled in self.transaction.settled() {
            self.tally.settle(&settled);
        }
        let end = match self.fatal.take() {
            Some(error) => BatchEnd::Failed(error),
            None if self.stopped_at.is_some() => BatchEnd::Stopped,
            None => BatchEnd::Complete,
        };
        self.tally.tell_final();
        let Delivery { chunks, retries, .. } = &*self.delivery;
        let (chunks, retries) = (chunks.load(Ordering::Relaxed), retries.load(Ordering::Relaxed));
        let report = self.tally.report(chunks, retries, end);
        if let Some(watch) = self.watch.take() {
            watch.end_batch(&report);
        }
        self.report = Some(report.clone());
        report
    }

    /// What becomes of the rows of a writer that is dropped: unknown and skipped ones.
    fn abandoned(&mut self) -> (u64, u64) {
        let mut unknown = 0;
        for (chunk, sent) in self.flights.abandon() {
            match (sent, &self.transaction) {
                (Some(sent), Transaction::None) => {
                    self.tally.settle(&Settled::new(chunk, sent.outcomes, &self.delivery.identity));
                }
                (None, Transaction::None) => unknown += chunk.rows.len() as u64,
                _ => {}
            }
        }
        let left = self.tally.taken() - self.tally.counts().sum();
        if self.transaction.is_committing() { (left, 0) } else { (unknown, left - unknown) }
    }
}

fn stopped() -> Error {
    let message = "the batch takes no more rows; see its report";
    Error::new(ErrorKind::Cancelled, message)
}

impl Drop for BatchWriter<'_> {
    fn drop(&mut self) {
        if self.report.is_none() {
            let (unknown, skipped) = self.abandoned();
            self.tally.abandon(unknown, skipped);
            self.tally.tell_final();
            if let Some(watch) = &mut self.watch {
                watch.batch(self.tally.taken(), self.tally.counts().written());
            }
        }
    }
}

impl fmt::Debug for BatchWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchWriter")
            .field("table", &self.delivery.table)
            .field("mode", &self.delivery.mode)
            .finish_non_exhaustive()
    }
}
