//! What is computed over rows of a table.

use std::ops::ControlFlow;
use std::panic::Location;
use std::sync::Arc;

use sora_core::plan::Plan;
use sora_core::{
    AggregateFunction, Aggregation, Cell, Error, ErrorKind, Groups, Measure, Operation, Query,
    Result, Row, RowSink, Schema,
};
use tracing::Instrument;

use super::Table;
use super::read::{Explanation, Reader};
use crate::deadline;
use crate::outcome::ReadOutcome;

impl Table {
    /// Computes over the rows that meet a query's filter, and pushes a row for each group into a
    /// sink: the cells of the group's columns, then one for each measure, in the order of the group's
    /// columns. One round trip.
    ///
    /// What the store does not compute exactly is computed in memory, over at most as many rows as
    /// the query's fallback allows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if filter or aggregation do not fit the table, or the query has a
    /// sort, limit, offset, cursor or columns; [`ErrorKind::Constraint`] if a sum does not fit its
    /// type; [`ErrorKind::Limit`] if there are too many groups, or what is done in memory exceeds its
    /// bound; [`ErrorKind::Unsupported`] if it may not be done there.
    #[track_caller]
    pub fn aggregate<'a>(
        &'a self,
        query: &'a Query,
        aggregation: &'a Arc<Aggregation>,
        sink: &'a mut dyn RowSink,
    ) -> impl Future<Output = Result<ReadOutcome>> + Send + 'a {
        self.aggregate_at(query, aggregation, sink, Location::caller())
    }

    /// Says who would compute an aggregation, and how the store would run its part; with `analyze`
    /// it is run. One round trip.
    ///
    /// # Errors
    ///
    /// As [`aggregate`](Table::aggregate).
    #[track_caller]
    pub fn explain_aggregate<'a>(
        &'a self,
        query: &'a Query,
        aggregation: &'a Arc<Aggregation>,
        analyze: bool,
    ) -> impl Future<Output = Result<Explanation>> + Send + 'a {
        self.explain_at(|| self.aggregate_plan(query, aggregation), analyze, Location::caller())
    }

    pub(crate) async fn aggregate_at(
        &self,
        query: &Query,
        aggregation: &Arc<Aggregation>,
        sink: &mut dyn RowSink,
        location: &'static Location<'static>,
    ) -> Result<ReadOutcome> {
        let mut watch = self.watch(Operation::Aggregate, location);
        let span = watch.span();
        let outcome = async {
            let plan = Arc::new(self.aggregate_plan(query, aggregation)?);
            watch.plan(&plan);
            let (report, returned) = match plan.residual_aggregation {
                false => {
                    let mut groups = PushedGroups::new(self.schema(), aggregation, sink);
                    let report =
                        self.read_gated(&mut Reader::Store, &plan.read, &mut groups).await?;
                    (report, groups.finish()?)
                }
                true => {
                    let groups = Groups::new(self.schema(), &plan.read.columns, aggregation)?;
                    let mut rows = BoundedRows { plan: &plan, groups, rows: 0 };
                    let report = self.read_gated(&mut Reader::Store, &plan.read, &mut rows).await?;
                    // Those that a filter rejected were received, too.
                    if report.received.max(rows.rows) > plan.rows_max() || report.exceeded {
                        return Err(plan.exceeded());
                    }
                    (report, rows.groups.finish(None, sink)?)
                }
            };
            watch.read(report, returned);
            Ok(ReadOutcome::new(plan, report.received, returned, true))
        };
        let outcome = deadline::reading(outcome.instrument(span)).await;
        watch.end(outcome)
    }

    fn aggregate_plan(&self, query: &Query, aggregation: &Arc<Aggregation>) -> Result<Plan> {
        Plan::aggregate(&*self.store().provider, &self.binding(), query, aggregation)
    }
}

/// Hands on the groups of a store, and counts them.
struct PushedGroups<'a> {
    schema: &'a Schema,
    aggregation: &'a Aggregation,
    sink: &'a mut dyn RowSink,
    groups: u64,
    groups_max: u64,
}

impl<'a> PushedGroups<'a> {
    fn new(schema: &'a Schema, aggregation: &'a Aggregation, sink: &'a mut dyn RowSink) -> Self {
        let groups_max = match aggregation.group.is_empty() {
            true => 1,
            false => aggregation.groups_max,
        };
        Self { schema, aggregation, sink, groups: 0, groups_max }
    }

    /// Returns how many groups there were.
    fn finish(self) -> Result<u64> {
        match self.groups > self.groups_max {
            true => Err(self.aggregation.exceeded(self.schema)),
            false => Ok(self.groups),
        }
    }

    /// Refuses a sum or mean of floats that is no number, which not every store does.
    fn check_sums(&self, row: &dyn Row) -> Result<()> {
        use AggregateFunction::{Average, Sum};
        for (at, measure) in (self.aggregation.group.len()..).zip(&*self.aggregation.measures) {
            if let Measure { function: Sum | Average, .. } = measure
                && let Cell::F64(total) = row.cell(at)?
                && total.is_nan()
            {
                let message = "the sum does not fit: it is no number";
                return Err(Error::new(ErrorKind::Constraint, message)
                    .with("table", self.schema.table())
                    .with("measure", measure.display(self.schema)));
            }
        }
        Ok(())
    }
}

impl RowSink for PushedGroups<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.groups += 1;
        if self.groups > self.groups_max {
            return Ok(ControlFlow::Break(()));
        }
        self.check_sums(row)?;
        self.sink.row(row)
    }

    fn reset(&mut self) {
        self.groups = 0;
        self.sink.reset();
    }
}

/// Puts rows into groups, up to the bound of what is done in memory.
struct BoundedRows<'a> {
    plan: &'a Plan,
    groups: Groups<'a>,
    rows: u64,
}

impl RowSink for BoundedRows<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.rows += 1;
        match self.rows > self.plan.rows_max() {
            true => Ok(ControlFlow::Break(())),
            false => self.groups.row(row),
        }
    }

    fn reset(&mut self) {
        self.rows = 0;
        self.groups.reset();
    }
}
