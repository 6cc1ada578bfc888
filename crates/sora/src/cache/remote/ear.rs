//! What the shared tier tells this process.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

use sora_core::remote::{RemoteListener, RemoteName};

use super::names;
use super::table::RemoteTable;
use super::tier::Tier;
use crate::cache::numbers::count;

/// Hears what happens in the tier, as long as somebody uses it.
#[derive(Debug)]
pub(super) struct Ear(pub(super) Weak<Tier>);

impl RemoteListener for Ear {
    fn changed(&self, space: &str, key: &[u8]) {
        let Some(tier) = self.0.upgrade() else { return };
        count(&tier.told);
        let known = tier.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = known.tables.get(space) {
            table.changed(key);
            return;
        }
        if let Some(table) = known.tag_spaces.get(space) {
            return tier.tag_changed(table, &RemoteName::new(space, key));
        }
        if names::is_tagged(space) {
            let of_it = |table: &&Arc<RemoteTable>| *table.tagged.name.key == *key;
            return known.tables.values().filter(of_it).for_each(|table| table.tagged.forget());
        }
        let Some(generation) = known.generations.get(key) else { return };
        if *generation.name.space == *space {
            generation.forget();
            let of_it = |table: &&Arc<RemoteTable>| Arc::ptr_eq(&table.generation, generation);
            known.tables.values().filter(of_it).for_each(|table| table.changed_all());
        }
    }

    fn changed_all(&self) {
        if let Some(tier) = self.0.upgrade() {
            count(&tier.told);
            tier.tags.forget_all();
            tier.each(RemoteTable::changed_all);
        }
    }

    fn gap(&self, up: bool) {
        let Some(tier) = self.0.upgrade() else { return };
        count(&tier.gaps);
        tier.is_up.store(up, Ordering::Release);
        let known = tier.known.read().unwrap_or_else(PoisonError::into_inner);
        tier.tags.forget_all();
        known.generations.values().for_each(|generation| generation.forget());
        known.tables.values().for_each(|table| table.suspect());
        drop(known);
        if up {
            tier.breaker.close();
            tier.drain();
        }
    }
}
