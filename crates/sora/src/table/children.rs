//! The rows that refer to others: the children of many parents.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::panic::Location;
use std::sync::Arc;

use sora_core::plan::Plan;
use sora_core::read::LimitEach;
use sora_core::{
    Error, ErrorKind, FilterLimits, Intake, Operation, Predicate, Query, Result, Row, RowBuffer,
    RowSink, Type, Value,
};
use tracing::Instrument;

use super::Table;
use super::key::Slots;
use super::read::{Reader, chunks};
use crate::collect::{Head, PageEnd};
use crate::deadline;

/// How the children of many parents are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// How many children each parent has at most, the first in the order of the sort and the key;
    /// all unless set.
    pub limit_per_parent: Option<u64>,
    /// How many children there may be in all, 100,000 unless set; more are an error.
    pub children_max: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { limit_per_parent: None, children_max: 100_000 }
    }
}

impl Table {
    /// Reads the rows that hold one of these values in a column, and calls `row` with each of them
    /// and the place of its value in the list; of a value that is listed twice it is called for
    /// twice. Null has no rows. The rows of each place come in the order of the query's sort, if it
    /// has one. One round trip for as many values as the store takes at once.
    ///
    /// What the store does not do is done in memory within the query's fallback, for each of these
    /// round trips.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the query or a value does not fit the table, or the query has a
    /// limit, offset or cursor; [`ErrorKind::Limit`] if there are more rows than
    /// [`LoadOptions::children_max`], or what is done in memory exceeds its bound;
    /// [`ErrorKind::Unsupported`] if it may not be done there.
    #[track_caller]
    pub fn load_many<'a, F>(
        &'a self,
        query: &'a Query,
        column: u16,
        parents: &'a [Value],
        options: LoadOptions,
        row: F,
    ) -> impl Future<Output = Result<()>> + Send + 'a
    where
        F: FnMut(usize, &dyn Row) -> Result<()> + Send + 'a,
    {
        self.load_many_at(query, (column, parents), options, row, Location::caller())
    }

    pub(crate) async fn load_many_at<F>(
        &self,
        query: &Query,
        (column, parents): (u16, &[Value]),
        options: LoadOptions,
        mut row: F,
        location: &'static Location<'static>,
    ) -> Result<()>
    where
        F: FnMut(usize, &dyn Row) -> Result<()> + Send,
    {
        let mut watch = self.watch(Operation::LoadMany, location);
        let span = watch.span();
        let loaded = async {
            self.check_query(query)?;
            let (mut slots, distinct) = self.parents(column, parents)?;
            let (query, width) = self.query_with(query, column);
            let mut position = query.columns.iter().flatten();
            let position = position.position(|other| *other == column).unwrap_or(0);
            let mut left = options.children_max;
            let values_max = self.capability().keys_max.min(FilterLimits::default().list_max);
            for values in chunks(&distinct, values_max)? {
                let plan = self.children_plan(&query, column, &values, options)?;
                watch.plan(&plan);
                let mut children = Children::new(&plan, &mut slots, position, left);
                let page = (None, PageEnd::Stop);
                let (report, _) = self.run(&plan, page, &mut Reader::Store, &mut children).await?;
                let rows = children.finish(options.children_max)?;
                left -= rows.len() as u64;
                let mut returned = 0;
                for child in rows.iter() {
                    for place in slots.places(&child, &[position])? {
                        row(*place, &Head { row: &child, width })?;
                        returned += 1;
                    }
                }
                watch.read(report, returned);
            }
            Ok(())
        };
        let loaded = deadline::reading(loaded.instrument(span)).await;
        watch.end(loaded)
    }

    fn check_query(&self, query: &Query) -> Result<()> {
        if query.after.is_none() && query.offset == 0 && query.limit.is_none() {
            return Ok(());
        }
        let message = "the children of many parents are loaded without a limit, offset or cursor of \
                       all of them; use a limit for each parent";
        Err(Error::new(ErrorKind::InvalidInput, message).with("table", self.name()))
    }

    /// Returns the places of the values that are not null, and the distinct ones of them.
    fn parents(&self, column: u16, parents: &[Value]) -> Result<(Slots, RowBuffer)> {
        let schema = self.schema();
        let invalid = |message: String| {
            Err(Error::new(ErrorKind::InvalidInput, message).with("table", self.name()))
        };
        let Some(found) = schema.columns().get(usize::from(column)) else {
            return invalid(format!("the table has no column {column} to load by"));
        };
        if !matches!(
            found.column_type,
            Type::I64 | Type::Text | Type::Uuid | Type::Bytes | Type::Date | Type::Timestamp
        ) {
            return invalid(format!(
                "rows are not loaded by the column {:?}: it is {}, which no key can be",
                found.name, found.column_type
            ));
        }
        let mut intake = Intake::stored(schema, [column].into());
        let mut places = Vec::with_capacity(parents.len());
        for (place, parent) in parents.iter().enumerate() {
            if !parent.is_null() {
                intake.row(|out| out.cell(parent.cell()))?;
                places.push(place);
            }
        }
        Slots::with_places(&intake.finish(), &places)
    }

    /// Returns the query with the column among those it reads, and how many were asked for.
    fn query_with(&self, query: &Query, column: u16) -> (Query, usize) {
        let mut columns = query.columns.clone().unwrap_or_else(|| self.columns().to_vec());
        let width = columns.len();
        if !columns.contains(&column) {
            columns.push(column);
        }
        (Query { columns: Some(columns), ..query.clone() }, width)
    }

    fn children_plan(
        &self,
        query: &Query,
        column: u16,
        values: &RowBuffer,
        options: LoadOptions,
    ) -> Result<Arc<Plan>> {
        let values = values.iter().map(|value| value.get(0).to_value()).collect();
        let is_child = Predicate::In { column, values, null: false };
        let filter = Predicate::And(vec![is_child, query.filter.clone()]);
        let query = Query { filter, ..query.clone() };
        let plan = match options.limit_per_parent {
            None => self.plan(&query, false),
            Some(rows) => Plan::limited_each(
                &*self.store().provider,
                &self.binding(),
                &query,
                LimitEach { column, rows },
            ),
        };
        plan.map(Arc::new)
    }
}

