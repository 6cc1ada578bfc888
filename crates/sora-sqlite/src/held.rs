//! A connection for small reads; the statements of look-ups stay prepared beside it.
//!
//! A look-up by key takes some 8,300 instructions by hand, 1,200 of them to take its statement out of
//! rusqlite's cache by the hash of its text and to put it back. A statement that is held needs
//! neither. It borrows its connection, so both live in one cell.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rusqlite::{Connection, Statement};
use self_cell::self_cell;
use sora_core::read::{Access, Output, Read, ReadReport};
use sora_core::{Error, Result, RowSink};
use sora_sql::{Portion, render, select};

use crate::binder::Binder;
use crate::config::SqliteConfig;
use crate::connection::Link;
use crate::failure::store_error;
use crate::inline::Bound;
use crate::read;
use crate::statements::Statements;

/// A connection and the statements of the look-ups that it ran last.
pub(crate) struct Held {
    pair: Pair,
    /// For pages, and for the few look-ups that are not by one key.
    statements: Statements,
    bound: Bound,
}

self_cell!(
    struct Pair {
        owner: Connection,
        #[not_covariant]
        dependent: Lookups,
    }
);

type Lookups<'c> = Vec<Lookup<'c>>;

/// The statement of a look-up by one key.
struct Lookup<'c> {
    binding: u64,
    columns: Arc<[u16]>,
    statement: Statement<'c>,
}

/// Look-ups that are held: one for each table and list of columns, and few are used at a time.
const LOOKUPS_MAX: usize = 32;

// SAFETY: what is not `Send` in it are the statements: each holds a `&Connection`, and the connection
// is not `Sync`. They live in one cell with that connection, and nothing hands out either: whoever
// has the `Held` has all that refers to the connection, so that one thread at a time uses it, as
// `&mut self` and the mutex around it make sure. SQLite, opened without mutexes, asks for no more than
// that (<https://sqlite.org/threadsafe.html>, "multi-thread"), and a connection alone is `Send` for
// the same reason.
#[expect(unsafe_code, reason = "1,200 of 11,700 instructions of a look-up; see above")]
unsafe impl Send for Held {}

impl Held {
    pub(crate) fn new(link: Link, config: &SqliteConfig) -> Self {
        let Link { mut db, statements } = link;
        let bound = Bound::watch(&mut db, config.clock.clone());
        Self { pair: Pair::new(db, |_| Vec::new()), statements, bound }
    }

    /// Pushes the rows of a small read into a sink, as [`read::run`] does. `None` if it was stopped
    /// because the time was over, which is looked at now and then.
    #[inline]
    pub(crate) fn run_until(
        &mut self,
        until_us: u64,
        read: &Read,
        sink: &mut dyn RowSink,
    ) -> Option<Result<ReadReport>> {
        self.bound.set(until_us);
        let done = self.run(read, &AtomicU64::new(0), sink);
        // What was stopped in vain, at its very end, is done.
        (done.is_ok() || !self.bound.is_passed()).then_some(done)
    }

    /// Runs small reads in one transaction, if it is more than one, so that all see the same.
    pub(crate) fn together(&mut self, is_many: bool, run: impl FnOnce(&mut Self)) {
        if !is_many {
            return run(self);
        }
        // Where it cannot begin, each has one of its own.
        let _ = self.say("BEGIN");
        let transaction = Transaction(self);
        run(transaction.0);
    }

    fn say(&self, statement: &str) -> rusqlite::Result<usize> {
        self.pair.borrow_owner().prepare_cached(statement)?.execute(())
    }

    fn run(
        &mut self,
        read: &Read,
        pulled: &AtomicU64,
        sink: &mut dyn RowSink,
    ) -> Result<ReadReport> {
        if !is_lookup(read) {
            return read::run(self.pair.borrow_owner(), &mut self.statements, read, pulled, sink);
        }
        self.pair.with_dependent_mut(|db, lookups| {
            let at = |error: Error| error.with("table", read.binding.schema().table());
            let statement = held(db, lookups, read).map_err(at)?;
            let mut binder = Binder::new(statement);
            select::<sora_sql::Sqlite, _>(read, Portion::All, None, &mut binder);
            binder.finish().map_err(at)?;
            let mut gate = read.gate(sink);
            // A look-up has one row, and then there is nothing to go on with.
            let _ = read::step(statement, read, pulled, &mut gate)?;
            Ok(gate.report())
        })
    }
}

/// A transaction that ends with this, whatever happens: an open one would see what was, for ever.
struct Transaction<'a>(&'a mut Held);

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        let is_over = |held: &Held| held.pair.borrow_owner().is_autocommit();
        if !is_over(self.0) && self.0.say("COMMIT").is_err() && !is_over(self.0) {
            // It has written nothing.
            let _ = self.0.say("ROLLBACK");
        }
    }
}

/// Returns the statement of a look-up, prepared if it is new.
fn held<'l, 'c>(
    db: &'c Connection,
    lookups: &'l mut Lookups<'c>,
    read: &Read,
) -> Result<&'l mut Statement<'c>> {
    let is_same = |lookup: &Lookup<'_>| {
        lookup.binding == read.binding.id()
            && (Arc::ptr_eq(&lookup.columns, &read.columns) || lookup.columns == read.columns)
    };
    let place = match lookups.iter().position(is_same) {
        Some(place) => place,
        None => {
            let text = render::<sora_sql::Sqlite>(|out| {
                select::<sora_sql::Sqlite, _>(read, Portion::All, None, out);
            });
            let statement = db.prepare(&text).map_err(store_error)?;
            if lookups.len() >= LOOKUPS_MAX {
                lookups.remove(0);
            }
            let columns = read.columns.clone();
            lookups.push(Lookup { binding: read.binding.id(), columns, statement });
            lookups.len() - 1
        }
    };
    Ok(&mut lookups[place].statement)
}

/// Whether a read is of one key and of nothing else, so that table and columns are its shape.
pub(crate) fn is_lookup(read: &Read) -> bool {
    matches!(&read.access, Access::Keys(keys) if keys.len() == 1)
        && read.output == Output::Rows
        && read.filter.is_empty()
        && read.sort.is_empty()
        && read.after.is_none()
        && read.limit.is_none()
        && read.offset == 0
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}
