//! The generations of tags: what invalidates all rows of one value at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sora_core::Result;
use sora_core::remote::RemoteName;

use super::generation::Generation;
use super::patience::patiently;
use super::table::RemoteTable;
use super::tier::Tier;
use crate::cache::tags::{TAGS_MAX, TagNames};

/// What is known of the generations of tags. More than the bound are forgotten, and asked for again.
#[derive(Debug)]
pub(super) struct Tags {
    tags_max: usize,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<RemoteName, (u64, u64)>,
    /// How often something was forgotten: what was asked for before is not learnt after.
    forgotten: u64,
}

/// The generations of what tags a row, by the tag's place; 0 where nothing does.
pub(super) type TagNumbers = [u64; TAGS_MAX];

impl Tags {
    pub(super) fn new(tags_max: usize) -> Self {
        Self { tags_max: tags_max.max(1), known: Mutex::default() }
    }

    pub(super) fn forget(&self, name: &RemoteName) {
        let mut known = self.lock();
        known.numbers.remove(name);
        known.forgotten = known.forgotten.wrapping_add(1);
    }

    pub(super) fn forget_all(&self) {
        let mut known = self.lock();
        known.numbers.clear();
        known.forgotten = known.forgotten.wrapping_add(1);
    }

    /// Those of some names that are known; and which are not.
    fn look_up<'a>(
        &self,
        names: impl Iterator<Item = &'a RemoteName>,
        now_ms: u64,
    ) -> (Vec<RemoteName>, u64) {
        let known = self.lock();
        let is_unknown =
            |name: &&RemoteName| known.numbers.get(*name).is_none_or(|(_, until)| *until <= now_ms);
        let mut unknown: Vec<RemoteName> = names.filter(is_unknown).cloned().collect();
        unknown
            .sort_unstable_by(|one, other| (&one.space, &one.key).cmp(&(&other.space, &other.key)));
        unknown.dedup();
        (unknown, known.forgotten)
    }

    fn learn(&self, names: Vec<RemoteName>, numbers: &[u64], forgotten: u64, until_ms: u64) {
        let mut known = self.lock();
        if known.forgotten != forgotten {
            return;
        }
        if known.numbers.len() + names.len() > self.tags_max {
            known.numbers.clear();
        }
        let numbers = numbers.iter().map(|number| (*number, until_ms));
        known.numbers.extend(names.into_iter().zip(numbers));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // A map that a panic leaves whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The invalidation of a tag. Dropped before its end, or if it fails, the journal invalidates the
/// whole table.
#[derive(Debug)]
pub(in crate::cache) struct RemoteTag<'a> {
    tier: &'a Arc<Tier>,
    table: &'a Arc<RemoteTable>,
    tag: RemoteName,
    is_done: bool,
}

impl<'a> RemoteTag<'a> {
    pub(in crate::cache) fn new(
        tier: &'a Arc<Tier>,
        table: &'a Arc<RemoteTable>,
        tag: RemoteName,
    ) -> Self {
        Self { tier, table, tag, is_done: false }
    }

    pub(in crate::cache) async fn bump(mut self) {
        let bump = self.tier.bump_tag(self.table, &self.tag);
        self.is_done = patiently(self.tier.config.wait_max_ms, bump).await.is_ok();
    }
}

impl Drop for RemoteTag<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.tier.journal.add_table(&self.table.generation, 0);
            self.tier.drain();
        }
    }
}

impl Tier {
    /// The generations of what tags some rows. One round trip, if any is not known.
    pub(super) async fn tag_numbers(&self, rows: &[&TagNames]) -> Result<Vec<TagNumbers>> {
        let names = rows.iter().flat_map(|names| names.iter().flatten());
        let (unknown, forgotten) = self.tags.look_up(names, self.time.now_ms());
        let mut fresh = HashMap::new();
        if !unknown.is_empty() {
            let numbers = self.counters(&unknown).await?;
            fresh.extend(unknown.iter().cloned().zip(numbers.iter().copied()));
            self.tags.learn(unknown, &numbers, forgotten, self.told_until_ms());
        }
        let known = self.tags.lock();
        let number = |name: &RemoteName| {
            // One that was forgotten since is no generation of any row.
            let number = || known.numbers.get(name).map(|(number, _)| *number);
            fresh.get(name).copied().or_else(number).unwrap_or(u64::MAX)
        };
        let numbers = |names: &&TagNames| {
            let mut numbers = TagNumbers::default();
            for (slot, name) in numbers.iter_mut().zip(names.iter()) {
                *slot = name.as_ref().map_or(0, number);
            }
            numbers
        };
        Ok(rows.iter().map(numbers).collect())
    }

    /// Invalidates all rows of a table with a tag.
    ///
    /// The number that counts all such calls is changed first: who loads a row asks for it before the
    /// row, and again after the tag's. If it is the same, no call that changed the tag in between can
    /// have been about a row that was read before.
    pub(super) async fn bump_tag(&self, table: &RemoteTable, tag: &RemoteName) -> Result<()> {
        self.bump(&table.tagged).await?;
        let bumped = self.bump_names(std::slice::from_ref(tag)).await;
        self.tags.forget(tag);
        bumped
    }

    /// The number that counts the invalidations of a table's tags, as the tier has it now.
    pub(super) async fn tagged_now(&self, tagged: &Generation) -> Result<u64> {
        Ok(self.counters(std::slice::from_ref(&tagged.name)).await?[0])
    }

    /// A tag of a table has changed.
    pub(super) fn tag_changed(&self, table: &Arc<RemoteTable>, tag: &RemoteName) {
        self.tags.forget(tag);
        // Which rows in memory have it is not known here.
        table.changed_rows();
    }
}
