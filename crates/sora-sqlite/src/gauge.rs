//! Whether look-ups run on the thread of their caller.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::SqliteConfig;

/// Sends look-ups to the reading threads while the file is cold: from one that took too long until
/// several in a row were fast again.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// How many fast ones are still asked for; none if look-ups run inline.
    fast_wanted: AtomicU32,
}

impl Gauge {
    /// Fast look-ups in a row that end a cold phase.
    pub(crate) const FAST_WANTED: u32 = 8;

    /// Whether the next look-up runs inline.
    pub(crate) fn is_inline(&self) -> bool {
        self.fast_wanted.load(Ordering::Relaxed) == 0
    }

    /// Takes note of a look-up that began at a time and has just ended, wherever it ran.
    pub(crate) fn note(&self, config: &SqliteConfig, start_us: u64) {
        let took_us = config.clock.now_us().saturating_sub(start_us);
        self.take(took_us <= config.inline_us_max);
    }

    fn take(&self, was_fast: bool) {
        if was_fast {
            if !self.is_inline() {
                let _ =
                    self.fast_wanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |wanted| {
                        wanted.checked_sub(1)
                    });
            }
        } else {
            self.fast_wanted.store(Self::FAST_WANTED, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_look_up_leaves_and_several_fast_ones_return() {
        let gauge = Gauge::default();
        gauge.take(true);
        assert!(gauge.is_inline());
        gauge.take(false);
        for _ in 0..Gauge::FAST_WANTED - 1 {
            gauge.take(true);
            assert!(!gauge.is_inline());
        }
        gauge.take(false);
        for _ in 0..Gauge::FAST_WANTED {
            assert!(!gauge.is_inline());
            gauge.take(true);
        }
        assert!(gauge.is_inline());
    }
}
