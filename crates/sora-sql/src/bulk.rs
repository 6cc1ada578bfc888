//! Writes of many rows as one statement, for stores that unnest arrays.

use sora_core::write::{Change, OnConflict, Target, Write};
use sora_core::{Cell, RowBuffer};

use crate::change::{Returned, told};
use crate::out::{Operand, Out};
use crate::postgres::Postgres;
use crate::postgres::column::{cast, is_array};
use crate::walk::{ROW_NUMBER, Walk, key_name};

/// How the rows that a statement of many rows returns are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToldBy {
    /// By these columns of what is returned, given as positions in it: no two rows of the write
    /// have the same values in them, and a row that is not returned was not written.
    Columns(Box<[usize]>),
    /// By the number that ends each: a row that is not returned was not written.
    Number,
    /// By their order: one is returned for each row of the write.
    ///
    /// The rows are inserted one by one as the ordered subselect gives them, and each is returned
    /// as it is inserted. Only a trigger can leave one out: then the numbers of rows differ, and
    /// nothing may be concluded.
    Order,
}

/// What a statement of many rows is asked to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// Of an insert, nothing beyond what the write asks for: the number of rows tells whether all
    /// were written. Other changes could not be repeated if it told that some were not.
    Count,
    /// What tells of each row what became of it.
    Each,
}

/// What a statement of many rows returns, and how its rows are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkForm {
    /// What is returned of each row; empty if nothing is.
    pub returned: Returned,
    /// How the rows are told apart; nothing tells if none are returned.
    pub told_by: Option<ToldBy>,
}

/// Returns how a write of many rows is done by one statement; `None` if its rows must go one by one,
/// because nothing would tell which of them was written.
///
/// No two rows of one statement may have the same key, nor the same values of the columns on whose
/// conflict it updates: PostgreSQL refuses that in an upsert and takes any of the two in an update.
pub fn bulk_form(write: &Write, detail: Detail) -> Option<BulkForm> {
    let mut returned = told::<Postgres>(write, true);
    let is_insert = matches!(write.change, Change::Insert { .. });
    let wanted = detail == Detail::Each || write.returning.is_some() || !is_insert;
    let told_by = match &write.change {
        Change::Insert { columns, on_conflict, .. } => {
            let told_by = match on_conflict {
                OnConflict::Update(target) => told_by_columns(&mut returned, target),
                _ => {
                    let key = write.binding.schema().key();
                    let given = key.iter().all(|column| columns.contains(column));
                    match (given && !key.is_empty(), on_conflict) {
                        (true, _) => told_by_columns(&mut returned, key),
                        (false, OnConflict::Fail) => ToldBy::Order,
                        (false, _) => return None,
                    }
                }
            };
            // Rows are returned only if at least one column is.
            if told_by == ToldBy::Order && returned.columns.is_empty() {
                returned.columns = columns.first().copied().into_iter().collect();
            }
            told_by
        }
        Change::Update { .. } => ToldBy::Number,
        Change::Patch { target, .. } | Change::Delete { target, .. } => {
            target.keys.as_ref()?;
            ToldBy::Number
        }
        _ => return None,
    };
    if matches!(write.change, Change::Delete { .. }) {
        // A removed row is in the table no more.
        (returned.columns, returned.width) = (Box::default(), 0);
    }
    returned.number = told_by == ToldBy::Number;
    if !wanted {
        let nothing =
            Returned { columns: Box::default(), width: 0, is_inserted: false, number: false };
        return Some(BulkForm { returned: nothing, told_by: None });
    }
    Some(BulkForm { returned, told_by: Some(told_by) })
}

/// Adds the columns that are missing, and says where all of them are.
fn told_by_columns(returned: &mut Returned, columns: &[u16]) -> ToldBy {
    let mut all = returned.columns.to_vec();
    let mut position = |column: &u16| {
        all.iter().position(|other| other == column).unwrap_or_else(|| {
            all.push(*column);
            all.len() - 1
        })
    };
    let positions = columns.iter().map(&mut position).collect();
    returned.columns = all.into();
    ToldBy::Columns(positions)
}

