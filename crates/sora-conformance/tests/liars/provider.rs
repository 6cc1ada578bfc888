//! A provider that breaks one line of the contract and keeps all others.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::company::{CompanyLie, Copied, Copies};
use sora_core::memory::Memory;
use sora_core::plan::Negotiation;
use sora_core::provider::{
    Administer, Administered, BoxFuture, Capability, Isolation, Provider, Savepoint, SchemaReport,
    Session, SessionOptions, StorePlan,
};
use sora_core::read::{Read, ReadReport};
use sora_core::write::{Change, OnConflict, Outcome, Target, Write, WriteReport};
use sora_core::{Error, ErrorKind, LiveTable, Result, Row, RowBuffer, RowSink, Value};

/// One row.
pub(crate) type Cells = Vec<Value>;

/// What a [`Liar`] does wrong. Every part that is not set is honest.
#[derive(Clone, Copy)]
pub(crate) struct Lie {
    /// What is wrong, for messages.
    pub(crate) name: &'static str,
    /// The line that it breaks.
    pub(crate) line: &'static str,
    pub(crate) capability: fn(&mut Capability),
    pub(crate) negotiate: fn(&mut Negotiation),
    /// Changes what is asked of the store.
    pub(crate) read: fn(&mut Read),
    /// Refuses a read.
    pub(crate) refuses_read: fn(&Read) -> bool,
    /// Refuses other such reads until one that has begun is polled again.
    pub(crate) holds: fn(&Read) -> bool,
    /// Changes the rows that the store hands out.
    pub(crate) rows: fn(&Read, &mut Vec<Cells>),
    pub(crate) read_report: fn(&Read, &mut ReadReport),
    pub(crate) ignores_break: bool,
    pub(crate) swallows_sink_error: bool,
    /// Takes the place behind a row by its number, as it was when the row was handed out.
    pub(crate) pages_by_number: bool,
    /// Changes what the store is asked to write.
    pub(crate) write: fn(&mut Write),
    pub(crate) write_report: fn(&Write, &mut WriteReport),
    /// Writes something else before, or after the rows of a write.
    pub(crate) before: fn(&Write) -> Option<Write>,
    pub(crate) after: fn(&Write, &WriteReport) -> Option<Write>,
    pub(crate) returned: fn(&mut Vec<Cells>),
    pub(crate) session: SessionLie,
    pub(crate) describe: fn(Option<&str>, &mut Vec<LiveTable>),
    pub(crate) ensured: fn(&mut SchemaReport),
    pub(crate) explained: fn(&mut StorePlan),
}

/// What a session does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SessionLie {
    None,
    /// It cannot be opened.
    IsRefused,
    /// It reads what others see.
    ReadsOutside,
    /// It writes where others see it.
    WritesOutside,
    CommitLoses,
    RollbackKeeps,
    DropKeeps,
    /// After a row that failed it takes no more.
    FailsForGood,
    /// It forgets a savepoint instead of going back to it.
    SavepointKeeps,
    /// It goes back to a savepoint instead of forgetting it.
    SavepointUndoes,
    /// It writes although it was opened to read only.
    IgnoresReadOnly,
    /// It claims the weakest level whatever was asked for.
    IsWeak,
    /// It is of no use behind a read that was given up.
    BreaksGivenUp,
    /// Several write at the same time.
    InCompany(CompanyLie),
}

impl Lie {
    pub(crate) const NONE: Self = Self {
        name: "",
        line: "",
        capability: |_| {},
        negotiate: |_| {},
        read: |_| {},
        refuses_read: |_| false,
        holds: |_| false,
        rows: |_, _| {},
        read_report: |_, _| {},
        ignores_break: false,
        swallows_sink_error: false,
        pages_by_number: false,
        write: |_| {},
        write_report: |_, _| {},
        before: |_| None,
        after: |_, _| None,
        returned: |_| {},
        session: SessionLie::None,
        describe: |_, _| {},
        ensured: |_| {},
        explained: |_| {},
    };
}

impl fmt::Debug for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The in-memory provider, but for a [`Lie`].
#[derive(Clone, Debug)]
pub(crate) struct Liar {
    inner: Memory,
    lie: Lie,
    /// How many rows came up to the position of a row.
    numbers: Arc<Mutex<HashMap<String, u64>>>,
    /// The copies of the sessions that write at the same time.
    open: Copies,
    /// Whether a read holds the one place.
    is_held: Arc<AtomicBool>,
}

