//! Several writes of one entity that happen together or not at all.

use std::panic::Location;

use sora_core::write::{Effect, OnConflict};
use sora_core::{AsKey, Assign, Entity, Insert, Result};

use crate::table::Batch;
use crate::{Expect, Repository};

/// Writes that are collected and then done in one transaction, in the order in which they were
/// added.
#[derive(Debug)]
#[must_use = "nothing is written before `commit`"]
pub struct EntityBatch<'a, E> {
    repository: &'a Repository<E>,
    batch: Batch<'a>,
}

impl<'a, E: Entity> EntityBatch<'a, E> {
    pub(crate) fn new(repository: &'a Repository<E>) -> Self {
        Self { repository, batch: repository.table().batch() }
    }

    /// Adds a new row.
    pub fn insert(mut self, row: impl Insert<E>) -> Self {
        self.batch.push(self.repository.insertion([row], OnConflict::Fail));
        self
    }

    /// Adds a row, or replaces the one with its key.
    pub fn upsert(mut self, row: impl Insert<E>) -> Self {
        self.batch.push(self.repository.insertion([row], self.repository.by_key()));
        self
    }

    /// Replaces the row with the entity's key, if the version fits.
    pub fn update(mut self, entity: &E) -> Self {
        self.batch.push(self.repository.update_of(entity));
        self
    }

    /// Changes some columns of the row with a key.
    pub fn patch(
        mut self,
        key: impl AsKey<E::Key>,
        changes: impl IntoIterator<Item = Assign<E>>,
    ) -> Self {
        self.batch.push(self.repository.patch_of(key, changes, Expect::Any));
        self
    }

    /// Removes the row with a key.
    pub fn delete(mut self, key: impl AsKey<E::Key>) -> Self {
        self.batch.push(self.repository.deletion([key], Expect::Any));
        self
    }

    /// Does all writes in one transaction and returns what each did, in order. A round trip for each
    /// write, and one for the commit.
    ///
    /// A row that is missing is an effect, not a failure: [`Effect::Missing`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](sora_core::ErrorKind::Unsupported) without transactions; the error
    /// of the first write that failed, whose place in the batch it names. Then nothing was written.
    #[track_caller]
    pub fn commit(self) -> impl Future<Output = Result<Vec<Effect>>> + Send + use<'a, E> {
        self.batch.commit_at(Location::caller())
    }
}
