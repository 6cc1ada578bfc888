//! Writes, one row or one filter at a time.

use sora_core::write::{Change, OnConflict, Target, Write};
use sora_core::{Assigned, Assignment, BufferedRow, Cell};

use crate::walk::{ROW_NUMBER, Walk};
use crate::{Dialect, Out};

/// Writes the statement of one row of a write: the row itself, or the key it is found by; none for
/// a change by filter alone.
///
/// The text is the same for every row.
pub fn change<D: Dialect, O: Out>(write: &Write, row: Option<BufferedRow<'_>>, out: &mut O) {
    let mut walk = Walk::<D, O>::new(&write.binding, out);
    match &write.change {
        Change::Insert { columns, on_conflict, .. } => walk.insert(columns, on_conflict, row),
        Change::Update { columns, check_version, .. } => walk.update(columns, *check_version, row),
        Change::Patch { target, assignments, version } => {
            walk.patch(target, assignments, *version, row);
        }
        Change::Delete { target, version } => {
            walk.text("DELETE FROM ");
            walk.table();
            walk.target(target, *version, row);
        }
        // A kind of change that this crate does not know is none that a store could run.
        _ => {}
    }
    if O::TEXT {
        walk.returning(&returned::<D>(write));
    }
}

/// What a statement of a write returns of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The columns, those that were asked for first.
    pub columns: Box<[u16]>,
    /// How many of them were asked for.
    pub width: usize,
    /// Whether a bool follows that says that the row is new.
    pub is_inserted: bool,
    /// Whether, as the last, the number of the row in the write follows, counted from 1.
    pub number: bool,
}

/// Returns what the statement of one row returns.
pub fn returned<D: Dialect>(write: &Write) -> Returned {
    // To hand out a row only to say whether it is new would cost more than that is worth; upserts
    // that were joined do not say it either.
    told::<D>(write, write.returning.as_ref().is_some_and(|columns| !columns.is_empty()))
}

/// The same, and whether the row is new if that is told.
pub(crate) fn told<D: Dialect>(write: &Write, tells: bool) -> Returned {
    let columns: Box<[u16]> = write.returning.as_deref().unwrap_or_default().into();
    let is_upsert =
        matches!(&write.change, Change::Insert { on_conflict: OnConflict::Update(_), .. });
    let is_inserted = tells && is_upsert && D::is_inserted(write.binding.live()).is_some();
    Returned { width: columns.len(), columns, is_inserted, number: false }
}

/// Writes the question whether the row of an update, or of a change by key, is stored, whatever its
/// version.
pub fn exists<D: Dialect, O: Out>(write: &Write, row: BufferedRow<'_>, out: &mut O) {
    let mut walk = Walk::<D, O>::new(&write.binding, out);
    walk.text("SELECT 1 FROM ");
    walk.table();
    match &write.change {
        Change::Update { columns, .. } => {
            walk.text(" WHERE ");
            walk.row_key_equals(columns, row);
        }
        Change::Patch { target, .. } | Change::Delete { target, .. } => {
            walk.target(target, None, Some(row));
        }
        _ => walk.text(" WHERE FALSE"),
    }
}

