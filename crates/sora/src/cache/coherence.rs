//! Every write passes here on its way to the store, so that none can leave the cache behind.

use std::sync::Arc;

use sora_core::plan::Negotiation;
use sora_core::provider::{
    Administer, Administered, BoxFuture, Capability, DynProvider, Isolation, Savepoint, Session,
    SessionOptions, SharedProvider,
};
use sora_core::read::{Read, ReadReport};
use sora_core::write::{Outcome, Write, WriteReport};
use sora_core::{Error, LiveTable, Result, RowSink};

use super::Caches;
use super::touched::{Touched, UnderWay, is_known};
use crate::collect::Nothing;

/// The store, with all that is around it, and the caches that must not be older than it.
#[derive(Debug)]
pub(crate) struct Coherent {
    inner: SharedProvider,
    caches: Arc<Caches>,
}

/// A transaction, whose writes reach the caches when it is committed.
#[derive(Debug)]
struct CoherentSession {
    inner: Box<dyn Session>,
    caches: Arc<Caches>,
    touched: Touched,
    /// Whether writes can return rows.
    can_return: bool,
}

impl Coherent {
    pub(crate) fn new(inner: SharedProvider, caches: Arc<Caches>) -> Self {
        Self { inner, caches }
    }
}

// The boxed form itself, so that what is not changed here costs nothing.
impl DynProvider for Coherent {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        self.inner.negotiate(ask);
    }

    fn read<'a>(
        &'a self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        self.inner.read(read, sink)
    }

    fn write<'a>(
        &'a self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        let (touched, unnamed) = self.caches.touched(write, self.capability().returning);
        if touched.is_empty() && unnamed.is_none() {
            return self.inner.write(write, sink);
        }
        Box::pin(async move {
            let unknown_time_ms = self.caches.unknown_time_ms();
            let mut under_way = UnderWay::begin(touched, unnamed, unknown_time_ms);
            let written = match under_way.unnamed() {
                None => self.inner.write(write, sink).await,
                Some(unnamed) => {
                    let mut nothing = Nothing;
                    let (asked, mut sink) = unnamed.around(write, sink, &mut nothing);
                    let written = self.inner.write(&asked, &mut sink).await;
                    let keys = sink.keys;
                    under_way.learn(&keys);
                    written
                }
            };
            let unknown = match &written {
                Ok(report) => report.outcomes.iter().find_map(unknown),
                Err(error) => Some(error),
            };
            under_way.end(is_known(unknown)).await;
            written
        })
    }

    fn describe<'a>(&'a self, table: Option<&'a str>) -> BoxFuture<'a, Result<Vec<LiveTable>>> {
        self.inner.describe(table)
    }

    fn administer<'a>(&'a self, task: &'a Administer) -> BoxFuture<'a, Result<Administered>> {
        self.inner.administer(task)
    }

    fn open(&self, options: SessionOptions) -> BoxFuture<'_, Result<Box<dyn Session>>> {
        if options.read_only {
            return self.inner.open(options);
        }
        Box::pin(async move {
            let inner = self.inner.open(options).await?;
            let session = CoherentSession {
                inner,
                caches: self.caches.clone(),
                touched: Touched::default(),
                can_return: self.capability().returning,
            };
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }
}

impl Session for CoherentSession {
    fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }

    fn read<'a>(
        &'a mut self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        self.inner.read(read, sink)
    }

    fn write<'a>(
        &'a mut self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        let (touched, unnamed) = self.caches.touched(write, self.can_return);
        self.touched.add(touched);
        let Some(unnamed) = unnamed else { return self.inner.write(write, sink) };
        Box::pin(async move {
            let mut nothing = Nothing;
            let (asked, mut sink) = unnamed.around(write, sink, &mut nothing);
            let written = self.inner.write(&asked, &mut sink).await;
            let keys = sink.keys;
            self.touched.add(Touched::learnt(&unnamed, &keys));
            written
        })
    }

    fn savepoint(&mut self, step: Savepoint) -> BoxFuture<'_, Result<()>> {
        self.inner.savepoint(step)
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        let Self { inner, caches, touched, .. } = *self;
        if touched.is_empty() {
            return inner.commit();
        }
        Box::pin(async move {
            let under_way = UnderWay::begin(touched, None, caches.unknown_time_ms());
            let committed = inner.commit().await;
            under_way.end(is_known(committed.as_ref().err())).await;
            committed
        })
    }

    fn rollback(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.inner.rollback()
    }
}

fn unknown(outcome: &Outcome) -> Option<&Error> {
    match outcome {
        Outcome::Unknown(error) => Some(error),
        _ => None,
    }
}
