//! The clocks of a history, and of the caches in a simulation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sora::Clock;
use sora_core::provider::BoxFuture;
use tokio::time::Instant;

use crate::random::Random;

/// The one clock of a history. No two of its times are equal, so that steps have an order even where
/// time stands.
#[derive(Debug)]
pub(super) struct StepClock {
    started: Instant,
    last_ns: AtomicU64,
}

impl StepClock {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), last_ns: AtomicU64::new(0) }
    }

    /// Waits for the next millisecond whose number, divided by how many there are, leaves that.
    pub(super) async fn turn(&self, number: usize, of: usize) {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (number, of) = (number as u64, (of as u64).max(1));
        let next_ms = now_ms + 1 + (number + of - (now_ms + 1) % of) % of;
        tokio::time::sleep_until(self.started + Duration::from_millis(next_ms)).await;
    }

    pub(super) fn now_ns(&self) -> u64 {
        let elapsed_ns = elapsed_ns(self.started);
        let later = |last_ns| elapsed_ns.max(last_ns + 1);
        let advance = |last_ns| Some(later(last_ns));
        match self.last_ns.fetch_update(Ordering::SeqCst, Ordering::SeqCst, advance) {
            Ok(last_ns) | Err(last_ns) => later(last_ns),
        }
    }
}

/// A clock for [`Cache::clock`](sora::Cache::clock) that goes with tokio's, paused or not. Its lots are
/// those of a seed and the time, in whatever order tasks ask that wake at once.
#[derive(Debug)]
pub struct SeededClock {
    started: Instant,
    seed: u64,
}

impl SeededClock {
    /// Returns a clock whose time begins now.
    pub fn new(seed: u64) -> Self {
        Self { started: Instant::now(), seed }
    }
}

impl Clock for SeededClock {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn random(&self) -> u64 {
        Random::of(self.seed, [elapsed_ns(self.started)]).next()
    }
}

/// The time since a start.
pub(super) fn elapsed_ns(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_two_times_are_equal() {
        let clock = StepClock::new();
        assert_eq!([(); 3].map(|()| clock.now_ns()), [1, 2, 3]);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!([(); 2].map(|()| clock.now_ns()), [1_000_000, 1_000_001]);
        for (number, expected) in [(2, 2), (2, 7), (1, 11), (0, 15), (1, 16), (0, 20)] {
            clock.turn(number, 5).await;
            assert_eq!(clock.now_ns(), expected * 1_000_000, "{number}");
        }
    }
}
