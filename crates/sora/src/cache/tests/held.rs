//! A layer that keeps what was read from its callers, and fails as it is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use sora_core::plan::Negotiation;
use sora_core::provider::{
    Administer, Administered, Capability, Layer, Provider, Session, SessionOptions, SharedProvider,
};
use sora_core::read::{Access, Read, ReadReport};
use sora_core::write::{Write, WriteReport};
use sora_core::{Error, ErrorKind, LiveTable, Result, Retry, RowBuffer, RowSink};
use tokio::sync::watch;

/// Holds what was read by key, after it was read, until it is let go.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Whether reads that come now are held.
    holds: Arc<AtomicBool>,
    /// Whether what was read, or written, is kept from its callers.
    reads: Arc<watch::Sender<bool>>,
    writes: Arc<watch::Sender<bool>>,
    store: Arc<OnceLock<SharedProvider>>,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    reads: usize,
    read_error: Option<ErrorKind>,
    panics: bool,
    /// Writes are done, and said to be of unknown outcome.
    is_unknown: bool,
}

impl Default for Held {
    fn default() -> Self {
        let open = || Arc::new(watch::Sender::new(false));
        Self {
            holds: Arc::default(),
            reads: open(),
            writes: open(),
            store: Arc::default(),
            script: Arc::default(),
        }
    }
}

impl Held {
    pub(super) fn hold(&self) {
        self.holds.store(true, Ordering::Relaxed);
        self.reads.send_replace(true);
    }

    /// Lets through what comes from here on, and not what is held.
    pub(super) fn hold_no_more(&self) {
        self.holds.store(false, Ordering::Relaxed);
    }

    pub(super) fn let_go(&self) {
        self.hold_no_more();
        self.reads.send_replace(false);
    }

    /// Writes are done, and do not come back.
    pub(super) fn hold_writes(&self) {
        self.writes.send_replace(true);
    }

    /// The store behind the layer.
    pub(super) fn inner(&self) -> SharedProvider {
        self.store.get().expect("the store is open").clone()
    }

    /// Reads by key since it was last asked.
    pub(super) fn take_reads(&self) -> usize {
        std::mem::take(&mut self.script().reads)
    }

    pub(super) fn fail_reads(&self, kind: Option<ErrorKind>) {
        self.script().read_error = kind;
    }

    pub(super) fn panic_once(&self) {
        self.script().panics = true;
    }

    pub(super) fn forget_outcomes(&self, forget: bool) {
        self.script().is_unknown = forget;
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().expect("no panic under the lock")
    }
}

impl Layer for Held {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
        self.store.set(inner.clone()).expect("one store for one layer");
        Arc::new(HeldStore { held: self.clone(), inner })
    }
}

#[derive(Debug)]
struct HeldStore {
    held: Held,
    inner: SharedProvider,
}

impl Provider for HeldStore {
    fn name(&self) -> &'static str {
        "held"
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        self.inner.negotiate(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        if !matches!(read.access, Access::Keys(_)) {
            return self.inner.read(read, sink).await;
        }
        let mut rows = RowBuffer::new(read.columns.len());
        let report = self.inner.read(read, &mut rows).await?;
        let (error, panics) = {
            let mut script = self.held.script();
            script.reads += 1;
            (script.read_error, std::mem::take(&mut script.panics))
        };
        if self.held.holds.load(Ordering::Relaxed) {
            let mut is_held = self.held.reads.subscribe();
            is_held.wait_for(|held| !held).await.expect("the test holds the sender");
        }
        assert!(!panics, "as the test wants it");
        if let Some(kind) = error {
            return Err(Error::new(kind, "as the test wants it"));
        }
        for row in rows.iter() {
            if sink.row(&row)?.is_break() {
                break;
            }
        }
        Ok(report)
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        let report = self.inner.write(write, sink).await?;
        let mut is_held = self.held.writes.subscribe();
        is_held.wait_for(|held| !held).await.expect("the test holds the sender");
        if self.held.script().is_unknown {
            let error = Error::new(ErrorKind::Unavailable, "the connection was lost");
            return Err(error.with_retry(Retry::IfIdempotent));
        }
        Ok(report)
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
