//! What a caller asks of a table, before anyone decides who does it.

use crate::{Cursor, Predicate, Sort};

/// A query of one table, without the type of the entity.
///
/// Name the fields you set and take the others from [`Query::default`]: there will be more.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which rows; literals need not be bound yet.
    pub filter: Predicate,
    /// In which order. The key follows as a tie-break wherever the order matters.
    pub sort: Vec<Sort>,
    /// Which columns; all that are not hidden if there is no list.
    pub columns: Option<Vec<u16>>,
    /// How many rows at the start are left out.
    pub offset: u64,
    /// Where an earlier page of the same query ended.
    pub after: Option<Cursor>,
    /// How many rows at most.
    pub limit: Option<u64>,
    /// What may be done in memory that the store cannot do.
    pub fallback: Fallback,
}

/// What may be done above a store that cannot do all of a query itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// Nothing: the query is refused before it runs.
    Reject,
    /// Filters and sorts, until more than so many rows were received and rejected by a filter, or
    /// held for a sort. In a stream it counts for each page.
    Scan {
        /// The bound, 10,000 by default.
        rows_max: u64,
    },
}

impl Default for Fallback {
    fn default() -> Self {
        Self::Scan { rows_max: 10_000 }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            filter: Predicate::ALL,
            sort: Vec::new(),
            columns: None,
            offset: 0,
            after: None,
            limit: None,
            fallback: Fallback::default(),
        }
    }
}

impl Query {
    /// Returns a query of the rows that meet a condition.
    pub fn new(filter: Predicate) -> Self {
        Self { filter, ..Self::default() }
    }
}
