//! Whether small reads run on the thread of their caller.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::fast::RandomState;
use sora_core::read::Read;
use sora_sql::{Portion, read_shape};

use crate::config::SqliteConfig;
use crate::inline::Small;

/// Sends small reads to the reading threads while they are slow: from one that took too long, or some,
/// until several were fast again.
#[derive(Debug)]
pub(crate) struct Gauge {
    /// How many fast ones are still asked for; none if they run inline.
    fast_wanted: AtomicU32,
    /// Slow ones inline that fast ones have not made good, times what one counts.
    missed: AtomicU32,
    /// From which of them on they run on a thread.
    missed_max: u32,
    /// How many fast ones a slow one asks for.
    fast_each: u32,
}

/// The gauges of a store: one for all look-ups, and one for each shape of a page, because one query
/// may have an index and another none.
#[derive(Debug)]
pub(crate) struct Gauges {
    lookups: Gauge,
    /// Shapes that meet in one of them are as slow as the slowest.
    pages: [Gauge; Self::PAGES],
    hasher: RandomState,
}

/// One of the [`Gauges`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Lookups,
    Page(usize),
}

impl Gauges {
    const PAGES: usize = 64;

    pub(crate) fn place(&self, read: &Read, small: Small) -> Place {
        match small {
            Small::Lookup => Place::Lookups,
            Small::Page => {
                let mut shape = Vec::with_capacity(128);
                read_shape::<sora_sql::Sqlite>(read, Portion::All, &mut shape);
                // The low bits are as good as any.
                #[expect(clippy::cast_possible_truncation, reason = "a place, not a number")]
                let hash = self.hasher.hash_one(&shape[..]) as usize;
                Place::Page(hash % Self::PAGES)
            }
        }
    }

    pub(crate) fn at(&self, place: Place) -> &Gauge {
        match place {
            Place::Lookups => &self.lookups,
            Place::Page(at) => &self.pages[at],
        }
    }
}

impl Default for Gauges {
    /// Look-ups begin inline, and one that is slow says that the file is not in memory. A page has to
    /// show first that it is fast; of five one may then be slow, because on a busy machine a thread
    /// that is kept waiting looks slow, too, and what is really slow is stopped.
    fn default() -> Self {
        let new = |fast_wanted: u32, missed_max, fast_each| Gauge {
            fast_wanted: fast_wanted.into(),
            missed: AtomicU32::new(0),
            missed_max,
            fast_each,
        };
        let pages = std::array::from_fn(|_| new(Gauge::FAST_WANTED, Gauge::FAST_WANTED, 4));
        let lookups = new(0, 0, Gauge::FAST_WANTED);
        Self { lookups, pages, hasher: RandomState::default() }
    }
}

impl Gauge {
    /// Fast ones in a row that end a slow phase.
    pub(crate) const FAST_WANTED: u32 = 8;

    /// Whether the next one runs inline.
    pub(crate) fn is_inline(&self) -> bool {
        self.fast_wanted.load(Ordering::Relaxed) == 0
    }

    /// Takes note of one that began at a time and has just ended, wherever it ran; returns the time.
    pub(crate) fn note(&self, config: &SqliteConfig, start_us: u64) -> u64 {
        let now_us = config.clock.now_us();
        self.take(now_us.saturating_sub(start_us) <= config.inline_us_max);
        now_us
    }

    fn take(&self, was_fast: bool) {
        let counter = if self.is_inline() { &self.missed } else { &self.fast_wanted };
        let before = counter.load(Ordering::Relaxed);
        if was_fast {
            // Two that end together may count as one.
            if before > 0 {
                counter.store(before - 1, Ordering::Relaxed);
            }
            return;
        }
        let after = before.saturating_add(self.fast_each);
        if !self.is_inline() {
            self.fast_wanted.store(after.min(Self::FAST_WANTED), Ordering::Relaxed);
        } else if after <= self.missed_max {
            self.missed.store(after, Ordering::Relaxed);
        } else {
            self.missed.store(0, Ordering::Relaxed);
            self.fast_wanted.store(Self::FAST_WANTED, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_look_up_leaves_and_several_fast_ones_return() {
        let gauges = Gauges::default();
        let gauge = gauges.at(Place::Lookups);
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

    #[test]
    fn pages_bear_one_slow_of_five_and_no_more() {
        for (slow_of, is_inline) in [(6, true), (5, true), (3, false), (2, false), (1, false)] {
            let gauges = Gauges::default();
            let gauge = gauges.at(Place::Page(5));
            for _ in 0..Gauge::FAST_WANTED {
                assert!(!gauge.is_inline());
                gauge.take(true);
            }
            for nth in 1..=120 {
                gauge.take(nth % slow_of != 0);
            }
            assert_eq!(gauge.is_inline(), is_inline, "one slow of {slow_of}");
        }
    }
}
