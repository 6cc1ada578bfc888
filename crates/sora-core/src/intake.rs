//! Checks the cells of rows that are about to be written.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Assigned, Cell, CellSink, Column, Error, ErrorKind, Result, RowBuffer, Schema, Type};

/// Takes the rows of callers: checks each cell against its column and brings it into the one form
/// that stores hold.
///
/// −0.0 becomes 0.0, a decimal gets its column's scale; NaN, U+0000, a number out of range, excess
/// digits and a null where none is allowed are refused. A version cell is replaced by 1, a nil UUID
/// of a `uuid_v7` column by a new one.
#[derive(Debug)]
pub struct Intake<'a> {
    schema: &'a Schema,
    columns: Arc<[u16]>,
    /// How many of the columns the caller gives; Sora assigns those behind.
    given: usize,
    rows: RowBuffer,
    /// The number of rows: a buffer would divide to know it.
    taken: usize,
    position: usize,
    stamp: Stamp,
}

/// Whether an [`Intake`] assigns versions and keys, as new rows need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// For rows that may be new.
    New,
    /// For rows that are stored already, and for keys.
    Stored,
}

impl<'a> Intake<'a> {
    /// Returns an intake for rows of these columns. New rows get those that Sora assigns too.
    pub fn new(schema: &'a Schema, columns: &[u16], stamp: Stamp) -> Self {
        let given = columns.len();
        let columns: Arc<[u16]> = match stamp {
            Stamp::Stored => columns.into(),
            Stamp::New => {
                let assigned = (0u16..).zip(schema.columns()).filter(|(at, column)| {
                    let by_sora =
                        column.assigned == Assigned::UuidV7 || schema.version() == Some(*at);
                    by_sora && !columns.contains(at)
                });
                let assigned: Vec<u16> = assigned.map(|(at, _)| at).collect();
                // Nearly always none, and then there is one allocation.
                match assigned.is_empty() {
                    true => columns.into(),
                    false => [columns, &assigned].concat().into(),
                }
            }
        };
        // Room for one row: most writes have no more.
        let rows = RowBuffer::with_capacity(columns.len(), 1);
        Self { schema, columns, given, rows, taken: 0, position: 0, stamp }
    }

    /// Returns an intake for rows that are stored already, or keys, of these columns.
    pub fn stored(schema: &'a Schema, columns: Arc<[u16]>) -> Self {
        let (given, rows) = (columns.len(), RowBuffer::with_capacity(columns.len(), 1));
        Self { schema, columns, given, rows, taken: 0, position: 0, stamp: Stamp::Stored }
    }

    /// The columns of the rows: those that are given, then those that Sora assigns.
    pub fn columns(&self) -> &Arc<[u16]> {
        &self.columns
    }

    /// Takes one row, written by `encode`. A row that is refused leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], naming the column; what `encode` gives.
    pub fn row(&mut self, encode: impl FnOnce(&mut dyn CellSink) -> Result<()>) -> Result<()> {
        self.position = 0;
        let written = encode(self).and_then(|()| {
            if self.position != self.given {
                let message =
                    format!("a row of {} cells was expected, not of {}", self.given, self.position);
                return Err(Error::new(ErrorKind::Internal, message));
            }
            // Each is replaced by what Sora assigns.
            (self.given..self.columns.len()).try_for_each(|_| self.cell(Cell::Uuid([0; 16])))
        });
        match written {
            Ok(()) => {
                self.taken += 1;
                Ok(())
            }
            Err(error) => {
                self.rows.truncate(self.taken);
                Err(error.with("table", self.schema.table()))
            }
        }
    }

    /// The number of rows taken.
    pub fn len(&self) -> usize {
        self.taken
    }

    /// Whether no row was taken.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// The memory in use by the rows, in bytes.
    pub fn size(&self) -> usize {
        self.rows.size()
    }

    /// Returns the rows.
    pub fn finish(self) -> RowBuffer {
        self.rows
    }

    /// Returns the rows taken so far and starts anew, with room for as many.
    pub fn take(&mut self) -> RowBuffer {
        let rows = self.rows.emptied();
        self.taken = 0;
        std::mem::replace(&mut self.rows, rows)
    }
}

impl CellSink for Intake<'_> {
    fn cell(&mut self, cell: Cell<'_>) -> Result<()> {
        let Some(&at) = self.columns.get(self.position) else {
            return Err(Error::new(ErrorKind::Internal, "a row has more cells than columns"));
        };
        self.position += 1;
        let column = self.schema.column(at);
        let is_new = self.stamp == Stamp::New;
        match (column.column_type, cell) {
            _ if is_new && self.schema.version() == Some(at) => self.rows.cell(Cell::I64(1)),
            // The common ones go straight to where they end up: a cell that is checked and handed back
            // is copied, and the processor waits for that.
            (Type::I64, Cell::I64(value)) if is_in_range(column, value) => {
                self.rows.cell(Cell::I64(value))
            }
            (Type::F64, Cell::F64(value)) if !value.is_nan() => {
                self.rows.cell(Cell::F64(positive_zero(value)))
            }
            (Type::Text, Cell::Text(text)) if !has_zero(text) => self.rows.cell(Cell::Text(text)),
            (_, Cell::Uuid(uuid)) if is_new && is_unassigned(column, uuid) => {
                self.rows.cell(Cell::Uuid(new_uuid()?))
            }
            _ => self.rows.cell(check_cell(column, cell)?),
        }
    }
}

