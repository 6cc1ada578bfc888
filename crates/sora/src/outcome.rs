//! What happened in an operation, as it stands on every result.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use sora_core::plan::{Plan, Support};
use sora_core::{Cursor, Schema, Source};

/// The rows of a query, and what happened to get them.
#[derive(Clone, Debug)]
pub struct Rows<T> {
    items: Vec<T>,
    next: Option<Cursor>,
    total: Option<u64>,
    outcome: ReadOutcome,
}

/// What happened in a read: who did what, and how much of it.
#[derive(Clone, Debug)]
pub struct ReadOutcome {
    plan: Arc<Plan>,
    received: u64,
    returned: u64,
    is_complete: bool,
    source: Source,
}

impl<T> Rows<T> {
    pub(crate) fn new(items: Vec<T>, next: Option<Cursor>, outcome: ReadOutcome) -> Self {
        Self { items, next, total: None, outcome }
    }

    pub(crate) fn set_total(&mut self, total: u64) {
        self.total = Some(total);
    }

    /// Returns the rows alone.
    pub fn into_vec(self) -> Vec<T> {
        self.items
    }

    /// The place where the next page starts; none behind the last row, and none without a limit.
    pub fn next(&self) -> Option<&Cursor> {
        self.next.as_ref()
    }

    /// The number of rows without limit and offset, if it was asked for.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// What happened to get the rows.
    pub fn outcome(&self) -> &ReadOutcome {
        &self.outcome
    }
}

impl<T> Deref for Rows<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> IntoIterator for Rows<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Rows<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl ReadOutcome {
    pub(crate) fn new(plan: Arc<Plan>, received: u64, returned: u64, is_complete: bool) -> Self {
        Self { plan, received, returned, is_complete, source: Source::Store }
    }

    /// The conditions that the store decided alone.
    pub fn pushed(&self) -> impl Iterator<Item = impl fmt::Display + '_> {
        self.terms(|support| support == Support::Exact)
    }

    /// The conditions that were checked above the store.
    pub fn residual(&self) -> impl Iterator<Item = impl fmt::Display + '_> {
        self.terms(|support| support != Support::Exact)
    }

    /// Whether the rows were sorted above the store.
    pub fn is_sorted_in_memory(&self) -> bool {
        self.plan.residual_sort
    }

    /// Whether what was computed over the rows was computed above the store.
    pub fn is_aggregated_in_memory(&self) -> bool {
        self.plan.residual_aggregation
    }

    /// Rows that the store handed out.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Rows that the caller got.
    pub fn returned(&self) -> u64 {
        self.returned
    }

    /// Whether these are all rows that meet the filter; otherwise a limit or offset left some out.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Where the rows came from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Who did what; it displays as text.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn terms(&self, keep: fn(Support) -> bool) -> impl Iterator<Item = impl fmt::Display + '_> {
        let schema: &Schema = self.plan.read.binding.schema();
        let terms = self.plan.terms.iter().filter(move |term| keep(term.support()));
        terms.map(move |term| term.predicate().display(schema))
    }
}
