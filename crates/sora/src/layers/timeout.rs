//! Ends calls that take too long.

use std::sync::Arc;
use std::time::Duration;

use sora_core::plan::Negotiation;
use sora_core::provider::{
    Administer, Administered, Capability, Layer, Provider, Session, SessionOptions, SharedProvider,
};
use sora_core::read::{Pace, Read, ReadReport};
use sora_core::write::{Write, WriteReport};
use sora_core::{Error, ErrorKind, LiveTable, Result, Retry, RowSink};

/// Ends each call to a store after a time, with [`ErrorKind::Timeout`].
///
/// What is ended is dropped, which cancels a statement on a server that has it for itself. Of a
/// write it is then not known whether it was committed, and the error says so. A scan has no limit
/// unless [`scan_ms`](TimeoutLayer::scan_ms) sets one; transactions have their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutLayer {
    read: Duration,
    scan: Option<Duration>,
    write: Duration,
}

impl TimeoutLayer {
    /// Returns a layer of 30,000 ms for reads and 60,000 ms for writes.
    pub fn new() -> Self {
        Self { read: Duration::from_secs(30), scan: None, write: Duration::from_mins(1) }
    }

    /// Sets the time of look-ups, pages, descriptions and openings.
    pub fn read_ms(self, read_ms: u64) -> Self {
        Self { read: Duration::from_millis(read_ms), ..self }
    }

    /// Sets the time of scans: of a page of a stream, and of a query without a limit.
    pub fn scan_ms(self, scan_ms: u64) -> Self {
        Self { scan: Some(Duration::from_millis(scan_ms)), ..self }
    }

    /// Sets the time of writes.
    pub fn write_ms(self, write_ms: u64) -> Self {
        Self { write: Duration::from_millis(write_ms), ..self }
    }
}

impl Default for TimeoutLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for TimeoutLayer {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
        Arc::new(Timed { limits: *self, inner })
    }
}

/// A store whose calls end after a time.
#[derive(Debug)]
struct Timed {
    limits: TimeoutLayer,
    inner: SharedProvider,
}

impl Timed {
    /// Runs what can be done again without harm.
    async fn read_within<T>(
        &self,
        limit: Option<Duration>,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(limit) = limit else { return call.await };
        match tokio::time::timeout(limit, call).await {
            Ok(done) => done,
            Err(_) => Err(over(self.inner.name(), limit).with_retry(Retry::Safe)),
        }
    }
}

impl Provider for Timed {
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
        let limit = match read.pace {
            Pace::Scan => self.limits.scan,
            Pace::Lookup | Pace::Page => Some(self.limits.read),
        };
        self.read_within(limit, self.inner.read(read, sink)).await
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        let limit = self.limits.write;
        match tokio::time::timeout(limit, self.inner.write(write, sink)).await {
            Ok(done) => done,
            Err(_) => Err(over(self.inner.name(), limit).with_retry(Retry::IfIdempotent)),
        }
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        self.read_within(Some(self.limits.read), self.inner.describe(table)).await
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        let limit = match task {
            Administer::Ensure(_) => self.limits.write,
            _ => self.limits.read,
        };
        self.read_within(Some(limit), self.inner.administer(task)).await
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        self.read_within(Some(self.limits.read), self.inner.open(options)).await
    }
}

fn over(provider: &'static str, limit: Duration) -> Error {
    let message = format!(
        "{provider} did not answer within {} ms; raise the limit of the TimeoutLayer, or ask for less",
        limit.as_millis()
    );
    Error::new(ErrorKind::Timeout, message)
}
