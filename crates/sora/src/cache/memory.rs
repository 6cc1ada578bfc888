//! The rows of one table in memory, as values of one entity.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use sora_core::{Cell, CellSink, Entity, Error, ErrorKind, Result, Row};

use super::CachePolicy;
use super::tags::Tag;
use crate::key_bytes::{HitKey, KeyBytes, KeyRef, OwnKey};

/// A value of an entity whose type is not known here.
pub(crate) type Erased = Arc<dyn Any + Send + Sync>;

/// The entities of a table by the bytes of their keys, and the keys that have none.
pub(crate) struct Memory<E> {
    present: Cache<OwnKey, Held<E>, ByBytes>,
    missing: Cache<OwnKey, Times>,
    /// What was cached before it changed is not fresh any more, and is taken out when it is met.
    era: AtomicU64,
    /// The era that began when all was last known to have changed: what is older is not handed out
    /// for an error either.
    cleared: AtomicU64,
    policy: CachePolicy,
    /// What an entry weighs at least, so that the bound of bytes is one of entries as well.
    weight_min: u64,
}

/// What is kept of a row: an entity, or the row as it is.
pub(crate) trait Kept: Sized + Send + Sync + 'static {
    /// Makes it of a row.
    fn of(row: &dyn Row) -> Result<Self>;

    /// Writes its cells.
    fn cells(&self, out: &mut dyn CellSink) -> Result<()>;

    /// Which of them is that of a column that tags rows.
    fn place(tag: &Tag) -> usize;
}

impl<E: Entity> Kept for E {
    fn of(row: &dyn Row) -> Result<Self> {
        Self::decode(row)
    }

    fn cells(&self, out: &mut dyn CellSink) -> Result<()> {
        self.encode(out)
    }

    fn place(tag: &Tag) -> usize {
        usize::from(tag.column)
    }
}

/// What the parts of the cache do that know no entity.
pub(crate) trait MemoryTier: fmt::Debug + Send + Sync {
    /// Makes a row an entity, and says how many bytes its cells have.
    fn decode(&self, row: &dyn Row) -> Result<(Erased, u64)>;

    /// Puts in what a load gave; says whether it is there now.
    fn fill(&self, key: &[u8], value: Option<&(Erased, u64)>, lives: Lives) -> bool;

    /// Takes a key out, because its row was written.
    fn remove(&self, key: &[u8]);

    /// Takes all out.
    fn clear(&self);

    /// Takes out all rows whose tag has this value, as the bytes of a key.
    fn remove_tagged(&self, tag: &Tag, value: &[u8]);

    /// Takes all for possibly changed: nothing is fresh any more, and all may be handed out because
    /// the store has failed.
    fn suspect(&self);

    /// What may be handed out of a key because the store has failed.
    fn stale(&self, key: &[u8], now_ms: u64) -> Option<Erased>;

    /// How many entries there are, and the bytes that they are counted with.
    fn size(&self) -> (u64, u64);
}

/// From when on an entry is old, in milliseconds of the cache's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "units come last")]
pub(crate) struct Lives {
    /// From here on it is loaded again in the background.
    pub(super) refresh_ms: u64,
    /// From here on it is stale.
    pub(super) fresh_ms: u64,
    /// From here on it is gone.
    pub(super) gone_ms: u64,
}

/// What is known of a key.
#[derive(Debug)]
pub(crate) enum Probe<E> {
    /// The row, or that there is none.
    Fresh(Option<Arc<E>>),
    /// The row, which is to be loaded again in the background; and whether it is stale already.
    Aging(Arc<E>, bool),
    /// Nothing that can be handed out.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    lives: Lives,
    era: u64,
}

struct Held<E> {
    value: Arc<E>,
    times: Times,
    weight: u64,
}

#[derive(Clone, Debug)]
struct ByBytes;

/// What an entry needs beside its cells: its place in the map, its key's and its value's headers.
const OVERHEAD_BYTES: u64 = 160;

/// The longest key of which it is kept that it has no row: whoever asks for rows chooses it.
const MISSING_KEY_BYTES_MAX: usize = 1_024;

