//! Whether the shared tier is asked at all.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Keeps calls from a tier that fails: after so many failures in a row it is open, and one call in a
/// time goes through to see whether the tier answers again (half open).
///
/// After M. Nygard, Release It!, the circuit breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_max: u32,
    open_ms: u64,
    failures: AtomicU32,
    /// When the next call may try; 0 while it is closed.
    opens_ms: AtomicU64,
}

/// The state of the breaker before a shared tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreakerState {
    /// Every call goes through.
    #[default]
    Closed,
    /// The next call goes through, to see whether the tier answers.
    HalfOpen,
    /// No call goes through.
    Open,
}

impl Breaker {
    pub(super) fn new(failures_max: u32, open_ms: u64) -> Self {
        let failures_max = failures_max.max(1);
        Self { failures_max, open_ms, failures: AtomicU32::new(0), opens_ms: AtomicU64::new(0) }
    }

    /// Whether a call may go through.
    pub(super) fn admits(&self, now_ms: u64) -> bool {
        let opens_ms = self.opens_ms.load(Ordering::Acquire);
        if opens_ms == 0 {
            return true;
        }
        // One of those who come at once tries; if it never ends, the next does when the time is over.
        let next_ms = now_ms.saturating_add(self.open_ms).max(1);
        now_ms >= opens_ms
            && self
                .opens_ms
                .compare_exchange(opens_ms, next_ms, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    pub(super) fn succeeded(&self) {
        // Read first: a success is the usual thing, and a line that nobody writes is shared.
        if self.failures.load(Ordering::Acquire) > 0 {
            self.close();
        }
    }

    pub(super) fn failed(&self, now_ms: u64) {
        let failures = self.failures.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        if failures >= self.failures_max {
            self.opens_ms.store(now_ms.saturating_add(self.open_ms).max(1), Ordering::Release);
        }
    }

    /// The tier said itself that it answers.
    pub(super) fn close(&self) {
        self.failures.store(0, Ordering::Release);
        self.opens_ms.store(0, Ordering::Release);
    }

    pub(super) fn state(&self, now_ms: u64) -> BreakerState {
        match self.opens_ms.load(Ordering::Acquire) {
            0 => BreakerState::Closed,
            opens_ms if now_ms < opens_ms => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        }
    }
}

#[cfg(all(test, not(sora_model)))]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_try() {
        let breaker = Breaker::new(3, 100);
        breaker.failed(0);
        breaker.failed(0);
        breaker.succeeded();
        breaker.failed(0);
        breaker.failed(0);
        assert!(breaker.admits(0), "two in a row");
        breaker.failed(10);
        assert_eq!(breaker.state(10), BreakerState::Open);
        assert!(!breaker.admits(109));
        assert_eq!(breaker.state(110), BreakerState::HalfOpen);
        assert!(breaker.admits(110), "one tries");
        assert!(!breaker.admits(110), "and no other");
        breaker.failed(120);
        assert!(!breaker.admits(219));
        assert!(breaker.admits(220));
        breaker.succeeded();
        assert_eq!(breaker.state(220), BreakerState::Closed);
        assert!(breaker.admits(220) && breaker.admits(220));
    }

    #[test]
    fn a_try_that_never_ends_does_not_keep_it_open() {
        let breaker = Breaker::new(1, 100);
        breaker.failed(0);
        assert!(breaker.admits(100));
        assert!(!breaker.admits(199));
        assert!(breaker.admits(200));
    }
}
