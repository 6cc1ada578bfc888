//! Runs a write on a connection: many rows by one statement, each row with its own outcome.

mod locate;
mod statement;
mod waves;

use sora_core::write::{Change, Outcome, Target, Write, WriteReport};
use sora_core::{Error, ErrorKind, Result, Retry, RowBuffer, RowSink};

use self::statement::Done;
use self::waves::waves;
use crate::failure::Stage;
use crate::link::Link;
use crate::native;

/// Runs a write that commits by itself.
///
/// # Errors
///
/// If nothing was written, or it is not known whether anything was.
pub(crate) async fn run(link: &Link, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
    let mut writer = Writer::new(link, write, Scope::Own);
    writer.run().await?;
    Ok(writer.finish(sink))
}

/// Runs a write inside the transaction of a session, which a failure leaves as it was.
pub(crate) async fn run_inside(
    link: &Link,
    write: &Write,
    sink: &mut dyn RowSink,
) -> Result<WriteReport> {
    let mut writer = Writer::new(link, write, Scope::Session);
    writer.run().await?;
    Ok(writer.finish(sink))
}

/// What a failure must not undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Each statement is a transaction of its own.
    Own,
    /// Each statement is a part of a transaction that goes on.
    Session,
}

/// One write under way.
struct Writer<'a> {
    link: &'a Link,
    write: &'a Write,
    scope: Scope,
    /// One for each row.
    outcomes: Vec<Option<Outcome>>,
    /// The rows that are returned, and which row of the write each is.
    returned: RowBuffer,
    places: Vec<usize>,
    /// Savepoints that are set, below the caller's own.
    depth: u32,
    affected: u64,
}

/// How often a native statement is run whose name or plan the server has lost.
const NATIVE_ATTEMPTS_MAX: usize = 3;

/// Savepoints of a write are numbered from here, those of callers below.
const SAVEPOINTS: u32 = 100_000;

impl<'a> Writer<'a> {
    fn new(link: &'a Link, write: &'a Write, scope: Scope) -> Self {
        let rows = write.change.len();
        let width = write.returning.as_ref().map_or(0, |columns| columns.len());
        Self {
            link,
            write,
            scope,
            outcomes: (0..rows).map(|_| None).collect(),
            returned: RowBuffer::new(width),
            places: Vec::new(),
            depth: 0,
            affected: 0,
        }
    }

    async fn run(&mut self) -> Result<()> {
        let rows = self.write.change.len();
        if rows_of(&self.write.change).is_none() || rows == 1 {
            return self.single().await;
        }
        // Apart, so that the future of a single write is small.
        Box::pin(self.several()).await
    }

    async fn several(&mut self) -> Result<()> {
        let waves = waves(self.write);
        if !self.write.atomic {
            for wave in &waves {
                self.each(wave).await;
            }
            return self.refused_as_a_whole();
        }
        let fails_late = waves.len() > 1 || statement::can_fail_after(self.write);
        if self.scope == Scope::Own && !fails_late {
            // One statement is all or nothing by itself.
            let error = match self.wave(&waves[0]).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            return self.undone(&waves, error).await;
        }
        self.enter().await?;
        match self.waves(&waves).await {
            Ok(()) => self.leave().await,
            Err(error) => {
                let error = self.back_out_after(error).await;
                self.undone(&waves, error).await
            }
        }
    }

