//! Counts, sums and other numbers over the rows of an entity, with their types.
//!
//! ```
//! # #[cfg(feature = "derive")]
//! # mod example {
//! use sora::aggregate::{avg, count, sum};
//! use sora::{Entity, Filter, Sora};
//!
//! #[derive(Debug, Entity)]
//! #[sora(table = "zips")]
//! struct Zip {
//!     #[sora(key)]
//!     code: String,
//!     state: String,
//!     population: i64,
//!     latitude: Option<f64>,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> sora::Result<()> {
//! # let store = Sora::open("memory:").await?;
//! # store.ensure_schema::<Zip>().await?;
//! let zips = store.repository::<Zip>().await?;
//! # for (code, state, population) in [("1", "NY", 5), ("2", "CA", 7), ("3", "NY", 8)] {
//! #     let (code, state) = (code.into(), state.into());
//! #     zips.insert(&Zip { code, state, population, latitude: None }).await?;
//! # }
//! let states = zips
//!     .query(Zip::POPULATION.gt(0))
//!     .group_by(Zip::STATE)
//!     .aggregate((count(), sum(Zip::POPULATION), avg(Zip::LATITUDE)))
//!     .await?;
//! for (state, (zips, population, latitude)) in &states {
//!     println!("{state}: {zips} codes, {population:?} people, around {latitude:?}°");
//! }
//! assert_eq!(states[1], ("NY".to_owned(), (2, Some(13), None)));
//! assert_eq!(states.outcome().residual().count(), 0);
//!
//! let all = zips.query(Filter::all()).aggregate((count(), sum(Zip::POPULATION))).await?;
//! assert_eq!(*all, (3, Some(20)));
//! # Ok(())
//! # }
//! # }
//! # #[cfg(feature = "derive")]
//! # example::main().unwrap();
//! ```
//!
//! Nulls are left out, and over no value every function but a count is `None`. Sums of integers and
//! decimals, and their means, are exact; a sum that does not fit its type is an error of kind
//! [`ErrorKind::Constraint`] on every store. Sums of floats are
//! rounded as they are added, in whatever order a store does it, so that stores may differ in the
//! last digits.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;

use sora_core::{
    AggregateFunction, Aggregation, ColumnType, Entity, Error, ErrorKind, Fallback, Field, Measure,
    Query, Result, Row, Summable,
};

use crate::collect::Decode;
use crate::outcome::{ReadOutcome, Rows};
use crate::table::{Explanation, Table};

/// A number over the rows of a group, read into `V`.
pub struct Aggregate<E, V> {
    measure: Measure,
    marker: PhantomData<fn() -> (E, V)>,
}

/// Returns the number of rows.
pub fn count<E>() -> Aggregate<E, i64> {
    Aggregate { measure: Measure::ROWS, marker: PhantomData }
}

/// Returns the number of rows in which the field has a value.
pub fn count_of<E, T: ColumnType>(field: Field<E, T>) -> Aggregate<E, i64> {
    measure(AggregateFunction::Count, field)
}

/// Returns the sum of a field: an `i64` of integers, an `f64` of floats, a decimal of decimals.
pub fn sum<E, T: ColumnType>(field: Field<E, T>) -> Aggregate<E, Option<<T::Base as Summable>::Sum>>
where
    T::Base: Summable,
{
    measure(AggregateFunction::Sum, field)
}

/// Returns the mean of a field.
pub fn avg<E, T: ColumnType>(field: Field<E, T>) -> Aggregate<E, Option<f64>>
where
    T::Base: Summable,
{
    measure(AggregateFunction::Average, field)
}

/// Returns the smallest value of a field; texts go by bytes.
pub fn min<E, T: ColumnType>(field: Field<E, T>) -> Aggregate<E, Option<T::Base>> {
    measure(AggregateFunction::Min, field)
}

/// Returns the largest value of a field; texts go by bytes.
pub fn max<E, T: ColumnType>(field: Field<E, T>) -> Aggregate<E, Option<T::Base>> {
    measure(AggregateFunction::Max, field)
}

