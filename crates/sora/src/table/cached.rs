//! Look-ups of rows that are cached.

use std::panic::Location;

use sora_core::{Result, Row, RowBuffer, RowSink};

use super::Table;
use crate::cache::{CacheMode, CachedRow, Call, EntityCache, are_keys};

impl Table {
    pub(super) async fn get_cached(
        &self,
        key: RowBuffer,
        sink: &mut dyn RowSink,
        location: &'static Location<'static>,
    ) -> Result<bool> {
        let Some(cache) = self.row_cache(&key)? else {
            return self.get_at(key, false, sink, location).await;
        };
        // Apart, so that the future of a look-up without a cache is small.
        let found = Box::pin(cache.row(key, self.call(location))).await?;
        match found.as_ref().and_then(|found| found.row()) {
            Some(row) => sink.row(&row).map(|_| true),
            None => Ok(false),
        }
    }

    pub(super) async fn get_many_cached<F>(
        &self,
        keys: RowBuffer,
        mut row: F,
        location: &'static Location<'static>,
    ) -> Result<()>
    where
        F: FnMut(usize, &dyn Row) -> Result<()> + Send,
    {
        let Some(cache) = self.row_cache(&keys)? else {
            return self.get_many_at(keys, row, location).await;
        };
        let found = Box::pin(cache.get_many(&keys, self.call(location))).await?;
        for (place, found) in found.iter().enumerate() {
            if let Some(found) = found.as_ref().and_then(|found| found.row()) {
                row(place, &found)?;
            }
        }
        Ok(())
    }

    /// Has look-ups make fewer and larger round trips, because those behind a cache that processes share
    /// come together: all that one reply of it has left to be loaded.
    pub(crate) fn gather_look_ups(&self) {
        if let Some(lookups) = &self.inner.lookups {
            lookups.work().gather();
        }
    }

    /// The cache that answers for these keys; none inside a transaction, and where nothing is cached.
    fn row_cache(&self, keys: &RowBuffer) -> Result<Option<&EntityCache<CachedRow>>> {
        let Some(caches) = self.store().caches.as_ref() else { return Ok(None) };
        if self.transaction().is_some() || !are_keys(self.schema(), keys) {
            return Ok(None);
        }
        if let Some(known) = self.inner.rows.get() {
            return Ok(known.as_ref());
        }
        let live = self.live();
        let opened =
            if live.is_view { None } else { caches.open::<CachedRow>(self.schema(), &live)? };
        Ok(self.inner.rows.get_or_init(|| opened).as_ref())
    }

    fn call(&self, location: &'static Location<'static>) -> Call<'_> {
        Call { table: self, mode: CacheMode::Use, location }
    }
}
