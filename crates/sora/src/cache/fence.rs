//! What keeps a stale value from being cached: the loads and the writes that are under way.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::PoisonError;
#[cfg(test)]
use std::sync::atomic::{AtomicBool, Ordering};

use super::sync::{Mutex, MutexGuard};

/// The loads and writes under way of the rows of one table, by the bytes of their keys.
///
/// A value may be cached only while its load stands here, and whatever changes the row removes the
/// load under the same lock. So a load that began before a write ended is never cached, and nobody
/// joins it any more. As long as a write is under way, nothing is cached of its rows at all.
#[derive(Debug)]
pub(super) struct Fence<L> {
    shards: Box<[Mutex<Shard<L>>]>,
    hasher: RandomState,
    /// Loads in one shard that others can join.
    loads_max: usize,
    /// Caches whatever was loaded: to see that the tests would notice.
    #[cfg(test)]
    pub(super) is_removed: AtomicBool,
}

#[derive(Debug)]
struct Shard<L> {
    loads: HashMap<Box<[u8]>, L>,
    writes: HashMap<Box<[u8]>, Writes>,
    /// Writes of rows that nobody can name.
    of_all: Writes,
}

/// Writes of one row, or of all, that are under way or may still happen.
#[derive(Clone, Copy, Debug, Default)]
struct Writes {
    under_way: usize,
    /// Until when one that was never confirmed counts as under way.
    until_ms: u64,
}

/// A load under way, which its clones stand for as well.
pub(super) trait Load: Clone {
    /// Whether both stand for the same.
    fn is(&self, other: &Self) -> bool;
}

/// How a look-up goes on.
#[derive(Debug)]
pub(super) enum Entered<L> {
    /// It loads, and others join it.
    Leads(L),
    /// It waits for a load that is under way.
    Joins(L),
    /// It loads for itself alone, and nothing is cached.
    Alone,
}

/// Writes in one shard that were never confirmed; more stand for all rows.
const UNCONFIRMED_MAX: usize = 1_024;

impl<L: Load> Fence<L> {
    /// Returns a fence of so many shards, for so many loads in all.
    pub(super) fn new(shards: usize, loads_max: usize) -> Self {
        let shards = shards.max(1);
        let shard =
            || Shard { loads: HashMap::new(), writes: HashMap::new(), of_all: Writes::default() };
        Self {
            shards: (0..shards).map(|_| Mutex::new(shard())).collect(),
            hasher: RandomState::new(),
            loads_max: loads_max.div_ceil(shards),
            #[cfg(test)]
            is_removed: AtomicBool::default(),
        }
    }

    /// Joins the load of a key, or begins one, unless a write of it is under way.
    pub(super) fn enter(&self, key: &[u8], now_ms: u64, load: impl FnOnce() -> L) -> Entered<L> {
        let mut shard = self.shard(key);
        if shard.is_written(key, now_ms) {
            return Entered::Alone;
        }
        if let Some(load) = shard.loads.get(key) {
            return Entered::Joins(load.clone());
        }
        self.lead(&mut shard, key, load)
    }

    /// Begins a load of a key in the place of one that is under way, which is not cached then.
    pub(super) fn enter_anew(
        &self,
        key: &[u8],
        now_ms: u64,
        load: impl FnOnce() -> L,
    ) -> Entered<L> {
        let mut shard = self.shard(key);
        if shard.is_written(key, now_ms) {
            return Entered::Alone;
        }
        shard.loads.remove(key);
        self.lead(&mut shard, key, load)
    }

    /// Lets a load stand again that was removed, because it is about to read anew; says whether it
    /// does. What changed before that it will see, so nothing need have happened to it.
    pub(super) fn renew(&self, key: &[u8], load: &L, now_ms: u64) -> bool {
        let mut shard = self.shard(key);
        if shard.is_written(key, now_ms) {
            return false;
        }
        match shard.loads.get(key) {
            Some(other) => other.is(load),
            None if shard.loads.len() >= self.loads_max => false,
            None => {
                shard.loads.insert(key.into(), load.clone());
                true
            }
        }
    }

    /// Whether a write of a row is under way, or may still happen.
    pub(super) fn is_written(&self, key: &[u8], now_ms: u64) -> bool {
        self.shard(key).is_written(key, now_ms)
    }

