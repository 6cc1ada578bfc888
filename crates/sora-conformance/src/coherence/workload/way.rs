//! The ways to write.

use sora::{Repository, Sora};
use sora_core::write::{Effect, Outcome, WriteReport};
use sora_core::{ErrorKind, Result};

use super::item::Item;
use crate::random::Random;

/// A way to write one or two rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Batch,
    BatchOfDeletes,
    Delete,
    DeleteMany,
    DeleteWhere,
    Insert,
    InsertOrIgnore,
    Patch,
    /// Only if the row is older: the store puts such writes into order.
    PatchOlder,
    PatchWhere,
    Rollback,
    Transaction,
    Update,
    Upsert,
    UpsertMany,
    UpsertOn,
}

/// Low ones are drawn more often where they are listed twice.
const WAYS: [Way; 20] = [
    Way::Batch,
    Way::BatchOfDeletes,
    Way::Delete,
    Way::Delete,
    Way::DeleteMany,
    Way::DeleteWhere,
    Way::Insert,
    Way::InsertOrIgnore,
    Way::Patch,
    Way::PatchOlder,
    Way::PatchOlder,
    Way::PatchOlder,
    Way::PatchWhere,
    Way::Rollback,
    Way::Transaction,
    Way::Update,
    Way::Upsert,
    Way::Upsert,
    Way::UpsertMany,
    Way::UpsertOn,
];

/// One row of a write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) id: usize,
    pub(super) version: u64,
}

impl Way {
    pub(super) fn draw(random: &mut Random) -> Self {
        *random.pick(&WAYS)
    }

    /// Whether it writes two rows.
    pub(super) fn is_double(self) -> bool {
        matches!(
            self,
            Self::Batch
                | Self::BatchOfDeletes
                | Self::DeleteMany
                | Self::Rollback
                | Self::Transaction
                | Self::UpsertMany
        )
    }

    /// Whether it deletes the row at a place.
    pub(super) fn deletes(self, at: usize) -> bool {
        match self {
            Self::BatchOfDeletes | Self::Delete | Self::DeleteMany | Self::DeleteWhere => true,
            Self::Batch | Self::Transaction => at == 1,
            _ => false,
        }
    }

    /// Writes, and says of each row whether it was written.
    pub(super) async fn write(
        self,
        store: &Sora,
        items: &Repository<Item>,
        changes: &[Change],
    ) -> Result<Vec<bool>> {
        let rows: Vec<Item> =
            changes.iter().map(|change| Item::new(change.id, change.version)).collect();
        let Some(row) = rows.first() else { return Ok(Vec::new()) };
        let last = rows.last().unwrap_or(row);
        let revision = || [Item::REVISION.set(row.revision)];
        let done = match self {
            Self::Batch => effects(items.batch().upsert(row).delete(last.id).commit().await?),
            Self::BatchOfDeletes => {
                effects(items.batch().delete(row.id).delete(last.id).commit().await?)
            }
            Self::Delete => vec![items.delete(row.id).await?],
            Self::DeleteMany => report(items.delete_many([row.id, last.id]).await?)?,
            Self::DeleteWhere => vec![items.delete_where(Item::ID.eq(row.id)).await? > 0],
            Self::Insert => vec![items.insert(row).await.map(|_| true)?],
            Self::InsertOrIgnore => vec![items.insert_or_ignore(row).await?.is_some()],
            Self::Patch => vec![is_done(items.patch(row.id, revision()).await?)],
            Self::PatchOlder => {
                let older = Item::ID.eq(row.id) & Item::REVISION.lt(row.revision);
                vec![items.patch_where(older, revision()).await? > 0]
            }
            Self::PatchWhere => {
                vec![items.patch_where(Item::ID.eq(row.id), revision()).await? > 0]
            }
            Self::Rollback | Self::Transaction => {
                let tx = store.begin().await?;
                let inside = items.within(&tx);
                let first = inside.upsert(row).await.map(is_done)?;
                let second = inside.delete(last.id).await?;
                if self == Self::Rollback {
                    tx.rollback().await?;
                    return Ok(vec![false, false]);
                }
                tx.commit().await?;
                vec![first, second]
            }
            Self::Update => vec![items.update(row).await.map(|_| true)?],
            Self::Upsert => vec![is_done(items.upsert(row).await?)],
            Self::UpsertMany => report(items.upsert_many(&rows).await?)?,
            Self::UpsertOn => {
                vec![is_done(items.upsert_on("coherence_items_name_key", row).await?)]
            }
        };
        Ok(done)
    }
}

/// Whether an error says that the row was not as the way needs it.
pub(super) fn is_refused(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::NotFound)
}

fn effects(effects: Vec<Effect>) -> Vec<bool> {
    effects.into_iter().map(is_done).collect()
}

fn report(report: WriteReport) -> Result<Vec<bool>> {
    let done = |outcome| match outcome {
        Outcome::Applied(effect) => Ok(is_done(effect)),
        Outcome::Unknown(error) => Err(error),
        _ => Ok(false),
    };
    report.outcomes.into_iter().map(done).collect()
}

fn is_done(effect: Effect) -> bool {
    !matches!(effect, Effect::Missing | Effect::Superseded | Effect::Unchanged)
}
