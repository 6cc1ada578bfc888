//! Rows of a statement, whose columns stand wherever the statement has them.

use sora_core::{Binding, Cell, Error, ErrorKind, Result, Row};
use tokio_postgres::Column;

use crate::row::{Raw, Scratch, is_readable};

/// A row, whose cells are converted to the types of the schema as they are asked for.
pub(super) struct NativeRow<'a> {
    row: &'a tokio_postgres::Row,
    binding: &'a Binding,
    columns: &'a [u16],
    positions: &'a [usize],
    scratch: &'a Scratch,
}

impl<'a> NativeRow<'a> {
    pub(super) fn new(
        row: &'a tokio_postgres::Row,
        binding: &'a Binding,
        columns: &'a [u16],
        positions: &'a [usize],
        scratch: &'a mut Scratch,
    ) -> Self {
        scratch.clear();
        Self { row, binding, columns, positions, scratch }
    }
}

impl Row for NativeRow<'_> {
    fn width(&self) -> usize {
        self.columns.len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        let missing = || {
            let message = format!("the row has no cell at position {position}");
            Error::new(ErrorKind::Internal, message)
        };
        let column = self.columns.get(position).ok_or_else(missing)?;
        let at = self.positions.get(position).ok_or_else(missing)?;
        let raw: Raw<'_> = self.row.try_get(*at).map_err(|_| missing())?;
        let column = self.binding.schema().column(*column);
        let cell = raw.decode(column.column_type).and_then(|cell| match cell {
            Cell::Json(text) => self.scratch.canonical(position, text),
            // −0.0 is never handed out.
            Cell::F64(value) => Ok(Cell::F64(value + 0.0)),
            cell => Ok(cell),
        });
        cell.map_err(|why| {
            let message = format!("the column {:?} of the statement {why}", column.name);
            Error::new(ErrorKind::Data, message)
        })
    }
}

/// Refuses a column that comes in a form which Sora does not read, before anything is run.
pub(super) fn check_readable(column: &Column) -> Result<()> {
    if is_readable(column.type_()) {
        return Ok(());
    }
    let (name, wire) = (column.name(), column.type_());
    let message = format!(
        "the column {name:?} of the statement is of the type {wire}, which Sora does not read; cast \
         it, as in {name}::text AS {name}"
    );
    Err(Error::new(ErrorKind::InvalidInput, message))
}