/// The one place of reads, until this is dropped.
struct Held(Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Liar {
    pub(crate) fn new(lie: Lie) -> Self {
        Self {
            inner: Memory::new(),
            lie,
            numbers: Arc::default(),
            open: Arc::default(),
            is_held: Arc::default(),
        }
    }

    /// Takes the one place, if the lie is to have one.
    fn hold(&self, read: &Read) -> Result<Option<Held>> {
        if !(self.lie.holds)(read) {
            return Ok(None);
        }
        match self.is_held.swap(true, Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Busy, "another read is under way")),
            false => Ok(Some(Held(self.is_held.clone()))),
        }
    }

    /// Reads through `inner`, which is the store or a session of it.
    fn read_through(
        &self,
        read: &Read,
        sink: &mut dyn RowSink,
        inner: impl FnOnce(&Read, &mut dyn RowSink) -> Result<ReadReport>,
    ) -> Result<ReadReport> {
        if (self.lie.refuses_read)(read) {
            return Err(Error::new(ErrorKind::Store, "no"));
        }
        let mut asked = read.clone();
        (self.lie.read)(&mut asked);
        let number = self.number_of(read, &mut asked);
        let mut rows = Rows(Vec::new());
        let mut report = inner(&asked, &mut rows)?;
        (self.lie.rows)(read, &mut rows.0);
        let mut handed_out = 0;
        for row in &rows.0 {
            handed_out += 1;
            match sink.row(row) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) if self.lie.ignores_break => {}
                Ok(ControlFlow::Break(())) => break,
                Err(_) if self.lie.swallows_sink_error => break,
                Err(error) => return Err(error),
            }
            if let Some(number) = number {
                let number = number + handed_out;
                self.numbers.lock().expect("not poisoned").insert(format!("{row:?}"), number);
            }
        }
        if report.rejected == 0 && report.count.is_none() {
            report.received = handed_out;
        }
        (self.lie.read_report)(read, &mut report);
        Ok(report)
    }

    /// The number of the row that the read starts behind, if it was handed out by such a read.
    fn number_of(&self, read: &Read, asked: &mut Read) -> Option<u64> {
        if !self.lie.pages_by_number {
            return None;
        }
        let Some(after) = &read.after else { return Some(0) };
        // Only tables of two columns: the key stands first in the row and last in the sort.
        let row: Vec<&Value> = after.iter().rev().collect();
        let number = *self.numbers.lock().expect("not poisoned").get(&format!("{row:?}"))?;
        asked.after = None;
        asked.offset = number;
        Some(number)
    }

    /// Writes through `inner`, which is the store or a session of it.
    fn write_through(
        &self,
        write: &Write,
        sink: &mut dyn RowSink,
        mut inner: impl FnMut(&Write, &mut dyn RowSink) -> Result<WriteReport>,
    ) -> Result<WriteReport> {
        if let Some(before) = (self.lie.before)(write) {
            inner(&before, &mut Rows(Vec::new()))?;
        }
        let mut asked = write.clone();
        (self.lie.write)(&mut asked);
        let mut rows = Rows(Vec::new());
        let mut report = inner(&asked, &mut rows)?;
        if let Some(after) = (self.lie.after)(write, &report) {
            inner(&after, &mut Rows(Vec::new()))?;
        }
        (self.lie.returned)(&mut rows.0);
        for row in &rows.0 {
            if sink.row(row)?.is_break() {
                break;
            }
        }
        (self.lie.write_report)(write, &mut report);
        Ok(report)
    }
}

impl Provider for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    fn capability(&self) -> Capability {
        let mut capability = Provider::capability(&self.inner);
        // It takes more, but to probe fewer is quicker.
        (capability.keys_max, capability.rows_max) = (500, 500);
        (self.lie.capability)(&mut capability);
        capability
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        Provider::negotiate(&self.inner, ask);
        (self.lie.negotiate)(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        let held = self.hold(read)?;
        if held.is_some() {
            tokio::task::yield_now().await;
        }
        self.read_through(read, sink, |read, sink| now(Provider::read(&self.inner, read, sink)))
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        self.write_through(write, sink, |write, sink| {
            now(Provider::write(&self.inner, write, sink))
        })
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        let mut tables = Provider::describe(&self.inner, table).await?;
        (self.lie.describe)(table, &mut tables);
        Ok(tables)
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        let mut answer = Provider::administer(&self.inner, task).await?;
        match &mut answer {
            Administered::Ensured(report) => (self.lie.ensured)(report),
            Administered::Explained(plan) => (self.lie.explained)(plan),
            _ => {}
        }
        Ok(answer)
    }

    async fn open(&self, mut options: SessionOptions) -> Result<Box<dyn Session>> {
        options.read_only &= self.lie.session != SessionLie::IgnoresReadOnly;
        if self.lie.session == SessionLie::IsRefused {
            return Err(Error::new(ErrorKind::Store, "no"));
        }
        let inner = match self.lie.session {
            SessionLie::WritesOutside => None,
            SessionLie::InCompany(lie) => {
                let copied = Copied::open(self.inner.clone(), lie, options, self.open.clone());
                Some(Box::new(copied) as Box<dyn Session>)
            }
            _ => Some(Provider::open(&self.inner, options).await?),
        };
        Ok(Box::new(LiarSession { liar: self.clone(), inner, undo: Vec::new(), is_failed: false }))
    }
}

