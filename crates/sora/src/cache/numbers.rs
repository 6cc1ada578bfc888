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
    /// Rows that are too large to be cached, and keys that have none and are too long for that.
    pub too_large: u64,
    /// Rows taken out because they were written.
    pub invalidated: u64,
    /// Times that all rows were taken out.
    pub cleared: u64,
    /// Changes by others that the shared tier told.
    pub told: u64,
    /// Times that all rows were asked for again, because others may have changed some and nobody told.
    pub suspected: u64,
    /// Rows found in the shared tier.
    pub remote_hits: u64,
    /// Keys of which the shared tier knew that there is no row.
    pub remote_missing_hits: u64,
    /// Keys that it knew nothing of.
    pub remote_misses: u64,
    /// Rows there that were read before their whole table was invalidated.
    pub remote_outdated: u64,
    /// Rows there by another schema of the entity, which were left alone.
    pub remote_foreign: u64,
    /// What stood there and was no row; it was taken out.
    pub remote_undecodable: u64,
    /// Rows put there.
    pub remote_fills: u64,
    /// Rows not put there because they were written meanwhile, by whomever.
    pub remote_fills_refused: u64,
    /// Rows too large to be put there.
    pub remote_too_large: u64,
    /// Look-ups that waited for another process to load their row.
    pub lease_waits: u64,
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
    pub(super) told: AtomicU64,
    pub(super) suspected: AtomicU64,
    pub(super) remote_hits: AtomicU64,
    pub(super) remote_missing_hits: AtomicU64,
    pub(super) remote_misses: AtomicU64,
    pub(super) remote_outdated: AtomicU64,
    pub(super) remote_foreign: AtomicU64,
    pub(super) remote_undecodable: AtomicU64,
    pub(super) remote_fills: AtomicU64,
    pub(super) remote_fills_refused: AtomicU64,
    pub(super) remote_too_large: AtomicU64,
    pub(super) lease_waits: AtomicU64,
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
            told: get(&self.told),
            suspected: get(&self.suspected),
            remote_hits: get(&self.remote_hits),
            remote_missing_hits: get(&self.remote_missing_hits),
            remote_misses: get(&self.remote_misses),
            remote_outdated: get(&self.remote_outdated),
            remote_foreign: get(&self.remote_foreign),
            remote_undecodable: get(&self.remote_undecodable),
            remote_fills: get(&self.remote_fills),
            remote_fills_refused: get(&self.remote_fills_refused),
            remote_too_large: get(&self.remote_too_large),
            lease_waits: get(&self.lease_waits),
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
