//! Who keeps the first rows of each value: the store, or Sora above it.

use std::sync::Arc;

use super::{Negotiation, Plan, Support, total_sort};
use crate::provider::DynProvider;
use crate::query::Query;
use crate::read::LimitEach;
use crate::{Binding, Error, ErrorKind, FilterLimits, Result};

impl Plan {
    /// Divides a query of which only the first rows of each value of a column are kept, in the order
    /// of its sort and key.
    ///
    /// # Errors
    ///
    /// Those of [`Plan::new`]; [`ErrorKind::InvalidInput`] if the query has a place to start or a
    /// limit of its own.
    pub fn limited_each(
        provider: &dyn DynProvider,
        binding: &Arc<Binding>,
        query: &Query,
        limit: LimitEach,
    ) -> Result<Self> {
        let schema = binding.schema();
        let at = |error: Error| error.with("table", schema.table());
        if query.after.is_some() || query.offset > 0 || query.limit.is_some() {
            let message = "a query that is limited for each value has no limit, offset or cursor";
            return Err(at(Error::new(ErrorKind::InvalidInput, message)));
        }
        let filter = query.filter.clone().bind(schema, FilterLimits::default()).map_err(at)?;
        let sort = total_sort(schema, query, true).map_err(at)?;
        let mut ask = Negotiation::new(binding.clone(), filter.clone().into_terms(), sort)
            .limiting_each(limit);
        provider.negotiate(&mut ask);
        let is_exact = ask.limit_each_support() == Support::Exact;
        let capability = provider.capability();
        let mut plan = Self::divide(capability, query, ask, None, filter, provider.name());
        if is_exact && plan.is_pushed() {
            plan.read.limit_each = Some(limit);
        } else {
            plan.residual_limit_each = Some(limit);
        }
        plan.check_fallback().map_err(at)?;
        Ok(plan)
    }
}
