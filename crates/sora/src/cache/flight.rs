//! One load that many wait for.

use std::fmt;
use std::sync::Arc;

use sora_core::{Error, ErrorKind, Result, Retry, Source};
use tokio::sync::watch;

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
pub(super) struct Flight {
    landed: watch::Sender<Option<Result<Found>>>,
}

impl Flight {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { landed: watch::Sender::new(None) })
    }

    /// Tells all who wait.
    pub(super) fn land(&self, found: Result<Found>) {
        self.landed.send_replace(Some(found));
    }

    /// How many wait for it.
    pub(super) fn waiting(&self) -> usize {
        self.landed.receiver_count()
    }

    /// Waits for what it gives.
    pub(super) async fn wait(&self) -> Result<Found> {
        let mut landing = self.landed.subscribe();
        match landing.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone().unwrap_or_else(|| Err(cut_off())),
            Err(_) => Err(cut_off()),
        }
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
