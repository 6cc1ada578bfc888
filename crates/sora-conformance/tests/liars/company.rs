//! Sessions that write at the same time, on a store in memory that has one writer.

use std::sync::{Arc, Mutex};

use sora_core::memory::Memory;
use sora_core::provider::{
    Administer, BoxFuture, Isolation, Provider, Savepoint, Session, SessionOptions,
};
use sora_core::read::{Read, ReadReport};
use sora_core::write::{Change, OnConflict, Write, WriteReport};
use sora_core::{Binding, Error, ErrorKind, LiveTable, Result, RowBuffer, RowSink, Value};

use crate::provider::{Cells, Rows, now};

/// What sessions at the same time do wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CompanyLie {
    None,
    /// They see what others write.
    Dirty,
    /// They see what others commit.
    Unrepeatable,
    /// They overwrite what others committed.
    LosesUpdates,
    /// They write by what others have changed since.
    Skews,
}

/// A session on a copy of the store, whose writes are done again on the store at its commit. It loses
/// if another has changed, since it began, a row that it has written; serializable, anything at all.
#[derive(Debug)]
pub(crate) struct Copied {
    store: Memory,
    lie: CompanyLie,
    options: SessionOptions,
    copy: Memory,
    /// The rows when it began.
    before: Vec<(LiveTable, Vec<Cells>)>,
    written: Vec<Write>,
    savepoints: Vec<(u16, usize)>,
    /// Its own copy is the one with its number.
    open: Copies,
    number: usize,
}

/// The copies of all sessions.
pub(crate) type Copies = Arc<Mutex<Vec<Memory>>>;

impl Copied {
    pub(crate) fn open(
        store: Memory,
        lie: CompanyLie,
        options: SessionOptions,
        open: Copies,
    ) -> Self {
        let copy = copy_of(&store);
        let mut copies = open.lock().expect("not poisoned");
        let number = copies.len();
        copies.push(copy.clone());
        drop(copies);
        let before = contents(&store);
        let (written, savepoints) = (Vec::new(), Vec::new());
        Self { store, lie, options, copy, before, written, savepoints, open, number }
    }

    /// Does writes on the copies of the other sessions, too.
    fn tell_others(&self, writes: &[Write]) {
        for (number, copy) in self.open.lock().expect("not poisoned").iter().enumerate() {
            if number != self.number {
                do_all(copy, writes);
            }
        }
    }

    fn has_lost(&self) -> bool {
        let after = contents(&self.store);
        let changed: Vec<&Cells> = self
            .before
            .iter()
            .flat_map(|(live, rows)| {
                let now = after.iter().find(|(other, _)| other.name == live.name);
                let now = now.map_or(&[][..], |(_, rows)| rows);
                rows.iter().filter(move |row| !now.contains(row))
            })
            .collect();
        let own = |row: &&Cells| self.written.iter().any(|write| is_about(write, row));
        match (self.lie, self.options.isolation) {
            (CompanyLie::LosesUpdates, _) | (_, Isolation::ReadCommitted) => false,
            (CompanyLie::Skews, _) | (_, Isolation::RepeatableRead) => changed.iter().any(own),
            _ => !changed.is_empty(),
        }
    }
}

/// Whether a write is of the row with that id, the first column.
fn is_about(write: &Write, row: &Cells) -> bool {
    match &write.change {
        Change::Patch { target, .. } | Change::Delete { target, .. } => {
            let keys = target.keys.as_ref();
            keys.is_some_and(|keys| keys.iter().any(|key| key.get(0).to_value() == row[0]))
        }
        Change::Update { rows, .. } => rows.iter().any(|new| new.get(0).to_value() == row[0]),
        _ => false,
    }
}

fn do_all(store: &Memory, writes: &[Write]) {
    for write in writes {
        // What it returns was returned before; what it conflicts with here is not its matter.
        drop(now(Provider::write(store, write, &mut RowBuffer::new(width(write)))));
    }
}

fn width(write: &Write) -> usize {
    write.returning.as_ref().map_or(0, |columns| columns.len())
}

fn bound(live: LiveTable) -> Arc<Binding> {
    let schema = Arc::new(live.to_schema().expect("a schema"));
    Arc::new(Binding::new(schema, Arc::new(live)).expect("a binding"))
}

fn rows_of(store: &Memory, binding: &Arc<Binding>, sink: &mut dyn RowSink) {
    let scan = Read::new(binding.clone(), binding.schema().visible().collect());
    now(Provider::read(store, &scan, sink)).expect("read");
}

fn contents(store: &Memory) -> Vec<(LiveTable, Vec<Cells>)> {
    let tables = now(Provider::describe(store, None)).expect("described");
    let rows = |live: LiveTable| {
        let mut rows = Rows(Vec::<Vec<Value>>::new());
        rows_of(store, &bound(live.clone()), &mut rows);
        (live, rows.0)
    };
    tables.into_iter().map(rows).collect()
}

fn copy_of(store: &Memory) -> Memory {
    let copy = Memory::new();
    for live in now(Provider::describe(store, None)).expect("described") {
        let binding = bound(live);
        let ensure = Administer::Ensure(binding.schema().clone());
        now(Provider::administer(&copy, &ensure)).expect("made");
        let columns: Arc<[u16]> = binding.schema().visible().collect();
        let mut rows = RowBuffer::new(columns.len());
        rows_of(store, &binding, &mut rows);
        let fill = Change::Insert { rows: Arc::new(rows), columns, on_conflict: OnConflict::Fail };
        do_all(&copy, &[Write::new(binding, fill)]);
    }
    copy
}

impl Session for Copied {
    fn isolation(&self) -> Isolation {
        self.options.isolation
    }

    fn read<'a>(
        &'a mut self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        Box::pin(Provider::read(&self.copy, read, sink))
    }

    fn write<'a>(
        &'a mut self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        if self.options.read_only {
            let error = Error::new(ErrorKind::ReadOnly, "it only reads");
            return Box::pin(std::future::ready(Err(error)));
        }
        self.written.push(write.clone());
        if self.lie == CompanyLie::Dirty {
            self.tell_others(std::slice::from_ref(write));
        }
        Box::pin(Provider::write(&self.copy, write, sink))
    }

    fn savepoint(&mut self, step: Savepoint) -> BoxFuture<'_, Result<()>> {
        if let Savepoint::Set(depth) = step {
            self.savepoints.push((depth, self.written.len()));
            return Box::pin(std::future::ready(Ok(())));
        }
        let (Savepoint::Set(depth) | Savepoint::Release(depth) | Savepoint::RollBack(depth)) = step;
        let place = self.savepoints.iter().rposition(|(other, _)| *other == depth);
        let place = place.expect("a savepoint");
        let (_, written) = self.savepoints[place];
        self.savepoints.truncate(place);
        if matches!(step, Savepoint::RollBack(_)) {
            self.written.truncate(written);
            let copy = copy_of(&self.store);
            do_all(&copy, &self.written);
            self.copy = copy;
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            if self.has_lost() {
                return Err(Error::new(ErrorKind::Serialization, "another has won"));
            }
            do_all(&self.store, &self.written);
            if self.lie == CompanyLie::Unrepeatable {
                self.tell_others(&self.written);
            }
            Ok(())
        })
    }

    fn rollback(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
