//! The rows of a scan, many at a time.

use std::ops::ControlFlow;

use rusqlite::{Rows, Statement};
use sora_core::read::{Gate, Read};
use sora_core::{Error, Result, RowBuffer, Type};

use crate::failure::store_error;
use crate::row::{SteppedRow, TypedRow};

/// Pushes the rows of a statement whose values are bound, by buffers of many; `Break` if no more are
/// wanted. Nothing may be left to check of them: then no row is looked at between SQLite and whoever
/// decodes it.
pub(crate) fn step(
    statement: &mut Statement<'_>,
    read: &Read,
    limit: Option<u64>,
    gate: &mut Gate<'_>,
) -> Result<ControlFlow<()>> {
    let schema = read.binding.schema();
    let types: Vec<Type> =
        read.columns.iter().map(|column| schema.column(*column).column_type).collect();
    let size_max = if limit.is_some() { PAGE_BYTES } else { PART_BYTES };
    let mut rows = statement.raw_query();
    loop {
        let mut many = RowBuffer::for_page(types.len(), limit);
        let filled = fill(&mut many, &mut rows, read, &types, size_max);
        // What came before a row that cannot be read is handed out before its error.
        let flow = many.hand_out(gate)?;
        if !filled? || flow.is_break() {
            return Ok(flow);
        }
    }
}

/// The most that a page takes before it is handed out in parts: then its reader waits no more than
/// once for each page to be taken.
const PAGE_BYTES: usize = 1 << 20;
/// The same of a scan without a limit, which is not read a page ahead.
const PART_BYTES: usize = 64 << 10;

/// Copies rows until they take so much memory; returns whether there may be more.
fn fill(
    many: &mut RowBuffer,
    rows: &mut Rows<'_>,
    read: &Read,
    types: &[Type],
    size_max: usize,
) -> Result<bool> {
    let at = |error: Error| error.with("table", read.binding.schema().table());
    while let Some(row) = rows.next().map_err(store_error).map_err(at)? {
        let row = SteppedRow { row, binding: &read.binding, columns: &read.columns };
        many.push(&TypedRow { row, types })?;
        if many.size() >= size_max {
            return Ok(true);
        }
    }
    Ok(false)
}
