//! A store in the process's own memory: the reference for what every other store must answer.

mod catalogue;
mod change;
mod scan;
mod session;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use async_lock::Mutex;

use self::session::MemorySession;
use self::table::Table;
use crate::plan::{Negotiation, Support};
use crate::provider::{Administer, Administered, Capability, Provider, Session, SessionOptions};
use crate::read::{Read, ReadReport};
use crate::write::{Change, Write, WriteReport};
use crate::{Binding, Error, ErrorKind, LiveTable, Result, RowSink, Timestamp};

/// A store that lives as long as the process.
///
/// Clones share one store. Reads work on a snapshot and never wait for a writer; one writer works
/// at a time. A session that writes is the writer from its opening to its end: another one, or a write
/// beside it, waits for that end, so a task that holds a session writes through it alone. One that only
/// reads has a snapshot and keeps nobody waiting.
///
/// A write copies the table once for each snapshot that a read or a session still holds.
#[derive(Clone)]
pub struct Memory {
    store: Arc<Store>,
}

struct Store {
    /// What is committed. Locked only to take a snapshot or to change it, never over a sink.
    tables: RwLock<Tables>,
    /// Held by the one writer.
    gate: Arc<Mutex<()>>,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

type Tables = BTreeMap<Box<str>, Arc<Table>>;

impl Memory {
    /// The most rows or keys of one read or write.
    pub const ROWS_MAX: usize = 10_000;

    /// How long whoever uses the store should let a write wait for a session. The store itself knows
    /// no time, and lets it wait until the session ends.
    pub const WRITER_WAIT_MS: u32 = 5_000;

    /// Returns an empty store that tells the time by the system's clock.
    pub fn new() -> Self {
        Self::with_clock(system_time)
    }

    /// Returns an empty store that tells the time by a clock of the caller's.
    pub fn with_clock(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let store =
            Store { tables: RwLock::default(), gate: Arc::default(), clock: Box::new(clock) };
        Self { store: Arc::new(store) }
    }

    fn snapshot(&self) -> Tables {
        self.store.tables.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn table(&self, binding: &Binding) -> Result<Arc<Table>> {
        let tables = self.store.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.get(&binding.live().name).cloned().ok_or_else(|| no_table(binding))
    }

    /// Runs `change` on what is committed. It runs under the lock, so it calls no foreign code.
    fn change<T>(&self, change: impl FnOnce(&mut Tables) -> T) -> T {
        change(&mut self.store.tables.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn now(&self) -> Timestamp {
        (self.store.clock)()
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables = self.snapshot();
        f.debug_struct("Memory").field("tables", &tables.keys()).finish_non_exhaustive()
    }
}

impl Provider for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capability(&self) -> Capability {
        Capability {
            aggregates: true,
            atomic_writes: true,
            count: true,
            keyset: true,
            keys_max: Self::ROWS_MAX,
            lookup_lanes: 0,
            native: false,
            read_only: false,
            reads_ahead: false,
            residual: true,
            returning: true,
            rows_max: Self::ROWS_MAX,
            transactions: true,
            write_lanes: 0,
            writer_wait_ms: Some(Self::WRITER_WAIT_MS),
        }
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        for term in ask.terms_mut() {
            term.set(Support::Exact);
        }
        ask.set_sort(Support::Exact);
        ask.set_aggregation(Support::Exact);
        ask.set_limit_each(Support::Exact);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        scan::check_access(read)?;
        scan::run(&*self.table(&read.binding)?, read, sink)
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        let _gate = self.store.gate.lock().await;
        let now = self.now();
        let mut done =
            self.change(|tables| change::apply(table_mut(tables, write)?, write, now))?;
        if let Err(error) = done.hand_out(sink) {
            // Nobody else has written in between: the gate is still held.
            self.change(|tables| table_mut(tables, write).map(|table| done.undo(table)))?;
            return Err(error);
        }
        Ok(done.report)
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        Ok(catalogue::describe(&self.snapshot(), table))
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        match task {
            Administer::Ensure(schema) => {
                let _gate = self.store.gate.lock().await;
                self.change(|tables| catalogue::ensure(tables, schema)).map(Administered::Ensured)
            }
            Administer::Explain { read, analyze } => {
                let table = self.table(&read.binding)?;
                scan::explain(&table, read, *analyze).map(Administered::Explained)
            }
            Administer::Ping => Ok(Administered::Answered),
            Administer::Pools => Ok(Administered::Pools(Vec::new())),
        }
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        let gate = match options.read_only {
            true => None,
            false => Some(self.store.gate.lock_arc().await),
        };
        Ok(Box::new(MemorySession::new(self.clone(), options, gate)))
    }
}

fn table_mut<'t>(tables: &'t mut Tables, write: &Write) -> Result<&'t mut Table> {
    if matches!(write.change, Change::Native(_)) {
        return Err(no_language());
    }
    let table =
        tables.get_mut(&write.binding.live().name).ok_or_else(|| no_table(&write.binding))?;
    Ok(Arc::make_mut(table))
}

fn no_table(binding: &Binding) -> Error {
    let message = "there is no such table in memory; `ensure_schema` creates it";
    Error::new(ErrorKind::NotFound, message).with("table", &binding.live().name)
}

/// The error of a statement in a language that a store without one is asked to run.
fn no_language() -> Error {
    let message = "the store in memory has no language of its own; ask by filters";
    Error::new(ErrorKind::Unsupported, message)
}

fn system_time() -> Timestamp {
    let now = SystemTime::now();
    let micros = match now.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |past| -past),
    };
    let nearest = micros.clamp(Timestamp::MIN.micros(), Timestamp::MAX.micros());
    Timestamp::from_micros(nearest).unwrap_or(Timestamp::MIN)
}
