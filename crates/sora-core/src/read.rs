//! What a store is asked to read, as data.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Aggregation, Binding, Predicate, Result, Row, RowBuffer, RowSink, Sort, Statement, Value,
};

/// One read of one table.
///
/// Everything in it is owned or shared, so that it can cross threads. What a provider did not
/// negotiate to do exactly is not in `filter`, `sort` and `limit`, or is checked again above it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Read {
    /// The table.
    pub binding: Arc<Binding>,
    /// Which rows are looked at.
    pub access: Access,
    /// The columns of the rows, in the order in which the sink receives their cells.
    pub columns: Arc<[u16]>,
    /// Conditions that rows must meet, all of them. Columns are those of the schema.
    pub filter: Arc<[Predicate]>,
    /// Conditions that are checked above the store. Columns are positions in `columns`.
    pub residual: Arc<[Predicate]>,
    /// How many rows `residual` may reject before the read ends as exceeded.
    pub rejected_max: Option<u64>,
    /// The order of the rows.
    pub sort: Arc<[Sort]>,
    /// Start behind the row with these values of the columns of `sort`.
    pub after: Option<Arc<[Value]>>,
    /// Leave out so many rows at the start.
    pub offset: u64,
    /// Stop after so many rows.
    pub limit: Option<u64>,
    /// Of the rows that share a value, only the first so many in the order of `sort`. Then the rows
    /// of each value come in that order, and those of different values in any.
    pub limit_each: Option<LimitEach>,
    /// What is asked for.
    pub output: Output,
    /// How much is expected, which decides where a store runs it.
    pub pace: Pace,
    /// Whether the rows are locked against other writers until the session ends; only in a session.
    pub for_update: bool,
}

/// Which rows a [`Read`] looks at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Access {
    /// All that meet the filter.
    Scan,
    /// Those with these keys, each row of the buffer one key. Every row comes once, however often
    /// its key is listed, in any order.
    Keys(Arc<RowBuffer>),
    /// Those that a statement in the store's own language gives, whose columns are found by name. One
    /// that writes is refused where the store can tell, and so is one that changes the connection.
    Native(Statement),
}

/// A limit of the rows that share a value of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LimitEach {
    /// The column; null is a value of its own.
    pub column: u16,
    /// How many rows at most.
    pub rows: u64,
}

/// What a [`Read`] asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Output {
    /// The rows.
    Rows,
    /// Their number alone, in [`ReadReport::count`]; nothing reaches the sink.
    Count,
    /// The columns of a native statement, which is not run: a row for each, as
    /// [`hand_out_columns`](crate::hand_out_columns) gives them.
    Columns,
    /// What is computed over them. `columns` are those that it reads; `limit` counts its rows, and
    /// there is no sort.
    Aggregate(Arc<Aggregation>),
}

/// How much a [`Read`] is expected to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pace {
    /// A few rows by their key.
    Lookup,
    /// A bounded number of rows.
    Page,
    /// Any number of rows.
    Scan,
}

/// What happened in a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadReport {
    /// Rows that the store handed out, rejected ones too.
    pub received: u64,
    /// Rows that `residual` rejected.
    pub rejected: u64,
    /// Whether the read ended because `rejected_max` was exceeded.
    pub exceeded: bool,
    /// The number of rows, if that was asked for.
    pub count: Option<u64>,
    /// How long it waited for a connection.
    pub waited: Duration,
}

impl Read {
    /// Returns a read of all rows of a table.
    pub fn new(binding: Arc<Binding>, columns: Arc<[u16]>) -> Self {
        Self {
            binding,
            access: Access::Scan,
            columns,
            filter: Arc::default(),
            residual: Arc::default(),
            rejected_max: None,
            sort: Arc::default(),
            after: None,
            offset: 0,
            limit: None,
            limit_each: None,
            output: Output::Rows,
            pace: Pace::Scan,
            for_update: false,
        }
    }

    /// The number of cells of the rows that the sink receives.
    pub fn width(&self) -> usize {
        match &self.output {
            Output::Aggregate(aggregation) => aggregation.width(),
            Output::Columns => crate::native::COLUMN_CELLS,
            _ => self.columns.len(),
        }
    }

    /// Returns the sink in front of another that applies `residual` and counts.
    ///
    /// This is the only place where residual conditions are applied to rows of a store. A provider
    /// whose capability says that it does so itself wraps its sink in it; for others Sora does.
    pub fn gate<'a>(&'a self, sink: &'a mut dyn RowSink) -> Gate<'a> {
        Gate { read: self, sink, report: ReadReport::default() }
    }
}

impl ReadReport {
    /// Returns the report of a count.
    pub fn counted(count: u64) -> Self {
        Self { count: Some(count), ..Self::default() }
    }

    /// Returns the report of so many rows handed out.
    pub fn received(received: u64) -> Self {
        Self { received, ..Self::default() }
    }
}

/// Applies the residual conditions of a [`Read`] and counts its rows.
pub struct Gate<'a> {
    read: &'a Read,
    sink: &'a mut dyn RowSink,
    report: ReadReport,
}

impl Gate<'_> {
    /// What came through so far.
    pub fn report(&self) -> ReadReport {
        self.report
    }
}

impl RowSink for Gate<'_> {
    #[inline]
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.report.received += 1;
        for condition in &*self.read.residual {
            if !condition.evaluate(row)?.is_true() {
                self.report.rejected += 1;
                self.report.exceeded =
                    self.read.rejected_max.is_some_and(|max| self.report.rejected > max);
                return Ok(match self.report.exceeded {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                });
            }
        }
        self.sink.row(row)
    }

    fn rows(&mut self, rows: &mut RowBuffer) -> Result<Option<ControlFlow<()>>> {
        if !self.read.residual.is_empty() {
            return Ok(None);
        }
        let received = rows.len() as u64;
        let taken = self.sink.rows(rows)?;
        self.report.received += taken.map_or(0, |_| received);
        Ok(taken)
    }

    fn reset(&mut self) {
        self.report = ReadReport::default();
        self.sink.reset();
    }
}

impl std::fmt::Debug for Gate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("report", &self.report).finish_non_exhaustive()
    }
}
