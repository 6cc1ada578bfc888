//! Rows that a probe reads.

use std::ops::ControlFlow;

use sora::{Cell, Predicate, Result, Row, RowBuffer, RowSink, Sort, Value, order};

/// Takes rows up to a bound.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) rows: RowBuffer,
    rows_max: usize,
    /// The last key that is wanted, and where its cells stand: rows behind it end the read.
    until: Option<(Vec<usize>, Vec<Value>)>,
}

impl Taken {
    /// Takes at most so many rows.
    pub(super) fn new(width: usize, rows_max: usize) -> Self {
        Self { rows: RowBuffer::new(width), rows_max, until: None }
    }

    /// Ends with the row that has this key, in the order of the key.
    pub(super) fn until(mut self, positions: Vec<usize>, key: Vec<Value>) -> Self {
        self.until = Some((positions, key));
        self
    }

    fn is_behind(&self, row: &dyn Row) -> Result<bool> {
        let Some((positions, key)) = &self.until else { return Ok(false) };
        for (position, last) in positions.iter().zip(key) {
            let order = row.cell(*position)?.sort_order(last.cell());
            if order.is_ne() {
                return Ok(order.is_gt());
            }
        }
        Ok(false)
    }
}

impl RowSink for Taken {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        if self.rows.len() >= self.rows_max || self.is_behind(row)? {
            return Ok(ControlFlow::Break(()));
        }
        self.rows.push(row)?;
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.rows.clear();
    }
}

/// Returns the rows as text, to compare and to show. Cells of equal value have equal text.
pub(super) fn texts(rows: &RowBuffer) -> Vec<String> {
    let cell = |cell: Cell<'_>| format!("{cell}");
    rows.iter()
        .map(|row| (0..rows.width()).map(|at| cell(row.get(at))).collect::<Vec<_>>().join(", "))
        .collect()
}

/// Returns the rows for which a condition holds, in their order.
pub(super) fn filtered(rows: &RowBuffer, condition: &Predicate) -> Result<RowBuffer> {
    let mut kept = RowBuffer::new(rows.width());
    for row in rows.iter() {
        if condition.evaluate(&row)?.is_true() {
            kept.push(&row)?;
        }
    }
    Ok(kept)
}

/// Returns the rows in an order.
pub(super) fn sorted(rows: &RowBuffer, sort: &[Sort]) -> Result<RowBuffer> {
    let mut places: Vec<usize> = (0..rows.len()).collect();
    let cell = |place: usize, column: u16| {
        rows.row(place).map_or(Cell::Null, |row| row.get(usize::from(column)))
    };
    places.sort_by(|left, right| {
        order::compare(sort, |column| cell(*left, column), |column| cell(*right, column))
    });
    let mut sorted = RowBuffer::with_capacity(rows.width(), rows.len());
    for row in places.into_iter().filter_map(|place| rows.row(place)) {
        sorted.push(&row)?;
    }
    Ok(sorted)
}