/// Writes the statement of many rows of a write, given by their indexes; nothing if
/// [`bulk_form`] gives none.
///
/// The text is the same for every number of rows: each column is one array.
pub fn change_rows<O: Out>(
    write: &Write,
    rows: &(impl Iterator<Item = usize> + Clone),
    detail: Detail,
    out: &mut O,
) {
    let Some(form) = bulk_form(write, detail) else { return };
    let mut walk = Walk::<Postgres, O>::new(&write.binding, out);
    match &write.change {
        Change::Insert { rows: buffer, columns, on_conflict } => {
            let in_order = form.told_by == Some(ToldBy::Order);
            walk.insert_rows(columns, on_conflict, in_order, &Picked { buffer, rows });
        }
        Change::Update { rows: buffer, columns, check_version } => {
            walk.update_rows(columns, *check_version, &Picked { buffer, rows });
        }
        Change::Patch { target, assignments, version } => {
            walk.assignments(assignments);
            walk.text(" FROM ");
            walk.target_rows(target, *version, rows, " WHERE ");
        }
        Change::Delete { target, version } => {
            walk.text("DELETE FROM ");
            walk.table();
            walk.text(" USING ");
            walk.target_rows(target, *version, rows, " WHERE ");
        }
        _ => {}
    }
    if O::TEXT {
        walk.returning(&form.returned);
    }
}

/// Writes the question which rows of an update, or of a change by key, are stored, whatever their
/// version. It gives their numbers, counted from 1.
pub fn rows_exist<O: Out>(
    write: &Write,
    rows: &(impl Iterator<Item = usize> + Clone),
    out: &mut O,
) {
    let mut walk = Walk::<Postgres, O>::new(&write.binding, out);
    if O::TEXT {
        walk.text("SELECT ");
        walk.out.name(ROW_NUMBER);
        walk.text(" FROM ");
        walk.table();
        walk.text(" CROSS JOIN ");
    }
    match &write.change {
        Change::Update { rows: buffer, columns, .. } => {
            walk.row_keys(columns, &Picked { buffer, rows });
            walk.text(" WHERE ");
            walk.has_row_key();
        }
        Change::Patch { target, .. } | Change::Delete { target, .. } => {
            walk.target_rows(target, None, rows, " WHERE ");
        }
        _ => {}
    }
}

/// Rows of a buffer, by their indexes.
struct Picked<'a, I> {
    buffer: &'a RowBuffer,
    rows: &'a I,
}

impl<I: Iterator<Item = usize> + Clone> Picked<'_, I> {
    /// The cells at a position of all rows.
    fn cells(&self, position: usize) -> impl Iterator<Item = Cell<'_>> {
        let row = |index| self.buffer.row(index);
        self.rows.clone().map(move |index| row(index).map_or(Cell::Null, |row| row.get(position)))
    }
}

/// A column of rows that a statement takes as an array.
#[derive(Clone, Copy)]
struct Given {
    position: usize,
    column: u16,
    is_assigned: bool,
}

impl Given {
    fn assigned((position, column): (usize, u16)) -> Self {
        Self { position, column, is_assigned: true }
    }

    fn compared((position, column): (usize, u16)) -> Self {
        Self { position, column, is_assigned: false }
    }
}

/// The name of a column of the derived table that holds values.
fn value_name(position: usize) -> String {
    format!("_sora_value_{position}")
}

