//! Who does what of a query: the store, or Sora above it.

mod display;

mod aggregate;
mod each;

use std::sync::Arc;

use crate::provider::{Capability, DynProvider};
use crate::query::{Fallback, Query};
use crate::read::{LimitEach, Pace, Read};
use crate::{
    Aggregation, Binding, Error, ErrorKind, FilterLimits, Name, Predicate, Result, Schema, Sort,
    Value,
};

/// How well a store does a part of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Support {
    /// Not at all: Sora does it.
    #[default]
    Unsupported,
    /// It leaves out only what does not belong, but not all of it: Sora does it again.
    Inexact,
    /// As Sora would: nothing is left to do.
    Exact,
}

/// What a provider is asked before a read: it raises what its store does, in place.
///
/// Everything starts as [`Support::Unsupported`], so that what a provider forgets is done above it.
#[derive(Clone, Debug)]
pub struct Negotiation {
    binding: Arc<Binding>,
    terms: Vec<Term>,
    sort: Vec<Sort>,
    sort_support: Support,
    aggregation: Option<Arc<Aggregation>>,
    aggregation_support: Support,
    limit_each: Option<LimitEach>,
    limit_each_support: Support,
}

/// A condition of a query's filter, and how well the store decides it.
#[derive(Clone, Debug)]
pub struct Term {
    predicate: Predicate,
    support: Support,
}

/// A query, divided between the store and Sora.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// What the store is asked.
    pub read: Read,
    /// The conditions of the filter and how well the store decides each.
    pub terms: Vec<Term>,
    /// The total order of the rows; empty if the order does not matter.
    pub sort: Vec<Sort>,
    /// Whether Sora sorts.
    pub residual_sort: bool,
    /// Where the rows start, if Sora must find the place.
    pub residual_after: Option<Arc<[Value]>>,
    /// How many rows Sora leaves out at the start.
    pub residual_offset: u64,
    /// After how many rows Sora stops; none if the store does, or there is no limit.
    pub residual_limit: Option<u64>,
    /// What is computed over the rows.
    pub aggregation: Option<Arc<Aggregation>>,
    /// Whether Sora computes it.
    pub residual_aggregation: bool,
    /// How many of the rows that share a value are kept, if Sora does it.
    pub residual_limit_each: Option<LimitEach>,
    /// How many of the read's columns the caller asked for; those behind serve filter and sort.
    pub width: usize,
    /// The filter, bound to the schema: what a cursor is checked against.
    pub filter: Predicate,
    /// What may be done above the store.
    pub fallback: Fallback,
    provider: &'static str,
}

impl Negotiation {
    /// Returns the question for a filter and a sort; for tests of providers.
    pub fn new(binding: Arc<Binding>, filter: Vec<Predicate>, sort: Vec<Sort>) -> Self {
        let terms =
            filter.into_iter().map(|predicate| Term { predicate, support: Support::default() });
        Self {
            binding,
            terms: terms.collect(),
            sort,
            sort_support: Support::default(),
            aggregation: None,
            aggregation_support: Support::default(),
            limit_each: None,
            limit_each_support: Support::default(),
        }
    }

    /// Returns the question with what is computed over the rows.
    pub fn aggregating(self, aggregation: Arc<Aggregation>) -> Self {
        Self { aggregation: Some(aggregation), ..self }
    }

    /// Returns the question with a limit of the rows that share a value.
    pub fn limiting_each(self, limit: LimitEach) -> Self {
        Self { limit_each: Some(limit), ..self }
    }

    /// The table, and what the catalogue says of it.
    pub fn binding(&self) -> &Arc<Binding> {
        &self.binding
    }

    /// The whole conjunction, to be raised term by term.
    pub fn terms_mut(&mut self) -> &mut [Term] {
        &mut self.terms
    }

    /// The conditions of the filter.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The order that is asked for, empty if it does not matter.
    pub fn sort(&self) -> &[Sort] {
        &self.sort
    }

    /// How well the store sorts; `Inexact` counts as not at all.
    pub fn sort_support(&self) -> Support {
        self.sort_support
    }

    /// Says how well the store sorts.
    pub fn set_sort(&mut self, support: Support) {
        self.sort_support = support;
    }

    /// What is computed over the rows that meet the whole filter, if anything is.
    pub fn aggregation(&self) -> Option<&Arc<Aggregation>> {
        self.aggregation.as_ref()
    }

    /// How well the store computes it; `Inexact` counts as not at all.
    pub fn aggregation_support(&self) -> Support {
        self.aggregation_support
    }

    /// Says how well the store computes it.
    pub fn set_aggregation(&mut self, support: Support) {
        self.aggregation_support = support;
    }

