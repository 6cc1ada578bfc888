//! Many rows in two allocations.

use std::ops::ControlFlow;

use crate::row::missing_cell;
use crate::{Cell, CellSink, Date, Decimal, Error, ErrorKind, Result, Row, RowSink, Timestamp};

/// Rows of one width, their cells in one flat list, their text and bytes in one run each.
///
/// This is the form in which rows cross threads and wait to be written: no allocation per row.
#[derive(Clone, Debug, Default)]
pub struct RowBuffer {
    width: usize,
    slots: Vec<Slot>,
    /// Text stays text: to take a part of it is cheaper than to look at its bytes again.
    text: String,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Null,
    Bool(bool),
    I64(i64),
    F64(f64),
    Timestamp(Timestamp),
    Date(Date),
    Text(Span),
    Bytes(Span),
    Json(Span),
    Uuid(Span),
    Decimal(Span),
}

/// A range of the text or the bytes. 32 bits each, so that a slot stays at 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    len: u32,
}

const _: () = assert!(size_of::<Slot>() == 16);

impl Span {
    #[inline]
    fn behind(start: usize, len: usize) -> Result<Self> {
        match (u32::try_from(start), u32::try_from(len)) {
            (Ok(start), Ok(len)) => Ok(Self { start, len }),
            _ => Err(full()),
        }
    }
}

#[cold]
fn full() -> Error {
    let message = format!("the rows of one buffer exceed {} bytes", RowBuffer::BYTES_MAX);
    Error::new(ErrorKind::Limit, message)
}

impl Slot {
    /// The slot in a buffer that has so much text and so many bytes in front.
    fn behind(self, text: u32, bytes: u32) -> Self {
        let moved = |span: Span, by| Span { start: span.start + by, ..span };
        match self {
            Self::Text(span) => Self::Text(moved(span, text)),
            Self::Json(span) => Self::Json(moved(span, text)),
            Self::Bytes(span) => Self::Bytes(moved(span, bytes)),
            Self::Uuid(span) => Self::Uuid(moved(span, bytes)),
            Self::Decimal(span) => Self::Decimal(moved(span, bytes)),
            plain => plain,
        }
    }
}

impl RowBuffer {
    /// The largest size of all text, and of all bytes, of one buffer: 4 GiB.
    pub const BYTES_MAX: usize = u32::MAX as usize;

    /// Returns an empty buffer for rows of so many cells.
    pub fn new(width: usize) -> Self {
        Self { width, slots: Vec::new(), text: String::new(), bytes: Vec::new() }
    }

    /// Returns an empty buffer with room for so many rows.
    pub fn with_capacity(width: usize, rows: usize) -> Self {
        Self { slots: Vec::with_capacity(width * rows), ..Self::new(width) }
    }

    /// Returns an empty buffer of the same width with room for as much.
    pub(crate) fn emptied(&self) -> Self {
        Self {
            width: self.width,
            slots: Vec::with_capacity(self.slots.len()),
            text: String::with_capacity(self.text.len()),
            bytes: Vec::with_capacity(self.bytes.len()),
        }
    }

    /// Cells in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of complete rows.
    pub fn len(&self) -> usize {
        self.slots.len().checked_div(self.width).unwrap_or(0)
    }

    /// Whether there is no complete row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory in use by the rows, in bytes.
    pub fn size(&self) -> usize {
        self.slots.len() * size_of::<Slot>() + self.text.len() + self.bytes.len()
    }

