//! A layer that keeps what was read from its callers, and fails as it is told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sora::plan::Negotiation;
use sora::provider::{
    Administer, Administered, Capability, Layer, Provider, Session, SessionOptions, SharedProvider,
};
use sora::read::{Access, Read, ReadReport};
use sora::write::{Write, WriteReport};
use sora::{Error, ErrorKind, LiveTable, Result, Retry, RowBuffer, RowSink};
use tokio::sync::watch;

/// Holds what was read by key, after it was read, until it is let go: the store of one node.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Whether reads that come now are held.
    holds: Arc<AtomicBool>,
    /// How often those that are held were let go.
    lets: Arc<watch::Sender<u64>>,
    /// How many reads by key have come to where they are held.
    count: Arc<watch::Sender<u64>>,
    reads: Arc<AtomicU64>,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    read_error: Option<ErrorKind>,
    panics: bool,
    /// Writes are done, and said to be of unknown outcome.
    forgets: bool,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            holds: Arc::default(),
            lets: Arc::new(watch::Sender::new(0)),
            count: Arc::new(watch::Sender::new(0)),
            reads: Arc::default(),
            script: Arc::default(),
        }
    }
}

impl Held {
    /// Holds what is read from here on.
    pub(crate) fn hold(&self) {
        self.holds.store(true, Ordering::SeqCst);
    }

    /// Lets through what comes from here on, and not what is held.
    pub(crate) fn hold_no_more(&self) {
        self.holds.store(false, Ordering::SeqCst);
    }

    /// Lets go what is held.
    pub(crate) fn let_go(&self) {
        self.hold_no_more();
        self.lets.send_modify(|lets| *lets += 1);
    }

    /// How many reads have been held so far.
    pub(crate) fn held(&self) -> u64 {
        *self.count.borrow()
    }

    /// Waits until so many reads have been held, from the first on.
    pub(crate) async fn wait_held(&self, count: u64) {
        let mut held = self.count.subscribe();
        held.wait_for(|held| *held >= count).await.expect("this holds the sender");
    }

    /// Reads by key so far.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn fail_reads(&self, kind: Option<ErrorKind>) {
        self.script().read_error = kind;
    }

    pub(crate) fn panic_once(&self) {
        self.script().panics = true;
    }

    /// Says of writes from here on that nobody knows what became of them.
    pub(crate) fn forget_outcomes(&self, forgets: bool) {
        self.script().forgets = forgets;
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().expect("no panic under the lock")
    }
}

impl Layer for Held {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
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
        self.held.reads.fetch_add(1, Ordering::SeqCst);
        let (error, panics) = {
            let mut script = self.held.script();
            (script.read_error, std::mem::take(&mut script.panics))
        };
        let mut lets = self.held.lets.subscribe();
        let before = *lets.borrow();
        if self.held.holds.load(Ordering::SeqCst) {
            self.held.count.send_modify(|held| *held += 1);
            lets.wait_for(|lets| *lets > before).await.expect("the test holds the sender");
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
        if self.held.script().forgets {
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