fn measure<E, T, V>(function: AggregateFunction, field: Field<E, T>) -> Aggregate<E, V> {
    Aggregate { measure: Measure::new(function, field.column()), marker: PhantomData }
}

/// What is computed over each group: an [`Aggregate`], or a tuple of up to eight.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not computed over the rows of `{E}`",
    note = "give a tuple of up to eight of `count()`, `sum(E::FIELD)`, `avg`, `min` and `max`"
)]
pub trait Measures<E> {
    /// What the results are read into.
    type Values: Send + 'static;
    /// Returns what is computed.
    fn measures(&self) -> Vec<Measure>;
    /// Reads the results from the cells of a group, which begin at a position.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] if a cell is of another type.
    fn decode(row: &dyn Row, start: usize) -> Result<Self::Values>;
}

impl<E, V: ColumnType + Send + 'static> Measures<E> for Aggregate<E, V> {
    type Values = V;

    fn measures(&self) -> Vec<Measure> {
        vec![self.measure]
    }

    fn decode(row: &dyn Row, start: usize) -> Result<V> {
        V::decode(row.cell(start)?)
    }
}

macro_rules! measures {
    ($($name:ident $at:tt),*) => {
        impl<E, $($name: ColumnType + Send + 'static),*> Measures<E> for ($(Aggregate<E, $name>,)*) {
            type Values = ($($name,)*);

            fn measures(&self) -> Vec<Measure> {
                vec![$(self.$at.measure),*]
            }

            fn decode(row: &dyn Row, start: usize) -> Result<Self::Values> {
                Ok(($($name::decode(row.cell(start + $at)?)?,)*))
            }
        }
    };
}

measures!(A 0);
measures!(A 0, B 1);
measures!(A 0, B 1, C 2);
measures!(A 0, B 1, C 2, D 3);
measures!(A 0, B 1, C 2, D 3, F 4);
measures!(A 0, B 1, C 2, D 3, F 4, G 5);
measures!(A 0, B 1, C 2, D 3, F 4, G 5, H 6);
measures!(A 0, B 1, C 2, D 3, F 4, G 5, H 6, I 7);

/// What rows are grouped by: a field, or a tuple of up to four.
#[diagnostic::on_unimplemented(
    message = "rows of `{E}` are not grouped by `{Self}`",
    note = "give a field of the entity, or a tuple of up to four"
)]
pub trait GroupBy<E> {
    /// What the values of a group are read into.
    type Values: Send + 'static;
    /// How many fields there are.
    const WIDTH: usize;
    /// Returns the columns of the fields.
    fn columns(&self) -> Vec<u16>;
    /// Reads the values from the first cells of a group.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] if a cell is of another type.
    fn decode(row: &dyn Row) -> Result<Self::Values>;
}

impl<E, T: ColumnType + Send + 'static> GroupBy<E> for Field<E, T> {
    type Values = T;
    const WIDTH: usize = 1;

    fn columns(&self) -> Vec<u16> {
        vec![self.column()]
    }

    fn decode(row: &dyn Row) -> Result<T> {
        T::decode(row.cell(0)?)
    }
}

macro_rules! group_by {
    ($width:literal: $($name:ident $at:tt),*) => {
        impl<E, $($name: ColumnType + Send + 'static),*> GroupBy<E> for ($(Field<E, $name>,)*) {
            type Values = ($($name,)*);
            const WIDTH: usize = $width;

            fn columns(&self) -> Vec<u16> {
                vec![$(self.$at.column()),*]
            }

            fn decode(row: &dyn Row) -> Result<Self::Values> {
                Ok(($($name::decode(row.cell($at)?)?,)*))
            }
        }
    };
}

group_by!(1: A 0);
group_by!(2: A 0, B 1);
group_by!(3: A 0, B 1, C 2);
group_by!(4: A 0, B 1, C 2, D 3);

/// A query whose rows are grouped by some fields.
#[must_use = "nothing is computed before `aggregate` is called"]
pub struct Grouped<'a, E, G> {
    pub(crate) table: &'a Table,
    pub(crate) query: Result<Query>,
    pub(crate) group: Vec<u16>,
    pub(crate) groups_max: u64,
    pub(crate) location: &'static Location<'static>,
    pub(crate) marker: PhantomData<fn() -> (E, G)>,
}

