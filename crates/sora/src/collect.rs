//! Does above the store what the store does not do.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use sora_core::plan::Plan;
use sora_core::{Cell, Result, Row, RowBuffer, RowSink, Sort, Value, order};

/// The sink between a store and the caller: finds the start, sorts, leaves out, and stops.
///
/// Residual conditions are applied before it, by the read's gate.
pub(crate) struct Collect<'a> {
    plan: &'a Plan,
    sink: &'a mut dyn RowSink,
    /// The sort, its columns as positions in a row.
    sort: Vec<Sort>,
    held: Option<RowBuffer>,
    skip: u64,
    limit: Option<u64>,
    end: PageEnd,
    /// The sort values of the last row that the caller got.
    last: Option<RowBuffer>,
    passed: u64,
    returned: u64,
    has_more: bool,
    exceeded: bool,
}

/// What happens when a page is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageEnd {
    /// One row more tells whether there is a next page.
    Probe,
    /// Nothing more is read.
    Stop,
}

/// What came through a [`Collect`].
pub(crate) struct Collected {
    /// Rows that the caller got.
    pub(crate) returned: u64,
    /// Whether there is at least one more row behind the last.
    pub(crate) has_more: bool,
    /// Whether the bound of what is done in memory was exceeded.
    pub(crate) exceeded: bool,
    /// The sort values of the last row, if the rows are paged.
    pub(crate) last: Option<Vec<Value>>,
}

impl<'a> Collect<'a> {
    /// Returns a sink that hands the caller at most `limit` rows.
    pub(crate) fn new(
        plan: &'a Plan,
        (limit, end): (Option<u64>, PageEnd),
        sink: &'a mut dyn RowSink,
    ) -> Self {
        let position = |sort: &Sort| {
            let at = plan.read.columns.iter().position(|column| *column == sort.column);
            // The plan adds the columns of the sort to those of the read.
            let column = at.and_then(|at| u16::try_from(at).ok()).unwrap_or(u16::MAX);
            Sort { column, descending: sort.descending }
        };
        Self {
            sink,
            sort: plan.sort.iter().map(position).collect(),
            held: plan.residual_sort.then(|| RowBuffer::new(plan.read.columns.len())),
            skip: plan.residual_offset,
            last: limit.map(|_| RowBuffer::new(plan.sort.len())),
            limit,
            end,
            passed: 0,
            returned: 0,
            has_more: false,
            exceeded: false,
            plan,
        }
    }

    /// Hands out what was held for the sort.
    pub(crate) fn finish(mut self) -> Result<Collected> {
        if let Some(held) = self.held.take().filter(|_| !self.exceeded) {
            let mut order: Vec<usize> = (0..held.len()).collect();
            let row = |index: usize| held.row(index);
            order.sort_by(|left, right| match (row(*left), row(*right)) {
                (Some(left), Some(right)) => {
                    order::compare(&self.sort, |at| left.get(at.into()), |at| right.get(at.into()))
                }
                _ => Ordering::Equal,
            });
            for row in order.into_iter().filter_map(row) {
                if self.deliver(&row)?.is_break() {
                    break;
                }
            }
        }
        let last = self.last.as_ref().and_then(|last| last.row(0));
        Ok(Collected {
            returned: self.returned,
            has_more: self.has_more,
            exceeded: self.exceeded,
            last: last
                .map(|last| (0..self.plan.sort.len()).map(|at| last.get(at).to_value()).collect()),
        })
    }

