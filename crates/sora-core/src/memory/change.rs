//! Writes to a table, row by row, with what undoes them.

use super::scan::{check, live_columns, meets, row_keys};
use super::table::{Conflict, RowKey, Stored, Table};
use super::{Memory, no_language};
use crate::write::{Change, Effect, OnConflict, Outcome, Target, Write, WriteReport};
use crate::{
    Assigned, Assignment, Binding, BufferedRow, Cell, Column, Error, ErrorKind, Result, RowBuffer,
    RowSink, Timestamp, Value, check_cell, new_uuid,
};

/// A write that has been done, and what undoes it.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) report: WriteReport,
    returned: RowBuffer,
    before: Vec<(RowKey, Option<Stored>)>,
}

impl Done {
    /// Hands the returned rows to the sink, until it breaks.
    pub(super) fn hand_out(&mut self, sink: &mut dyn RowSink) -> Result<()> {
        for row in self.returned.iter() {
            if sink.row(&row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Brings the table back to what it was.
    pub(super) fn undo(self, table: &mut Table) {
        restore(table, self.before);
    }
}

/// Does a write.
///
/// # Errors
///
/// What is wrong with the write as a whole; the table is then as it was.
pub(super) fn apply(table: &mut Table, write: &Write, now: Timestamp) -> Result<Done> {
    check(table, &write.binding)?;
    if write.change.len() > Memory::ROWS_MAX {
        let message = format!("one write takes at most {} rows or keys", Memory::ROWS_MAX);
        return Err(Error::new(ErrorKind::Limit, message).with("table", table.schema.table()));
    }
    let mut writer = Writer {
        table,
        binding: &write.binding,
        now,
        returning: write.returning.as_deref(),
        returned: RowBuffer::new(write.returning.as_ref().map_or(0, |columns| columns.len())),
        before: Vec::new(),
    };
    let report = match &write.change {
        Change::Insert { rows, columns, on_conflict } => {
            if let OnConflict::Update(by) = on_conflict {
                writer.table.check_unique(&live_columns(&write.binding, by))?;
            }
            writer.each(rows.iter(), write.atomic, |writer, row| {
                writer.insert(row, columns, on_conflict)
            })
        }
        Change::Update { rows, columns, check_version } => {
            writer.update(rows, columns, *check_version, write.atomic)?
        }
        Change::Patch { target, assignments, version } => {
            writer.check_assignments(assignments)?;
            writer.target(target, *version, write.atomic, |writer, key, row| {
                let row = writer.patched(&row, assignments)?;
                writer.replace(&key, row)
            })?
        }
        Change::Delete { target, version } => {
            writer.target(target, *version, write.atomic, |writer, key, _| {
                writer.put(&key, None)?;
                Ok(Effect::Deleted)
            })?
        }
        Change::Native(_) => return Err(no_language()),
    };
    let Writer { returned, before, .. } = writer;
    Ok(Done { report, returned, before })
}

struct Writer<'a> {
    table: &'a mut Table,
    binding: &'a Binding,
    now: Timestamp,
    returning: Option<&'a [u16]>,
    returned: RowBuffer,
    before: Vec<(RowKey, Option<Stored>)>,
}

/// How far a write has come.
#[derive(Clone, Copy)]
struct Mark {
    before: usize,
    returned: usize,
}

impl Writer<'_> {
    /// Writes items one after another, one outcome for each.
    fn each<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        atomic: bool,
        mut write: impl FnMut(&mut Self, T) -> Result<Effect>,
    ) -> WriteReport {
        let count = items.len();
        let start = self.mark();
        let mut report = WriteReport::default();
        for (index, item) in items.enumerate() {
            let mark = self.mark();
            match write(self, item) {
                Ok(effect) => report.push(Outcome::Applied(effect)),
                Err(error) if atomic => {
                    self.undo(start);
                    report.undo(count, index, self.at(error));
                    break;
                }
                Err(error) => {
                    self.undo(mark);
                    report.push(Outcome::Failed(self.at(error)));
                }
            }
        }
        report
    }

    fn insert(
        &mut self,
        given: BufferedRow<'_>,
        columns: &[u16],
        on_conflict: &OnConflict,
    ) -> Result<Effect> {
        let row = self.new_row(given, columns)?;
        if let OnConflict::Update(by) = on_conflict {
            let by = live_columns(self.binding, by);
            if let Some(key) = self.table.find_same(&by, &row) {
                return self.overwrite(&key, given, columns);
            }
        }
        let key = self.table.key_of(&row)?;
        match self.table.conflict(&key, &row, None) {
            Some(_) if *on_conflict == OnConflict::Ignore => return Ok(Effect::Unchanged),
            Some(conflict) => return Err(conflict.error()),
            None => self.put(&key, Some(row.into()))?,
        }
        Ok(Effect::Inserted)
    }

