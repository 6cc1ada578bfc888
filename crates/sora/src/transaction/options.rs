//! How a transaction is begun.

use sora_core::provider::{Isolation, SessionOptions};

use crate::Backoff;

/// How a transaction is begun, and how often it is run again.
#[derive(Clone, Debug)]
pub struct TransactionOptions {
    pub(crate) session: SessionOptions,
    pub(crate) time_max_ms: u64,
    pub(crate) retries_max: u32,
    pub(crate) backoff: Backoff,
}

impl TransactionOptions {
    /// How long a transaction may be open unless [`time_max_ms`](Self::time_max_ms) says otherwise.
    pub const TIME_MAX_MS: u64 = 30_000;

    /// Returns options for a transaction that reads and writes, isolated as
    /// [`ReadCommitted`](Isolation::ReadCommitted), open for 30 s at most, and run once.
    pub fn new() -> Self {
        Self {
            session: SessionOptions::default(),
            time_max_ms: Self::TIME_MAX_MS,
            retries_max: 0,
            backoff: Backoff::default(),
        }
    }

    /// Sets what keeps it apart from others. A store that lacks the level gives a stronger one;
    /// [`Transaction::isolation`](crate::Transaction::isolation) says which.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.session.isolation = isolation;
        self
    }

    /// Refuses writes in it. On the store in memory it keeps no writer waiting; on SQLite it does.
    pub fn read_only(mut self) -> Self {
        self.session.read_only = true;
        self
    }

    /// Lets one that is serializable and only reads wait for a moment at which it can neither fail
    /// nor make others fail; stores whose readers never fail need not wait.
    pub fn deferrable(mut self) -> Self {
        self.session.deferrable = true;
        self
    }

    /// Sets how long it may be open, from its beginning to its commit. It is rolled back then.
    pub fn time_max_ms(mut self, time_max_ms: u64) -> Self {
        self.time_max_ms = time_max_ms;
        self
    }

    /// Sets how often a closure is run again after an error of kind
    /// [`Serialization`](sora_core::ErrorKind::Serialization): the transaction lost against another,
    /// or was picked to end a deadlock, and nothing of it was committed. None by default, because
    /// what the closure does outside the store happens again as well. Each run has
    /// [`time_max_ms`](Self::time_max_ms) for itself. A transaction that is begun without a closure
    /// is not run again.
    pub fn retries_max(mut self, retries_max: u32) -> Self {
        self.retries_max = retries_max;
        self
    }

    /// Sets the waits between the runs of a closure; at random up to 10 ms, 20 ms, and so on to 1 s
    /// by default.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self::new()
    }
}