impl<O: Out> Walk<'_, Postgres, O> {
    fn insert_rows<I: Iterator<Item = usize> + Clone>(
        &mut self,
        columns: &[u16],
        on_conflict: &OnConflict,
        in_order: bool,
        rows: &Picked<'_, I>,
    ) {
        if O::TEXT {
            self.text("INSERT INTO ");
            self.table();
            self.text(" (");
            self.columns(columns);
            self.text(")");
            self.overriding(columns);
            self.text(" SELECT ");
        }
        let given: Vec<Given> = columns.iter().copied().enumerate().map(Given::assigned).collect();
        if in_order {
            self.values(columns);
            self.text(" FROM ");
            self.unnest(&given, rows, value_name);
            self.text(" ORDER BY ");
            self.out.name(ROW_NUMBER);
        } else {
            self.unnested(&given, rows);
        }
        if O::TEXT {
            self.on_conflict(columns, on_conflict);
        }
    }

    /// Writes columns of rows as what is selected, each cast as its column takes it.
    ///
    /// The arrays are taken in step. A derived table would hold each of them again before the first
    /// row: 0.4 µs for each row of six columns.
    fn unnested<I: Iterator<Item = usize> + Clone>(
        &mut self,
        given: &[Given],
        rows: &Picked<'_, I>,
    ) {
        for (index, one) in given.iter().enumerate() {
            self.comma(index);
            self.text("unnest(");
            self.array(one, rows);
            self.text(")");
            self.cast_to_own(one.column);
        }
    }

    fn update_rows<I: Iterator<Item = usize> + Clone>(
        &mut self,
        columns: &[u16],
        check_version: bool,
        rows: &Picked<'_, I>,
    ) {
        let schema = self.binding.schema();
        let version = schema.version();
        let given: Vec<Given> = columns
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, column)| check_version || version != Some(*column))
            .map(|(at, column)| match schema.key().contains(&column) {
                true => Given::compared((at, column)),
                false => Given::assigned((at, column)),
            })
            .collect();
        if O::TEXT {
            self.text("UPDATE ");
            self.table();
            self.text(" SET ");
            let mut written = 0;
            for (at, Given { column, .. }) in given.iter().enumerate() {
                if schema.key().contains(column) || version == Some(*column) {
                    continue;
                }
                self.comma(written);
                self.column(*column);
                self.text(" = ");
                self.value(at, *column);
                written += 1;
            }
            written += usize::from(self.count_version(written));
            if written == 0 {
                self.keep_key();
            }
            self.text(" FROM ");
        }
        self.unnest(&given, rows, value_name);
        if O::TEXT {
            let conditions = schema.key().iter().copied().chain(version.filter(|_| check_version));
            for (index, column) in conditions.enumerate() {
                self.text(if index > 0 { " AND " } else { " WHERE " });
                match given.iter().position(|other| other.column == column) {
                    Some(at) => self.equals_name(column, &value_name(at)),
                    None => self.text("FALSE"),
                }
            }
        }
    }

    /// Writes the keys that a change applies to as a derived table, and its conditions.
    fn target_rows<I: Iterator<Item = usize> + Clone>(
        &mut self,
        target: &Target,
        version: Option<i64>,
        rows: &I,
        word: &'static str,
    ) {
        let binding = self.binding;
        let key = binding.schema().key();
        if let Some(buffer) = &target.keys {
            let given: Vec<Given> = key.iter().copied().enumerate().map(Given::compared).collect();
            self.unnest(&given, &Picked { buffer, rows }, key_name);
        }
        self.text(word);
        self.has_row_key();
        self.rest_of_target(target, version, " AND ");
    }

    /// Writes the keys of rows of these columns as a derived table.
    fn row_keys<I: Iterator<Item = usize> + Clone>(
        &mut self,
        columns: &[u16],
        rows: &Picked<'_, I>,
    ) {
        let binding = self.binding;
        let given = |column: &u16| {
            // Beyond the last is null, which equals no key.
            let at = columns.iter().position(|other| other == column).unwrap_or(columns.len());
            Given::compared((at, *column))
        };
        let given: Vec<Given> = binding.schema().key().iter().map(given).collect();
        self.unnest(&given, rows, key_name);
    }

    fn has_row_key(&mut self) {
        let binding = self.binding;
        for (index, column) in binding.schema().key().iter().enumerate() {
            self.text(if index > 0 { " AND " } else { "" });
            self.equals_name(*column, &key_name(index));
        }
    }

    /// Writes columns of rows as a derived table whose last column is the number of the row.
    fn unnest<I: Iterator<Item = usize> + Clone>(
        &mut self,
        given: &[Given],
        rows: &Picked<'_, I>,
        name: fn(usize) -> String,
    ) {
        self.text("unnest(");
        for (index, one) in given.iter().enumerate() {
            self.comma(index);
            self.array(one, rows);
        }
        if O::TEXT {
            self.text(") WITH ORDINALITY AS \"_sora_rows\"(");
            for index in 0..given.len() {
                self.out.name(&name(index));
                self.text(", ");
            }
            self.out.name(ROW_NUMBER);
            self.text(")");
        }
    }

    /// Writes a column of rows as an array.
    fn array<I: Iterator<Item = usize> + Clone>(&mut self, given: &Given, rows: &Picked<'_, I>) {
        let Given { position, column, is_assigned } = *given;
        let operand = match is_assigned {
            true => Operand::Assigned(self.binding, column),
            false => Operand::Compared(self.binding, column),
        };
        self.text("(SELECT ");
        self.out.list(rows.cells(position), operand);
        self.text(")");
    }

    fn values(&mut self, columns: &[u16]) {
        for (index, column) in columns.iter().enumerate() {
            self.comma(index);
            self.value(index, *column);
        }
    }

    /// Writes a value of the derived table as a column takes it.
    fn value(&mut self, position: usize, column: u16) {
        self.out.name(&value_name(position));
        self.cast_to_own(column);
    }

    fn cast_to_own(&mut self, column: u16) {
        // Other types are cast as they are bound.
        if let Some(own) = cast(self.binding.live_column(column)).filter(|own| is_array(own)) {
            self.text("::");
            self.text(&own);
        }
    }
}
