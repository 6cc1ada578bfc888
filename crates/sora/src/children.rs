//! The entities that refer to others, loaded for many at once.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

use sora_core::{
    ColumnType, Entity, Fallback, Field, Filter, Operand, Query, Result, Row, SortBy, Value,
};

use crate::table::{LoadOptions, Table};

/// A load of the children of many parents, as it is put together by
/// [`Repository::load_many`](crate::Repository::load_many).
#[must_use = "nothing is loaded before `fetch` is called"]
pub struct LoadMany<'a, E> {
    table: &'a Table,
    column: u16,
    parents: Result<Vec<Value>>,
    query: Result<Query>,
    options: LoadOptions,
    location: &'static Location<'static>,
    entity: PhantomData<fn() -> E>,
}

impl<'a, E: Entity> LoadMany<'a, E> {
    pub(crate) fn new<T: ColumnType, V: Operand<T::Base>>(
        table: &'a Table,
        field: Field<E, T>,
        parents: impl IntoIterator<Item = V>,
        location: &'static Location<'static>,
    ) -> Self {
        let mut values: Vec<Value> = Vec::new();
        let encoded = parents.into_iter().try_for_each(|parent| parent.encode(&mut values));
        Self {
            table,
            column: field.column(),
            parents: encoded.map(|()| values),
            query: Ok(Query::default()),
            options: LoadOptions::default(),
            location,
            entity: PhantomData,
        }
    }

    /// Keeps only the children that meet a filter.
    pub fn filter(mut self, filter: Filter<E>) -> Self {
        self.query = self.query.and_then(|query| {
            let filter = filter.into_predicate()?;
            Ok(Query { filter, ..query })
        });
        self
    }

    /// Sorts the children of each parent by a field, behind the fields given before.
    pub fn sort(self, by: SortBy<E>) -> Self {
        self.with(|query| query.sort.push(by.sort()))
    }

    /// Loads only the first so many children of each parent, in the order of the sort and the key.
    pub fn limit_per_parent(mut self, children: u64) -> Self {
        self.options.limit_per_parent = Some(children);
        self
    }

    /// Sets how many children there may be in all, 100,000 unless set; more are an error.
    pub fn children_max(mut self, children: u64) -> Self {
        self.options.children_max = children;
        self
    }

    /// Sets what may be done in memory that the store cannot do; 10,000 rows by default.
    pub fn fallback(self, fallback: Fallback) -> Self {
        self.with(|query| query.fallback = fallback)
    }

    /// Returns one list for each parent, in the order of the parents; an empty one where there are
    /// no children, and the same one again where a parent is listed again. One round trip for as
    /// many parents as the store takes at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if filter, sort or parents do not
    /// fit; [`ErrorKind::Limit`](crate::ErrorKind::Limit) if there are too many children, or what is
    /// done in memory exceeds its bound; [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if
    /// it may not be done there.
    pub async fn fetch(self) -> Result<Vec<Vec<E>>> {
        let (query, parents) = (self.query?, self.parents?);
        let mut lists: Vec<Vec<E>> = Vec::new();
        lists.resize_with(parents.len(), Vec::new);
        let row = |place: usize, row: &dyn Row| {
            lists[place].push(E::decode(row)?);
            Ok(())
        };
        let parents = (self.column, &*parents);
        self.table.load_many_at(&query, parents, self.options, row, self.location).await?;
        Ok(lists)
    }

    fn with(mut self, set: impl FnOnce(&mut Query)) -> Self {
        if let Ok(query) = &mut self.query {
            set(query);
        }
        self
    }
}

impl<E> fmt::Debug for LoadMany<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadMany")
            .field("query", &self.query)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
