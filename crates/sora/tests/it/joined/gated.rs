//! A store that answers when the test lets it, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use sora::memory::Memory;
use sora::plan::Negotiation;
use sora::provider::{
    Administer, Administered, Capability, Layer, Provider, Session, SessionOptions, SharedProvider,
};
use sora::read::{Access, Read, ReadReport};
use sora::write::{Write, WriteReport};
use sora::{Cell, Error, ErrorKind, Event, LiveTable, Observer, Operation, Result, RowSink};
use tokio::sync::Semaphore;

/// Steers a [`Gated`] store: closed until it is opened, or lets a number of calls through.
#[derive(Debug)]
pub(crate) struct Gate {
    calls: Semaphore,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    reads: Vec<Vec<i64>>,
    writes: Vec<usize>,
    fails: Option<i64>,
    panics: Option<i64>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        // One call is let through: the insertion of the rows.
        Self { calls: Semaphore::new(1), seen: Mutex::default() }
    }

    /// Forgets what was needed to make the table and its rows, and closes.
    pub(crate) fn forget(&self) {
        let seen = &mut *self.seen();
        (seen.reads, seen.writes) = (Vec::new(), Vec::new());
        self.calls.forget_permits(usize::MAX >> 3);
    }

    pub(crate) fn let_through(&self, calls: usize) {
        self.calls.add_permits(calls);
    }

    pub(crate) fn open(&self) {
        self.let_through(1_000_000);
    }

    pub(crate) fn fail_reads_of(&self, key: i64) {
        self.seen().fails = Some(key);
    }

    pub(crate) fn panic_at_reads_of(&self, key: i64) {
        self.seen().panics = Some(key);
    }

    /// The keys of each read, as they were sent.
    pub(crate) fn reads(&self) -> Vec<Vec<i64>> {
        self.seen().reads.clone()
    }

    /// The number of rows of each write.
    pub(crate) fn writes(&self) -> Vec<usize> {
        self.seen().writes.clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test panics while it looks")
    }

    async fn pass(&self) {
        self.calls.acquire().await.expect("never closed").forget();
    }
}

/// Puts the gate in front of a store, and says that joining pays there.
#[derive(Debug)]
pub(crate) struct Gated(pub(crate) Arc<Gate>);

impl Layer for Gated {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
        Arc::new(GatedStore { gate: self.0.clone(), inner })
    }
}

#[derive(Debug)]
struct GatedStore {
    gate: Arc<Gate>,
    inner: SharedProvider,
}

impl Provider for GatedStore {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn capability(&self) -> Capability {
        let mut capability = self.inner.capability();
        capability.lookup_lanes = 2;
        capability.write_lanes = 2;
        capability.rows_max = Memory::ROWS_MAX;
        capability
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        self.inner.negotiate(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        let keys: Vec<i64> = match &read.access {
            Access::Keys(keys) => keys
                .iter()
                .filter_map(|key| match key.get(0) {
                    Cell::I64(id) => Some(id),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        self.gate.seen().reads.push(keys.clone());
        self.gate.pass().await;
        let (fails, panics) = {
            let seen = self.gate.seen();
            (seen.fails, seen.panics)
        };
        assert!(!panics.is_some_and(|key| keys.contains(&key)), "as the test wants it");
        if fails.is_some_and(|key| keys.contains(&key)) {
            return Err(Error::new(ErrorKind::Store, "as the test wants it"));
        }
        self.inner.read(read, sink).await
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        self.gate.seen().writes.push(write.change.len());
        self.gate.pass().await;
        self.inner.write(write, sink).await
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        self.inner.describe(table).await
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        self.inner.administer(task).await
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        self.inner.open(options).await
    }
}

/// Remembers how many callers shared each look-up.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Vec<usize>>);

impl Shared {
    pub(crate) fn take(&self) -> Vec<usize> {
        std::mem::take(&mut *self.0.lock().expect("no test panics while it looks"))
    }
}

impl Observer for Shared {
    fn observe(&self, event: &Event<'_>) {
        if event.operation == Operation::Get {
            self.0.lock().expect("no test panics while it looks").push(event.shared_by);
        }
    }
}
