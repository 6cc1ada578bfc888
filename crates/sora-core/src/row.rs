//! Rows as stores push them: borrowed cells into a sink.

use std::ops::ControlFlow;

use crate::{Cell, Result, RowBuffer, Value};

/// One row of a read, valid until the sink returns.
///
/// Cells are addressed by their position in the read's projection. A cell has the type of its
/// column: a provider converts what its store holds.
pub trait Row {
    /// The number of cells.
    fn width(&self) -> usize;

    /// Returns the cell at a position.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if what the store holds is not of the column's
    /// type.
    fn cell(&self, position: usize) -> Result<Cell<'_>>;
}

/// Takes the rows of a read, one after another.
pub trait RowSink: Send {
    /// Takes one row; `Break` means that no more rows are wanted.
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>>;

    /// Takes rows as they are, all at once, and leaves the buffer for anything; `None` if it wants
    /// each by itself, by [`row`](RowSink::row). A sink that keeps or hands on whole buffers saves the
    /// copy of each row.
    fn rows(&mut self, rows: &mut RowBuffer) -> Result<Option<ControlFlow<()>>> {
        let _ = rows;
        Ok(None)
    }

    /// Forgets the rows taken so far of this read, because it starts over. A sink that is used for
    /// several reads keeps those of the reads before.
    fn reset(&mut self);
}

/// Takes the cells of a row, one after another.
pub trait CellSink {
    /// Takes one cell.
    fn cell(&mut self, cell: Cell<'_>) -> Result<()>;
}

impl Row for &[Value] {
    fn width(&self) -> usize {
        self.len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        self.get(position).map(Value::cell).ok_or_else(|| missing_cell(position))
    }
}

impl Row for Vec<Value> {
    fn width(&self) -> usize {
        self.len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        self.get(position).map(Value::cell).ok_or_else(|| missing_cell(position))
    }
}

impl CellSink for Vec<Value> {
    fn cell(&mut self, cell: Cell<'_>) -> Result<()> {
        self.push(cell.to_value());
        Ok(())
    }
}

/// The error of a position that the row does not have.
#[cold]
pub(crate) fn missing_cell(position: usize) -> crate::Error {
    let message = format!("the row has no cell at position {position}");
    crate::Error::new(crate::ErrorKind::Internal, message)
}
