//! Writes to a table.

use std::panic::Location;
use std::sync::Arc;

use sora_core::write::{Change, OnConflict, Outcome, Target, Write, WriteReport};
use sora_core::{
    Assignment, Cell, Error, ErrorKind, Intake, Operation, Result, Retry, RowBuffer, RowSink,
    Stamp, Type, check_cell,
};
use tracing::Instrument;

use super::Table;
use super::group::{self, GroupCommit, Waiting};
use super::key::no_key;
use super::read::chunks;
use crate::collect::Nothing;
use crate::deadline;
use crate::lane::Admission;
use crate::transaction::Turn;
use crate::watch::Watch;

impl Table {
    /// Returns an intake for new rows of these columns: it checks each cell, and adds the columns
    /// that Sora assigns. Its [`columns`](Intake::columns) are those of the rows.
    pub fn intake(&self, columns: &[u16]) -> Intake<'_> {
        Intake::new(self.schema(), columns, Stamp::New)
    }

    /// Writes rows, each standing alone. One round trip for as many rows as the store takes at once,
    /// each durable when the next begins.
    ///
    /// # Errors
    ///
    /// Only if no row was written; what became of each row stands in the report.
    #[track_caller]
    pub fn write(&self, change: Change) -> impl Future<Output = Result<WriteReport>> + Send {
        self.write_at(change, false, None, Location::caller())
    }

    /// Writes rows, all or none: the first that fails undoes the others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if the store cannot; only if no row was written.
    #[track_caller]
    pub fn write_atomic(&self, change: Change) -> impl Future<Output = Result<WriteReport>> + Send {
        self.write_at(change, true, None, Location::caller())
    }

    pub(crate) async fn write_at(
        &self,
        change: Change,
        atomic: bool,
        returning: Option<(Arc<[u16]>, &mut dyn RowSink)>,
        location: &'static Location<'static>,
    ) -> Result<WriteReport> {
        let mut watch = self.watch(operation_of(&change), location);
        let span = watch.span();
        let rows = change.len();
        let written = async {
            let (columns, sink) = match returning {
                Some((columns, sink)) if self.capability().returning => (Some(columns), sink),
                Some(_) => return Err(self.cannot("return the rows that it wrote")),
                None => (None, &mut Nothing as &mut dyn RowSink),
            };
            self.check(&change)?;
            let writes = self.divide(change, atomic, columns.as_ref())?;
            self.pass_writers(location).await?;
            let report = match <[Write; 1]>::try_from(writes) {
                Ok([write]) => self.write_joined(write, sink, &mut watch).await?,
                // Apart, so that the future of a write in one part is small.
                Err(writes) if atomic => {
                    Box::pin(self.write_in_session(&writes, rows, sink)).await?
                }
                Err(writes) => Box::pin(self.write_each(&writes, sink)).await?,
            };
            watch.wrote(rows, &report);
            Ok(report)
        };
        let written = deadline::writing(written.instrument(span)).await;
        watch.end(written)
    }

    /// Checks what no provider needs to check again.
    pub(crate) fn check(&self, change: &Change) -> Result<()> {
        let schema = self.schema();
        let at = |error: Error| error.with("table", schema.table());
        if self.capability().read_only {
            let message = "the store is open read-only";
            return Err(at(Error::new(ErrorKind::ReadOnly, message)));
        }
        if self.binding().live().is_view {
            let message = "a view is read and not written; write to the tables that it reads";
            return Err(at(Error::new(ErrorKind::Unsupported, message)));
        }
        match change {
            Change::Insert { columns, on_conflict, .. } => {
                let missing = (0u16..).zip(schema.columns()).find(|(column, of)| {
                    of.is_required() && !of.hidden && !columns.contains(column)
                });
                if let Some((_, column)) = missing {
                    let message =
                        format!("a new row needs a value for the column {:?}", column.name);
                    return Err(at(Error::new(ErrorKind::InvalidInput, message)));
                }
                match on_conflict {
                    OnConflict::Update(unique) => self.check_unique(unique).map_err(at),
                    _ => Ok(()),
                }
            }
            _ if writes_by_key(change) && schema.key().is_empty() => Err(no_key(schema)),
            _ => Ok(()),
        }
    }

    /// Returns assignments whose values fit their columns.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if there is none, if a column is assigned twice, is part of the
    /// key or the version, or does not take the value.
    pub fn check_assignments(&self, assignments: &[Assignment]) -> Result<Arc<[Assignment]>> {
        let schema = self.schema();
        let refused = |message: String| {
            Err(Error::new(ErrorKind::InvalidInput, message).with("table", schema.table()))
        };
        if assignments.is_empty() {
            return refused("a patch changes at least one column".into());
        }
        let mut checked: Vec<Assignment> = Vec::with_capacity(assignments.len());
        for Assignment { column: at, add, value } in assignments {
            let column = schema.column(*at);
            let name = &column.name;
            if checked.iter().any(|other| other.column == *at) {
                return refused(format!("the column {name:?} is changed twice"));
            }
            if schema.key().contains(at) || schema.version() == Some(*at) {
                return refused(format!(
                    "the column {name:?} is the key or the version of its row"
                ));
            }
            let can_add =
                matches!(column.column_type, Type::I64 | Type::F64 | Type::Decimal { .. });
            if *add && (!can_add || value.is_null()) {
                return refused(format!(
                    "nothing can be added to the column {name:?} but a number"
                ));
            }
            let value = match (*add, column.range) {
                // What is added may be out of the column's range; the sum may not.
                (true, Some(_)) => value.clone(),
                _ => check_cell(column, exact(column.column_type, value.cell()))?.to_value(),
            };
            checked.push(Assignment { column: *at, add: *add, value });
        }
        Ok(checked.into())
    }

    fn check_unique(&self, columns: &[u16]) -> Result<()> {
        let schema = self.schema();
        let is_unique = |unique: &[u16]| {
            unique.len() == columns.len() && unique.iter().all(|column| columns.contains(column))
        };
        let by_index =
            schema.indexes().iter().any(|index| index.unique && is_unique(&index.columns));
        if by_index || (!schema.key().is_empty() && is_unique(schema.key())) {
            return Ok(());
        }
        let message = "rows can be replaced by the key or by a unique index";
        Err(Error::new(ErrorKind::InvalidInput, message))
    }

    /// Cuts a change into writes of as many rows as the store takes at once.
    fn divide(
        &self,
        change: Change,
        atomic: bool,
        returning: Option<&Arc<[u16]>>,
    ) -> Result<Vec<Write>> {
        let capability = self.capability();
        let parts = match change {
            Change::Insert { rows, columns, on_conflict } => {
                parts(rows, capability.rows_max, |rows| Change::Insert {
                    rows,
                    columns: columns.clone(),
                    on_conflict: on_conflict.clone(),
                })?
            }
            Change::Update { rows, columns, check_version } => {
                parts(rows, capability.rows_max, |rows| Change::Update {
                    rows,
                    columns: columns.clone(),
                    check_version,
                })?
            }
            Change::Delete { target: Target { keys: Some(keys), filter }, version } => {
                parts(keys, capability.keys_max, |keys| Change::Delete {
                    target: Target { keys: Some(keys), filter: filter.clone() },
                    version,
                })?
            }
            Change::Patch { target: Target { keys: Some(keys), filter }, assignments, version } => {
                parts(keys, capability.keys_max, |keys| Change::Patch {
                    target: Target { keys: Some(keys), filter: filter.clone() },
                    assignments: assignments.clone(),
                    version,
                })?
            }
            whole => vec![whole],
        };
        let write = |change| {
            let mut write = Write::new(self.binding(), change);
            write.atomic = atomic;
            write.returning = returning.cloned();
            write
        };
        Ok(parts.into_iter().map(write).collect())
    }

    /// Writes one row with others that wait, if the store's lanes are busy.
    async fn write_joined(
        &self,
        write: Write,
        sink: &mut dyn RowSink,
        watch: &mut Watch<'_>,
    ) -> Result<WriteReport> {
        let can_join = self.transaction().is_none() && GroupCommit::can_join(&write);
        let Some(groups) = self.inner.groups.as_ref().filter(|_| can_join) else {
            return self.write_once(&write, sink).await;
        };
        let answer = match groups.admit(write, |write| Waiting::new(self, write)) {
            Admission::Waits(answer) => answer,
            Admission::Alone(write, _pass) => return self.write_once(&write, sink).await,
        };
        let written = answer.await.map_err(|_| group::unanswered())??;
        watch.shared_by(written.shared_by);
        Ok(written.deliver(sink))
    }

    pub(crate) async fn write_once(
        &self,
        write: &Write,
        sink: &mut dyn RowSink,
    ) -> Result<WriteReport> {
        if write.atomic && write.change.len() > 1 && !self.capability().atomic_writes {
            return Err(self.cannot("write several rows all or none"));
        }
        let written = match self.transaction() {
            Some(transaction) => self.session(transaction).await?.write(write, sink).await,
            None => self.store().provider.write(write, sink).await,
        };
        if let Err(error) = &written
            && error.kind() == ErrorKind::Schema
            && self.transaction().is_none()
        {
            // A write is not repeated; the next one knows what the table has become.
            Box::pin(self.bind_again()).await?;
        }
        written
    }

    /// Writes the parts one after another. What comes behind a part that failed as a whole is left
    /// out.
    async fn write_each(&self, writes: &[Write], sink: &mut dyn RowSink) -> Result<WriteReport> {
        let mut all = WriteReport::default();
        let mut stopped = false;
        for write in writes {
            let rows = write.change.len();
            if stopped {
                all.outcomes.extend((0..rows).map(|_| Outcome::Skipped));
                continue;
            }
            match self.write_once(write, sink).await {
                Ok(report) => {
                    all.affected += report.affected;
                    all.outcomes.extend(report.outcomes);
                }
                Err(error) if all.affected == 0 => return Err(error),
                Err(error) => {
                    stopped = true;
                    let outcome = match error.retry() {
                        Retry::IfIdempotent => Outcome::Unknown,
                        Retry::Never | Retry::Safe => Outcome::Failed,
                    };
                    all.outcomes.extend((0..rows).map(|_| outcome(error.clone())));
                }
            }
        }
        Ok(all)
    }

    /// Writes the parts in one transaction, which the first failure undoes.
    async fn write_in_session(
        &self,
        writes: &[Write],
        rows: usize,
        sink: &mut dyn RowSink,
    ) -> Result<WriteReport> {
        let mut turn = self.turn().await?;
        let written = write_parts(&mut turn, writes, rows, sink).await;
        turn.end(written, |report| report.first_error().is_none()).await
    }

    pub(crate) fn cannot(&self, what: &str) -> Error {
        let message = format!("{} cannot {what}", self.store().provider.name());
        Error::new(ErrorKind::Unsupported, message).with("table", self.name())
    }
}

