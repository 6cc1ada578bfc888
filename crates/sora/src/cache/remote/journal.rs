//! Invalidations that could not be told yet.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::generation::Generation;
use super::table::RemoteTable;

/// What must be taken out of the shared tier, and is not yet, because the tier did not answer: the last
/// of each name, within a bound. Beyond it a table is invalidated as a whole.
///
/// As long as something is here, this process does not read it from the tier.
#[derive(Debug)]
pub(super) struct Journal {
    names_max: usize,
    /// How much there is; read without the lock, because nearly always there is nothing.
    len: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Arc<str>, Rows>,
    tables: BTreeMap<Box<[u8]>, Whole>,
    names: usize,
    /// Counts entries, so that one that was put in again is not taken for done.
    entries: u64,
    overflowed: u64,
}

/// Rows of one table.
#[derive(Debug)]
struct Rows {
    table: Arc<RemoteTable>,
    keys: BTreeMap<Box<[u8]>, Todo>,
}

/// A table to be invalidated as a whole.
#[derive(Debug)]
struct Whole {
    generation: Arc<Generation>,
    todo: Todo,
    /// Not before.
    due_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Todo {
    entry: u64,
    /// A write may happen until then: rows are kept from being filled, a table is invalidated again.
    until_ms: u64,
}

/// A part of it, to be done at once.
#[derive(Debug)]
pub(super) enum Work {
    /// Keys to be removed.
    Remove(Arc<RemoteTable>, Vec<(Box<[u8]>, u64)>),
    /// A key to be blocked for so long.
    Block(Arc<RemoteTable>, Box<[u8]>, u64, u64),
    /// A table to be invalidated.
    Bump(Arc<Generation>, u64),
}

/// Names of one call.
const BATCH_MAX: usize = 1_024;

impl Journal {
    pub(super) fn new(names_max: usize) -> Self {
        Self { names_max, len: AtomicUsize::new(0), state: Mutex::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// How often a table was put in as a whole because there were too many of its rows.
    pub(super) fn overflowed(&self) -> u64 {
        self.lock().overflowed
    }

    /// Whether a row is in here, or the whole of its table.
    pub(super) fn holds(&self, table: &RemoteTable, key: &[u8]) -> bool {
        if self.len() == 0 {
            return false;
        }
        let state = self.lock();
        state.tables.contains_key(&*table.generation.name.key)
            || state.rows.get(&table.space).is_some_and(|rows| rows.keys.contains_key(key))
    }

    /// Puts rows in, whose writes are known to have ended, or may happen until then.
    pub(super) fn add<'a>(
        &self,
        table: &Arc<RemoteTable>,
        keys: impl Iterator<Item = &'a [u8]>,
        until_ms: u64,
    ) {
        let mut state = self.lock();
        for key in keys {
            if state.names >= self.names_max {
                state.overflowed += 1;
                let until_ms = state.drop_rows(table).max(until_ms);
                state.add_table(&table.generation, until_ms);
                break;
            }
            state.add_row(table, key, until_ms);
        }
        self.len.store(state.len(), Ordering::Release);
    }

    /// Puts a table in as a whole.
    pub(super) fn add_table(&self, generation: &Arc<Generation>, until_ms: u64) {
        let mut state = self.lock();
        state.add_table(generation, until_ms);
        self.len.store(state.len(), Ordering::Release);
    }

    /// What can be done now. It stays until it is [`done`](Self::done).
    pub(super) fn next(&self, now_ms: u64) -> Option<Work> {
        let state = self.lock();
        if let Some(whole) = state.tables.values().find(|whole| whole.due_ms <= now_ms) {
            return Some(Work::Bump(whole.generation.clone(), whole.todo.entry));
        }
        let rows = state.rows.values().next()?;
        if let Some((key, todo)) = rows.keys.iter().find(|(_, todo)| todo.until_ms > now_ms) {
            let time_ms = todo.until_ms - now_ms;
            return Some(Work::Block(rows.table.clone(), key.clone(), todo.entry, time_ms));
        }
        let keys = rows.keys.iter().take(BATCH_MAX);
        let keys = keys.map(|(key, todo)| (key.clone(), todo.entry)).collect();
        Some(Work::Remove(rows.table.clone(), keys))
    }

    /// Takes out what was done, but for what was put in again meanwhile.
    pub(super) fn done(&self, work: Work, now_ms: u64) {
        let mut state = self.lock();
        match work {
            Work::Bump(generation, entry) => state.bumped(&generation, entry, now_ms),
            Work::Block(table, key, entry, _) => state.remove_row(&table, &key, entry),
            Work::Remove(table, keys) => {
                for (key, entry) in keys {
                    state.remove_row(&table, &key, entry);
                }
            }
        }
        self.len.store(state.len(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Maps that a panic leaves whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn len(&self) -> usize {
        self.names + self.tables.len()
    }

    fn entry(&mut self) -> u64 {
        self.entries += 1;
        self.entries
    }

    fn add_row(&mut self, table: &Arc<RemoteTable>, key: &[u8], until_ms: u64) {
        let entry = self.entry();
        let rows = self.rows.entry(table.space.clone()).or_insert_with(|| {
            let keys = BTreeMap::new();
            Rows { table: table.clone(), keys }
        });
        match rows.keys.entry(key.into()) {
            Entry::Occupied(mut held) => {
                let until_ms = held.get().until_ms.max(until_ms);
                held.insert(Todo { entry, until_ms });
            }
            Entry::Vacant(room) => {
                room.insert(Todo { entry, until_ms });
                self.names += 1;
            }
        }
    }

    fn remove_row(&mut self, table: &RemoteTable, key: &[u8], entry: u64) {
        let Some(rows) = self.rows.get_mut(&table.space) else { return };
        if rows.keys.get(key).is_some_and(|todo| todo.entry == entry) {
            rows.keys.remove(key);
            self.names -= 1;
        }
        if rows.keys.is_empty() {
            self.rows.remove(&table.space);
        }
    }

    /// Forgets the rows of a table, and returns until when the last of their writes may happen.
    fn drop_rows(&mut self, table: &RemoteTable) -> u64 {
        let Some(rows) = self.rows.remove(&table.space) else { return 0 };
        self.names -= rows.keys.len();
        rows.keys.values().map(|todo| todo.until_ms).max().unwrap_or(0)
    }

    fn add_table(&mut self, generation: &Arc<Generation>, until_ms: u64) {
        let entry = self.entry();
        let whole = self.tables.entry((*generation.name.key).into());
        let whole = whole.or_insert_with(|| {
            let todo = Todo { entry, until_ms };
            Whole { generation: generation.clone(), todo, due_ms: 0 }
        });
        whole.todo = Todo { entry, until_ms: whole.todo.until_ms.max(until_ms) };
        whole.due_ms = 0;
    }

    /// A table was invalidated; once more when no write may happen any more.
    fn bumped(&mut self, generation: &Generation, entry: u64, now_ms: u64) {
        let Some(whole) = self.tables.get_mut(&*generation.name.key) else { return };
        if whole.todo.entry != entry {
            return;
        }
        if whole.todo.until_ms > now_ms {
            whole.due_ms = whole.todo.until_ms;
        } else {
            self.tables.remove(&*generation.name.key);
        }
    }
}

#[cfg(all(test, not(sora_model)))]
mod tests {
    use sora_core::remote::RemoteName;

    use super::*;

    fn table(name: &str) -> Arc<RemoteTable> {
        let generation = |space| Arc::new(Generation::new(RemoteName::new(space, name.as_bytes())));
        Arc::new(RemoteTable::new(name.into(), generation("generations"), generation("tagged")))
    }

    fn keys<'a>(keys: &'a [&'a str]) -> impl Iterator<Item = &'a [u8]> {
        keys.iter().map(|key| key.as_bytes())
    }

    #[test]
    fn what_is_put_in_again_while_it_is_done_stays() {
        let (journal, items) = (Journal::new(10), table("items"));
        journal.add(&items, keys(&["a", "b"]), 0);
        assert!(journal.holds(&items, b"a") && !journal.holds(&items, b"c"));
        let work = journal.next(0).expect("two rows");
        journal.add(&items, keys(&["b"]), 0);
        journal.done(work, 0);
        assert!(!journal.holds(&items, b"a") && journal.holds(&items, b"b"));
        let work = journal.next(0).expect("one row");
        journal.done(work, 0);
        assert_eq!(journal.len(), 0);
        assert!(journal.next(0).is_none());
    }

    #[test]
    fn more_than_it_holds_is_a_whole_table_and_nothing_is_forgotten() {
        let (journal, items, others) = (Journal::new(2), table("items"), table("others"));
        journal.add(&others, keys(&["x"]), 0);
        journal.add(&items, keys(&["a", "b", "c"]), 500);
        assert_eq!((journal.len(), journal.overflowed()), (2, 1));
        assert!(journal.holds(&items, b"any") && journal.holds(&others, b"x"));
        assert!(!journal.holds(&others, b"y"));
        let Some(Work::Bump(generation, entry)) = journal.next(0) else { panic!("a table") };
        assert_eq!(*generation.name.key, *b"items");
        journal.done(Work::Bump(generation, entry), 0);
        assert!(journal.holds(&items, b"any"), "its writes may still happen");
        let next = journal.next(499).expect("the row of the other table");
        assert!(matches!(&next, Work::Remove(..)), "{next:?}");
        journal.done(next, 499);
        assert!(journal.next(499).is_none());
        let again = journal.next(500).expect("once more");
        journal.done(again, 500);
        assert_eq!(journal.len(), 0);
    }

    #[test]
    fn a_write_that_may_happen_blocks_its_row() {
        let (journal, items) = (Journal::new(9), table("items"));
        journal.add(&items, keys(&["a"]), 700);
        journal.add(&items, keys(&["a"]), 0);
        let work = journal.next(100).expect("a row");
        assert!(matches!(&work, Work::Block(_, key, _, 600) if **key == *b"a"), "{work:?}");
        let late = journal.next(700).expect("a row");
        assert!(matches!(&late, Work::Remove(..)), "{late:?}");
        journal.done(work, 100);
        assert_eq!(journal.len(), 0);
    }
}