impl<D: Dialect, O: Out> Walk<'_, D, O> {
    fn insert(&mut self, columns: &[u16], on_conflict: &OnConflict, row: Option<BufferedRow<'_>>) {
        if O::TEXT {
            self.text("INSERT INTO ");
            self.table();
            self.text(" (");
            self.columns(columns);
            self.text(")");
            self.overriding(columns);
            self.text(" VALUES (");
        }
        for (index, column) in columns.iter().enumerate() {
            self.comma(index);
            self.assigned(*column, row.map_or(Cell::Null, |row| row.get(index)));
        }
        if O::TEXT {
            self.text(")");
            self.on_conflict(columns, on_conflict);
        }
    }

    /// Writes that the numbers that are given count, where the store would count up by itself.
    pub(crate) fn overriding(&mut self, columns: &[u16]) {
        let counts =
            |column: &u16| self.binding.live_column(*column).assigned == Assigned::Identity;
        if columns.iter().any(counts) {
            self.text(D::OVERRIDING);
        }
    }

    /// Holds no value, so that binders need not walk it.
    pub(crate) fn returning(&mut self, returned: &Returned) {
        let Returned { columns, is_inserted, number, .. } = returned;
        if columns.is_empty() && !is_inserted && !number {
            return;
        }
        self.text(" RETURNING ");
        self.read_columns(columns);
        let mut written = columns.len();
        if let Some(is_inserted) = D::is_inserted(self.binding.live()).filter(|_| *is_inserted) {
            self.comma(written);
            self.text(is_inserted);
            written += 1;
        }
        if *number {
            self.comma(written);
            self.out.name(ROW_NUMBER);
        }
    }

    /// Holds no value, so that binders need not walk it.
    pub(crate) fn on_conflict(&mut self, columns: &[u16], on_conflict: &OnConflict) {
        match on_conflict {
            OnConflict::Ignore => self.text(" ON CONFLICT DO NOTHING"),
            OnConflict::Update(target) => {
                self.text(" ON CONFLICT (");
                self.columns(target);
                self.text(") DO UPDATE SET ");
                self.replace(columns, target);
            }
            _ => {}
        }
    }

    fn replace(&mut self, columns: &[u16], target: &[u16]) {
        let schema = self.binding.schema();
        let mut written = 0;
        for column in columns {
            let kept = target.contains(column) || schema.key().contains(column);
            if kept || schema.version() == Some(*column) {
                continue;
            }
            self.comma(written);
            self.column(*column);
            self.text(" = excluded.");
            self.column(*column);
            written += 1;
        }
        written += usize::from(self.count_version(written));
        if written == 0 {
            // Nothing changes, but the row is found, and returned if that was asked for.
            if let Some(column) = target.first() {
                self.column(*column);
                self.text(" = excluded.");
                self.column(*column);
            }
        }
    }

    fn update(&mut self, columns: &[u16], check_version: bool, row: Option<BufferedRow<'_>>) {
        let binding = self.binding;
        let schema = binding.schema();
        let cell = |index: usize| row.map_or(Cell::Null, |row| row.get(index));
        self.text("UPDATE ");
        self.table();
        self.text(" SET ");
        let mut written = 0;
        for (index, column) in columns.iter().enumerate() {
            if schema.key().contains(column) || schema.version() == Some(*column) {
                continue;
            }
            self.comma(written);
            self.column(*column);
            self.text(" = ");
            self.assigned(*column, cell(index));
            written += 1;
        }
        written += usize::from(self.count_version(written));
        if written == 0 {
            self.keep_key();
        }
        self.text(" WHERE ");
        match row {
            Some(row) => self.row_key_equals(columns, row),
            None => self.text("FALSE"),
        }
        let version = schema.version().filter(|_| check_version);
        if let Some(version) = version {
            self.text(" AND ");
            let index = columns.iter().position(|column| *column == version);
            self.equals(version, index.map_or(Cell::Null, cell));
        }
    }

    fn patch(
        &mut self,
        target: &Target,
        assignments: &[Assignment],
        version: Option<i64>,
        row: Option<BufferedRow<'_>>,
    ) {
        self.assignments(assignments);
        self.target(target, version, row);
    }

    /// Writes an update up to its condition.
    pub(crate) fn assignments(&mut self, assignments: &[Assignment]) {
        self.text("UPDATE ");
        self.table();
        self.text(" SET ");
        let mut written = 0;
        for Assignment { column, add, value } in assignments {
            if self.binding.schema().version() == Some(*column) {
                continue;
            }
            self.comma(written);
            self.column(*column);
            self.text(" = ");
            if *add {
                D::add(self, *column, value.cell());
            } else {
                self.assigned(*column, value.cell());
            }
            written += 1;
        }
        written += usize::from(self.count_version(written));
        if written == 0 {
            self.keep_key();
        }
    }

    /// Writes the condition of the rows that a change applies to.
    fn target(&mut self, target: &Target, version: Option<i64>, row: Option<BufferedRow<'_>>) {
        let mut word = " WHERE ";
        if target.keys.is_some() {
            self.text(word);
            match row {
                Some(row) => self.key_equals(|index| row.get(index)),
                None => self.text("FALSE"),
            }
            word = " AND ";
        }
        self.rest_of_target(target, version, word);
    }

    /// Writes the conditions beside the key.
    pub(crate) fn rest_of_target(
        &mut self,
        target: &Target,
        version: Option<i64>,
        mut word: &'static str,
    ) {
        if !target.filter.is_empty() {
            self.text(word);
            self.all(&target.filter);
            word = " AND ";
        }
        if let (Some(column), Some(version)) = (self.binding.schema().version(), version) {
            self.text(word);
            self.equals(column, Cell::I64(version));
        }
    }

    /// Writes that the key equals that of a row of these columns.
    fn row_key_equals(&mut self, columns: &[u16], row: BufferedRow<'_>) {
        let binding = self.binding;
        let key = binding.schema().key();
        self.key_equals(|index| {
            let column = key.get(index);
            let at = columns.iter().position(|other| Some(other) == column);
            at.map_or(Cell::Null, |at| row.get(at))
        });
    }

    /// Writes that the version is one higher; says whether there is a version.
    pub(crate) fn count_version(&mut self, written: usize) -> bool {
        let Some(version) = self.binding.schema().version() else { return false };
        if O::TEXT {
            self.comma(written);
            self.column(version);
            self.text(" = ");
            self.table();
            self.text(".");
            self.column(version);
            self.text(" + 1");
        }
        true
    }

    /// Writes an assignment that changes nothing, so that the row is found all the same.
    pub(crate) fn keep_key(&mut self) {
        let binding = self.binding;
        if let Some(column) = binding.schema().key().first() {
            self.column(*column);
            self.text(" = ");
            self.column(*column);
        }
    }
}
