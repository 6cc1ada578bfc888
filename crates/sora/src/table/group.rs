//! Writes of single rows that join into one statement, committed together.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sora_core::write::{Change, Outcome, Target, Write, WriteReport};
use sora_core::{Error, ErrorKind, Result, Retry, Row, RowBuffer, RowSink};
use tokio::sync::oneshot;

use super::Table;
use crate::key_bytes::KeyBytes;
use crate::lane::{Lanes, Work};

/// The single writes of one table.
pub(crate) type Groups = Lanes<GroupCommit>;

/// Turns single writes that wait into one write, each row with an outcome of its own.
///
/// Durability is that of a single commit: nobody is answered before the group's commit.
#[derive(Debug)]
pub(crate) struct GroupCommit {
    rows_max: usize,
    /// Keys of groups that are under way: a second write of a row waits for the first.
    under_way: Mutex<HashSet<Box<[u8]>>>,
}

/// A write that waits.
pub(crate) struct Waiting {
    table: Table,
    write: Write,
    key: Option<Box<[u8]>>,
    answer: oneshot::Sender<Result<Written>>,
}

/// What became of a write that was joined.
pub(crate) struct Written {
    outcome: Outcome,
    row: Option<RowBuffer>,
    waited: Duration,
    /// How many callers were joined.
    pub(crate) shared_by: usize,
}

/// Writes that wait at once; more go beside the lanes.
const WAITING_MAX: usize = 16_384;

/// Rows in one group.
const ROWS_MAX: usize = 512;

impl GroupCommit {
    /// Returns the lanes of a store's groups; none if joining does not pay there.
    pub(crate) fn lanes(lanes: usize, rows_max: usize) -> Option<Arc<Groups>> {
        let work = Self { rows_max: rows_max.min(ROWS_MAX), under_way: Mutex::default() };
        (lanes > 0).then(|| Lanes::new(work, lanes, WAITING_MAX))
    }

    /// Whether a write can go with others: one row, found or stored by its own values.
    pub(crate) fn can_join(write: &Write) -> bool {
        let joins = match &write.change {
            Change::Insert { .. } | Change::Update { .. } => true,
            Change::Delete { target: Target { keys: Some(_), filter }, version: None } => {
                filter.is_empty()
            }
            _ => false,
        };
        joins && write.change.len() == 1
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, HashSet<Box<[u8]>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    pub(crate) fn new(table: &Table, write: Write) -> (Self, oneshot::Receiver<Result<Written>>) {
        let (answer, receiver) = oneshot::channel();
        let key = key_of(&write);
        (Self { table: table.clone(), write, key, answer }, receiver)
    }
}

impl Written {
    /// Hands the row to the caller's sink and returns the report of the one write.
    pub(crate) fn deliver(self, sink: &mut dyn RowSink) -> WriteReport {
        let mut report = WriteReport::default();
        report.waited = self.waited;
        let mut outcome = self.outcome;
        if let Some(row) = self.row.as_ref().and_then(|rows| rows.row(0))
            && let Err(error) = sink.row(&row)
        {
            // It is written by now: of a row that the sink refuses nothing can be confirmed.
            outcome = Outcome::Unknown(error.with_retry(Retry::IfIdempotent));
        }
        report.push(outcome);
        report
    }
}

impl Work for GroupCommit {
    type Item = Waiting;

    /// Two single writes at once would be two commits, which cost more than to wait for one.
    fn alone_max(&self) -> usize {
        1
    }

    /// Another group pays once as many rows wait as are being committed: where a flush is slow that
    /// leaves a few large groups, where it is fast several small ones.
    fn opens(&self, waiting: usize, under_way: usize) -> bool {
        waiting >= under_way
    }

    /// What has waited for a commit goes with the next.
    fn goes_on(&self, _: usize, _: usize) -> bool {
        true
    }

    /// Takes writes of the kind of the first that can go, in order, each row once.
    fn take(&self, waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
        let mut taken: Vec<Waiting> = Vec::with_capacity(waiting.len().min(self.rows_max));
        let mut left = VecDeque::with_capacity(waiting.len());
        let mut under_way = self.under_way();
        while let Some(next) = waiting.pop_front() {
            if next.answer.is_closed() {
                // Nobody waits for it, and nothing of it was sent.
                continue;
            }
            let fits = taken.len() < self.rows_max
                && taken.first().is_none_or(|first| is_same_kind(&first.write, &next.write));
            let is_free = next.key.as_ref().is_none_or(|key| !under_way.contains(key));
            if fits && is_free {
                under_way.extend(next.key.clone());
                taken.push(next);
            } else {
                left.push_back(next);
            }
        }
        *waiting = left;
        taken
    }

    fn turns_max(&self) -> usize {
        1
    }

