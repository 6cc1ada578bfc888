//! The cache of one entity, as its repository uses it.

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

use sora_core::{AsKey, Entity, Operation, Result, Row, RowBuffer, Source};

use super::memory::{Kept, Memory, Probe, typed};
use super::numbers::count;
use super::space::{Space, SpaceKey};
use super::touched::{Touched, UnderWay};
use super::{CacheMode, CacheNumbers};
use crate::Table;
use crate::key_bytes::KeyBytes;

/// The entities of a table in memory, and how the others are loaded.
pub(crate) struct EntityCache<E> {
    space: Arc<Space>,
    memory: Arc<Memory<E>>,
}

/// What memory answers: the entity, or that there is none.
struct Answer<E>(Option<Arc<E>>);

/// From where, and how, a look-up was called.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) table: &'a Table,
    pub(crate) mode: CacheMode,
    pub(crate) location: &'static Location<'static>,
}

impl<E: Kept> EntityCache<E> {
    pub(super) fn new(space: Arc<Space>, memory: Arc<Memory<E>>) -> Self {
        Self { space, memory }
    }

    /// Counts a look-up, and answers it if the row is fresh: one function for all types of keys.
    #[inline(never)]
    pub(super) fn fresh_by(
        &self,
        key: &[u8],
        table: &Table,
        location: &'static Location<'static>,
    ) -> Option<Arc<E>> {
        if self.space.counters.look_up() {
            self.sample(key, table, location);
        }
        self.memory.fresh(key, self.space.now_ms())
    }

    /// Tells the observers of one look-up that memory answers, in place of many: one that is measured
    /// apart, because the clock costs more than a look-up.
    #[cold]
    fn sample(&self, key: &[u8], table: &Table, location: &'static Location<'static>) {
        let now_ms = self.space.now_ms();
        let started = Instant::now();
        let probe = self.memory.probe(key, now_ms);
        let duration = started.elapsed();
        let is_there = match probe {
            Probe::Fresh(found) => found.is_some(),
            Probe::Aging(..) => true,
            Probe::Nothing => return,
        };
        table.sampled(Operation::Get, duration, is_there, location);
    }

    /// Answers a look-up that is no plain hit.
    pub(crate) async fn get(
        &self,
        key: RowBuffer,
        call: Call<'_>,
    ) -> Result<(Option<Arc<E>>, Source)> {
        let key = SpaceKey::new(key)?;
        if call.mode.reads()
            && let Some(Answer(found)) = self.settle(&key.bytes, || Ok(key.clone()), call)
        {
            return Ok((found, Source::Memory));
        }
        let loaded = self.space.load(call.table, key, call.mode, call.location).await?;
        Ok((loaded.value.map(typed::<E>).transpose()?, loaded.source))
    }

    /// Returns one slot for each key, in their order.
    pub(crate) async fn get_many(
        &self,
        keys: &RowBuffer,
        call: Call<'_>,
    ) -> Result<Vec<Option<Arc<E>>>> {
        let mut slots: Vec<Option<Arc<E>>> = vec![None; keys.len()];
        let mut missed = Vec::new();
        let mut places: Vec<Vec<usize>> = Vec::new();
        let mut known: HashMap<Box<[u8]>, usize> = HashMap::new();
        for (place, cells) in keys.iter().enumerate() {
            let key = || {
                let mut one = RowBuffer::new(cells.width());
                one.push(&cells).map(|()| one)
            };
            let bytes = KeyBytes::of(&cells)?;
            if let Some(at) = known.get(bytes.as_slice()) {
                places[*at].push(place);
                continue;
            }
            if call.mode.reads() {
                let bytes = bytes.as_slice();
                if let Some(hit) = self.fresh_by(bytes, call.table, call.location) {
                    slots[place] = Some(hit);
                    continue;
                }
                let key = || key().and_then(SpaceKey::new);
                if let Some(Answer(known)) = self.settle(bytes, key, call) {
                    slots[place] = known;
                    continue;
                }
            }
            known.insert(bytes.as_slice().into(), missed.len());
            missed.push(SpaceKey::new(key()?)?);
            places.push(vec![place]);
        }
        if missed.is_empty() {
            return Ok(slots);
        }
        let loaded = self.space.load_many(call.table, missed, call.mode, call.location).await?;
        for (found, places) in loaded.into_iter().zip(places) {
            let Some(found) = found.value.map(typed::<E>).transpose()? else { continue };
            for place in places {
                slots[place] = Some(found.clone());
            }
        }
        Ok(slots)
    }

