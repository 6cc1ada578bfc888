//! One event and one span for each operation, however it ends.

use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sora_core::plan::Plan;
use sora_core::read::ReadReport;
use sora_core::write::{Outcome, WriteReport};
use sora_core::{End, Error, ErrorKind, Event, Operation, Result, Source};
use tracing::Span;
use tracing::field::Empty;

use crate::batch_writer::BatchReport;
use crate::client::Store;
use crate::request;

/// Measures one operation and tells the observers when it ends, also by being dropped.
pub(crate) struct Watch<'a> {
    store: &'a Store,
    event: Event<'a>,
    plan: Option<Arc<Plan>>,
    // Nobody watches: then nothing reads the clock.
    started: Option<Instant>,
    span: Span,
}

impl<'a> Watch<'a> {
    pub(crate) fn start(
        store: &'a Store,
        table: &'a str,
        operation: Operation,
        location: &'static Location<'static>,
    ) -> Self {
        let span = span(store, table, operation, location);
        let watched = !store.observers.is_empty();
        let mut event = Event::new(table, operation, store.provider.name(), location);
        event.request = if watched { request::current() } else { None };
        Self { event, store, plan: None, started: watched.then(Instant::now), span }
    }

    /// Says whether the operation is part of a transaction.
    pub(crate) fn within(&mut self, in_transaction: bool) {
        self.event.in_transaction = in_transaction;
    }

    /// The span to run the operation in.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(crate) fn plan(&mut self, plan: &Arc<Plan>) {
        self.plan = Some(plan.clone());
        self.event.pushed = plan.pushed_len();
        self.event.residual = plan.terms.len() - self.event.pushed;
    }

    pub(crate) fn read(&mut self, report: ReadReport, returned: u64) {
        self.event.received += report.received;
        self.event.returned += returned;
        self.event.waited += report.waited;
    }

    /// Says how many callers shared the round trip.
    pub(crate) fn shared_by(&mut self, callers: usize) {
        self.event.shared_by = callers;
    }

    /// Adds what was written; a row that failed makes the operation a failed one.
    pub(crate) fn wrote(&mut self, rows: usize, report: &WriteReport) {
        self.event.received += rows as u64;
        self.event.returned += report.affected;
        self.event.waited += report.waited;
        if let Some(error) = report.outcomes.iter().find_map(Outcome::error) {
            self.fail(error);
        }
    }

    /// Adds the time that a part of the operation waited for a connection.
    pub(crate) fn waited(&mut self, waited: Duration) {
        self.event.waited += waited;
    }

    /// Sets what a batch was given and has written.
    pub(crate) fn batch(&mut self, taken: u64, written: u64) {
        self.event.received = taken;
        self.event.returned = written;
    }

    /// Says that so many of the rows asked for came from the cache that processes share.
    pub(crate) fn read_remote(&mut self, rows: u64) {
        self.event.source = Source::Remote;
        self.event.received += rows;
        self.event.returned += rows;
    }

    /// Says that it ended as asked.
    pub(crate) fn done(mut self) {
        self.event.end = End::Done;
    }

    /// Tells nobody: it is part of an operation that tells of itself.
    pub(crate) fn discard(mut self) {
        self.started = None;
    }

    /// Says how the operation ended. The error of one that waited in vain for a transaction names it.
    pub(crate) fn end<T>(mut self, result: Result<T>) -> Result<T> {
        let result = match result {
            Err(error) if error.kind() == ErrorKind::Busy && !self.event.in_transaction => {
                Err(self.store.writers.blame(error, self.event.location))
            }
            result => result,
        };
        match &result {
            Ok(_) if self.event.end == End::Dropped => self.event.end = End::Done,
            Ok(_) => {}
            Err(error) => self.fail(error),
        }
        result
    }

    /// Says how a batch ended; a row that failed makes it a failed one.
    pub(crate) fn end_batch(mut self, report: &BatchReport) {
        self.batch(report.rows, report.counts.written());
        match report.first_error() {
            Some(error) => self.fail(error),
            None => self.event.end = End::Done,
        }
    }

    fn fail(&mut self, error: &Error) {
        self.event.end = End::Failed(error.kind());
        self.span.record("error", tracing::field::display(error));
    }
}

/// Returns the span of an operation.
pub(crate) fn span(
    store: &Store,
    table: &str,
    operation: Operation,
    location: &'static Location<'static>,
) -> Span {
    tracing::debug_span!(
        "sora",
        table,
        operation = operation.name(),
        provider = store.provider.name(),
        location = %location,
        pushed = Empty,
        residual = Empty,
        received = Empty,
        returned = Empty,
        error = Empty,
    )
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.span.is_disabled() {
            self.span.record("pushed", self.event.pushed);
            self.span.record("residual", self.event.residual);
            self.span.record("received", self.event.received);
            self.span.record("returned", self.event.returned);
        }
        if let Some(started) = self.started {
            let mut event = self.event.clone();
            event.duration = started.elapsed();
            event.plan = self.plan.as_deref();
            self.store.emit(&event);
        }
    }
}
