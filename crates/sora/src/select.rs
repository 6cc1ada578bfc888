//! A query of entities, as it is put together.

use std::fmt;
use std::panic::Location;

use sora_core::{
    Aggregation, BufferedRow, Cursor, Entity, Error, ErrorKind, Fallback, Filter, Operation,
    Predicate, Projection, Query, Result, Row, SortBy,
};

use crate::Table;
use crate::aggregate::{Aggregated, GroupBy, Grouped, Measures, aggregate_all};
use crate::collect::{Decode, Nothing, PageEnd};
use crate::entity_stream::EntityStream;
use crate::outcome::Rows;
use crate::table::{Explanation, Page, StreamOptions};

/// A query of the rows of one entity, read into `T`.
#[must_use = "a query does nothing before one of its last methods is called"]
pub struct Select<'a, E, T = E> {
    table: &'a Table,
    query: Result<Query>,
    total: bool,
    decode: Decoders<T>,
    location: &'static Location<'static>,
    entity: std::marker::PhantomData<fn() -> E>,
}

/// How a row becomes a `T`: any row, and those of a buffer without dynamic calls.
struct Decoders<T> {
    any: fn(&dyn Row) -> Result<T>,
    buffered: fn(&BufferedRow<'_>) -> Result<T>,
}

impl<'a, E: Entity> Select<'a, E> {
    pub(crate) fn new(
        table: &'a Table,
        filter: Filter<E>,
        location: &'static Location<'static>,
    ) -> Self {
        let query = filter.into_predicate().map(Query::new);
        Self {
            table,
            query,
            total: false,
            decode: Decoders { any: |row| E::decode(row), buffered: |row| E::decode(row) },
            location,
            entity: std::marker::PhantomData,
        }
    }

    /// Reads only the columns of a projection, and each row into it.
    pub fn select<P: Projection<E>>(mut self) -> Select<'a, E, P> {
        if let Ok(query) = &mut self.query {
            query.columns = Some(P::COLUMNS.to_vec());
        }
        Select {
            table: self.table,
            query: self.query,
            total: self.total,
            decode: Decoders { any: |row| P::decode(row), buffered: |row| P::decode(row) },
            location: self.location,
            entity: self.entity,
        }
    }
}

