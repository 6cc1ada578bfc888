//! Does again what failed without effect.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sora_core::plan::Negotiation;
use sora_core::provider::{
    Administer, Administered, Capability, Layer, Provider, Session, SessionOptions, SharedProvider,
};
use sora_core::read::{Access, Read, ReadReport};
use sora_core::write::{Outcome, Write, WriteReport};
use sora_core::{Error, LiveTable, Result, Retry, Row, RowSink};

use crate::Backoff;

/// Calls a store again after a failure that left nothing behind, with a growing, jittered delay and
/// a budget for all calls together.
///
/// Only what [`Error::retry`] calls safe is repeated; a write of unknown outcome only if
/// [`Write::is_idempotent`]. Inside a transaction nothing is repeated: that is for the policy of the
/// whole transaction. A scan is not repeated once a row of it was handed out.
///
/// How long it waits before a retry is a [`Backoff`]'s to say. The budget keeps retries from multiplying the load on a store in trouble: each
/// call adds a tenth of a retry to it, each retry takes one, and it holds at most `budget_max`.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    attempts_max: u32,
    backoff: Backoff,
    budget_max: u32,
}

/// Of a retry in the budget: what one call adds.
const TENTHS: u32 = 10;

impl RetryLayer {
    /// Returns a layer of at most 3 attempts, the default [`Backoff`], and a budget of 20.
    pub fn new() -> Self {
        Self { attempts_max: 3, backoff: Backoff::default(), budget_max: 20 }
    }

    /// Sets the most attempts of one call, the first one counted; at least 1.
    pub fn attempts_max(self, attempts_max: u32) -> Self {
        Self { attempts_max: attempts_max.max(1), ..self }
    }

    /// Sets how long to wait before each retry.
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// Sets the most retries that the budget holds; 0 turns retries off.
    pub fn budget_max(self, budget_max: u32) -> Self {
        Self { budget_max, ..self }
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for RetryLayer {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
        let budget = AtomicU32::new(self.budget_max.saturating_mul(TENTHS));
        Arc::new(Retrying { config: self.clone(), budget, inner })
    }
}

/// A store whose calls are repeated.
#[derive(Debug)]
struct Retrying {
    config: RetryLayer,
    /// In tenths of a retry.
    budget: AtomicU32,
    inner: SharedProvider,
}

impl Retrying {
    /// Notes a call.
    fn call(&self) -> Attempts<'_> {
        let max = self.config.budget_max.saturating_mul(TENTHS);
        let add = |budget: u32| (budget < max).then(|| budget + 1);
        // A full budget is left as it is.
        let _ = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        Attempts { retrying: self, made: 1 }
    }
}

/// The attempts of one call.
struct Attempts<'a> {
    retrying: &'a Retrying,
    made: u32,
}

impl Attempts<'_> {
    /// Waits before the next attempt; false if there is none.
    async fn next(&mut self) -> bool {
        let RetryLayer { attempts_max, backoff, .. } = &self.retrying.config;
        if self.made >= *attempts_max {
            return false;
        }
        let take = |budget: u32| budget.checked_sub(TENTHS);
        if self.retrying.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return false;
        }
        let wait = backoff.wait(self.made);
        self.made += 1;
        tokio::time::sleep(wait).await;
        true
    }
}

impl Provider for Retrying {
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
        let mut attempts = self.call();
        // Of a bounded read all rows can be taken back; the rows of a scan may be gone already.
        let can_restart = read.limit.is_some() || matches!(read.access, Access::Keys(_));
        let mut counted = Counted { sink, rows: 0 };
        loop {
            let error = match self.inner.read(read, &mut counted).await {
                Err(error) if error.retry() == Retry::Safe => error,
                done => return done,
            };
            if (counted.rows > 0 && !can_restart) || !attempts.next().await {
                return Err(error);
            }
            counted.reset();
        }
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        let mut attempts = self.call();
        loop {
            let done = self.inner.write(write, sink).await;
            let may_repeat = failure(&done).is_some_and(|error| may_repeat(write, error));
            if !may_repeat || !attempts.next().await {
                return done;
            }
            sink.reset();
        }
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        let mut attempts = self.call();
        loop {
            match self.inner.describe(table).await {
                Err(error) if error.retry() == Retry::Safe && attempts.next().await => {}
                done => return done,
            }
        }
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        let mut attempts = self.call();
        loop {
            match self.inner.administer(task).await {
                Err(error) if error.retry() == Retry::Safe && attempts.next().await => {}
                done => return done,
            }
        }
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        let mut attempts = self.call();
        loop {
            match self.inner.open(options).await {
                Err(error) if error.retry() == Retry::Safe && attempts.next().await => {}
                done => return done,
            }
        }
    }
}

/// The failure of a whole write: of its call, or of the only row in it.
fn failure(done: &Result<WriteReport>) -> Option<&Error> {
    match done {
        Err(error) => Some(error),
        Ok(report) => match report.outcomes.as_slice() {
            [Outcome::Failed(error) | Outcome::Unknown(error)] => Some(error),
            _ => None,
        },
    }
}

fn may_repeat(write: &Write, error: &Error) -> bool {
    match error.retry() {
        Retry::Safe => true,
        Retry::IfIdempotent => write.is_idempotent(),
        Retry::Never => false,
    }
}

/// Counts the rows that were handed out.
struct Counted<'a> {
    sink: &'a mut dyn RowSink,
    rows: u64,
}

impl RowSink for Counted<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.rows += 1;
        self.sink.row(row)
    }

    fn reset(&mut self) {
        self.rows = 0;
        self.sink.reset();
    }
}