    fn update(
        &mut self,
        rows: &RowBuffer,
        columns: &[u16],
        check_version: bool,
        atomic: bool,
    ) -> Result<WriteReport> {
        let place = |column: u16| columns.iter().position(|other| *other == column);
        let absent = |what: &str| {
            let message = format!("the rows of an update hold no {what}");
            Error::new(ErrorKind::InvalidInput, message).with("table", self.table.schema.table())
        };
        let version = match self.binding.schema().version() {
            Some(version) if check_version => {
                Some(place(version).ok_or_else(|| absent("version"))?)
            }
            _ => None,
        };
        let mut keys = RowBuffer::new(self.binding.schema().key().len());
        let key_places: Option<Vec<usize>> =
            self.binding.schema().key().iter().map(|column| place(*column)).collect();
        let key_places = key_places.ok_or_else(|| absent("key"))?;
        for row in rows.iter() {
            let key: Vec<Value> = key_places.iter().map(|at| row.get(*at).to_value()).collect();
            keys.push(&key)?;
        }
        let keys: Vec<RowKey> = row_keys(self.table, self.binding, &keys)?.collect();
        Ok(self.each(keys.into_iter().zip(rows.iter()), atomic, |writer, (key, row)| {
            let Some(stored) = writer.table.get(&key).cloned() else { return Ok(Effect::Missing) };
            if let Some(at) = version {
                writer.check_version(&stored, row.get(at))?;
            }
            writer.overwrite(&key, row, columns)
        }))
    }

    /// Changes the rows of a target. By filter alone it is one item: all of them or none.
    fn target(
        &mut self,
        target: &Target,
        version: Option<i64>,
        atomic: bool,
        mut change: impl FnMut(&mut Self, RowKey, Stored) -> Result<Effect>,
    ) -> Result<WriteReport> {
        let filter = &*target.filter;
        let mut one = |writer: &mut Self, key: RowKey, row: Stored| {
            if let Some(version) = version {
                writer.check_version(&row, Cell::I64(version))?;
            }
            change(writer, key, row)
        };
        if let Some(keys) = &target.keys {
            let keys: Vec<RowKey> = row_keys(self.table, self.binding, keys)?.collect();
            return Ok(self.each(keys.into_iter(), atomic, |writer, key| {
                match writer.table.get(&key).cloned() {
                    Some(row) if meets(writer.binding, filter, &row)? => one(writer, key, row),
                    _ => Ok(Effect::Missing),
                }
            }));
        }
        let mut affected = 0;
        let mut report = self.each(std::iter::once(()), atomic, |writer, ()| {
            let mut rows = Vec::new();
            for (key, row) in writer.table.rows() {
                if meets(writer.binding, filter, row)? {
                    rows.push((key.clone(), row.clone()));
                }
            }
            affected = rows.len();
            let mut effect = Effect::Missing;
            for (key, row) in rows {
                effect = one(writer, key, row)?;
            }
            Ok(effect)
        });
        if report.affected > 0 {
            report.affected = affected as u64;
        }
        Ok(report)
    }

    /// Returns the row that an insert stores: what is given, and what the store assigns.
    fn new_row(&mut self, given: BufferedRow<'_>, columns: &[u16]) -> Result<Vec<Value>> {
        let schema = self.table.schema.clone();
        let mut row: Vec<Option<Value>> = vec![None; schema.columns().len()];
        for (position, column) in columns.iter().enumerate() {
            let at = usize::from(self.binding.live_position(*column));
            row[at] = Some(fitting(&schema.columns()[at], given.get(position))?);
        }
        let version = self.version_column();
        let mut full = Vec::with_capacity(row.len());
        for ((at, column), value) in (0u16..).zip(schema.columns()).zip(row) {
            full.push(match value {
                Some(value) => value,
                None if version == Some(at) => Value::I64(1),
                None => self.assigned(column)?,
            });
        }
        Ok(full)
    }

    /// Returns what a column of a new row holds that is not given.
    fn assigned(&mut self, column: &Column) -> Result<Value> {
        Ok(match &column.assigned {
            Assigned::Default(value) => value.clone(),
            Assigned::Identity => {
                let number = self.table.next_number()?;
                fitting(column, Cell::I64(number))?
            }
            Assigned::Now => Value::Timestamp(self.now),
            Assigned::UuidV7 => Value::Uuid(new_uuid()?),
            Assigned::Store(expression) => {
                let message = format!("memory cannot assign the expression {expression}");
                let error = Error::new(ErrorKind::Unsupported, message);
                return Err(error.with("column", &column.name));
            }
            Assigned::Caller if column.nullable => Value::Null,
            Assigned::Caller => {
                let message = format!("the column {:?} needs a value", column.name);
                return Err(Error::new(ErrorKind::Constraint, message));
            }
        })
    }