impl<E: Kept> Memory<E> {
    pub(super) fn new(policy: CachePolicy) -> Self {
        let entries = policy.entries_max.max(1);
        let bytes = policy.bytes_max.max(1);
        let weight_min = (bytes / entries as u64).max(1);
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(entries).weight_capacity(bytes);
        // It fails only without the two numbers that are given.
        let present = match options.build() {
            Ok(options) => Cache::with_options(
                options,
                ByBytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            Err(_) => Cache::with_weighter(entries, bytes, ByBytes),
        };
        let missing = Cache::new(policy.missing_entries_max.max(1));
        let (era, cleared) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { present, missing, era, cleared, policy, weight_min }
    }

    /// Looks for a fresh row. No allocation, no lock but that of the map's part.
    ///
    /// The map's code is put in here, as long as nobody else asks for a [`HitKey`].
    #[inline]
    pub(super) fn fresh(&self, key: &[u8], now_ms: u64) -> Option<Arc<E>> {
        let held = self.present.get(&HitKey(key))?;
        let is_fresh = now_ms < held.times.lives.refresh_ms && self.is_current(held.times);
        is_fresh.then_some(held.value)
    }

    /// Looks for all that is known of a key, and leaves it as used as it is.
    pub(super) fn probe(&self, key: &[u8], now_ms: u64) -> Probe<E> {
        match self.present.peek(&KeyRef(key)) {
            Some(held) if now_ms < held.times.lives.refresh_ms && self.is_current(held.times) => {
                Probe::Fresh(Some(held.value))
            }
            Some(held) => self.probe_aging(held, now_ms),
            None => self.probe_missing(key, now_ms),
        }
    }

    #[cold]
    fn probe_aging(&self, held: Held<E>, now_ms: u64) -> Probe<E> {
        let Lives { fresh_ms, .. } = held.times.lives;
        let served_ms = fresh_ms.saturating_add(self.policy.stale_while_revalidate_ms);
        match self.is_current(held.times) && now_ms < served_ms {
            true => Probe::Aging(held.value, now_ms >= fresh_ms),
            false => Probe::Nothing,
        }
    }

    fn probe_missing(&self, key: &[u8], now_ms: u64) -> Probe<E> {
        match self.missing.get(&KeyRef(key)) {
            Some(times) if now_ms < times.lives.fresh_ms && self.is_current(times) => {
                Probe::Fresh(None)
            }
            _ => Probe::Nothing,
        }
    }

    #[inline]
    fn is_current(&self, times: Times) -> bool {
        times.era == self.era.load(Ordering::Acquire)
    }
}

impl<E: Kept> MemoryTier for Memory<E> {
    fn decode(&self, row: &dyn Row) -> Result<(Erased, u64)> {
        let mut bytes = size_of::<E>() as u64 + OVERHEAD_BYTES;
        for position in 0..row.width() {
            bytes += match row.cell(position)? {
                Cell::Text(text) | Cell::Json(text) => text.len() as u64,
                Cell::Bytes(held) => held.len() as u64,
                _ => 0,
            };
        }
        Ok((Arc::new(E::of(row)?), bytes))
    }

    fn fill(&self, key: &[u8], value: Option<&(Erased, u64)>, lives: Lives) -> bool {
        // Whatever else was known of the key is not true any more, also where nothing is kept.
        self.missing.remove(&KeyRef(key));
        let times = Times { lives, era: self.era.load(Ordering::Acquire) };
        let Some((value, bytes)) = value else {
            self.present.remove(&KeyRef(key));
            let fits = key.len() <= MISSING_KEY_BYTES_MAX;
            if fits && self.policy.missing_entries_max > 0 && lives.gone_ms > 0 {
                self.missing.insert(OwnKey::new(key), times);
            }
            return fits;
        };
        let weight = (bytes + key.len() as u64).max(self.weight_min);
        let fits = weight <= self.present.shard_capacity() && self.policy.entries_max > 0;
        match value.clone().downcast::<E>() {
            Ok(value) if fits && lives.gone_ms > 0 => {
                self.present.insert(OwnKey::new(key), Held { value, times, weight });
                true
            }
            _ => {
                self.present.remove(&KeyRef(key));
                fits
            }
        }
    }

    fn remove(&self, key: &[u8]) {
        self.missing.remove(&KeyRef(key));
        if !self.policy.stale_after_write {
            self.present.remove(&KeyRef(key));
        } else if let Some(mut held) = self.present.peek(&KeyRef(key)) {
            // Never fresh again, and kept for when the store fails.
            held.times.era = u64::MAX;
            self.present.insert(OwnKey::new(key), held);
        }
    }