#[derive(Debug)]
struct LiarSession {
    liar: Liar,
    /// None once it has ended, and for one that writes outside.
    inner: Option<Box<dyn Session>>,
    /// What brings tables back that were written outside.
    undo: Vec<Write>,
    is_failed: bool,
}

impl LiarSession {
    /// Remembers how to bring a table back that is about to be written outside.
    fn remember(&mut self, write: &Write) {
        let columns: Arc<[u16]> = write.binding.schema().visible().collect();
        let mut rows = RowBuffer::new(columns.len());
        let scan = Read::new(write.binding.clone(), columns.clone());
        now(Provider::read(&self.liar.inner, &scan, &mut rows)).expect("read");
        let target = Target::filter(Arc::default());
        let clear = Change::Delete { target, version: None };
        let fill = Change::Insert { rows: Arc::new(rows), columns, on_conflict: OnConflict::Fail };
        for change in [clear, fill] {
            self.undo.push(Write::new(write.binding.clone(), change));
        }
    }

    fn undo(&mut self) {
        for write in self.undo.drain(..).take(2) {
            now(Provider::write(&self.liar.inner, &write, &mut Rows(Vec::new()))).expect("undone");
        }
    }
}

impl Session for LiarSession {
    fn isolation(&self) -> Isolation {
        match &self.inner {
            _ if self.liar.lie.session == SessionLie::IsWeak => Isolation::ReadCommitted,
            Some(inner) => inner.isolation(),
            None => Isolation::Serializable,
        }
    }

    fn savepoint(&mut self, step: Savepoint) -> BoxFuture<'_, Result<()>> {
        let step = match (self.liar.lie.session, step) {
            (SessionLie::SavepointKeeps, Savepoint::RollBack(depth)) => Savepoint::Release(depth),
            (SessionLie::SavepointUndoes, Savepoint::Release(depth)) => Savepoint::RollBack(depth),
            (_, step) => step,
        };
        match &mut self.inner {
            Some(inner) => inner.savepoint(step),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn read<'a>(
        &'a mut self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        if self.liar.lie.session == SessionLie::BreaksGivenUp {
            if self.is_failed {
                let error = Error::new(ErrorKind::Store, "a read was given up");
                return Box::pin(std::future::ready(Err(error)));
            }
            // Until the read is done, it counts as given up.
            self.is_failed = true;
            let Self { inner, is_failed, .. } = self;
            return Box::pin(async move {
                let inner = inner.as_mut().expect("it has not ended");
                let report = inner.read(read, sink).await;
                *is_failed = false;
                report
            });
        }
        let store = self.liar.inner.clone();
        let outside = self.liar.lie.session == SessionLie::ReadsOutside;
        let inner = self.inner.as_mut().filter(|_| !outside);
        let report = self.liar.read_through(read, sink, |read, sink| match inner {
            Some(inner) => now(inner.read(read, sink)),
            None => now(Provider::read(&store, read, sink)),
        });
        Box::pin(std::future::ready(report))
    }

    fn write<'a>(
        &'a mut self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        if self.is_failed && self.liar.lie.session == SessionLie::FailsForGood {
            let error = Error::new(ErrorKind::Store, "the transaction has failed");
            return Box::pin(std::future::ready(Err(error)));
        }
        if self.inner.is_none() {
            self.remember(write);
        }
        let store = self.liar.inner.clone();
        let mut inner = self.inner.as_mut();
        let report = self.liar.write_through(write, sink, |write, sink| match &mut inner {
            Some(inner) => now(inner.write(write, sink)),
            None => now(Provider::write(&store, write, sink)),
        });
        self.is_failed |= report.as_ref().is_ok_and(|report| report.first_error().is_some());
        Box::pin(std::future::ready(report))
    }

    fn commit(mut self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.undo.clear();
        match self.inner.take() {
            Some(inner) if self.liar.lie.session == SessionLie::CommitLoses => inner.rollback(),
            Some(inner) => inner.commit(),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn rollback(mut self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.undo();
        match self.inner.take() {
            Some(inner) if self.liar.lie.session == SessionLie::RollbackKeeps => inner.commit(),
            Some(inner) => inner.rollback(),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }
}

impl Drop for LiarSession {
    fn drop(&mut self) {
        self.undo();
        if let Some(inner) = self.inner.take()
            && self.liar.lie.session == SessionLie::DropKeeps
        {
            now(inner.commit()).expect("committed");
        }
    }
}

/// Runs what never waits: the in-memory provider, asked by one task.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

pub(crate) struct Rows(pub(crate) Vec<Cells>);

impl RowSink for Rows {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        let cells = (0..row.width()).map(|at| Ok(row.cell(at)?.to_value()));
        self.0.push(cells.collect::<Result<_>>()?);
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.0.clear();
    }
}

/// Replaces the outcomes that `change` gives another for.
pub(crate) fn change_outcomes(
    report: &mut WriteReport,
    change: impl Fn(&Outcome) -> Option<Outcome>,
) {
    for outcome in &mut report.outcomes {
        if let Some(changed) = change(outcome) {
            *outcome = changed;
        }
    }
}
