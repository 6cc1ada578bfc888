//! Who computes an aggregation: the store, or Sora above it.

use std::sync::Arc;

use super::{Negotiation, Plan, Support};
use crate::provider::DynProvider;
use crate::query::Query;
use crate::read::{Output, Pace};
use crate::{Aggregation, Binding, Error, ErrorKind, FilterLimits, Result};

impl Plan {
    /// Divides an aggregation of the rows that meet a query's filter between a store and Sora. The
    /// store computes all of it, if it decides the whole filter, or nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the filter or the aggregation does not fit the table, or the
    /// query has a sort, place to start, limit or columns; [`ErrorKind::Unsupported`] if the store
    /// cannot do all of it and the fallback is `Reject`.
    pub fn aggregate(
        provider: &dyn DynProvider,
        binding: &Arc<Binding>,
        query: &Query,
        aggregation: &Arc<Aggregation>,
    ) -> Result<Self> {
        let schema = binding.schema();
        let at = |error: Error| error.with("table", schema.table());
        check_query(query).map_err(at)?;
        aggregation.columns(schema).map_err(at)?;
        let filter = query.filter.clone().bind(schema, FilterLimits::default()).map_err(at)?;
        let mut ask = Negotiation::new(binding.clone(), filter.clone().into_terms(), Vec::new())
            .aggregating(aggregation.clone());
        provider.negotiate(&mut ask);

        let capability = provider.capability();
        let is_pushed = capability.aggregates
            && ask.aggregation_support() == Support::Exact
            && ask.terms().iter().all(|term| term.support() == Support::Exact);
        let mut columns: Vec<u16> = Vec::new();
        for column in aggregation.reads() {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let query = Query { columns: Some(columns), fallback: query.fallback, ..Query::default() };
        let mut plan = Self::divide(capability, &query, ask, None, filter, provider.name());
        plan.aggregation = Some(aggregation.clone());
        plan.residual_aggregation = !is_pushed;
        plan.read.pace = Pace::Scan;
        if is_pushed {
            plan.read.output = Output::Aggregate(aggregation.clone());
            // One more tells that there are too many.
            let groups_max = aggregation.groups_max.saturating_add(1);
            plan.read.limit = (!aggregation.group.is_empty()).then_some(groups_max);
        }
        plan.check_fallback().map_err(at)?;
        Ok(plan)
    }
}

/// An aggregation is over all rows that meet the filter, so nothing else of a query applies to it.
fn check_query(query: &Query) -> Result<()> {
    let other = [
        (!query.sort.is_empty(), "a sort"),
        (query.after.is_some(), "a cursor"),
        (query.offset > 0, "an offset"),
        (query.limit.is_some(), "a limit"),
        (query.columns.is_some(), "columns to read"),
    ];
    let Some((_, what)) = other.into_iter().find(|(is_set, _)| *is_set) else { return Ok(()) };
    let message = format!(
        "an aggregation is over all rows that meet the filter, and comes in the order of its \
         groups: leave out {what}"
    );
    Err(Error::new(ErrorKind::InvalidInput, message))
}
