//! Time and chance, from where they can be replaced.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use sora_core::provider::BoxFuture;

/// Where what waits, measures or draws lots gets time and chance from; tests give their own.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time since a moment that does not change.
    fn now(&self) -> Duration;

    /// The same time in milliseconds, up to a few of them late where that is cheaper: what is asked
    /// for each look-up in a cache.
    fn coarse_ms(&self) -> u64 {
        u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for so long.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// A random number; each of 64 bits is as likely as its opposite.
    fn random(&self) -> u64;
}

/// The clock of the system. It sleeps by tokio, whose runtime must have its timer enabled.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
    started_coarse: coarsetime::Instant,
}

impl SystemClock {
    /// Returns a clock whose time begins now.
    pub fn new() -> Self {
        Self { started: Instant::now(), started_coarse: coarsetime::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// On Linux what the kernel noted at its last tick, 1 to 10 ms ago.
    #[inline]
    fn coarse_ms(&self) -> u64 {
        coarsetime::Instant::now_without_cache_update()
            .duration_since(self.started_coarse)
            .as_millis()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn random(&self) -> u64 {
        // Each state of the standard library's hasher has keys of its own.
        RandomState::new().hash_one(self.started.elapsed())
    }
}
