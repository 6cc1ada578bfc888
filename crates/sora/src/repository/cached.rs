//! What a repository keeps in memory.

use std::panic::Location;
use std::sync::Arc;

use sora_core::{AsKey, ColumnType, Entity, Field, Operand, Result, Source};

use super::Repository;
use super::look_up::look_up_from;
use crate::cache::{CacheMode, CacheNumbers, EntityCache};
use crate::key_bytes::KeyBytes;

/// The answer to a look-up, and where it comes from.
#[derive(Debug)]
#[non_exhaustive]
pub struct LookUp<E> {
    /// The entity, or that there is none.
    pub entity: Option<Arc<E>>,
    /// Where it was found.
    pub source: Source,
    /// How late, at most, it tells of a write by another process: 0 if it comes from the store. See
    /// [`Repository::cache_staleness_max_ms`].
    pub staleness_max_ms: u64,
}

#[expect(clippy::needless_pass_by_value, reason = "keys are given by value or reference")]
impl<E: Entity> Repository<E> {
    /// Returns the repository with look-ups that use the cache in this way. No round trip.
    pub fn cache_mode(&self, mode: CacheMode) -> Self {
        Self { cache_mode: mode, ..self.clone() }
    }

    /// How late a write by another process is seen, at most, in milliseconds; none if the entity is not
    /// cached. Writes of this process are always seen at once.
    ///
    /// Where the processes share a [`RemoteCache`](crate::RemoteCache), it holds as long as whoever
    /// writes reaches it; else, and for who does not write through Sora, times to live are the bound.
    pub fn cache_staleness_max_ms(&self) -> Option<u64> {
        self.cache.as_ref().map(EntityCache::staleness_max_ms)
    }

    /// Looks a key up as [`get`](Repository::get) does, and says where the answer comes from.
    #[track_caller]
    pub fn look_up<K: AsKey<E::Key> + Send>(
        &self,
        key: K,
    ) -> impl Future<Output = Result<LookUp<E>>> + Send {
        let location = Location::caller();
        async move {
            let (entity, source) = look_up_from(self, key, location).await?;
            let staleness_max_ms = match source {
                Source::Store => 0,
                _ => self.cache_staleness_max_ms().unwrap_or(0),
            };
            Ok(LookUp { entity, source, staleness_max_ms })
        }
    }

    /// What the cache of the entity has done, and what it holds; none if it is not cached.
    pub fn cache_numbers(&self) -> Option<CacheNumbers> {
        self.cache.as_ref().map(EntityCache::numbers)
    }

    /// Takes the row with a key out of the cache, because something that Sora does not see has
    /// written it. One round trip to the cache that processes share, if there is one.
    ///
    /// A look-up that begins when this has returned does not give what was there before; on another
    /// node, when that has been told.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](sora_core::ErrorKind::InvalidInput) if it is no key of the table.
    /// A shared cache that is away is told when it is back.
    pub fn invalidate<K: AsKey<E::Key>>(
        &self,
        key: K,
    ) -> impl Future<Output = Result<()>> + Send + use<'_, E, K> {
        let key = self.table.key(|out| key.encode_key(out));
        async move {
            match &self.cache {
                Some(cache) => cache.invalidate(key?).await,
                None => key.map(drop),
            }
        }
    }

    #[cfg(all(test, feature = "derive", not(sora_model)))]
    pub(crate) fn fence_is_removed(&self, is_removed: bool) {
        self.cache.iter().for_each(|cache| cache.fence_is_removed(is_removed));
    }

    /// Takes all rows of the entity out of the cache, likewise.
    pub async fn invalidate_all(&self) {
        if let Some(cache) = &self.cache {
            cache.invalidate_all().await;
        }
    }

    /// Takes all rows whose field has a value out of the cache, likewise: it must be one that
    /// [`CachePolicy::tag_by`](crate::CachePolicy::tag_by) names. Two round trips to the cache that
    /// processes share.
    ///
    /// Other processes take all rows of the entity out of their memory, and find those of other values
    /// in the cache that they share.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](sora_core::ErrorKind::InvalidInput) if the column tags no rows.
    pub fn invalidate_tag<T: ColumnType, V: Operand<T::Base>>(
        &self,
        field: Field<E, T>,
        value: V,
    ) -> impl Future<Output = Result<()>> + Send + use<'_, E, T, V> {
        let mut key = KeyBytes::new();
        let value = value.encode(&mut key).map(|()| key);
        async move {
            match &self.cache {
                Some(cache) => cache.invalidate_tag(field.column(), value?.as_slice()).await,
                None => Ok(()),
            }
        }
    }
}