/// Checks a cell against its column and returns it in the form that stores hold.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`], naming the column and what is wrong.
pub fn check_cell<'a>(column: &Column, cell: Cell<'a>) -> Result<Cell<'a>> {
    let refused = |why: Cow<'_, str>| {
        let message = format!("the column {:?} {why}", column.name);
        Err(Error::new(ErrorKind::InvalidInput, message))
    };
    match (column.column_type, cell) {
        (_, Cell::Null) if column.nullable => Ok(cell),
        (_, Cell::Null) => refused("cannot be null".into()),
        (Type::I64, Cell::I64(value)) => match column.range {
            Some((min, max)) if !is_in_range(column, value) => {
                refused(format!("takes {min} to {max}, not {value}").into())
            }
            _ => Ok(cell),
        },
        (Type::F64, Cell::F64(value)) if value.is_nan() => refused("cannot be NaN".into()),
        (Type::F64, Cell::F64(value)) => Ok(Cell::F64(positive_zero(value))),
        (Type::Decimal { precision, scale }, Cell::Decimal(value)) => {
            match value.rescale(scale).filter(|value| value.precision() <= precision) {
                Some(value) => Ok(Cell::Decimal(value)),
                None => refused(
                    format!(
                        "takes {precision} digits, {scale} of them behind the point, not {value}"
                    )
                    .into(),
                ),
            }
        }
        (Type::Text, Cell::Text(text)) if has_zero(text) => {
            refused("cannot hold a text that contains U+0000".into())
        }
        (Type::Bool, Cell::Bool(_))
        | (Type::Text, Cell::Text(_))
        | (Type::Bytes, Cell::Bytes(_))
        | (Type::Timestamp, Cell::Timestamp(_))
        | (Type::Date, Cell::Date(_))
        | (Type::Uuid, Cell::Uuid(_))
        | (Type::Json, Cell::Json(_)) => Ok(cell),
        (Type::Unknown, _) => {
            refused("has a type that Sora does not know, so it cannot be written".into())
        }
        (expected, found) => refused(format!("is {expected}, not {}", found.kind_name()).into()),
    }
}

#[inline]
fn is_in_range(column: &Column, value: i64) -> bool {
    column.range.is_none_or(|(min, max)| (min..=max).contains(&value))
}

/// −0.0 + 0.0 is 0.0, and all else is itself.
#[inline]
fn positive_zero(value: f64) -> f64 {
    value + 0.0
}

#[inline]
fn has_zero(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

fn is_unassigned(column: &Column, uuid: [u8; 16]) -> bool {
    column.assigned == Assigned::UuidV7 && uuid == [0; 16]
}

/// Returns a new `UUIDv7` (RFC 9562), ordered behind all that this process made before.
#[cfg(feature = "uuid")]
pub fn new_uuid() -> Result<[u8; 16]> {
    Ok(uuid::Uuid::now_v7().into_bytes())
}

/// Refuses: there is no source of UUIDs.
#[cfg(not(feature = "uuid"))]
pub fn new_uuid() -> Result<[u8; 16]> {
    let message = "assigning UUIDv7 keys needs the feature `uuid`";
    Err(Error::new(ErrorKind::Unsupported, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[expect(clippy::needless_pass_by_value, reason = "both are given in place")]
    fn check(column: Column, value: Value) -> Result<Value> {
        check_cell(&column, value.cell()).map(Cell::to_value)
    }

    fn refusal(column: Column, value: Value) -> String {
        check(column, value).expect_err("refused").to_string()
    }

    #[test]
    fn values_take_the_form_that_stores_hold() {
        let zero = check(Column::new("x", Type::F64), Value::F64(-0.0)).expect("a float");
        assert!(matches!(zero, Value::F64(zero) if zero.is_sign_positive()));
        let price = Column::new("x", Type::Decimal { precision: 4, scale: 2 });
        let decimal = |text: &str| Value::Decimal(text.parse().expect("a decimal"));
        let stored = check(price.clone(), decimal("1.5")).expect("fits");
        assert_eq!(format!("{stored:?}"), "1.50");
        assert!(refusal(price.clone(), decimal("1.005")).contains("not 1.005"));
        assert!(refusal(price, decimal("100")).contains("4 digits"));
    }

    #[test]
    fn what_no_store_may_hold_is_refused() {
        assert!(refusal(Column::new("x", Type::F64), Value::F64(f64::NAN)).contains("NaN"));
        assert!(
            refusal(Column::new("x", Type::Text), Value::Text("a\0".into())).contains("U+0000")
        );
        assert!(refusal(Column::new("x", Type::Text), Value::Null).contains("cannot be null"));
        assert!(refusal(Column::new("x", Type::Text), Value::I64(1)).contains("is text, not i64"));
        let narrow = Column::new("x", Type::I64).range(0, 255);
        assert!(refusal(narrow, Value::I64(256)).contains("takes 0 to 255, not 256"));
    }

    #[test]
    fn a_refused_row_leaves_nothing_behind() {
        let schema = Schema::builder("t")
            .column(Column::new("id", Type::I64))
            .column(Column::new("version", Type::I64))
            .key(["id"])
            .version("version")
            .build()
            .expect("a schema");
        let mut intake = Intake::new(&schema, &[0, 1], Stamp::New);
        let give = |cells: [Cell<'static>; 2]| {
            move |out: &mut dyn CellSink| cells.into_iter().try_for_each(|cell| out.cell(cell))
        };
        assert!(intake.row(give([Cell::I64(1), Cell::I64(7)])).is_ok());
        assert!(intake.row(give([Cell::Null, Cell::I64(7)])).is_err());
        assert!(intake.row(|out| out.cell(Cell::I64(1))).is_err());
        let rows = intake.finish();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows.row(0).expect("a row").get(1), Cell::I64(1));
    }
}