impl<'a, E: Entity, T: Send + 'static> Select<'a, E, T> {
    /// Sorts by a field, behind the fields given before. The key follows as a tie-break.
    pub fn sort(self, by: SortBy<E>) -> Self {
        self.with(|query| query.sort.push(by.sort()))
    }

    /// Stops after so many rows.
    pub fn limit(self, rows: u64) -> Self {
        self.with(|query| query.limit = Some(rows))
    }

    /// Leaves out so many rows at the start. The store walks over them: for deep pages use
    /// [`after`](Select::after).
    pub fn offset(self, rows: u64) -> Self {
        self.with(|query| query.offset = rows)
    }

    /// Starts where an earlier page of the same query ended.
    pub fn after(self, cursor: Cursor) -> Self {
        self.with(|query| query.after = Some(cursor))
    }

    /// Sets what may be done in memory that the store cannot do; 10,000 rows by default.
    pub fn fallback(self, fallback: Fallback) -> Self {
        self.with(|query| query.fallback = fallback)
    }

    /// Counts all rows that meet the filter beside fetching a page. One more round trip, and not
    /// the same snapshot: rows written in between are seen by one of the two.
    pub fn with_total(mut self) -> Self {
        self.total = true;
        self
    }

    /// Returns the rows, and what happened to get them. One round trip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if filter, sort or cursor do not fit; [`ErrorKind::Limit`] if
    /// what is done in memory exceeds its bound; [`ErrorKind::Unsupported`] if it may not be done
    /// there.
    pub async fn fetch(self) -> Result<Rows<T>> {
        let mut rows = self.read(None, PageEnd::Probe).await?;
        if self.total {
            let query = self.query.as_ref().map_err(Clone::clone)?;
            rows.set_total(Box::pin(self.table.count_at(query, self.location)).await?);
        }
        Ok(rows)
    }

    /// Returns the first row, or none. One round trip.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Select::fetch).
    pub async fn first(self) -> Result<Option<T>> {
        Ok(self.read(Some(1), PageEnd::Stop).await?.into_iter().next())
    }

    /// Returns the only row. One round trip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is none, [`ErrorKind::InvalidInput`] if there are several;
    /// else as [`fetch`](Select::fetch).
    pub async fn one(self) -> Result<T> {
        let rows = self.read(Some(1), PageEnd::Probe).await?;
        let at = |error: Error| error.with("table", self.table.name());
        if rows.next().is_some() {
            let message = "one row was asked for, and several meet the filter";
            return Err(at(Error::new(ErrorKind::InvalidInput, message)));
        }
        let none = || at(Error::new(ErrorKind::NotFound, "no row meets the filter"));
        rows.into_iter().next().ok_or_else(none)
    }

    /// Says whether there is a row. One round trip.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Select::fetch).
    pub async fn exists(self) -> Result<bool> {
        let query =
            Query { columns: Some(Vec::new()), sort: Vec::new(), limit: Some(1), ..self.query? };
        let page = self
            .table
            .query_as((Operation::Exists, PageEnd::Stop), &query, &mut Nothing, self.location)
            .await?;
        Ok(page.outcome.returned() > 0)
    }

    /// Counts the rows that meet the filter, whatever the limit and offset. One round trip.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Select::fetch).
    pub async fn count(self) -> Result<u64> {
        self.table.count_at(&self.query?, self.location).await
    }

    /// Streams the rows in flat memory, by pages. See
    /// [`RowStream`](crate::RowStream).
    pub fn stream(self) -> EntityStream<T> {
        self.stream_with(StreamOptions::default())
    }

    /// Streams the rows in flat memory, by pages of at most so many.
    pub fn stream_with(self, options: StreamOptions) -> EntityStream<T> {
        match self.query {
            Ok(query) => {
                let pages = self.table.stream_at(&query, options, self.location);
                EntityStream::new(pages, self.decode.buffered)
            }
            Err(error) => {
                // A filter that cannot be used fails the stream's first poll.
                let query = Query::new(Predicate::ALL);
                let pages = self.table.stream_at(&query, options, self.location);
                EntityStream::failed(pages, self.decode.buffered, error)
            }
        }
    }

    /// Says who would do what, and how the store would run its part. One round trip.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Select::fetch).
    pub async fn explain(self) -> Result<Explanation> {
        self.table.explain(&self.query?, false).await
    }

    /// Groups the rows by a field, or a tuple of up to four, to compute over each group.
    #[expect(clippy::needless_pass_by_value, reason = "fields are constants")]
    pub fn group_by<G: GroupBy<E>>(self, group: G) -> Grouped<'a, E, G> {
        Grouped {
            table: self.table,
            query: self.query,
            group: group.columns(),
            groups_max: Aggregation::GROUPS_MAX,
            location: self.location,
            marker: std::marker::PhantomData,
        }
    }

    /// Computes over all rows that meet the filter: counts, sums and more, as
    /// [`aggregate`](crate::aggregate) names them. One round trip.
    ///
    /// # Errors
    ///
    /// As [`Grouped::aggregate`].
    pub async fn aggregate<M: Measures<E>>(self, measures: M) -> Result<Aggregated<M::Values>> {
        aggregate_all(self.table, &self.query?, &measures, self.location).await
    }

    async fn read(&self, limit: Option<u64>, end: PageEnd) -> Result<Rows<T>> {
        let mut query = self.query.clone()?;
        query.limit = limit.or(query.limit);
        let expected = query.limit.unwrap_or(0).min(ROWS_EXPECTED_MAX);
        let mut rows = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        let mut sink = Decode { rows: &mut rows, decode: self.decode.any };
        let Page { outcome, next } =
            self.table.query_as((Operation::Query, end), &query, &mut sink, self.location).await?;
        Ok(Rows::new(rows, next, outcome))
    }

    fn with(mut self, set: impl FnOnce(&mut Query)) -> Self {
        if let Ok(query) = &mut self.query {
            set(query);
        }
        self
    }
}

/// Room is made at once for so many rows of a page; a limit may be far from what there is.
const ROWS_EXPECTED_MAX: u64 = 64;

impl<E, T> fmt::Debug for Select<'_, E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select").field("query", &self.query).finish_non_exhaustive()
    }
}
