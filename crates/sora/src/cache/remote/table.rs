//! What the shared tier holds of one table.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use sora_core::remote::RemoteName;
use tokio::sync::Notify;

use super::generation::Generation;
use crate::cache::space::Space;

/// The rows of one table in the shared tier, and the caches of this process that hear of them.
#[derive(Debug)]
pub(crate) struct RemoteTable {
    /// What the names of its rows are part of.
    pub(super) space: Arc<str>,
    pub(in crate::cache) generation: Arc<Generation>,
    /// Counts the invalidations of its tags.
    pub(super) tagged: Arc<Generation>,
    members: RwLock<Vec<Weak<Space>>>,
    /// Who waits until somebody else has loaded a row.
    waiting: Mutex<Waiting>,
    /// How many keys these are.
    waited_for: AtomicUsize,
}

/// Whom to wake for which rows.
type Waiting = HashMap<Box<[u8]>, Vec<Arc<Notify>>>;

/// Wakes one who waits for any of some rows, until it is dropped.
#[derive(Debug)]
pub(super) struct Await<'a> {
    table: &'a RemoteTable,
    keys: Vec<Box<[u8]>>,
    pub(super) notify: Arc<Notify>,
}

impl RemoteTable {
    pub(super) fn new(
        space: Arc<str>,
        generation: Arc<Generation>,
        tagged: Arc<Generation>,
    ) -> Self {
        Self {
            space,
            generation,
            tagged,
            members: RwLock::default(),
            waiting: Mutex::default(),
            waited_for: AtomicUsize::new(0),
        }
    }

    pub(super) fn name(&self, key: impl Into<Arc<[u8]>>) -> RemoteName {
        RemoteName { space: self.space.clone(), key: key.into() }
    }

    pub(in crate::cache) fn join(&self, space: &Arc<Space>) {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(space));
    }

    /// A row has changed.
    pub(super) fn changed(&self, key: &[u8]) {
        self.each(|space| space.told(key));
        if self.waited_for.load(Ordering::Acquire) > 0
            && let Some(notified) = self.waiting().get(key)
        {
            for notify in notified {
                notify.notify_one();
            }
        }
    }

    /// All rows may have.
    pub(super) fn changed_all(&self) {
        self.generation.forget();
        self.tagged.forget();
        self.changed_rows();
    }

    /// Any rows may have, but not what invalidates all.
    pub(super) fn changed_rows(&self) {
        self.each(Space::told_all);
        self.wake();
    }

    /// What was read before is suspect.
    pub(super) fn suspect(&self) {
        self.generation.forget();
        self.tagged.forget();
        self.each(Space::suspect);
        self.wake();
    }

    /// Registers who waits for rows.
    pub(super) fn wait(&self, keys: Vec<Box<[u8]>>) -> Await<'_> {
        let notify = Arc::new(Notify::new());
        let mut waiting = self.waiting();
        for key in &keys {
            waiting.entry(key.clone()).or_default().push(notify.clone());
        }
        self.waited_for.store(waiting.len(), Ordering::Release);
        drop(waiting);
        Await { table: self, keys, notify }
    }

    fn wake(&self) {
        for notify in self.waiting().values().flatten() {
            notify.notify_one();
        }
    }

    fn each(&self, told: impl Fn(&Space)) {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        members.iter().filter_map(Weak::upgrade).for_each(|space| told(&space));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A map that a panic leaves whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Await<'_> {
    fn drop(&mut self) {
        let mut waiting = self.table.waiting();
        for key in &self.keys {
            if let Some(notified) = waiting.get_mut(key) {
                notified.retain(|notify| !Arc::ptr_eq(notify, &self.notify));
                if notified.is_empty() {
                    waiting.remove(key);
                }
            }
        }
        self.table.waited_for.store(waiting.len(), Ordering::Release);
    }
}
