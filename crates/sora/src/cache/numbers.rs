//! What a cache has done, as numbers.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What the cache of one table has done since the store was opened, and what it holds.
///
/// Each look-up is counted in exactly one of `hits`, `missing_hits`, `stale`, `misses` and `bypassed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheNumbers {
    /// Look-ups answered with a fresh row.
    pub hits: u64,
    /// Look-ups answered with the knowledge that there is no row.
    pub missing_hits: u64,
    /// Look-ups answered with a row behind its time to live, as the policy allows.
    pub stale: u64,
    /// Look-ups that were not answered from memory.
    pub misses: u64,
    /// Look-ups that did not ask, by their mode or because too much was under way.
    pub bypassed: u64,
    /// Misses that joined a load under way.
    pub joined: u64,
    /// Loads from the store.
    pub loads: u64,
    /// Loads that failed, or took too long.
    pub loads_failed: u64,
    /// Loads whose row was written meanwhile, so that they were not cached.
    pub fills_refused: u64,
    /// Rows that are too large to be cached.
    pub too_large: u64,
    /// Rows taken out because they were written.
    pub invalidated: u64,
    /// Times that all rows were taken out.
    pub cleared: u64,
    /// Rows that are held now.
    pub entries: u64,
    /// The bytes that they are counted with.
    pub bytes: u64,
}

/// The counters behind [`CacheNumbers`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Apart and in parts, because each hit counts here.
    lookups: Sharded,
    pub(super) missing_hits: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) bypassed: AtomicU64,
    pub(super) joined: AtomicU64,
    pub(super) loads: AtomicU64,
    pub(super) loads_failed: AtomicU64,
    pub(super) fills_refused: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) invalidated: AtomicU64,
    pub(super) cleared: AtomicU64,
}

/// One event stands for so many look-ups that were answered from memory.
pub(crate) const SAMPLE: u64 = 1_024;

impl Counters {
    /// Counts a look-up; says whether it is the one of many to be watched.
    #[inline]
    pub(super) fn look_up(&self) -> bool {
        self.lookups.add_one().is_multiple_of(SAMPLE)
    }

    pub(super) fn read(&self) -> CacheNumbers {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let others = get(&self.missing_hits) + get(&self.stale) + get(&self.misses);
        CacheNumbers {
            // The parts are not read at one moment.
            hits: self.lookups.sum().saturating_sub(others),
            missing_hits: get(&self.missing_hits),
            stale: get(&self.stale),
            misses: get(&self.misses),
            bypassed: get(&self.bypassed),
            joined: get(&self.joined),
            loads: get(&self.loads),
            loads_failed: get(&self.loads_failed),
            fills_refused: get(&self.fills_refused),
            too_large: get(&self.too_large),
            invalidated: get(&self.invalidated),
            cleared: get(&self.cleared),
            entries: 0,
            bytes: 0,
        }
    }
}

/// Adds one to a counter that is read as a number alone.
#[inline]
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A counter in parts, so that threads that count at once do not share a line of memory.
#[derive(Debug, Default)]
struct Sharded([Part; PARTS]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(AtomicU64);

const PARTS: usize = 16;

impl Sharded {
    /// Adds one and returns what the thread's part was before.
    #[inline]
    fn add_one(&self) -> u64 {
        self.0[part()].0.fetch_add(1, Ordering::Relaxed)
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|part| part.0.load(Ordering::Relaxed)).sum()
    }
}

/// The part of the thread: each new thread takes the next.
#[inline]
fn part() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PART: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    // A thread that ends has no part any more.
    PART.try_with(|part| {
        if part.get() == usize::MAX {
            part.set(NEXT.fetch_add(1, Ordering::Relaxed) % PARTS);
        }
        part.get()
    })
    .unwrap_or(0)
}