    /// Replaces the given columns of a stored row, all but the key, which stays.
    fn overwrite(
        &mut self,
        key: &RowKey,
        given: BufferedRow<'_>,
        columns: &[u16],
    ) -> Result<Effect> {
        let Some(stored) = self.table.get(key) else { return Ok(Effect::Missing) };
        let mut row = stored.to_vec();
        let schema = self.table.schema.clone();
        let version = self.version_column();
        for (position, column) in columns.iter().enumerate() {
            let column = self.binding.live_position(*column);
            if !schema.key().contains(&column) && version != Some(column) {
                row[usize::from(column)] = fitting(schema.column(column), given.get(position))?;
            }
        }
        self.replace(key, row)
    }

    fn patched(&self, stored: &Stored, assignments: &[Assignment]) -> Result<Vec<Value>> {
        let mut row = stored.to_vec();
        for assignment in assignments {
            let at = self.binding.live_position(assignment.column);
            let cell = &mut row[usize::from(at)];
            *cell = assignment.apply(self.table.schema.column(at), cell.cell())?;
        }
        if let Some(version) = self.version_column() {
            // It counts by itself, whatever is assigned to it.
            let version = usize::from(version);
            row[version] = stored[version].clone();
        }
        Ok(row)
    }

    /// Puts a changed row in its place and counts its version.
    fn replace(&mut self, key: &RowKey, mut row: Vec<Value>) -> Result<Effect> {
        if let Some(version) = self.version_column() {
            let add = Assignment { column: version, add: true, value: Value::I64(1) };
            let cell = &mut row[usize::from(version)];
            *cell = add.apply(self.table.schema.column(version), cell.cell())?;
        }
        if let Some(conflict) = self.table.conflict(key, &row, Some(key)) {
            return Err(conflict.error());
        }
        self.put(key, Some(row.into()))?;
        Ok(Effect::Updated)
    }

    /// Puts a row in its place, remembers what was there, and returns the row if that was asked for.
    fn put(&mut self, key: &RowKey, row: Option<Stored>) -> Result<()> {
        let before = self.table.put(key, row.clone());
        self.before.push((key.clone(), before));
        if let (Some(columns), Some(row)) = (self.returning, row) {
            let at = |column: &u16| usize::from(self.binding.live_position(*column));
            let cells: Vec<Value> = columns.iter().map(|column| row[at(column)].clone()).collect();
            self.returned.push(&cells)?;
        }
        Ok(())
    }

    fn check_version(&self, stored: &Stored, expected: Cell<'_>) -> Result<()> {
        let Some(version) = self.version_column() else {
            let message = "a version is expected, but the entity has no version column";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        };
        if stored[usize::from(version)].cell() == expected {
            return Ok(());
        }
        let message = "the row was changed since it was read; read it again";
        Err(Error::new(ErrorKind::Version, message))
    }

    fn check_assignments(&self, assignments: &[Assignment]) -> Result<()> {
        let is_key = |column| self.table.schema.key().contains(&self.binding.live_position(column));
        if assignments.iter().all(|assignment| !is_key(assignment.column)) {
            return Ok(());
        }
        let message = "the key of a stored row cannot be changed; delete the row and insert it";
        Err(self.at(Error::new(ErrorKind::InvalidInput, message)))
    }

    fn version_column(&self) -> Option<u16> {
        self.binding.schema().version().map(|column| self.binding.live_position(column))
    }

    fn mark(&self) -> Mark {
        Mark { before: self.before.len(), returned: self.returned.len() }
    }

    fn undo(&mut self, mark: Mark) {
        restore(self.table, self.before.split_off(mark.before));
        self.returned.truncate(mark.returned);
    }

    fn at(&self, error: Error) -> Error {
        error.with("table", self.table.schema.table())
    }
}

impl Conflict {
    fn error(self) -> Error {
        Error::new(ErrorKind::Conflict, "a row with the same values is there already")
            .with("constraint", &self.constraint)
            .with_constraint(self.constraint)
    }
}

/// Puts back what was there, the last first.
fn restore(table: &mut Table, before: Vec<(RowKey, Option<Stored>)>) {
    for (key, row) in before.into_iter().rev() {
        table.put(&key, row);
    }
}

/// Returns a cell as its column stores it. The entity's idea of the column can be wider than the
/// table's, so the table has the last word.
fn fitting(column: &Column, cell: Cell<'_>) -> Result<Value> {
    check_cell(column, cell).map(Cell::to_value).map_err(|error| {
        Error::new(ErrorKind::Constraint, error.message()).with("column", &column.name)
    })
}