    /// Ends a load, and calls `fill` if it still stands; says whether it did.
    ///
    /// `fill` runs under the lock that every write of the row takes: it caches, and does nothing else.
    pub(super) fn finish(&self, key: &[u8], load: &L, fill: impl FnOnce()) -> bool {
        let mut shard = self.shard(key);
        let stands = shard.loads.get(key).is_some_and(|other| other.is(load));
        #[cfg(test)]
        let stands = stands || self.is_removed.load(Ordering::Relaxed);
        if stands {
            shard.loads.remove(key);
            fill();
        }
        stands
    }

    /// Says that a row has changed: `remove` takes it out of the cache, under the lock.
    pub(super) fn invalidate(&self, key: &[u8], remove: impl FnOnce()) {
        let mut shard = self.shard(key);
        shard.loads.remove(key);
        remove();
    }

    /// Says that all rows may have changed: `clear` empties the cache, when no load stands any more.
    ///
    /// What is loaded from here on is cached. So `clear` must leave alone what is cached after it
    /// was called, and nothing else.
    pub(super) fn invalidate_all(&self, clear: impl FnOnce()) {
        let mut shards: Vec<_> = self.shards.iter().map(lock).collect();
        for shard in &mut shards {
            shard.loads.clear();
        }
        clear();
    }

    /// Says that a row is about to be written; [`end_write`](Self::end_write) follows.
    pub(super) fn begin_write(&self, key: &[u8], remove: impl FnOnce()) {
        let mut shard = self.shard(key);
        shard.loads.remove(key);
        shard.writes.entry(key.into()).or_default().under_way += 1;
        remove();
    }

    /// Says that a write has ended; one that was never confirmed counts as under way until then.
    pub(super) fn end_write(&self, key: &[u8], now_ms: u64, until_ms: u64) {
        let mut shard = self.shard(key);
        let Some(writes) = shard.writes.get_mut(key) else { return };
        writes.end(until_ms);
        if !writes.is_any(now_ms) {
            shard.writes.remove(key);
        } else if until_ms > now_ms {
            shard.bound(now_ms);
        }
    }

    /// Says that rows that nobody can name are about to be written.
    pub(super) fn begin_write_of_all(&self, clear: impl FnOnce()) {
        let mut shards: Vec<_> = self.shards.iter().map(lock).collect();
        for shard in &mut shards {
            shard.loads.clear();
            shard.of_all.under_way += 1;
        }
        clear();
    }

    /// Says that a write of all has ended, as [`end_write`](Self::end_write) does.
    pub(super) fn end_write_of_all(&self, until_ms: u64) {
        for shard in &self.shards {
            lock(shard).of_all.end(until_ms);
        }
    }

    fn lead(&self, shard: &mut Shard<L>, key: &[u8], load: impl FnOnce() -> L) -> Entered<L> {
        if shard.loads.len() >= self.loads_max {
            return Entered::Alone;
        }
        let load = load();
        shard.loads.insert(key.into(), load.clone());
        Entered::Leads(load)
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard<L>> {
        let at = match self.shards.len() {
            1 => 0,
            #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
            shards => self.hasher.hash_one(key) as usize % shards,
        };
        lock(&self.shards[at])
    }
}

impl<L> Shard<L> {
    fn is_written(&mut self, key: &[u8], now_ms: u64) -> bool {
        if self.of_all.is_any(now_ms) {
            return true;
        }
        match self.writes.get(key) {
            Some(writes) if writes.is_any(now_ms) => true,
            Some(_) => {
                self.writes.remove(key);
                false
            }
            None => false,
        }
    }

    /// Keeps writes that were never confirmed from growing without end.
    fn bound(&mut self, now_ms: u64) {
        if self.writes.len() <= UNCONFIRMED_MAX {
            return;
        }
        self.writes.retain(|_, writes| writes.is_any(now_ms));
        if self.writes.len() > UNCONFIRMED_MAX {
            let until_ms = self.writes.values().map(|writes| writes.until_ms).max();
            self.of_all.until_ms = self.of_all.until_ms.max(until_ms.unwrap_or(0));
            self.writes.retain(|_, writes| writes.under_way > 0);
        }
    }
}

impl Writes {
    fn is_any(self, now_ms: u64) -> bool {
        self.under_way > 0 || self.until_ms > now_ms
    }

    fn end(&mut self, until_ms: u64) {
        self.under_way = self.under_way.saturating_sub(1);
        self.until_ms = self.until_ms.max(until_ms);
    }
}

/// What runs under the lock moves values in and out of maps; a panic there leaves each entry whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
