//! Runs a write on the writing connection.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection};
use sora_core::write::{Change, Effect, OnConflict, Outcome, Target, Write, WriteReport};
use sora_core::{BufferedRow, Error, ErrorKind, Result, Retry, RowBuffer, Statement};
use sora_sql::{change, exists, render, write_shape};

use crate::binder::Binder;
use crate::bulk::key_order;
use crate::connection::Link;
use crate::failure::{commit_error, is_undone, name_conflict, store_error};
use crate::native;
use crate::row::SteppedRow;
use crate::statements::Statements;

/// What became of a write, and the rows that it returns.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) report: WriteReport,
    pub(crate) rows: RowBuffer,
}

/// Runs a write in a transaction of its own.
///
/// # Errors
///
/// Only if nothing was committed.
pub(crate) fn run(link: &mut Link, write: &Write) -> Result<Written> {
    if let Some(written) = at_once(link, write) {
        return written;
    }
    let rows = write.change.len();
    let failure = match in_transaction(link, write, 0, rows) {
        Ok(written) => return Ok(written),
        Err(failure) => failure,
    };
    match failure {
        // A deferred foreign key tells at the commit, and not which row it was.
        Failure::Commit(error)
            if error.kind() == ErrorKind::Constraint && !write.atomic && rows > 1 =>
        {
            Ok(each_alone(link, write))
        }
        Failure::Commit(error) | Failure::Statement(error) => Err(error),
    }
}

/// Runs a write inside the transaction of a session, whose commit comes later.
pub(crate) fn run_inside(link: &mut Link, write: &Write) -> Result<Written> {
    if !write.atomic {
        return Pass::new(write).run(link, 0, write.change.len());
    }
    execute(&link.db, "SAVEPOINT sora_write")?;
    let written = Pass::new(write).run(link, 0, write.change.len());
    let undo = !matches!(&written, Ok(written) if written.report.first_error().is_none());
    if undo && !link.db.is_autocommit() {
        execute(&link.db, "ROLLBACK TO sora_write")?;
    }
    if !link.db.is_autocommit() {
        execute(&link.db, "RELEASE sora_write")?;
    }
    written
}

/// Begins a transaction that writes. One that reads first and writes later could be refused at the
/// moment it turns to writing.
pub(crate) fn begin(link: &mut Link) -> Result<()> {
    execute(&link.db, "BEGIN IMMEDIATE")
}

/// Commits; if that fails, nothing is committed and no transaction is left.
pub(crate) fn commit(link: &mut Link) -> Result<()> {
    let committed = link.db.prepare_cached("COMMIT").and_then(|mut commit| commit.raw_execute());
    committed.map(|_| ()).map_err(|error| {
        roll_back(link);
        commit_error(error)
    })
}

/// Ends the transaction, if there is one, as if it had never been.
pub(crate) fn roll_back(link: &mut Link) {
    if !link.db.is_autocommit() {
        // What fails here has ended the transaction, too.
        let _ = execute(&link.db, "ROLLBACK");
    }
}

pub(crate) fn execute(db: &Connection, text: &str) -> Result<()> {
    db.prepare_cached(text)
        .and_then(|mut statement| statement.raw_execute())
        .map(|_| ())
        .map_err(store_error)
}

/// Why nothing was committed.
enum Failure {
    Commit(Error),
    Statement(Error),
}

/// Runs the statement of a single row as a transaction of its own: to begin one and to end it takes
/// two statements more. None if that cannot be, or if nothing was committed and it takes a
/// transaction to tell what became of the row.
fn at_once(link: &mut Link, write: &Write) -> Option<Result<Written>> {
    let tells_all = match &write.change {
        Change::Insert { .. } => true,
        Change::Update { check_version, .. } => !check_version,
        _ => false,
    };
    if !tells_all || write.change.len() != 1 || write.returning.is_some() {
        return None;
    }
    let Link { db, statements } = link;
    let text = text_of(write, statements);
    let mut statement = db.prepare_cached(&text).ok()?;
    let mut binder = Binder::new(&mut statement);
    change::<sora_sql::Sqlite, _>(write, row_of(&write.change, 0), &mut binder);
    binder.finish().ok()?;
    let pass = Pass::new(write);
    match statement.raw_execute() {
        Ok(changed) => Some(Ok(pass.alone(changed as u64))),
        Err(error) if is_undone(&error) => None,
        Err(error) => Some(Err(pass.at(commit_error(error)))),
    }
}

