//! What all chunks of a batch have in common: table, mode and the budget of repetitions.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sora_core::provider::Session;
use sora_core::write::{Change, OnConflict, Target};
use sora_core::{Result, RowBuffer};

use super::chunk::{Chunk, Identity};
use super::{BatchMode, BatchOptions};
use crate::Table;

/// What all chunks of a batch have in common.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) table: Table,
    pub(super) mode: BatchMode,
    pub(super) columns: Arc<[u16]>,
    pub(super) identity: Identity,
    pub(super) options: BatchOptions,
    pub(super) location: &'static Location<'static>,
    /// Chunks that were sent, and repetitions that were allowed.
    pub(super) chunks: AtomicU64,
    pub(super) retries: AtomicU64,
}

/// Repetitions that need no chunks to have gone before them.
const RETRIES_FREE: u64 = 10;
impl Delivery {
    /// Opens the transaction of an atomic stream.
    pub(super) async fn open(&self) -> Result<Box<dyn Session>> {
        self.table.pass_writers(self.location).await?;
        self.table.own_session().await
    }

    /// Returns the write of some rows of a chunk.
    pub(super) fn change(&self, chunk: &Chunk, places: &[u32]) -> Result<Change> {
        Ok(self.change_of(chunk.pick(places)?))
    }

    /// Returns the write of rows.
    pub(super) fn change_of(&self, rows: Arc<RowBuffer>) -> Change {
        let columns = self.columns.clone();
        let schema = self.table.schema();
        match self.mode {
            BatchMode::Upsert => {
                let on_conflict = OnConflict::Update(schema.key().into());
                Change::Insert { rows, columns, on_conflict }
            }
            BatchMode::Insert => Change::Insert { rows, columns, on_conflict: OnConflict::Fail },
            BatchMode::InsertOrIgnore => {
                Change::Insert { rows, columns, on_conflict: OnConflict::Ignore }
            }
            BatchMode::Update => {
                let check_version = self.checks_version();
                Change::Update { rows, columns, check_version }
            }
            BatchMode::Delete => Change::Delete { target: Target::keys(rows), version: None },
        }
    }

    /// Whether a row is only replaced if it has the version that is given.
    pub(super) fn checks_version(&self) -> bool {
        let version = self.table.schema().version();
        self.mode == BatchMode::Update && version.is_some_and(|at| self.columns.contains(&at))
    }

    /// Whether the same rows written twice leave the table as it is after once.
    pub(super) fn is_idempotent(&self) -> bool {
        let counts_writes = self.table.schema().version().is_some();
        match self.mode {
            BatchMode::Insert => false,
            BatchMode::InsertOrIgnore => self.identity.is_given(),
            BatchMode::Upsert | BatchMode::Update => !counts_writes,
            BatchMode::Delete => true,
        }
    }

    /// Takes a repetition from the budget.
    pub(super) fn spend(&self) -> bool {
        let percent = u64::from(self.options.retries_percent);
        let chunks = self.chunks.load(Ordering::Relaxed);
        let allowed = chunks.saturating_mul(percent) / 100 + RETRIES_FREE;
        let spend = |spent| (spent < allowed).then_some(spent + 1);
        self.retries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }
}

impl BatchOptions {
    /// How long to wait before a repetition: between nothing and twice as long as the one before
    /// ("full jitter" of M. Brooker, Exponential Backoff and Jitter, 2015).
    pub(super) fn pause(&self, attempts: u32) -> Duration {
        let longest =
            self.backoff.saturating_mul(1 << attempts.min(20)).min(self.backoff_max).as_nanos();
        let part = (longest * u128::from(self.clock.random())) >> 64;
        Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
    }
}
