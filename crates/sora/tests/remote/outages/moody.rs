//! A store that can be told to be away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sora::plan::Negotiation;
use sora::provider::{
    Administer, Administered, Capability, Layer, Provider, Session, SessionOptions, SharedProvider,
};
use sora::read::{Read, ReadReport};
use sora::write::{Write, WriteReport};
use sora::{Error, ErrorKind, LiveTable, Result, RowSink};

/// A layer whose reads fail while the store is to be away.
#[derive(Clone, Debug, Default)]
pub(super) struct Moody(Arc<AtomicBool>);

impl Moody {
    pub(super) fn be_away(&self, is_away: bool) {
        self.0.store(is_away, Ordering::SeqCst);
    }
}

impl Layer for Moody {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
        Arc::new(MoodyStore { mood: self.clone(), inner })
    }
}

#[derive(Debug)]
struct MoodyStore {
    mood: Moody,
    inner: SharedProvider,
}

impl Provider for MoodyStore {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        self.inner.negotiate(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        if self.mood.0.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "as the test wants it"));
        }
        self.inner.read(read, sink).await
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