    /// Writes one row, or all that meet a filter, by a statement of its own.
    async fn single(&mut self) -> Result<()> {
        let row = (!self.outcomes.is_empty() && rows_of(&self.write.change).is_some()).then_some(0);
        let is_native = matches!(self.write.change, Change::Native(_));
        let mut done = self.alone(row).await;
        for _ in 1..NATIVE_ATTEMPTS_MAX {
            match &done {
                Err(error) if is_native && native::is_lost(error) => done = self.alone(row).await,
                _ => break,
            }
        }
        match done {
            Ok(()) => Ok(()),
            Err(error) if is_of_the_row(&error) => {
                self.forget();
                self.outcomes = vec![Some(Outcome::Failed(error))];
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Runs one statement so that a failure undoes it alone.
    async fn alone(&mut self, row: Option<usize>) -> Result<()> {
        let is_part = self.scope == Scope::Session
            || matches!(self.write.change, Change::Native(_))
                && native::needs_transaction(self.link, self.write);
        if !is_part {
            return self.statement(row).await;
        }
        Box::pin(async {
            self.enter().await?;
            match self.statement(row).await {
                Ok(()) => self.leave().await,
                Err(error) => Err(self.back_out_after(error).await),
            }
        })
        .await
    }

    /// Runs the statement of one row, or of a filter.
    async fn statement(&mut self, row: Option<usize>) -> Result<()> {
        let done = statement::one(self.link, self.write, row, self.stage()).await?;
        self.take(row.as_slice(), done)
    }

    async fn waves(&mut self, waves: &[Vec<usize>]) -> Result<()> {
        for wave in waves {
            self.wave(wave).await?;
        }
        Ok(())
    }

    /// Writes rows of which no two are the same by one statement, or row by row where one statement
    /// could not tell them apart; the first failure ends it.
    async fn wave(&mut self, rows: &[usize]) -> Result<()> {
        if rows.len() > 1
            && let Some(done) = statement::many(self.link, self.write, rows, self.stage()).await?
        {
            return self.take(rows, done);
        }
        for row in rows {
            self.statement(Some(*row)).await?;
        }
        Ok(())
    }

    /// Writes rows that stand alone: by one statement, and if one of them fails it, by halves.
    async fn each(&mut self, rows: &[usize]) {
        let error = match self.guarded(rows).await {
            Ok(()) => return,
            Err(error) => error,
        };
        // What was noted of them was undone with them.
        for row in rows {
            self.outcomes[*row] = None;
        }
        let (left, right) = rows.split_at(rows.len() / 2);
        if left.is_empty() || !is_of_the_row(&error) {
            let outcome = match error.is_unknown() {
                true => Outcome::Unknown,
                false => Outcome::Failed,
            };
            for row in rows {
                self.outcomes[*row] = Some(outcome(error.clone()));
            }
            return;
        }
        Box::pin(self.each(left)).await;
        Box::pin(self.each(right)).await;
    }

    /// Writes rows so that a failure undoes them alone.
    async fn guarded(&mut self, rows: &[usize]) -> Result<()> {
        let one_statement = rows.len() == 1 || statement::is_one(self.write);
        if self.scope == Scope::Own && one_statement {
            return self.wave(rows).await;
        }
        self.enter().await?;
        let kept = (self.places.len(), self.affected);
        let done = match self.wave(rows).await {
            Ok(()) => self.leave().await,
            Err(error) => Err(self.back_out_after(error).await),
        };
        if done.is_err() {
            self.places.truncate(kept.0);
            self.returned.truncate(kept.0);
            self.affected = kept.1;
        }
        done
    }

    /// Notes what a statement did to rows.
    fn take(&mut self, rows: &[usize], done: Done) -> Result<()> {
        self.affected += done.affected;
        if rows.is_empty() {
            // All that meet a filter have one outcome.
            self.places.resize(done.returned.len(), 0);
            self.returned = done.returned;
            self.outcomes = done.outcomes.into_iter().map(Some).collect();
            return Ok(());
        }
        for (at, row) in done.returned.iter().enumerate() {
            self.returned.push(&row)?;
            self.places.push(rows[done.places[at]]);
        }
        let failed = done.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Failed(error) => Some(error.clone()),
            _ => None,
        });
        if done.outcomes.len() == self.outcomes.len() && rows.is_sorted() {
            // All rows, as they came.
            self.outcomes = done.outcomes.into_iter().map(Some).collect();
        } else {
            for (row, outcome) in rows.iter().zip(done.outcomes) {
                self.outcomes[*row] = Some(outcome);
            }
        }
        match failed {
            // Nothing of the row was written: it needs no undoing.
            Some(error) if self.write.atomic => Err(error),
            _ => Ok(()),
        }
    }

    /// Finds out which row of an atomic write failed, now that nothing of it is left.
    async fn undone(&mut self, waves: &[Vec<usize>], error: Error) -> Result<()> {
        self.forget();
        if !is_of_the_row(&error) {
            return Err(error);
        }
        let (row, error) = self.locate(waves, error).await?;
        self.forget();
        self.outcomes = (0..self.write.change.len()).map(|_| Some(Outcome::Skipped)).collect();
        if let Some(outcome) = self.outcomes.get_mut(row) {
            *outcome = Some(Outcome::Failed(error));
        }
        Ok(())
    }

    /// Opens a part that can be undone: a transaction, or a savepoint in the one there is.
    async fn enter(&mut self) -> Result<()> {
        match (self.scope, self.depth) {
            (Scope::Own, 0) => self.link.begin("begin").await?,
            (_, depth) => self.link.savepoint(SAVEPOINTS + depth).await?,
        }
        self.depth += 1;
        Ok(())
    }

    async fn leave(&mut self) -> Result<()> {
        self.depth -= 1;
        match (self.scope, self.depth) {
            (Scope::Own, 0) => self.link.commit().await,
            (_, depth) => self.link.release(SAVEPOINTS + depth).await,
        }
    }

    async fn back_out(&mut self) -> Result<()> {
        self.depth -= 1;
        match (self.scope, self.depth) {
            (Scope::Own, 0) => self.link.rollback().await,
            (_, depth) => {
                self.link.rollback_to(SAVEPOINTS + depth).await?;
                self.link.release(SAVEPOINTS + depth).await
            }
        }
    }

    /// Undoes after an error, and returns the one to tell: a connection that is gone has undone by
    /// itself.
    async fn back_out_after(&mut self, error: Error) -> Error {
        match self.back_out().await {
            Err(worse) if is_of_the_row(&error) => worse,
            _ => error,
        }
    }

    fn stage(&self) -> Stage {
        match (self.scope, self.depth) {
            (Scope::Own, 0) => Stage::Writing,
            _ => Stage::Reading,
        }
    }

    /// Forgets what was noted, because it was undone.
    fn forget(&mut self) {
        self.outcomes.iter_mut().for_each(|outcome| *outcome = None);
        self.returned.clear();
        self.places.clear();
        self.affected = 0;
    }

    /// Rows that all failed for the same reason, which is none of their own, are a call that failed.
    fn refused_as_a_whole(&mut self) -> Result<()> {
        let error = |outcome: &Option<Outcome>| outcome.as_ref().and_then(Outcome::error).cloned();
        let first = self.outcomes.first().and_then(error);
        let is_whole = |error: &Error| {
            !is_of_the_row(error)
                && self.outcomes.iter().all(|outcome| {
                    outcome.as_ref().and_then(Outcome::error).is_some_and(|other| {
                        other.kind() == error.kind() && other.retry() == error.retry()
                    })
                })
        };
        first.filter(is_whole).map_or(Ok(()), Err)
    }

    /// Hands out the rows that are returned, in the order of the input, and reports.
    fn finish(self, sink: &mut dyn RowSink) -> WriteReport {
        let mut report = WriteReport::default();
        report.affected = self.affected;
        report.outcomes = self
            .outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| Outcome::Failed(lost())))
            .collect();
        let mut order: Vec<usize> = (0..self.places.len()).collect();
        order.sort_by_key(|at| self.places[*at]);
        for at in order {
            let Some(row) = self.returned.row(at) else { continue };
            match sink.row(&row) {
                Ok(flow) if flow.is_continue() => {}
                Ok(_) => break,
                // It is written by now: of a row that the sink refuses nothing can be confirmed, and
                // it is not undone either.
                Err(error) => {
                    let unknown = Outcome::Unknown(error.with_retry(Retry::IfIdempotent));
                    if let Some(outcome) = report.outcomes.get_mut(self.places[at]) {
                        *outcome = unknown;
                    }
                    break;
                }
            }
        }
        report
    }
}

/// The rows, or the keys of rows, that a change is about; none for a change by filter alone.
fn rows_of(change: &Change) -> Option<&RowBuffer> {
    match change {
        Change::Insert { rows, .. } | Change::Update { rows, .. } => Some(rows),
        Change::Patch { target: Target { keys, .. }, .. }
        | Change::Delete { target: Target { keys, .. }, .. } => keys.as_deref(),
        _ => None,
    }
}

/// Whether an error is about values of a row, so that other rows can do without it.
fn is_of_the_row(error: &Error) -> bool {
    let is_about_values = matches!(
        error.kind(),
        ErrorKind::Conflict
            | ErrorKind::Constraint
            | ErrorKind::Data
            | ErrorKind::InvalidInput
            | ErrorKind::Version
    );
    is_about_values && !error.is_unknown()
}

fn lost() -> Error {
    Error::new(ErrorKind::Internal, "the write gave no outcome for the row")
}
