//! A store that takes its time, and loses the outcomes of writes.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use sora_core::plan::Negotiation;
use sora_core::provider::{
    Administer, Administered, BoxFuture, Capability, Isolation, Layer, Provider, Savepoint,
    Session, SessionOptions, SharedProvider,
};
use sora_core::read::{Read, ReadReport};
use sora_core::write::{Write, WriteReport};
use sora_core::{Error, ErrorKind, LiveTable, Result, Retry, Row, RowSink};
use tokio::time::{Instant, sleep};

use super::clock::elapsed_ns;
use crate::random::Random;

/// A layer that makes calls take time, before the store acts and behind it, and lets outcomes of writes
/// be unknown: what is lost was done, is done later, or never. Calls of one moment have the same fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStore {
    /// Decides how long each call takes, and what is lost.
    pub seed: u64,
    /// How long the way to the store takes at most, and the way back.
    pub delay_us_max: u64,
    /// Writes of unknown outcome.
    pub lose_percent: usize,
    /// How much later one of them is done at most.
    pub late_us_max: u64,
}

impl Layer for SlowStore {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
        Arc::new(Slow { inner, way: Way::new(*self) })
    }
}

#[derive(Debug)]
struct Slow {
    inner: SharedProvider,
    way: Way,
}

#[derive(Debug)]
struct SlowSession {
    inner: Box<dyn Session>,
    way: Way,
}

/// The way to the store.
#[derive(Clone, Copy, Debug)]
struct Way {
    layer: SlowStore,
    started: Instant,
}

/// What becomes of a write.
enum Fate {
    Told,
    /// It is done, and nobody is told.
    Lost,
    /// It is done so much later.
    Late(Duration),
    Never,
}

impl Way {
    fn new(layer: SlowStore) -> Self {
        Self { layer, started: Instant::now() }
    }

    async fn go(self) {
        sleep(up_to(&mut self.random(), self.layer.delay_us_max)).await;
    }

    fn fate(self) -> Fate {
        let mut random = self.random();
        if !random.percent(self.layer.lose_percent) {
            return Fate::Told;
        }
        let late = up_to(&mut random, self.layer.late_us_max);
        match random.below(3) {
            0 => Fate::Lost,
            1 => Fate::Late(late),
            _ => Fate::Never,
        }
    }

    fn random(self) -> Random {
        Random::of(self.layer.seed, [elapsed_ns(self.started)])
    }
}

fn up_to(random: &mut Random, us_max: u64) -> Duration {
    let below = usize::try_from(us_max.saturating_add(1)).unwrap_or(usize::MAX);
    Duration::from_micros(random.below(below) as u64)
}

impl Provider for Slow {
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
        self.way.go().await;
        let report = self.inner.read(read, sink).await;
        self.way.go().await;
        report
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        self.way.go().await;
        let done = match self.way.fate() {
            Fate::Told => self.inner.write(write, sink).await,
            Fate::Lost => self.inner.write(write, &mut Away).await.and_then(|_| Err(unknown())),
            Fate::Late(late) => {
                let (inner, write) = (self.inner.clone(), write.clone());
                tokio::spawn(async move {
                    sleep(late).await;
                    // Nobody asks what came of it.
                    drop(inner.write(&write, &mut Away).await);
                });
                Err(unknown())
            }
            Fate::Never => Err(unknown()),
        };
        self.way.go().await;
        done
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        self.inner.describe(table).await
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        self.inner.administer(task).await
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        self.way.go().await;
        let inner = self.inner.open(options).await?;
        Ok(Box::new(SlowSession { inner, way: self.way }))
    }
}

impl Session for SlowSession {
    fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }

    fn read<'a>(
        &'a mut self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        Box::pin(async move {
            let report = self.inner.read(read, sink).await;
            self.way.go().await;
            report
        })
    }

    fn write<'a>(
        &'a mut self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        Box::pin(async move {
            let report = self.inner.write(write, sink).await;
            self.way.go().await;
            report
        })
    }

    fn savepoint(&mut self, step: Savepoint) -> BoxFuture<'_, Result<()>> {
        self.inner.savepoint(step)
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        let Self { inner, way } = *self;
        Box::pin(async move {
            way.go().await;
            let done = match way.fate() {
                Fate::Told => inner.commit().await,
                Fate::Lost => inner.commit().await.and_then(|()| Err(unknown())),
                Fate::Late(late) => {
                    tokio::spawn(async move {
                        sleep(late).await;
                        drop(inner.commit().await);
                    });
                    Err(unknown())
                }
                Fate::Never => inner.rollback().await.and_then(|()| Err(unknown())),
            };
            way.go().await;
            done
        })
    }

    fn rollback(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.inner.rollback()
    }
}

/// Takes rows that nobody gets.
struct Away;

impl RowSink for Away {
    fn row(&mut self, _: &dyn Row) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {}
}

fn unknown() -> Error {
    let message = "the store's answer to a write was lost";
    Error::new(ErrorKind::Unavailable, message).with_retry(Retry::IfIdempotent)
}