impl<E: Entity, G: GroupBy<E>> Grouped<'_, E, G> {
    /// Sets how many groups there may be, 10,000 unless set; more are an error.
    pub fn groups_max(mut self, groups: u64) -> Self {
        self.groups_max = groups;
        self
    }

    /// Sets what may be done in memory that the store cannot do; 10,000 rows by default.
    pub fn fallback(mut self, fallback: Fallback) -> Self {
        if let Ok(query) = &mut self.query {
            query.fallback = fallback;
        }
        self
    }

    /// Returns the groups in the order of their fields, null first, each with what was computed over
    /// it. One round trip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if a field cannot be grouped by or
    /// computed so, or the query has a sort, limit, offset or cursor;
    /// [`ErrorKind::Constraint`] if a sum does not fit its type;
    /// [`ErrorKind::Limit`] if there are too many groups, or what is done in
    /// memory exceeds its bound; [`ErrorKind::Unsupported`] if it may
    /// not be done there.
    pub async fn aggregate<M: Measures<E>>(
        self,
        measures: M,
    ) -> Result<Rows<(G::Values, M::Values)>> {
        let aggregation = self.aggregation(measures.measures());
        let mut rows = Vec::new();
        let decode = |row: &dyn Row| Ok((G::decode(row)?, M::decode(row, G::WIDTH)?));
        let mut sink = Decode { rows: &mut rows, decode };
        let outcome =
            self.table.aggregate_at(&self.query?, &aggregation, &mut sink, self.location).await?;
        Ok(Rows::new(rows, None, outcome))
    }

    /// Says who would compute it, and how the store would run its part. One round trip.
    ///
    /// # Errors
    ///
    /// As [`aggregate`](Grouped::aggregate).
    pub async fn explain<M: Measures<E>>(self, measures: M) -> Result<Explanation> {
        let aggregation = self.aggregation(measures.measures());
        self.table.explain_aggregate(&self.query?, &aggregation, false).await
    }

    fn aggregation(&self, measures: Vec<Measure>) -> Arc<Aggregation> {
        let aggregation = Aggregation::new(self.group.clone(), measures);
        Arc::new(Aggregation { groups_max: self.groups_max, ..aggregation })
    }
}

/// What was computed over all rows that meet a filter. It derefs to the values.
#[derive(Clone, Debug)]
pub struct Aggregated<V> {
    values: V,
    outcome: ReadOutcome,
}

impl<V> Aggregated<V> {
    /// Returns the values alone.
    pub fn into_inner(self) -> V {
        self.values
    }

    /// What happened to get them.
    pub fn outcome(&self) -> &ReadOutcome {
        &self.outcome
    }
}

impl<V> Deref for Aggregated<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.values
    }
}

/// Computes measures over all rows that meet a query's filter.
pub(crate) async fn aggregate_all<E, M: Measures<E>>(
    table: &Table,
    query: &Query,
    measures: &M,
    location: &'static Location<'static>,
) -> Result<Aggregated<M::Values>> {
    let aggregation = Arc::new(Aggregation::new([], measures.measures()));
    let mut rows = Vec::new();
    let mut sink = Decode { rows: &mut rows, decode: |row: &dyn Row| M::decode(row, 0) };
    let outcome = table.aggregate_at(query, &aggregation, &mut sink, location).await?;
    match rows.pop() {
        Some(values) => Ok(Aggregated { values, outcome }),
        None => {
            let message = "the store gave no row for all rows together";
            Err(Error::new(ErrorKind::Internal, message).with("table", table.name()))
        }
    }
}

impl<E, V> Clone for Aggregate<E, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E, V> Copy for Aggregate<E, V> {}

impl<E, V> fmt::Debug for Aggregate<E, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Aggregate").field(&self.measure).finish()
    }
}

impl<E, G> fmt::Debug for Grouped<'_, E, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grouped")
            .field("query", &self.query)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}
