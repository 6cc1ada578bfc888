//! Rows of what the server computes over rows.

use sora_core::read::{Output, Read, ReadReport};
use sora_core::{Aggregation, Cell, Error, ErrorKind, Result, Row, RowSink, Type};

use crate::link::Rows;
use crate::row::Raw;

/// Pushes the groups of a statement into a sink, until it breaks.
pub(crate) async fn push(
    rows: &mut Rows<'_>,
    read: &Read,
    aggregation: &Aggregation,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    let columns = aggregation.columns(read.binding.schema())?;
    let types: Vec<Type> = columns.into_iter().map(|column| column.column_type).collect();
    let mut received = 0;
    while let Some(row) = rows.next().await? {
        received += 1;
        if sink.row(&GroupRow { row: &row, types: &types, read })?.is_break() {
            break;
        }
    }
    Ok(ReadReport::received(received))
}

/// A group, whose cells are converted to their types as they are asked for.
struct GroupRow<'a> {
    row: &'a tokio_postgres::Row,
    types: &'a [Type],
    read: &'a Read,
}

impl Row for GroupRow<'_> {
    fn width(&self) -> usize {
        self.types.len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        let missing = || {
            let message = format!("the group has no cell at position {position}");
            Error::new(ErrorKind::Internal, message)
        };
        let column_type = self.types.get(position).ok_or_else(missing)?;
        let raw: Raw<'_> = self.row.try_get(position).map_err(|_| missing())?;
        match raw.decode(*column_type) {
            // −0.0 is never handed out, and it is in the same group as 0.0.
            Ok(Cell::F64(value)) => Ok(Cell::F64(value + 0.0)),
            Ok(cell) => Ok(cell),
            Err(why) => Err(self.failed(position, &why)),
        }
    }
}

impl GroupRow<'_> {
    /// The error of a cell that is not of its type: it names the measure or column of the group.
    fn failed(&self, position: usize, why: &str) -> Error {
        let schema = self.read.binding.schema();
        let name = match &self.read.output {
            Output::Aggregate(aggregation) => aggregation
                .columns(schema)
                .ok()
                .and_then(|columns| columns.get(position).map(|column| column.name.clone())),
            _ => None,
        };
        let name = name.unwrap_or_default();
        Error::new(ErrorKind::Data, format!("the cell {name:?} of a group {why}"))
            .with("table", schema.table())
    }
}
