//! What a write takes out of the shared tier.

use std::collections::BTreeSet;
use std::sync::Arc;

use sora_core::Result;

use super::Tier;
use super::generation::Generation;
use super::patience::patiently;
use super::table::RemoteTable;

/// Keys of rows, as bytes.
type Keys = BTreeSet<Box<[u8]>>;

/// The rows of the shared tier that a write touches, to be taken out when it has ended.
///
/// Dropped before it has done so, it leaves that to the journal.
#[derive(Debug)]
pub(in crate::cache) struct RemoteTouched {
    tier: Arc<Tier>,
    rows: Vec<(Arc<RemoteTable>, Keys)>,
    tables: Vec<Arc<Generation>>,
    /// Tables with rows that nobody can name, should the write still happen.
    unnamed: Vec<Arc<Generation>>,
    /// How long the write may still happen, should nobody learn what became of it.
    unknown_time_ms: u64,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The write may still happen.
    Unknown,
    /// It has ended, and what it touched is not taken out yet.
    Known,
    /// Nothing is left to do.
    Told,
}

impl RemoteTouched {
    pub(in crate::cache) fn new(tier: Arc<Tier>) -> Self {
        let (rows, tables, unnamed) = (Vec::new(), Vec::new(), Vec::new());
        Self { tier, rows, tables, unnamed, unknown_time_ms: 0, outcome: Outcome::Told }
    }

    /// Adds rows of a table.
    pub(in crate::cache) fn rows(
        &mut self,
        table: &Arc<RemoteTable>,
        keys: &Keys,
        keys_max: usize,
    ) {
        if self.is_whole(&table.generation) {
            return;
        }
        let same = |(known, _): &(Arc<RemoteTable>, _)| Arc::ptr_eq(known, table);
        let at = match self.rows.iter().position(same) {
            Some(at) => at,
            None => {
                self.rows.push((table.clone(), Keys::new()));
                self.rows.len() - 1
            }
        };
        let known = &mut self.rows[at].1;
        known.extend(keys.iter().cloned());
        if known.len() > keys_max {
            self.table(table.generation.clone());
        }
    }

    /// Adds a table as a whole.
    pub(in crate::cache) fn table(&mut self, generation: Arc<Generation>) {
        if !self.is_whole(&generation) {
            self.rows.retain(|(table, _)| !Arc::ptr_eq(&table.generation, &generation));
            self.tables.push(generation);
        }
    }

    pub(in crate::cache) fn add(&mut self, other: Self, keys_max: usize) {
        let mut other = other;
        for generation in std::mem::take(&mut other.tables) {
            self.table(generation);
        }
        for (table, keys) in std::mem::take(&mut other.rows) {
            self.rows(&table, &keys, keys_max);
        }
    }

    pub(in crate::cache) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.tables.is_empty()
    }

    /// Says that the write touches rows of a table that cannot be named yet.
    pub(in crate::cache) fn unnamed(&mut self, table: &RemoteTable) {
        self.unnamed.push(table.generation.clone());
    }

    /// Says that the write begins, and how long it may still happen should nobody learn what became
    /// of it.
    pub(in crate::cache) fn begin(&mut self, unknown_time_ms: u64) {
        self.outcome = Outcome::Unknown;
        self.unknown_time_ms = unknown_time_ms;
    }

    /// Takes out what the write touched, now that it has ended, or leaves it to the journal. One
    /// round trip.
    pub(in crate::cache) async fn end(mut self) {
        self.outcome = Outcome::Known;
        if patiently(self.tier.config.wait_max_ms, self.tell()).await.is_ok() {
            self.outcome = Outcome::Told;
        }
    }

    async fn tell(&self) -> Result<()> {
        for generation in &self.tables {
            self.tier.bump(generation).await?;
        }
        for (table, keys) in &self.rows {
            let names: Vec<_> = keys.iter().map(|key| table.name(&**key)).collect();
            self.tier.remove(&names).await?;
        }
        Ok(())
    }

    fn is_whole(&self, generation: &Arc<Generation>) -> bool {
        self.tables.iter().any(|known| Arc::ptr_eq(known, generation))
    }
}

impl Drop for RemoteTouched {
    fn drop(&mut self) {
        let until_ms = match self.outcome {
            Outcome::Told => return,
            Outcome::Known => 0,
            Outcome::Unknown => self.tier.time.now_ms().saturating_add(self.unknown_time_ms),
        };
        let unnamed = self.unnamed.iter().filter(|_| self.outcome == Outcome::Unknown);
        for generation in self.tables.iter().chain(unnamed) {
            self.tier.journal.add_table(generation, until_ms);
        }
        for (table, keys) in &self.rows {
            self.tier.journal.add(table, keys.iter().map(|key| &**key), until_ms);
        }
        self.tier.drain();
    }
}