    /// Takes one key out, here and in the tier that processes share.
    pub(crate) async fn invalidate(&self, key: RowBuffer) -> Result<()> {
        let key = SpaceKey::new(key)?.bytes;
        UnderWay::begin(Touched::row(&self.space, (&*key).into()), None, 0).end(true).await;
        Ok(())
    }

    /// Takes all out likewise.
    pub(crate) async fn invalidate_all(&self) {
        UnderWay::begin(Touched::all(&self.space), None, 0).end(true).await;
    }

    /// Takes all rows out whose column has a value, likewise.
    pub(crate) async fn invalidate_tag(&self, column: u16, value: &[u8]) -> Result<()> {
        self.space.invalidate_tag(column, value).await
    }

    /// How late a write by another process is seen at most, in milliseconds.
    pub(crate) fn staleness_max_ms(&self) -> u64 {
        self.space.staleness_max_ms()
    }

    pub(crate) fn numbers(&self) -> CacheNumbers {
        self.space.numbers()
    }

    /// Caches whatever is loaded from here on: to see that tests notice.
    #[cfg(all(test, feature = "derive", not(sora_model)))]
    pub(crate) fn fence_is_removed(&self, is_removed: bool) {
        self.space.fence.is_removed.store(is_removed, std::sync::atomic::Ordering::Relaxed);
    }

    /// Answers from all that is known, and counts it. `key` gives the key to load.
    fn settle(
        &self,
        bytes: &[u8],
        key: impl FnOnce() -> Result<SpaceKey>,
        call: Call<'_>,
    ) -> Option<Answer<E>> {
        let now_ms = self.space.now_ms();
        let probe = self.memory.probe(bytes, now_ms);
        let counters = &self.space.counters;
        let found = match probe {
            Probe::Fresh(Some(found)) => Some(found),
            Probe::Fresh(None) => {
                count(&counters.missing_hits);
                None
            }
            Probe::Aging(found, is_stale) => {
                if is_stale {
                    count(&counters.stale);
                }
                if call.mode.fills()
                    && let Ok(key) = key()
                {
                    self.space.refresh(call.table, key, call.mode, call.location);
                }
                Some(found)
            }
            Probe::Nothing => {
                count(&counters.misses);
                return None;
            }
        };
        Some(Answer(found))
    }
}

impl<E: Entity> EntityCache<E> {
    /// Answers a look-up of a fresh row. Nothing here waits or allocates.
    #[inline]
    pub(crate) fn fresh<K: AsKey<E::Key>>(&self, key: &K, call: Call<'_>) -> Option<Arc<E>> {
        if !call.mode.reads() {
            return None;
        }
        if let Some(text) = key.text_key() {
            // A key of one text is its bytes.
            return self.fresh_by(text.as_bytes(), call.table, call.location);
        }
        let mut bytes = KeyBytes::new();
        // What is no key is refused where it is loaded.
        key.encode_key(&mut bytes).ok()?;
        self.fresh_by(bytes.as_slice(), call.table, call.location)
    }
}

impl<E> Clone for EntityCache<E> {
    fn clone(&self) -> Self {
        Self { space: self.space.clone(), memory: self.memory.clone() }
    }
}

impl<E> fmt::Debug for EntityCache<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntityCache").field("space", &self.space).finish_non_exhaustive()
    }
}
