//! A layer whose sessions fail as they are told.

use std::sync::{Arc, Mutex};

use sora::plan::Negotiation;
use sora::provider::{
    Administer, Administered, BoxFuture, Capability, Isolation, Layer, Provider, Savepoint,
    Session, SessionOptions, SharedProvider,
};
use sora::read::{Read, ReadReport};
use sora::write::{Write, WriteReport};
use sora::{Error, ErrorKind, LiveTable, Result, Retry, RowSink};

/// Fails sessions, and counts what reaches the store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flaky(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
pub(crate) struct Script {
    /// What becomes of the next sessions, first come first; the others do not fail.
    pub(crate) next: Vec<Failure>,
    pub(crate) no_transactions: bool,
    pub(crate) opened: usize,
    pub(crate) committed: usize,
}

/// How a session fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Failure {
    None,
    /// It loses at its first read.
    Read,
    /// It loses at its first write.
    Write,
    /// It loses at its commit.
    Commit,
    /// Its commit is done, and nobody is told.
    Unknown,
    /// Its commit is done or not, and the store calls it lost, wrongly.
    UnknownLost,
    /// Its savepoints fail.
    Savepoint,
    /// Its reads and writes never end.
    Hangs,
}

impl Flaky {
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.0.lock().expect("no panic"))
    }
}

impl Layer for Flaky {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
        Arc::new(FlakyProvider { script: self.clone(), inner })
    }
}

#[derive(Debug)]
struct FlakyProvider {
    script: Flaky,
    inner: SharedProvider,
}

impl Provider for FlakyProvider {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capability(&self) -> Capability {
        let mut capability = self.inner.capability();
        capability.transactions &= !self.script.with(|script| script.no_transactions);
        capability
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        self.inner.negotiate(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
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
        let failure = self.script.with(|script| {
            script.opened += 1;
            if script.next.is_empty() { Failure::None } else { script.next.remove(0) }
        });
        let inner = self.inner.open(options).await?;
        Ok(Box::new(FlakySession { script: self.script.clone(), failure, inner }))
    }
}

#[derive(Debug)]
struct FlakySession {
    script: Flaky,
    failure: Failure,
    inner: Box<dyn Session>,
}

fn lost() -> Error {
    Error::new(ErrorKind::Serialization, "another transaction has won")
}

impl Session for FlakySession {
    fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }

    fn read<'a>(
        &'a mut self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        match self.failure {
            Failure::Read => Box::pin(std::future::ready(Err(lost()))),
            Failure::Hangs => Box::pin(std::future::pending()),
            _ => self.inner.read(read, sink),
        }
    }

    fn write<'a>(
        &'a mut self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        match self.failure {
            Failure::Write => Box::pin(std::future::ready(Err(lost()))),
            Failure::Hangs => Box::pin(std::future::pending()),
            _ => self.inner.write(write, sink),
        }
    }

    fn savepoint(&mut self, step: Savepoint) -> BoxFuture<'_, Result<()>> {
        match self.failure {
            Failure::Savepoint => {
                let error = Error::new(ErrorKind::Store, "the savepoint is gone");
                Box::pin(std::future::ready(Err(error)))
            }
            _ => self.inner.savepoint(step),
        }
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        let Self { script, failure, inner } = *self;
        Box::pin(async move {
            if failure == Failure::Commit {
                inner.rollback().await?;
                return Err(lost());
            }
            inner.commit().await?;
            script.with(|script| script.committed += 1);
            let cut = Error::new(ErrorKind::Unavailable, "the connection was cut");
            match failure {
                Failure::Unknown => Err(cut.with_retry(Retry::IfIdempotent)),
                Failure::UnknownLost => Err(lost().with_retry(Retry::IfIdempotent)),
                _ => Ok(()),
            }
        })
    }

    fn rollback(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.inner.rollback()
    }
}