    #[inline]
    fn deliver(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(ControlFlow::Continue(()));
        }
        if self.limit == Some(self.returned) {
            self.has_more = true;
            return Ok(ControlFlow::Break(()));
        }
        self.returned += 1;
        // Behind a page that was probed another one begins only if it is full.
        let may_be_last = self.end == PageEnd::Stop || self.limit == Some(self.returned);
        if let Some(last) = self.last.as_mut().filter(|_| may_be_last) {
            last.clear();
            last.push(&Picked { row, positions: &self.sort })?;
        }
        let flow = match self.plan.width == self.plan.read.columns.len() {
            true => self.sink.row(row)?,
            false => self.sink.row(&Head { row, width: self.plan.width })?,
        };
        let is_full = self.end == PageEnd::Stop && self.limit == Some(self.returned);
        Ok(if is_full { ControlFlow::Break(()) } else { flow })
    }

    /// Whether a row lies behind the place where the rows start.
    fn is_behind(&self, row: &dyn Row, after: &[Value]) -> Result<bool> {
        // A cell that cannot be read fails the read, so all are read before they are compared.
        for sort in &self.sort {
            row.cell(sort.column.into())?;
        }
        let cell = |at: u16| row.cell(at.into()).unwrap_or_default();
        Ok(order::is_behind(&self.sort, cell, after))
    }

    fn is_full(&self, rows: u64) -> bool {
        rows > self.plan.rows_max()
    }
}

impl RowSink for Collect<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        if let Some(after) = &self.plan.residual_after
            && !self.is_behind(row, after)?
        {
            self.passed += 1;
            self.exceeded = self.is_full(self.passed);
            return Ok(stop_if(self.exceeded));
        }
        let Some(held) = &mut self.held else { return self.deliver(row) };
        held.push(row)?;
        let rows = held.len() as u64;
        self.exceeded = self.is_full(rows);
        Ok(stop_if(self.exceeded))
    }

    fn rows(&mut self, rows: &mut RowBuffer) -> Result<Option<ControlFlow<()>>> {
        let count = rows.len() as u64;
        let is_plain = self.plan.residual_after.is_none()
            && self.held.is_none()
            && self.skip == 0
            && rows.width() == self.plan.width
            && self.limit.is_none_or(|limit| count <= limit - self.returned);
        let Some(last_row) = rows.len().checked_sub(1).and_then(|at| RowBuffer::row(rows, at))
        else {
            return Ok(None);
        };
        if !is_plain {
            return Ok(None);
        }
        if let Some(last) = &mut self.last {
            last.clear();
            last.push(&Picked { row: &last_row, positions: &self.sort })?;
        }
        let Some(flow) = self.sink.rows(rows)? else { return Ok(None) };
        self.returned += count;
        let is_full = self.end == PageEnd::Stop && self.limit == Some(self.returned);
        Ok(Some(if is_full { ControlFlow::Break(()) } else { flow }))
    }

    fn reset(&mut self) {
        self.skip = self.plan.residual_offset;
        self.passed = 0;
        self.returned = 0;
        self.has_more = false;
        self.exceeded = false;
        for buffer in [&mut self.held, &mut self.last].into_iter().flatten() {
            buffer.clear();
        }
        self.sink.reset();
    }
}

fn stop_if(stop: bool) -> ControlFlow<()> {
    if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// The first cells of a row: those the caller asked for.
pub(crate) struct Head<'a> {
    pub(crate) row: &'a dyn Row,
    pub(crate) width: usize,
}

impl Row for Head<'_> {
    fn width(&self) -> usize {
        self.width
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        self.row.cell(position)
    }
}

/// The cells of a row at some positions.
struct Picked<'a> {
    row: &'a dyn Row,
    positions: &'a [Sort],
}

impl Row for Picked<'_> {
    fn width(&self) -> usize {
        self.positions.len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        self.row.cell(self.positions[position].column.into())
    }
}

/// A sink that decodes rows into a list.
pub(crate) struct Decode<'a, T> {
    pub(crate) rows: &'a mut Vec<T>,
    pub(crate) decode: fn(&dyn Row) -> Result<T>,
}

impl<T: Send> RowSink for Decode<'_, T> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.rows.push((self.decode)(row)?);
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.rows.clear();
    }
}

/// A sink that decodes the one row of a look-up.
pub(crate) struct DecodeOne<E> {
    pub(crate) row: Option<Arc<E>>,
    pub(crate) decode: fn(&dyn Row) -> Result<E>,
}

impl<E: Send + Sync> RowSink for DecodeOne<E> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.row = Some(Arc::new((self.decode)(row)?));
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.row = None;
    }
}

/// A sink for reads and writes that hand out no rows.
pub(crate) struct Nothing;

impl RowSink for Nothing {
    fn row(&mut self, _: &dyn Row) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {}
}
