//! What the handles of one transaction share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Clock};

use sora_core::provider::{Isolation, Session};
use sora_core::{End, Error, ErrorKind, Event, Operation, RequestId, Result};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::client::Store;
use crate::writer::{self, Site};

/// A transaction.
#[derive(Debug)]
pub(super) struct State {
    pub(super) store: Arc<Store>,
    pub(super) isolation: Isolation,
    pub(super) read_only: bool,
    pub(super) time_max_ms: u64,
    pub(super) deadline: Instant,
    /// Operations come one after another, first come first served.
    pub(super) queue: tokio::sync::Mutex<()>,
    /// Locked only to look and to exchange what is in it.
    slot: Mutex<Slot>,
}

/// What changes.
#[derive(Debug)]
struct Slot {
    /// None while an operation has it, and at the end.
    session: Option<Box<dyn Session>>,
    /// The transaction and those nested in it that are open, outermost first.
    levels: Vec<u64>,
    last_level: u64,
    /// The place that a nested transaction has left behind that was dropped. Dropping cannot wait, so
    /// whatever comes next goes back to it first.
    undo: Option<u16>,
    end: Option<Finish>,
    record: Option<Record>,
}

/// How a transaction ended.
#[derive(Clone, Debug)]
pub(super) enum Finish {
    Committed,
    RolledBack,
    Failed(Error),
}

/// One transaction, or one that is nested in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// How many it is nested in.
    pub(super) depth: u16,
    id: u64,
}

/// What is told when a transaction ends, and what is given up then.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) site: Site,
    pub(super) started: Clock,
    pub(super) waited: Duration,
    pub(super) request: Option<RequestId>,
    /// Its place among those that keep the store's one writer.
    pub(super) place: Option<writer::Place>,
    pub(super) watcher: Option<AbortHandle>,
}

impl Level {
    pub(super) const OUTERMOST: Self = Self { depth: 0, id: 0 };
}

impl State {
    pub(super) fn new(
        store: Arc<Store>,
        session: Box<dyn Session>,
        read_only: bool,
        (time_max_ms, deadline): (u64, Instant),
        record: Record,
    ) -> Self {
        Self {
            store,
            isolation: session.isolation(),
            read_only,
            time_max_ms,
            deadline,
            queue: tokio::sync::Mutex::default(),
            slot: Mutex::new(Slot {
                session: Some(session),
                levels: vec![Level::OUTERMOST.id],
                last_level: Level::OUTERMOST.id,
                undo: None,
                end: None,
                record: Some(record),
            }),
        }
    }

    /// Takes the session for an operation, and the place that it must go back to first. Whoever calls
    /// it has the queue.
    ///
    /// # Errors
    ///
    /// One that says how the level has ended, or that another is open inside it.
    pub(super) fn take(&self, level: Level) -> Result<(Box<dyn Session>, Option<u16>)> {
        let mut slot = self.slot();
        if let Some(end) = &slot.end {
            return Err(end.error());
        }
        if slot.levels.last() != Some(&level.id) {
            return Err(match slot.levels.contains(&level.id) {
                true => refused(
                    "another transaction is open inside this one; use the handle of that one, or \
                     end it first",
                ),
                false => refused(
                    "the nested transaction of this handle has ended; handles are of no use after it",
                ),
            });
        }
        let session = slot.session.take().ok_or_else(|| {
            Error::new(ErrorKind::Internal, "the session of an open transaction is gone")
        })?;
        Ok((session, slot.undo.take()))
    }

    /// Gives the session back after an operation; it is dropped if the transaction has ended since.
    pub(super) fn put_back(&self, session: Box<dyn Session>) {
        let mut slot = self.slot();
        if slot.end.is_none() {
            slot.session = Some(session);
            return;
        }
        drop(slot);
        drop(session);
    }

    /// Adds a level inside the one of the caller, who has the session.
    pub(super) fn push_level(&self, depth: u16) -> Level {
        let mut slot = self.slot();
        slot.last_level += 1;
        let level = Level { depth, id: slot.last_level };
        slot.levels.push(level.id);
        level
    }

    /// Removes a level, whose savepoint is gone.
    pub(super) fn pop_level(&self, level: Level) {
        self.slot().levels.retain(|id| *id != level.id);
    }

    /// Ends a nested level that was dropped: its writes are undone before anything else is done.
    pub(super) fn abandon_level(&self, level: Level) {
        let mut slot = self.slot();
        if let Some(place) = slot.levels.iter().position(|id| *id == level.id) {
            slot.levels.truncate(place);
            slot.undo = Some(slot.undo.map_or(level.depth, |depth| depth.min(level.depth)));
        }
    }

    /// Says how the transaction ended, unless that is known already, and drops the session if no
    /// operation has it.
    pub(super) fn close(&self, finish: Finish) {
        let end = finish.end();
        let mut slot = self.slot();
        if slot.end.is_some() {
            return;
        }
        slot.end = Some(finish);
        let session = slot.session.take();
        drop(slot);
        drop(session);
        self.conclude(end);
    }

    /// Marks the transaction as ended before it is committed or rolled back, so that no handle is of
    /// use any more. [`conclude`](State::conclude) follows.
    pub(super) fn begin_end(&self, finish: Finish) {
        self.slot().end = Some(finish);
    }

    /// Changes what later uses are told, when the commit has failed.
    pub(super) fn fail_end(&self, error: &Error) {
        self.slot().end = Some(Finish::Failed(error.clone()));
    }

    /// Tells the observers, once, and lets others write.
    pub(super) fn conclude(&self, end: End) {
        let record = self.slot().record.take();
        let Some(Record { site, started, waited, request, place, watcher }) = record else {
            return;
        };
        if let Some(watcher) = watcher {
            watcher.abort();
        }
        drop(place);
        if self.store.observers.is_empty() {
            return;
        }
        let provider = self.store.provider.name();
        let mut event = Event::new("*", Operation::Transaction, provider, site);
        event.duration = started.elapsed();
        event.waited = waited;
        event.request = request;
        event.end = end;
        self.store.emit(&event);
    }

    pub(super) fn watch_by(&self, watcher: AbortHandle) {
        match &mut self.slot().record {
            Some(record) => record.watcher = Some(watcher),
            None => watcher.abort(),
        }
    }

    /// The error of the failure that ended it, if one did.
    pub(super) fn failure(&self) -> Option<Error> {
        match &self.slot().end {
            Some(Finish::Failed(error)) => Some(error.clone()),
            _ => None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.slot().end.is_none()
    }

    /// The error of a transaction that was open for too long.
    pub(super) fn timed_out(&self) -> Error {
        let message = format!(
            "the transaction was open for {} ms and was rolled back; do less in it, or raise \
             time_max_ms",
            self.time_max_ms
        );
        let error = Error::new(ErrorKind::Timeout, message);
        match &self.slot().record {
            Some(record) => error.with("begun at", record.site),
            None => error,
        }
    }

    /// No foreign code runs under the lock, so a panic cannot leave it half done.
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Finish {
    /// The error of a use behind this end.
    fn error(&self) -> Error {
        match self {
            Self::Committed => refused(
                "the transaction of this handle was committed; handles are of no use after it",
            ),
            Self::RolledBack => refused(
                "the transaction of this handle was rolled back; handles are of no use after it",
            ),
            Self::Failed(error) => error.clone(),
        }
    }

    fn end(&self) -> End {
        match self {
            Self::Committed => End::Done,
            Self::RolledBack => End::Dropped,
            Self::Failed(error) => End::Failed(error.kind()),
        }
    }
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}
