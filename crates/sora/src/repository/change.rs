//! Entities, keys and assignments as changes of their table.

use std::sync::Arc;

use sora_core::write::{Change, OnConflict, Target};
use sora_core::{
    AsKey, Assign, Assignment, Entity, Error, ErrorKind, Insert, Intake, Result, RowBuffer,
};

use super::{Expect, Repository};

impl<E: Entity> Repository<E> {
    pub(crate) fn insertion<I: Insert<E>>(
        &self,
        rows: impl IntoIterator<Item = I>,
        on_conflict: OnConflict,
    ) -> Result<Change> {
        let mut intake = self.table.intake(I::COLUMNS);
        for row in rows {
            intake.row(|out| row.encode(out))?;
        }
        let columns = intake.columns().clone();
        Ok(Change::Insert { rows: Arc::new(intake.finish()), columns, on_conflict })
    }

    pub(crate) fn update_of(&self, entity: &E) -> Result<Change> {
        let schema = self.table.schema();
        let mut intake = Intake::stored(schema, schema.visible().collect());
        intake.row(|out| entity.encode(out))?;
        let columns = intake.columns().clone();
        let check_version = schema.version().is_some();
        Ok(Change::Update { rows: Arc::new(intake.finish()), columns, check_version })
    }

    pub(crate) fn patch_of<K: AsKey<E::Key>>(
        &self,
        key: K,
        changes: impl IntoIterator<Item = Assign<E>>,
        expect: Expect,
    ) -> Result<Change> {
        let assignments = self.table.check_assignments(&assignments(changes)?)?;
        let version = self.version(expect)?;
        Ok(Change::Patch {
            target: Target::keys(Arc::new(self.keys([key])?)),
            assignments,
            version,
        })
    }

    pub(crate) fn deletion<K: AsKey<E::Key>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        expect: Expect,
    ) -> Result<Change> {
        let version = self.version(expect)?;
        Ok(Change::Delete { target: Target::keys(Arc::new(self.keys(keys)?)), version })
    }

    pub(crate) fn by_key(&self) -> OnConflict {
        OnConflict::Update(self.table.schema().key().into())
    }

    fn version(&self, expect: Expect) -> Result<Option<i64>> {
        match expect {
            Expect::Any => Ok(None),
            Expect::Version(version) if self.table.schema().version().is_some() => {
                Ok(Some(version))
            }
            Expect::Version(_) => {
                let message = "the entity has no version column: mark one with #[sora(version)]";
                Err(Error::new(ErrorKind::InvalidInput, message).with("table", self.table.name()))
            }
        }
    }

    pub(super) fn keys<K: AsKey<E::Key>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<RowBuffer> {
        let mut intake = self.table.key_intake()?;
        for key in keys {
            intake.row(|out| key.encode_key(out))?;
        }
        Ok(intake.finish())
    }
}

pub(crate) fn assignments<E>(
    changes: impl IntoIterator<Item = Assign<E>>,
) -> Result<Vec<Assignment>> {
    changes.into_iter().map(Assign::into_assignment).collect()
}
