//! Rows of tables whose entities are not known.

use std::sync::Arc;

use sora_core::{BufferedRow, Cell, CellSink, Result, Row, RowBuffer, Schema, Type};

use super::entity::{Call, EntityCache};
use super::memory::Kept;
use super::tags::Tag;
use crate::key_bytes::KeyBytes;

/// A row as it is.
#[derive(Debug)]
pub(crate) struct CachedRow(RowBuffer);

impl CachedRow {
    pub(crate) fn row(&self) -> Option<BufferedRow<'_>> {
        self.0.row(0)
    }
}

impl Kept for CachedRow {
    fn of(row: &dyn Row) -> Result<Self> {
        let mut one = RowBuffer::new(row.width());
        one.push(row)?;
        Ok(Self(one))
    }

    fn cells(&self, out: &mut dyn CellSink) -> Result<()> {
        let Some(row) = self.row() else { return Ok(()) };
        (0..row.width()).try_for_each(|at| out.cell(row.cell(at)?))
    }

    fn place(tag: &Tag) -> usize {
        tag.position
    }
}

impl EntityCache<CachedRow> {
    /// Looks one row up.
    pub(crate) async fn row(
        &self,
        key: RowBuffer,
        call: Call<'_>,
    ) -> Result<Option<Arc<CachedRow>>> {
        if let Some(cells) = key.row(0) {
            let bytes = KeyBytes::of(&cells)?;
            if let Some(found) = self.fresh_by(bytes.as_slice(), call.table, call.location) {
                return Ok(Some(found));
            }
        }
        self.get(key, call).await.map(|(found, _)| found)
    }
}

/// Whether keys have as many cells as those of a schema, and of their types: others could have the
/// bytes of one by chance.
pub(crate) fn are_keys(schema: &Schema, keys: &RowBuffer) -> bool {
    let types = || schema.key().iter().map(|at| schema.column(*at).column_type);
    keys.width() == types().count()
        && keys.iter().all(|key| types().enumerate().all(|(at, ty)| is_of(key.get(at), ty)))
}

fn is_of(cell: Cell<'_>, column_type: Type) -> bool {
    matches!(
        (cell, column_type),
        (Cell::I64(_), Type::I64)
            | (Cell::Text(_), Type::Text)
            | (Cell::Uuid(_), Type::Uuid)
            | (Cell::Bytes(_), Type::Bytes)
            | (Cell::Date(_), Type::Date)
            | (Cell::Timestamp(_), Type::Timestamp)
    )
}
