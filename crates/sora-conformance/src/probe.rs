//! A provider that counts what is asked of the one inside.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sora_core::plan::Negotiation;
use sora_core::provider::{
    Administer, Administered, Capability, Provider, Session, SessionOptions, SharedProvider,
};
use sora_core::read::{Read, ReadReport};
use sora_core::write::{Write, WriteReport};
use sora_core::{LiveTable, Result, Row, RowSink};

/// Counts the reads of a store, and the rows that it handed out.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    inner: SharedProvider,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    reads: AtomicU64,
    rows: AtomicU64,
}

impl Probe {
    pub(crate) fn new(inner: SharedProvider) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// Reads that were begun.
    pub(crate) fn reads(&self) -> u64 {
        self.counts.reads.load(Ordering::Acquire)
    }

    /// Rows that were handed out.
    pub(crate) fn rows(&self) -> u64 {
        self.counts.rows.load(Ordering::Acquire)
    }
}

impl Provider for Probe {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        self.inner.negotiate(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        self.counts.reads.fetch_add(1, Ordering::AcqRel);
        let mut sink = Counting { sink, counts: &self.counts };
        self.inner.read(read, &mut sink).await
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
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

struct Counting<'a> {
    sink: &'a mut dyn RowSink,
    counts: &'a Counts,
}

impl RowSink for Counting<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.counts.rows.fetch_add(1, Ordering::AcqRel);
        self.sink.row(row)
    }

    fn reset(&mut self) {
        self.sink.reset();
    }
}