    fn clear(&self) {
        let era = self.era.fetch_add(1, Ordering::AcqRel) + 1;
        self.cleared.fetch_max(era, Ordering::AcqRel);
    }

    fn remove_tagged(&self, tag: &Tag, value: &[u8]) {
        self.present.retain(|_, held| {
            let mut cell = OneCell { left: E::place(tag), key: KeyBytes::new() };
            // What cannot be told is taken out.
            held.value.cells(&mut cell).is_ok() && cell.key.as_slice() != value
        });
        // Of what is not there it is not known whether it would have the value.
        self.missing.clear();
    }

    fn suspect(&self) {
        self.era.fetch_add(1, Ordering::AcqRel);
    }

    fn stale(&self, key: &[u8], now_ms: u64) -> Option<Erased> {
        let held = self.present.peek(&KeyRef(key))?;
        let cleared = self.cleared.load(Ordering::Acquire);
        let is_allowed = self.policy.stale_after_write || held.times.era >= cleared;
        (is_allowed && now_ms < held.times.lives.gone_ms).then_some(held.value as Erased)
    }

    fn size(&self) -> (u64, u64) {
        (self.present.len() as u64, self.present.weight())
    }
}

impl Lives {
    /// How long what is loaded now lives, with some of its time taken off by chance.
    pub(super) fn new(policy: &CachePolicy, is_there: bool, now_ms: u64, chance: u64) -> Self {
        let time_ms = match is_there {
            true => policy.time_to_live_ms,
            false => policy.missing_time_to_live_ms,
        };
        if time_ms == 0 {
            return Self { refresh_ms: 0, fresh_ms: 0, gone_ms: 0 };
        }
        if time_ms == u64::MAX {
            return Self { refresh_ms: u64::MAX, fresh_ms: u64::MAX, gone_ms: u64::MAX };
        }
        let share = |percent: u8| u128::from(time_ms) * u128::from(percent) / 100;
        // Of a whole jitter, as much as the lot says: never all of a time that is not 0.
        let jitter = (share(policy.jitter_percent) * u128::from(chance >> 32)) >> 32;
        let small = |time: u128| u64::try_from(time).unwrap_or(u64::MAX);
        let lives_ms = time_ms.saturating_sub(small(jitter)).max(1);
        let fresh_ms = now_ms.saturating_add(lives_ms);
        let early_ms = match is_there {
            true => small(share(policy.refresh_early_percent)),
            false => 0,
        };
        let extra_ms = match is_there {
            true => policy.stale_while_revalidate_ms.max(policy.stale_if_error_ms),
            false => 0,
        };
        Self {
            refresh_ms: fresh_ms.saturating_sub(early_ms).max(now_ms.saturating_add(1)),
            fresh_ms,
            gone_ms: fresh_ms.saturating_add(extra_ms),
        }
    }

    /// The same, but fresh for so long from then at most; how long it may be handed out behind that stays.
    pub(super) fn at_most(self, from_ms: u64, time_ms: u64) -> Self {
        let until_ms = from_ms.saturating_add(time_ms);
        if self.fresh_ms <= until_ms {
            return self;
        }
        let extra_ms = self.gone_ms - self.fresh_ms;
        Self {
            refresh_ms: self.refresh_ms.min(until_ms),
            fresh_ms: until_ms,
            gone_ms: until_ms.saturating_add(extra_ms),
        }
    }
}

impl<E> Clone for Held<E> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), times: self.times, weight: self.weight }
    }
}

impl<E> Weighter<OwnKey, Held<E>> for ByBytes {
    fn weight(&self, _: &OwnKey, held: &Held<E>) -> u64 {
        held.weight
    }
}

impl<E> fmt::Debug for Memory<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Takes one cell of a row as a key; a null is none.
struct OneCell {
    left: usize,
    key: KeyBytes,
}

impl CellSink for OneCell {
    fn cell(&mut self, cell: Cell<'_>) -> Result<()> {
        let is_it = self.left == 0;
        self.left = self.left.wrapping_sub(1);
        match cell {
            cell if is_it && !matches!(cell, Cell::Null) => self.key.cell(cell),
            _ => Ok(()),
        }
    }
}

/// Returns a value as one of its entity.
pub(super) fn typed<E: Kept>(value: Erased) -> Result<Arc<E>> {
    value.downcast::<E>().map_err(|_| {
        Error::new(ErrorKind::Internal, "the cache of one entity holds a value of another")
    })
}