/// Writes the parts one after another, up to the first failure.
async fn write_parts(
    turn: &mut Turn<'_>,
    writes: &[Write],
    rows: usize,
    sink: &mut dyn RowSink,
) -> Result<WriteReport> {
    let mut all = WriteReport::default();
    for write in writes {
        let report = turn.write(write, sink).await?;
        let done = all.outcomes.len();
        let failed = report.outcomes.iter().position(|outcome| outcome.error().is_some());
        if let Some((at, error)) = failed.zip(report.first_error()) {
            sink.reset();
            all.undo(rows, done + at, error.clone());
            return Ok(all);
        }
        all.affected += report.affected;
        all.outcomes.extend(report.outcomes);
    }
    Ok(all)
}

fn writes_by_key(change: &Change) -> bool {
    match change {
        Change::Insert { .. } => false,
        Change::Patch { target, .. } | Change::Delete { target, .. } => target.keys.is_some(),
        _ => true,
    }
}

/// A whole number is a number of any other type.
fn exact(column_type: Type, cell: Cell<'_>) -> Cell<'_> {
    match (column_type, cell) {
        (Type::F64, Cell::I64(value)) => {
            #[expect(clippy::cast_precision_loss, reason = "checked: it comes back as it was")]
            let float = value as f64;
            #[expect(clippy::cast_possible_truncation, reason = "a float of at most 2^63 fits")]
            if float as i128 == i128::from(value) { Cell::F64(float) } else { cell }
        }
        (Type::Decimal { .. }, Cell::I64(value)) => Cell::Decimal(value.into()),
        _ => cell,
    }
}

fn parts(
    rows: Arc<RowBuffer>,
    rows_max: usize,
    change: impl Fn(Arc<RowBuffer>) -> Change,
) -> Result<Vec<Change>> {
    if rows.len() <= rows_max {
        return Ok(vec![change(rows)]);
    }
    Ok(chunks(&rows, rows_max)?.into_iter().map(|rows| change(Arc::new(rows))).collect())
}

fn operation_of(change: &Change) -> Operation {
    match change {
        Change::Insert { on_conflict: OnConflict::Update(_), .. } => Operation::Upsert,
        Change::Insert { .. } => Operation::Insert,
        Change::Update { .. } => Operation::Update,
        Change::Patch { .. } => Operation::Patch,
        Change::Delete { .. } => Operation::Delete,
        _ => Operation::Batch,
    }
}
