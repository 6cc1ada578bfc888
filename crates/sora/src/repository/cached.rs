//! What a repository keeps in memory.

use std::panic::Location;
use std::sync::Arc;

use sora_core::{AsKey, Entity, Result, RowBuffer};

use super::Repository;
use crate::cache::{CacheMode, CacheNumbers, Call, EntityCache, Miss};
use crate::collect::DecodeOne;

#[expect(clippy::needless_pass_by_value, reason = "keys are given by value or reference")]
impl<E: Entity> Repository<E> {
    /// Returns the repository with look-ups that use the cache in this way. No round trip.
    pub fn cache_mode(&self, mode: CacheMode) -> Self {
        Self { cache_mode: mode, ..self.clone() }
    }

    /// What the cache of the entity has done, and what it holds; none if it is not cached.
    pub fn cache_numbers(&self) -> Option<CacheNumbers> {
        self.cache.as_ref().map(EntityCache::numbers)
    }

    /// Takes the row with a key out of the cache, because something that Sora does not see has
    /// written it.
    ///
    /// A look-up that begins when this has returned does not give what was there before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](sora_core::ErrorKind::InvalidInput) if it is no key of the table.
    pub fn invalidate<K: AsKey<E::Key>>(&self, key: K) -> Result<()> {
        let key = self.table.key(|out| key.encode_key(out))?;
        self.cache.as_ref().map_or(Ok(()), |cache| cache.invalidate(key))
    }

    #[cfg(all(test, feature = "derive", not(sora_model)))]
    pub(crate) fn fence_is_removed(&self, is_removed: bool) {
        self.cache.iter().for_each(|cache| cache.fence_is_removed(is_removed));
    }

    /// Takes all rows of the entity out of the cache, likewise.
    pub fn invalidate_all(&self) {
        if let Some(cache) = &self.cache {
            cache.invalidate_all();
        }
    }

    /// Answers a look-up that was no plain hit.
    pub(super) async fn get_cached(
        &self,
        cache: &EntityCache<E>,
        key: Result<RowBuffer>,
        miss: Miss,
        location: &'static Location<'static>,
    ) -> Result<Option<Arc<E>>> {
        if self.cache_mode != CacheMode::Bypass {
            let call = Call { table: &self.table, mode: self.cache_mode, location };
            return cache.get(key?, miss, call).await;
        }
        let mut sink = DecodeOne { row: None, decode: |row| E::decode(row) };
        self.table.get_at(key?, false, &mut sink, location).await?;
        Ok(sink.row)
    }
}