fn in_transaction(
    link: &mut Link,
    write: &Write,
    start: usize,
    end: usize,
) -> Result<Written, Failure> {
    begin(link).map_err(Failure::Statement)?;
    match Pass::new(write).run(link, start, end) {
        Ok(written) if write.atomic && written.report.first_error().is_some() => {
            roll_back(link);
            Ok(written)
        }
        Ok(written) => commit(link).map_err(Failure::Commit).map(|()| written),
        Err(error) => {
            roll_back(link);
            Err(Failure::Statement(error))
        }
    }
}

fn text_of(write: &Write, statements: &mut Statements) -> Arc<str> {
    statements.text(
        |shape| write_shape::<sora_sql::Sqlite>(write, false, shape),
        || {
            let first = row_of(&write.change, 0);
            render::<sora_sql::Sqlite>(|out| change::<sora_sql::Sqlite, _>(write, first, out))
        },
    )
}

/// Runs each row in a transaction of its own, so that one cannot undo another.
fn each_alone(link: &mut Link, write: &Write) -> Written {
    let mut all = Written { report: WriteReport::default(), rows: returned(write) };
    for index in 0..write.change.len() {
        match in_transaction(link, write, index, index + 1) {
            Ok(Written { report, rows }) => {
                report.outcomes.into_iter().for_each(|outcome| all.report.push(outcome));
                // Both have the width of what is returned.
                rows.iter().for_each(|row| {
                    let _ = all.rows.push(&row);
                });
            }
            Err(Failure::Commit(error) | Failure::Statement(error)) => {
                all.report.push(Outcome::Failed(error));
            }
        }
    }
    all
}

fn returned(write: &Write) -> RowBuffer {
    RowBuffer::new(write.returning.as_ref().map_or(0, |columns| columns.len()))
}

/// One pass over rows of a write.
struct Pass<'a> {
    write: &'a Write,
    report: WriteReport,
    rows: RowBuffer,
}

impl<'a> Pass<'a> {
    fn new(write: &'a Write) -> Self {
        Self { write, report: WriteReport::default(), rows: returned(write) }
    }

    /// # Errors
    ///
    /// One that has undone, or must undo, the whole transaction.
    fn run(mut self, link: &mut Link, start: usize, end: usize) -> Result<Written> {
        let write = self.write;
        if let Change::Native(statement) = &write.change {
            return native_alone(&link.db, statement, write);
        }
        let Link { db, statements } = link;
        let text = text_of(write, statements);
        self.report.outcomes.reserve_exact(end - start);
        let whole = start == 0 && end == write.change.len();
        let order = if whole { key_order(db, write) } else { None };
        // A row that was written but cannot be read back is undone alone.
        let guarded = write.returning.is_some() && !write.atomic;
        let prepared = db.prepare_cached(&text).map_err(store_error);
        let mut statement = prepared.map_err(|error| self.at(error))?;
        for place in start..end {
            let index = order.as_ref().map_or(place, |order| order[place]);
            let kept = self.rows.len();
            if guarded {
                execute(db, "SAVEPOINT sora_row")?;
            }
            let row = row_of(&write.change, index);
            let done = self.one(&mut statement, row).and_then(|changed| match changed {
                0 => self.unchanged(db, statements, row),
                changed => Ok(self.changed(changed)),
            });
            let done = done.map_err(|error| self.at(error));
            if db.is_autocommit() {
                // The failure was such that SQLite has undone the whole transaction.
                return Err(done.err().unwrap_or_else(ended));
            }
            if guarded {
                if done.is_err() {
                    execute(db, "ROLLBACK TO sora_row")?;
                }
                execute(db, "RELEASE sora_row")?;
            }
            match done {
                Ok((outcome, affected)) => {
                    self.report.affected += affected;
                    self.report.outcomes.push(outcome);
                }
                Err(error) if write.atomic => {
                    self.report.undo(end - start, index - start, error);
                    self.rows.clear();
                    return Ok(Written { report: self.report, rows: self.rows });
                }
                Err(error) => {
                    self.rows.truncate(kept);
                    self.report.push(Outcome::Failed(error));
                }
            }
        }
        if let Some(order) = order {
            self.report.outcomes = in_input_order(&order, self.report.outcomes);
        }
        Ok(Written { report: self.report, rows: self.rows })
    }

    /// Runs the statement for one row and returns how many rows it changed.
    fn one(
        &mut self,
        statement: &mut CachedStatement<'_>,
        row: Option<BufferedRow<'_>>,
    ) -> Result<u64> {
        let write = self.write;
        let mut binder = Binder::new(statement);
        change::<sora_sql::Sqlite, _>(write, row, &mut binder);
        binder.finish()?;
        let Some(columns) = &write.returning else {
            let changed = statement.raw_execute().map_err(store_error)?;
            return Ok(changed as u64);
        };
        let mut changed = 0;
        let mut failed = None;
        let mut rows = statement.raw_query();
        // To the end even if a row cannot be read: only then is the statement done.
        while let Some(row) = rows.next().map_err(store_error)? {
            changed += 1;
            let row = SteppedRow { row, binding: &write.binding, columns };
            // A removed row is in the table no more.
            if failed.is_none() && !matches!(write.change, Change::Delete { .. }) {
                failed = self.rows.push(&row).err();
            }
        }
        failed.map_or(Ok(changed), Err)
    }