    /// The limit of the rows that share a value, if there is one.
    pub fn limit_each(&self) -> Option<LimitEach> {
        self.limit_each
    }

    /// How well the store keeps it behind an exact filter and sort; `Inexact` counts as not at all.
    pub fn limit_each_support(&self) -> Support {
        self.limit_each_support
    }

    /// Says how well the store keeps it.
    pub fn set_limit_each(&mut self, support: Support) {
        self.limit_each_support = support;
    }
}

impl Term {
    /// The condition; its columns are those of the schema.
    pub fn predicate(&self) -> &Predicate {
        &self.predicate
    }

    /// How well the store decides it.
    pub fn support(&self) -> Support {
        self.support
    }

    /// Says how well the store decides it.
    pub fn set(&mut self, support: Support) {
        self.support = support;
    }
}

impl Plan {
    /// Divides a query between a store and Sora.
    ///
    /// `total` appends the key to the sort; it must be set where the order matters: for a page, a
    /// limit, a cursor or a stream. A query with a sort or a limit sets it itself.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if filter, sort or cursor do not fit the table;
    /// [`ErrorKind::Unsupported`] if the store cannot do all of it and the fallback is `Reject`, or
    /// if a cursor is asked of a table without a key.
    pub fn new(
        provider: &dyn DynProvider,
        binding: &Arc<Binding>,
        query: &Query,
        total: bool,
    ) -> Result<Self> {
        let capability = provider.capability();
        let schema = binding.schema();
        let at = |error: Error| error.with("table", schema.table());
        let filter = query.filter.clone().bind(schema, FilterLimits::default()).map_err(at)?;
        let sort = total_sort(schema, query, total).map_err(at)?;
        let after = match &query.after {
            Some(cursor) => Some(Arc::from(cursor.values(schema, &filter, &sort).map_err(at)?)),
            None => None,
        };
        let mut ask = Negotiation::new(binding.clone(), filter.clone().into_terms(), sort.clone());
        provider.negotiate(&mut ask);
        let plan = Self::divide(capability, query, ask, after, filter, provider.name());
        plan.check_fallback().map_err(at)?;
        Ok(plan)
    }

    /// Says in text who does what, as [`Display`](std::fmt::Display) does.
    pub fn explain(&self) -> String {
        self.to_string()
    }

    /// The conditions that Sora checks again, in the schema's columns.
    pub fn residual(&self) -> impl Iterator<Item = &Predicate> {
        self.terms.iter().filter(|term| term.support != Support::Exact).map(Term::predicate)
    }

    /// The number of conditions that the store decides alone.
    pub fn pushed_len(&self) -> usize {
        self.terms.iter().filter(|term| term.support == Support::Exact).count()
    }

    /// Whether the store does all of it.
    pub fn is_pushed(&self) -> bool {
        self.residual().next().is_none()
            && !self.residual_sort
            && self.residual_after.is_none()
            && !self.residual_aggregation
            && self.residual_limit_each.is_none()
    }

    /// The bound of what is done above the store.
    pub fn rows_max(&self) -> u64 {
        match self.fallback {
            Fallback::Reject => 0,
            Fallback::Scan { rows_max } => rows_max,
        }
    }

    /// Returns the error of a read that exceeded the bound.
    pub fn exceeded(&self) -> Error {
        let schema = self.read.binding.schema();
        let remedy = if self.aggregation.is_none() { ", add a limit," } else { "" };
        let message = format!(
            "{} is not done by {} here, and doing it in memory went beyond {} rows; \
             narrow the filter{remedy} or raise Fallback::Scan {{ rows_max }}",
            self.residual_part(),
            self.provider,
            self.rows_max()
        );
        Error::new(ErrorKind::Limit, message).with("table", schema.table())
    }

