//! How long to wait before trying again.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// Waits that double from one attempt to the next, each cut at random between nothing and all of it,
/// so that those who lost against each other do not meet again.
///
/// That is "full jitter" of
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
#[derive(Clone)]
pub struct Backoff {
    first_ms: u64,
    wait_max_ms: u64,
    random: Arc<dyn Fn() -> f64 + Send + Sync>,
}

impl Backoff {
    /// Returns waits of at most `first_ms` before the second attempt, and of at most `wait_max_ms`
    /// before any.
    pub fn new(first_ms: u64, wait_max_ms: u64) -> Self {
        Self { first_ms, wait_max_ms, random: Arc::new(random) }
    }

    /// Takes its random numbers, from 0 to 1, from another source.
    pub fn random(mut self, random: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Returns how long to wait behind so many attempts that failed, at least one.
    pub fn wait(&self, failed: u32) -> Duration {
        let doubled = 1u64.checked_shl(failed.saturating_sub(1)).unwrap_or(u64::MAX);
        let longest_ms = self.first_ms.saturating_mul(doubled).min(self.wait_max_ms);
        let part = (self.random)();
        // Also what is no number is cut to what is allowed.
        let part = if part >= 0.0 { part.min(1.0) } else { 0.0 };
        Duration::from_millis(longest_ms).mul_f64(part)
    }
}

impl Default for Backoff {
    /// 10 ms, 20 ms, and so on up to 1 s.
    fn default() -> Self {
        Self::new(10, 1_000)
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff")
            .field("first_ms", &self.first_ms)
            .field("wait_max_ms", &self.wait_max_ms)
            .finish_non_exhaustive()
    }
}

/// The keys of a new hash map are random, and that is as random as it has to be.
fn random() -> f64 {
    let bits = u32::try_from(RandomState::new().hash_one(0) >> 32).unwrap_or_default();
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff::new(10, 100).random(|| 1.0);
        for (failed, wait_ms) in
            [(1, 10), (2, 20), (3, 40), (4, 80), (5, 100), (64, 100), (99, 100)]
        {
            assert_eq!(backoff.wait(failed), Duration::from_millis(wait_ms), "{failed}");
        }
        for (part, wait_us) in [(0.5, 5_000), (0.0, 0), (-1.0, 0), (7.0, 10_000), (f64::NAN, 0)] {
            let backoff = Backoff::new(10, 100).random(move || part);
            assert_eq!(backoff.wait(1), Duration::from_micros(wait_us), "{part}");
        }
    }

    #[test]
    fn waits_differ() {
        let backoff = Backoff::new(1_000_000, 1_000_000);
        assert_ne!([backoff.wait(1), backoff.wait(1)], [backoff.wait(1), backoff.wait(1)]);
    }
}