    /// The end of a pass of one row, which needs no other look at the table.
    fn alone(mut self, changed: u64) -> Written {
        let (outcome, affected) = match (&self.write.change, changed) {
            (Change::Insert { .. }, 0) => (Outcome::Applied(Effect::Unchanged), 0),
            (_, 0) => (Outcome::Applied(Effect::Missing), 0),
            (_, changed) => self.changed(changed),
        };
        self.report.affected = affected;
        self.report.outcomes.push(outcome);
        Written { report: self.report, rows: self.rows }
    }

    fn changed(&self, changed: u64) -> (Outcome, u64) {
        let effect = match &self.write.change {
            Change::Insert { on_conflict: OnConflict::Update(_), .. } => Effect::Upserted,
            Change::Insert { .. } => Effect::Inserted,
            Change::Delete { .. } => Effect::Deleted,
            _ => Effect::Updated,
        };
        (Outcome::Applied(effect), changed)
    }

    /// Finds out why no row was changed.
    fn unchanged(
        &self,
        db: &Connection,
        statements: &mut Statements,
        row: Option<BufferedRow<'_>>,
    ) -> Result<(Outcome, u64)> {
        let write = self.write;
        let checked = match &write.change {
            Change::Insert { .. } => return Ok((Outcome::Applied(Effect::Unchanged), 0)),
            Change::Update { check_version, .. } => *check_version,
            Change::Patch { version, .. } | Change::Delete { version, .. } => version.is_some(),
            _ => false,
        };
        let has_version = write.binding.schema().version().is_some();
        if let Some(row) = row.filter(|_| checked && has_version)
            && is_stored(db, statements, write, row)?
        {
            let message = "the row has been changed since it was read; read it again";
            return Err(Error::new(ErrorKind::Version, message));
        }
        Ok((Outcome::Applied(Effect::Missing), 0))
    }

    fn at(&self, error: Error) -> Error {
        let binding = &self.write.binding;
        name_conflict(error, binding.live()).with("table", binding.schema().table())
    }
}

/// Gives each row its own outcome again.
fn in_input_order(order: &[usize], outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut placed: Vec<Outcome> = Vec::new();
    placed.resize_with(outcomes.len(), || Outcome::Skipped);
    for (index, outcome) in order.iter().zip(outcomes) {
        placed[*index] = outcome;
    }
    placed
}

/// Runs a native statement so that one that fails leaves its transaction as it was.
fn native_alone(db: &Connection, statement: &Statement, write: &Write) -> Result<Written> {
    execute(db, "SAVEPOINT sora_native")?;
    let written = native::write(db, statement, write);
    if db.is_autocommit() {
        // The failure was such that SQLite has undone the whole transaction.
        return Err(written.err().unwrap_or_else(ended));
    }
    if written.is_err() {
        execute(db, "ROLLBACK TO sora_native")?;
    }
    execute(db, "RELEASE sora_native")?;
    written
}

fn is_stored(
    db: &Connection,
    statements: &mut Statements,
    write: &Write,
    row: BufferedRow<'_>,
) -> Result<bool> {
    let text = statements.text(
        |shape| write_shape::<sora_sql::Sqlite>(write, true, shape),
        || render::<sora_sql::Sqlite>(|out| exists::<sora_sql::Sqlite, _>(write, row, out)),
    );
    let mut statement = db.prepare_cached(&text).map_err(store_error)?;
    let mut binder = Binder::new(&mut statement);
    exists::<sora_sql::Sqlite, _>(write, row, &mut binder);
    binder.finish()?;
    let mut rows = statement.raw_query();
    Ok(rows.next().map_err(store_error)?.is_some())
}

/// The row, or the key of the row, at an index; none for a change by filter alone.
fn row_of(change: &Change, index: usize) -> Option<BufferedRow<'_>> {
    match change {
        Change::Insert { rows, .. } | Change::Update { rows, .. } => rows.row(index),
        Change::Patch { target: Target { keys, .. }, .. }
        | Change::Delete { target: Target { keys, .. }, .. } => keys.as_ref()?.row(index),
        _ => None,
    }
}

/// The error of a transaction that SQLite has rolled back by itself.
pub(crate) fn ended() -> Error {
    let message = "SQLite has rolled the transaction back after a failure; begin a new one";
    Error::new(ErrorKind::Store, message).with_retry(Retry::Safe)
}
