//! The rows of the workload.

use sora::Entity;

/// A row that says its version.
#[derive(Clone, Debug, Entity)]
#[sora(table = "coherence_items", unique(name))]
pub(crate) struct Item {
    #[sora(key)]
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) revision: i64,
}

impl Item {
    pub(crate) fn new(id: usize, version: u64) -> Self {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Self { id: number(id as u64), name: format!("item {id}"), revision: number(version) }
    }

    pub(crate) fn version(&self) -> u64 {
        u64::try_from(self.revision).unwrap_or(0)
    }
}