    async fn run(&self, items: Vec<Waiting>) {
        // However it ends, the rows are free again.
        let _keys =
            Keys { work: self, keys: items.iter().filter_map(|one| one.key.clone()).collect() };
        let Some(first) = items.first() else { return };
        let returning = first.write.returning.as_ref().map_or(0, |columns| columns.len());
        let mut rows = RowBuffer::new(returning);
        let report = match join(&items) {
            Ok(write) => first.table.write_once(&write, &mut rows).await,
            Err(error) => Err(error),
        };
        match report {
            Ok(report) if report.outcomes.len() == items.len() => answer(items, report, &rows),
            Ok(_) => refuse(items, &miscounted()),
            Err(error) => refuse(items, &error),
        }
    }
}

/// Frees the keys of a group.
struct Keys<'a> {
    work: &'a GroupCommit,
    keys: Vec<Box<[u8]>>,
}

impl Drop for Keys<'_> {
    fn drop(&mut self) {
        let mut under_way = self.work.under_way();
        for key in &self.keys {
            under_way.remove(key);
        }
    }
}

fn answer(items: Vec<Waiting>, report: WriteReport, rows: &RowBuffer) {
    let shared_by = items.len();
    let mut rows = rows.iter();
    for (item, outcome) in items.into_iter().zip(report.outcomes) {
        // Rows come back in the order of the input, of those that were written.
        let row = match item.write.returning.is_some() && outcome.is_written() {
            true => rows.next().and_then(|row| alone(&row).ok()),
            false => None,
        };
        let written = Written { outcome, row, waited: report.waited, shared_by };
        // A caller that is gone is told nothing.
        drop(item.answer.send(Ok(written)));
    }
}

fn refuse(items: Vec<Waiting>, error: &Error) {
    for item in items {
        drop(item.answer.send(Err(error.clone())));
    }
}

fn alone(row: &dyn Row) -> Result<RowBuffer> {
    let mut one = RowBuffer::new(row.width());
    one.push(row)?;
    Ok(one)
}

/// Makes one write of several of the same kind.
fn join(items: &[Waiting]) -> Result<Write> {
    let [first, others @ ..] = items else {
        return Err(Error::new(ErrorKind::Internal, "a group of no writes"));
    };
    let mut write = first.write.clone();
    write.atomic = false;
    if others.is_empty() {
        return Ok(write);
    }
    let width = rows_of(&first.write.change).map_or(0, |rows| rows.width());
    let mut joined = RowBuffer::with_capacity(width, items.len());
    for item in items {
        if let Some(row) = rows_of(&item.write.change).and_then(|rows| rows.row(0)) {
            joined.push(&row)?;
        }
    }
    let joined = Arc::new(joined);
    match &mut write.change {
        Change::Insert { rows, .. } | Change::Update { rows, .. } => *rows = joined,
        Change::Patch { target, .. } | Change::Delete { target, .. } => target.keys = Some(joined),
        _ => {}
    }
    Ok(write)
}

fn rows_of(change: &Change) -> Option<&Arc<RowBuffer>> {
    match change {
        Change::Insert { rows, .. } | Change::Update { rows, .. } => Some(rows),
        Change::Patch { target, .. } | Change::Delete { target, .. } => target.keys.as_ref(),
        _ => None,
    }
}

fn is_same_kind(left: &Write, right: &Write) -> bool {
    let is_same_change = match (&left.change, &right.change) {
        (
            Change::Insert { columns, on_conflict, .. },
            Change::Insert { columns: other, on_conflict: otherwise, .. },
        ) => columns == other && on_conflict == otherwise,
        (
            Change::Update { columns, check_version, .. },
            Change::Update { columns: other, check_version: otherwise, .. },
        ) => columns == other && check_version == otherwise,
        (Change::Delete { .. }, Change::Delete { .. }) => true,
        _ => false,
    };
    is_same_change && left.returning == right.returning && left.binding.id() == right.binding.id()
}

/// The key of the row that a write is about, as bytes; none if the store assigns it.
fn key_of(write: &Write) -> Option<Box<[u8]>> {
    let schema = write.binding.schema();
    let row = rows_of(&write.change)?.row(0)?;
    let places: Option<Vec<usize>> = match &write.change {
        Change::Insert { columns, .. } | Change::Update { columns, .. } => {
            let place = |key: &u16| columns.iter().position(|column| column == key);
            schema.key().iter().map(place).collect()
        }
        _ => Some((0..schema.key().len()).collect()),
    };
    Some(KeyBytes::at(&row, places?.into_iter()).ok()?.as_slice().into())
}

fn miscounted() -> Error {
    let message = "the store reported another number of outcomes than rows were written";
    Error::new(ErrorKind::Internal, message).with_retry(Retry::IfIdempotent)
}

/// The error of a write whose group was cut off, because its runtime ended.
pub(crate) fn unanswered() -> Error {
    let message = "the group that the write had joined was cut off with its runtime";
    Error::new(ErrorKind::Cancelled, message).with_retry(Retry::IfIdempotent)
}