    /// Returns the row at an index, or `None` beyond the last.
    #[inline]
    pub fn row(&self, index: usize) -> Option<BufferedRow<'_>> {
        // Without width every index would be an empty row.
        let start = index.checked_mul(self.width).filter(|_| self.width > 0)?;
        let slots = self.slots.get(start..start.checked_add(self.width)?)?;
        Some(BufferedRow { slots, text: &self.text, bytes: &self.bytes })
    }

    /// Iterates over the rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = BufferedRow<'_>> {
        // A width of zero would make `chunks_exact` panic; such a buffer holds nothing.
        self.slots.chunks_exact(self.width.max(1)).map(|slots| BufferedRow {
            slots,
            text: &self.text,
            bytes: &self.bytes,
        })
    }

    /// Returns copies of the rows at some indexes, in their order; those beyond the last are left
    /// out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Limit`] if rows are picked so often that they do not fit a buffer.
    pub fn pick(&self, picked: impl ExactSizeIterator<Item = usize>) -> Result<Self> {
        let mut rows = Self::with_capacity(self.width, picked.len());
        if picked.len() < self.len() / 2 {
            picked.filter_map(|index| self.row(index)).try_for_each(|row| rows.push(&row))?;
            return Ok(rows);
        }
        // Of most rows the text is copied as a whole: the cells still say where theirs stands.
        rows.text.clone_from(&self.text);
        rows.bytes.clone_from(&self.bytes);
        for row in picked.filter_map(|index| self.row(index)) {
            rows.slots.extend_from_slice(row.slots);
        }
        Ok(rows)
    }

    /// Copies a row to the end; of a known type without a dynamic call for each cell.
    pub fn push<R: Row + ?Sized>(&mut self, row: &R) -> Result<()> {
        for position in 0..self.width {
            // Each of the common ones is written where it ends up: a slot that is put together on the
            // stack first makes the processor wait for it. The others are apart, so that this is
            // inlined where the type of the row is known.
            match row.cell(position) {
                Ok(Cell::I64(value)) => self.slots.push(Slot::I64(value)),
                Ok(Cell::F64(value)) => self.slots.push(Slot::F64(value)),
                Ok(Cell::Null) => self.slots.push(Slot::Null),
                Ok(Cell::Text(text)) if let Ok(span) = self.text_span(text) => {
                    self.slots.push(Slot::Text(span));
                }
                cell => {
                    if let Err(error) = cell.and_then(|cell| self.cell(cell)) {
                        self.truncate(self.len());
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns an empty buffer for a page of at most so many rows, if it is known, with room for as
    /// many of them as a page commonly has, so that it seldom grows.
    pub fn for_page(width: usize, rows_max: Option<u64>) -> Self {
        const SLOTS_MAX: usize = 64 << 10;
        let rows = rows_max.and_then(|rows| usize::try_from(rows).ok()).unwrap_or(0);
        Self::with_capacity(width, rows.min(SLOTS_MAX / width.max(1)))
    }

    /// Pushes all rows into a sink, as they are if it takes them so, and leaves the buffer empty.
    pub fn hand_out(&mut self, sink: &mut dyn RowSink) -> Result<ControlFlow<()>> {
        if self.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let mut rows = std::mem::take(self);
        if let Some(flow) = sink.rows(&mut rows)? {
            return Ok(flow);
        }
        for row in rows.iter() {
            if sink.row(&row)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Keeps the first so many rows, and drops cells of an unfinished row.
    pub fn truncate(&mut self, rows: usize) {
        self.slots.truncate(rows.saturating_mul(self.width));
        if self.slots.is_empty() {
            self.text.clear();
            self.bytes.clear();
        }
    }

    /// Drops all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Copies all rows of a buffer of the same width to the end, run by run.
    fn append(&mut self, rows: &Self) -> Result<()> {
        let text = Span::behind(self.text.len() + rows.text.len(), 0)?.start;
        let text = text - Span::behind(rows.text.len(), 0)?.start;
        let bytes = Span::behind(self.bytes.len() + rows.bytes.len(), 0)?.start;
        let bytes = bytes - Span::behind(rows.bytes.len(), 0)?.start;
        let slots = &rows.slots[..rows.len() * rows.width];
        self.slots.extend(slots.iter().map(|slot| slot.behind(text, bytes)));
        self.text.push_str(&rows.text);
        self.bytes.extend_from_slice(&rows.bytes);
        Ok(())
    }

    #[inline]
    fn span(&mut self, bytes: &[u8]) -> Result<Span> {
        let span = Span::behind(self.bytes.len(), bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(span)
    }

    #[inline]
    fn text_span(&mut self, text: &str) -> Result<Span> {
        let span = Span::behind(self.text.len(), text.len())?;
        self.text.push_str(text);
        Ok(span)
    }
}

impl CellSink for RowBuffer {
    #[inline]
    fn cell(&mut self, cell: Cell<'_>) -> Result<()> {
        match cell {
            Cell::Null => self.slots.push(Slot::Null),
            Cell::I64(value) => self.slots.push(Slot::I64(value)),
            Cell::F64(value) => self.slots.push(Slot::F64(value)),
            Cell::Text(value) => {
                let span = self.text_span(value)?;
                self.slots.push(Slot::Text(span));
            }
            cell => return self.other_cell(cell),
        }
        Ok(())
    }
}

impl RowBuffer {
    /// Takes a cell of a type that is less common.
    fn other_cell(&mut self, cell: Cell<'_>) -> Result<()> {
        let slot = match cell {
            Cell::Null => Slot::Null,
            Cell::Bool(value) => Slot::Bool(value),
            Cell::I64(value) => Slot::I64(value),
            Cell::F64(value) => Slot::F64(value),
            Cell::Timestamp(value) => Slot::Timestamp(value),
            Cell::Date(value) => Slot::Date(value),
            Cell::Text(value) => Slot::Text(self.text_span(value)?),
            Cell::Bytes(value) => Slot::Bytes(self.span(value)?),
            Cell::Json(value) => Slot::Json(self.text_span(value)?),
            Cell::Uuid(value) => Slot::Uuid(self.span(&value)?),
            Cell::Decimal(value) => {
                let mut bytes = [0; 17];
                bytes[..16].copy_from_slice(&value.mantissa().to_le_bytes());
                bytes[16] = value.scale();
                Slot::Decimal(self.span(&bytes)?)
            }
        };
        self.slots.push(slot);
        Ok(())
    }
}

impl RowSink for RowBuffer {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.push(row)?;
        Ok(ControlFlow::Continue(()))
    }

    fn rows(&mut self, rows: &mut Self) -> Result<Option<ControlFlow<()>>> {
        if self.width != rows.width {
            return Ok(None);
        }
        self.truncate(self.len());
        match self.slots.is_empty() {
            true => std::mem::swap(self, rows),
            false => self.append(rows)?,
        }
        Ok(Some(ControlFlow::Continue(())))
    }

    fn reset(&mut self) {
        self.clear();
    }
}

/// One row of a [`RowBuffer`].
#[derive(Clone, Copy, Debug)]
pub struct BufferedRow<'a> {
    slots: &'a [Slot],
    text: &'a str,
    bytes: &'a [u8],
}

impl<'a> BufferedRow<'a> {
    /// Returns the cell at a position, or null beyond the last.
    #[expect(clippy::inline_always, reason = "as of `cell`: the one who asks matches on it")]
    #[inline(always)]
    pub fn get(&self, position: usize) -> Cell<'a> {
        match self.slots.get(position) {
            Some(Slot::I64(value)) => Cell::I64(*value),
            Some(Slot::F64(value)) => Cell::F64(*value),
            Some(Slot::Text(span)) => Cell::Text(self.text(*span)),
            Some(Slot::Null) | None => Cell::Null,
            Some(slot) => self.of(*slot),
        }
    }

    fn of(&self, slot: Slot) -> Cell<'a> {
        match slot {
            Slot::Null => Cell::Null,
            Slot::Bool(value) => Cell::Bool(value),
            Slot::I64(value) => Cell::I64(value),
            Slot::F64(value) => Cell::F64(value),
            Slot::Timestamp(value) => Cell::Timestamp(value),
            Slot::Date(value) => Cell::Date(value),
            Slot::Text(span) => Cell::Text(self.text(span)),
            Slot::Bytes(span) => Cell::Bytes(self.bytes(span)),
            Slot::Json(span) => Cell::Json(self.text(span)),
            Slot::Uuid(span) => Cell::Uuid(self.bytes(span).try_into().unwrap_or_default()),
            Slot::Decimal(span) => self.decimal(span).map_or(Cell::Null, Cell::Decimal),
        }
    }

    #[inline]
    fn bytes(&self, span: Span) -> &'a [u8] {
        &self.bytes[span.start as usize..][..span.len as usize]
    }

    #[inline]
    fn text(&self, span: Span) -> &'a str {
        &self.text[span.start as usize..span.start as usize + span.len as usize]
    }

    fn decimal(&self, span: Span) -> Option<Decimal> {
        let (mantissa, scale) = self.bytes(span).split_first_chunk::<16>()?;
        Decimal::new(i128::from_le_bytes(*mantissa), *scale.first()?)
    }
}

impl Row for BufferedRow<'_> {
    fn width(&self) -> usize {
        self.slots.len()
    }

    #[expect(
        clippy::inline_always,
        reason = "where the type that is wanted is known, a look at the slot's is all that is left"
    )]
    #[inline(always)]
    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        match self.slots.get(position) {
            Some(Slot::I64(value)) => Ok(Cell::I64(*value)),
            Some(Slot::F64(value)) => Ok(Cell::F64(*value)),
            Some(Slot::Null) => Ok(Cell::Null),
            Some(Slot::Text(span)) => Ok(Cell::Text(self.text(*span))),
            Some(slot) => Ok(self.of(*slot)),
            None => Err(missing_cell(position)),
        }
    }
}

#[cfg(test)]
mod tests;
