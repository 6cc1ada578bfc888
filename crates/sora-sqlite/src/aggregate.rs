//! Rows of what SQLite computes over rows.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Statement;
use sora_core::read::{Read, ReadReport};
use sora_core::{Aggregation, Cell, Error, ErrorKind, Result, Row, RowSink, Type};

use crate::failure::store_error;
use crate::row::convert;

/// Pushes the groups of a statement whose values are bound into a sink.
pub(crate) fn step(
    statement: &mut Statement<'_>,
    read: &Read,
    aggregation: &Aggregation,
    pulled: &AtomicU64,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    let columns = aggregation.columns(read.binding.schema())?;
    let types: Vec<Type> = columns.into_iter().map(|column| column.column_type).collect();
    let mut received = 0;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(store_error)? {
        pulled.fetch_add(1, Ordering::Relaxed);
        received += 1;
        if sink.row(&GroupRow { row, types: &types })?.is_break() {
            break;
        }
    }
    Ok(ReadReport::received(received))
}

/// A group, whose cells are converted to their types as they are asked for.
struct GroupRow<'a> {
    row: &'a rusqlite::Row<'a>,
    types: &'a [Type],
}

impl Row for GroupRow<'_> {
    fn width(&self) -> usize {
        self.types.len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        let Some(column_type) = self.types.get(position) else {
            let message = format!("the group has no cell at position {position}");
            return Err(Error::new(ErrorKind::Internal, message));
        };
        let value = self.row.get_ref(position).map_err(store_error)?;
        convert(*column_type, value).map_err(|why| {
            Error::new(ErrorKind::Data, format!("the cell {position} of a group {why}"))
        })
    }
}
