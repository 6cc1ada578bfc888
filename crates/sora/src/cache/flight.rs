//! One load that many wait for.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use sora_core::{Error, ErrorKind, Result, Retry, Source};
use tokio::sync::Notify;

use super::fence::Load;
use super::memory::Erased;

/// What a load gave.
#[derive(Clone)]
pub(super) struct Found {
    /// The entity, or that there is none.
    pub(super) value: Option<Erased>,
    /// Where it was found.
    pub(super) source: Source,
}

/// A load under way. Whoever asks for its key meanwhile waits for it, and gets what it gets; whoever
/// goes away leaves it running.
#[derive(Default)]
pub(super) struct Flight {
    landed: OnceLock<Result<Found>>,
    told: Notify,
    waiting: AtomicUsize,
}

/// One who waits.
struct Waiter<'a>(&'a Flight);

impl Flight {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Tells all who wait. Only the first landing is one.
    pub(super) fn land(&self, found: Result<Found>) {
        _ = self.landed.set(found);
        self.told.notify_waiters();
    }

    /// How many wait for it.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for what it gives.
    pub(super) async fn wait(&self) -> Result<Found> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiter = Waiter(self);
        // What lands from here on is told to it.
        let told = self.told.notified();
        if let Some(landed) = self.landed.get() {
            return landed.clone();
        }
        told.await;
        self.landed.get().cloned().unwrap_or_else(|| Err(cut_off()))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Load for Arc<Flight> {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }
}

/// The error of a load that never ended, because its runtime did or it panicked.
pub(super) fn cut_off() -> Error {
    let message = if std::thread::panicking() {
        "the load that the look-up had joined panicked"
    } else {
        "the load that the look-up had joined was cut off with its runtime"
    };
    Error::new(ErrorKind::Cancelled, message).with_retry(Retry::Safe)
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}
