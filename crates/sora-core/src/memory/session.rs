//! A transaction: a copy of the tables that replaces them when it is committed.

use std::fmt;

use async_lock::MutexGuardArc;

use super::{Memory, Tables, change, no_table, scan, table_mut};
use crate::provider::{BoxFuture, Isolation, Savepoint, Session, SessionOptions};
use crate::read::{Read, ReadReport};
use crate::write::{Write, WriteReport};
use crate::{Error, ErrorKind, Result, RowSink};

/// A session on a [`Memory`]: dropped, its copy goes and nothing has happened.
pub(super) struct MemorySession {
    memory: Memory,
    tables: Tables,
    is_changed: bool,
    read_only: bool,
    savepoints: Vec<(u16, Tables)>,
    /// None if it only reads.
    _gate: Option<MutexGuardArc<()>>,
}

impl MemorySession {
    pub(super) fn new(
        memory: Memory,
        options: SessionOptions,
        gate: Option<MutexGuardArc<()>>,
    ) -> Self {
        Self {
            tables: memory.snapshot(),
            memory,
            is_changed: false,
            read_only: options.read_only,
            savepoints: Vec::new(),
            _gate: gate,
        }
    }

    fn step(&mut self, step: Savepoint) -> Result<()> {
        let (Savepoint::Set(depth) | Savepoint::Release(depth) | Savepoint::RollBack(depth)) = step;
        if let Savepoint::Set(_) = step {
            self.savepoints.push((depth, self.tables.clone()));
            return Ok(());
        }
        let place = self.savepoints.iter().rposition(|(other, _)| *other == depth);
        let Some(place) = place else {
            let message = format!("there is no savepoint {depth} in this transaction");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        };
        // Those that were set inside it go with it.
        let mut inside = self.savepoints.drain(place..);
        if let (Savepoint::RollBack(_), Some((_, tables))) = (step, inside.next()) {
            self.tables = tables;
        }
        Ok(())
    }

    fn apply(&mut self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        if self.read_only {
            let message = "the transaction was begun to read only";
            return Err(Error::new(ErrorKind::ReadOnly, message));
        }
        let now = self.memory.now();
        let table = table_mut(&mut self.tables, write)?;
        let mut done = change::apply(table, write, now)?;
        if let Err(error) = done.hand_out(sink) {
            done.undo(table);
            return Err(error);
        }
        self.is_changed |= done.report.affected > 0;
        Ok(done.report)
    }
}

impl Session for MemorySession {
    /// One session at a time writes, and one that reads has a snapshot.
    fn isolation(&self) -> Isolation {
        Isolation::Serializable
    }

    fn read<'a>(
        &'a mut self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        Box::pin(async move {
            scan::check_access(read)?;
            let table = self.tables.get(&read.binding.live().name);
            scan::run(table.ok_or_else(|| no_table(&read.binding))?, read, sink)
        })
    }

    fn write<'a>(
        &'a mut self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        Box::pin(async move { self.apply(write, sink) })
    }

    fn savepoint(&mut self, step: Savepoint) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.step(step) })
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let Self { memory, tables, is_changed, _gate, .. } = *self;
            if is_changed {
                // Nothing else has changed since the snapshot: the gate was held all the time.
                memory.change(|committed| *committed = tables);
            }
            Ok(())
        })
    }

    fn rollback(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            drop(self);
            Ok(())
        })
    }
}

impl fmt::Debug for MemorySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySession")
            .field("is_changed", &self.is_changed)
            .finish_non_exhaustive()
    }
}