/// Holds the children of one round trip until it has ended, because it may start over.
struct Children<'a> {
    plan: &'a Plan,
    slots: &'a mut Slots,
    /// Where the value stands that a child is found by.
    position: usize,
    rows: RowBuffer,
    rows_max: u64,
    /// Rows of each value so far, if they are limited here, by the first place of the value.
    counts: HashMap<usize, u64>,
    left_out: u64,
}

impl<'a> Children<'a> {
    fn new(plan: &'a Plan, slots: &'a mut Slots, position: usize, rows_max: u64) -> Self {
        let rows = RowBuffer::new(plan.width);
        let counts = HashMap::new();
        Self { plan, slots, position, rows, rows_max, counts, left_out: 0 }
    }

    fn is_full(&self) -> bool {
        self.rows.len() as u64 > self.rows_max
    }

    fn is_exceeded(&self) -> bool {
        self.plan.residual_limit_each.is_some() && self.left_out > self.plan.rows_max()
    }

    /// Returns the children.
    fn finish(self, children_max: u64) -> Result<RowBuffer> {
        if self.is_exceeded() {
            return Err(self.plan.exceeded());
        }
        if !self.is_full() {
            return Ok(self.rows);
        }
        let message = format!(
            "the parents have more than {children_max} children; narrow the filter, set a limit for \
             each parent, or raise children_max"
        );
        let table = self.plan.read.binding.schema().table();
        Err(Error::new(ErrorKind::Limit, message).with("table", table))
    }

    /// Whether a row is one too many of its value.
    fn leaves_out(&mut self, row: &dyn Row) -> Result<bool> {
        let Some(limit) = self.plan.residual_limit_each else { return Ok(false) };
        let places = self.slots.places(row, &[self.position])?;
        let count = self.counts.entry(places.first().copied().unwrap_or(0)).or_default();
        *count += 1;
        Ok(*count > limit.rows)
    }
}

impl RowSink for Children<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        if self.leaves_out(row)? {
            self.left_out += 1;
        } else {
            self.rows.push(row)?;
        }
        Ok(match self.is_full() || self.is_exceeded() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    fn reset(&mut self) {
        self.rows.clear();
        self.counts.clear();
        self.left_out = 0;
    }
}