    fn divide(
        capability: Capability,
        query: &Query,
        ask: Negotiation,
        after: Option<Arc<[Value]>>,
        filter: Predicate,
        provider: &'static str,
    ) -> Self {
        let Negotiation { binding, terms, sort, sort_support, .. } = ask;
        let schema = binding.schema().clone();
        let pushed = terms.iter().filter(|term| term.support > Support::Unsupported);
        let residual: Vec<&Predicate> = terms
            .iter()
            .filter(|term| term.support != Support::Exact)
            .map(Term::predicate)
            .collect();
        let sort_pushed = sort.is_empty() || sort_support == Support::Exact;
        let after_pushed = after.is_none() || (sort_pushed && capability.keyset);
        let all_pushed = residual.is_empty() && sort_pushed && after_pushed;

        let mut columns = query.columns.clone().unwrap_or_else(|| schema.visible().collect());
        let width = columns.len();
        let mut add = |column: u16| {
            if !columns.contains(&column) {
                columns.push(column);
            }
        };
        for term in &residual {
            term.for_each_column(&mut add);
        }
        for by in &sort {
            add(by.column);
        }
        // A read of no column could not tell one row from none.
        if columns.is_empty() {
            columns.extend(schema.visible().next());
        }

        let position = |column: u16| columns.iter().position(|other| *other == column);
        let residual: Arc<[Predicate]> =
            residual.into_iter().map(|term| term.clone().at_positions(&position)).collect();
        let mut read = Read::new(binding, Arc::from(&*columns));
        read.filter = pushed.map(|term| term.predicate.clone()).collect();
        read.rejected_max = match query.fallback {
            Fallback::Scan { rows_max } if !residual.is_empty() => Some(rows_max),
            _ => None,
        };
        read.residual = residual;
        if sort_pushed {
            read.sort = Arc::from(&*sort);
        }
        if after_pushed {
            read.after.clone_from(&after);
        }
        if all_pushed {
            read.limit = query.limit;
            read.offset = query.offset;
        }
        if query.limit.is_some_and(|limit| limit <= PAGE_ROWS) && sort_pushed {
            read.pace = Pace::Page;
        }
        Self {
            read,
            terms,
            residual_sort: !sort_pushed,
            sort,
            residual_after: after.filter(|_| !after_pushed),
            residual_offset: if all_pushed { 0 } else { query.offset },
            residual_limit: query.limit.filter(|_| !all_pushed),
            aggregation: None,
            residual_aggregation: false,
            residual_limit_each: None,
            width,
            filter,
            fallback: query.fallback,
            provider,
        }
    }

    fn check_fallback(&self) -> Result<()> {
        if self.fallback != Fallback::Reject || self.is_pushed() {
            return Ok(());
        }
        let message = format!(
            "{} is not done by {} here, and Fallback::Reject forbids doing it in memory",
            self.residual_part(),
            self.provider
        );
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// Names the first part that the store does not do.
    fn residual_part(&self) -> String {
        let schema = self.read.binding.schema();
        match (self.residual().next(), &self.aggregation) {
            (Some(term), _) => format!("the condition {}", term.display(schema)),
            (None, Some(aggregation)) => {
                format!("the aggregation {}", aggregation.display(schema))
            }
            (None, None) if self.residual_sort => "the sort".into(),
            (None, None) => match self.residual_limit_each {
                Some(LimitEach { column, rows }) => {
                    format!("the limit of {rows} for each {}", Name(&schema.column(column).name))
                }
                None => "the cursor".into(),
            },
        }
    }
}

/// Rows of a page: more are a scan, which stores run apart from look-ups.
const PAGE_ROWS: u64 = 1_000;

/// Appends the key, in the direction of the last column: an index on the sort columns, which ends in
/// the key, then serves the whole order in one direction.
fn total_sort(schema: &Schema, query: &Query, total: bool) -> Result<Vec<Sort>> {
    let mut sort: Vec<Sort> = Vec::with_capacity(query.sort.len() + schema.key().len());
    for by in &query.sort {
        let column = schema.columns().get(usize::from(by.column)).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("there is no column {} to sort by", by.column))
        })?;
        if !column.column_type.is_sortable() {
            let message = format!(
                "the column {:?} is {}, which has no order",
                column.name, column.column_type
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        if sort.iter().all(|other| other.column != by.column) {
            sort.push(*by);
        }
    }
    if query.after.is_some() && schema.key().is_empty() {
        let message =
            "a table without a key cannot be continued from a cursor: its order is not total";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let ordered = total || query.after.is_some() || query.limit.is_some() || query.offset > 0;
    if ordered || !sort.is_empty() {
        let descending = sort.last().is_some_and(|last| last.descending);
        for column in schema.key() {
            if sort.iter().all(|other| other.column != *column) {
                sort.push(Sort { column: *column, descending });
            }
        }
    }
    Ok(sort)
}

impl Predicate {
    /// Replaces columns by their positions among those of a read, which holds them all.
    fn at_positions(mut self, position: &dyn Fn(u16) -> Option<usize>) -> Self {
        self.map_columns(&|column| {
            position(column).and_then(|at| u16::try_from(at).ok()).unwrap_or(u16::MAX)
        });
        self
    }

    fn map_columns(&mut self, map: &dyn Fn(u16) -> u16) {
        match self {
            Self::Constant(_) => {}
            Self::Bool(column)
            | Self::Compare { column, .. }
            | Self::In { column, .. }
            | Self::Like { column, .. }
            | Self::IsNull(column) => *column = map(*column),
            Self::Is { operand, .. } | Self::Not(operand) => operand.map_columns(map),
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.map_columns(map);
                }
            }
        }
    }
}
