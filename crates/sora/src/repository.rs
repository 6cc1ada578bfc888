//! The rows of a table as values of an entity.

mod cached;
mod change;
mod look_up;

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use sora_core::write::{Change, Effect, OnConflict, WriteReport};
use sora_core::{
    AsKey, Assign, ColumnType, Entity, Error, ErrorKind, Field, Filter, Insert, Operand, Query,
    Result,
};

pub use self::cached::LookUp;
pub(crate) use self::change::assignments;
use self::look_up::look_up;
use crate::Table;
use crate::batch::EntityBatch;
use crate::cache::{CacheMode, Call, EntityCache};
use crate::children::LoadMany;
use crate::collect::{Decode, DecodeOne};
use crate::select::Select;
use crate::transaction::Transaction;

/// The table of an entity. Cheap to clone.
///
/// It encodes and decodes; what an operation does is decided by the [`Table`] under it.
pub struct Repository<E> {
    table: Table,
    /// None where nothing is cached, and inside a transaction.
    cache: Option<EntityCache<E>>,
    cache_mode: CacheMode,
    marker: PhantomData<fn() -> E>,
}

/// Which version a row must have for a write to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Any.
    #[default]
    Any,
    /// This one; another is an error of kind [`ErrorKind::Version`].
    Version(i64),
}

#[expect(clippy::needless_pass_by_value, reason = "keys are given by value or reference")]
impl<E: Entity> Repository<E> {
    pub(crate) fn new(table: Table) -> Result<Self> {
        let live = table.live();
        let caches = table.store().caches.as_ref().filter(|_| !live.is_view);
        let cache = caches.map(|caches| caches.open(table.schema(), &live)).transpose()?.flatten();
        Ok(Self { table, cache, cache_mode: CacheMode::default(), marker: PhantomData })
    }

    /// The table without the entity's type.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Returns the repository with all its operations as part of a transaction. No round trip.
    ///
    /// They see what was written in the transaction, and come one after another; see
    /// [`Transaction`] for what else is so inside it. A stream fetches a page when it is asked for
    /// it; one that cannot be fetched by keyset pages is read at once, within the query's fallback.
    pub fn within(&self, transaction: &Transaction) -> Self {
        Self { table: self.table.within(transaction), cache: None, ..self.clone() }
    }

    /// Returns the entity with a key, or none. One round trip; warm look-ups on SQLite make none, nor
    /// do those that the cache answers.
    ///
    /// The key is given by value or reference, text as `&str`, several columns as a tuple of these.
    /// Those who ask for one key at once share one round trip where the entity is cached.
    #[track_caller]
    pub fn get<K: AsKey<E::Key> + Send>(
        &self,
        key: K,
    ) -> impl Future<Output = Result<Option<Arc<E>>>> + Send {
        look_up(self, key, Location::caller())
    }

    /// Returns the entity with a key, or none, and locks its row against other writers until the end
    /// of the transaction, which the repository is [`within`](Repository::within). One round trip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] outside a transaction, [`ErrorKind::ReadOnly`] in one that only
    /// reads.
    #[track_caller]
    pub fn get_for_update<K: AsKey<E::Key> + Send>(
        &self,
        key: K,
    ) -> impl Future<Output = Result<Option<Arc<E>>>> + Send {
        let location = Location::caller();
        let key = self.table.key(|out| key.encode_key(out));
        async move {
            let mut sink = DecodeOne { row: None, decode: |row| E::decode(row) };
            self.table.get_at(key?, true, &mut sink, location).await?;
            Ok(sink.row)
        }
    }

    /// Returns one slot for each key, in the order of the keys; none where there is no such row. One
    /// round trip for as many keys as the store takes at once.
    #[track_caller]
    pub fn get_many<K: AsKey<E::Key>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Result<Vec<Option<Arc<E>>>>> + Send {
        let location = Location::caller();
        let keys = self.keys(keys);
        async move {
            let keys = keys?;
            if let Some(cache) = &self.cache
                && self.cache_mode != CacheMode::Bypass
            {
                let call = Call { table: &self.table, mode: self.cache_mode, location };
                return Box::pin(cache.get_many(&keys, call)).await;
            }
            let mut slots: Vec<Option<Arc<E>>> = vec![None; keys.len()];
            let place = |place: usize, row: &dyn sora_core::Row| {
                slots[place] = Some(Arc::new(E::decode(row)?));
                Ok(())
            };
            self.table.get_many_at(keys, place, location).await?;
            Ok(slots)
        }
    }

    /// Starts to load the children of many parents at once: the entities whose field holds one of
    /// these values.
    ///
    /// It is the remedy for the query in a loop that makes one round trip for each parent (N+1), as
    /// [`get_many`](Repository::get_many) is in the other direction:
    ///
    /// ```
    /// # #[cfg(feature = "derive")]
    /// # mod example {
    /// # use sora::{Entity, Filter, Sora};
    /// #[derive(Debug, Entity)]
    /// #[sora(table = "customers")]
    /// struct Customer {
    ///     #[sora(key)]
    ///     id: i64,
    ///     name: String,
    /// }
    ///
    /// #[derive(Debug, Entity)]
    /// #[sora(table = "orders", index(customer_id))]
    /// struct Order {
    ///     #[sora(key)]
    ///     id: i64,
    ///     customer_id: i64,
    ///     total: i64,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # pub async fn main() -> sora::Result<()> {
    /// # let store = Sora::open("memory:").await?;
    /// # store.ensure_schema::<Customer>().await?;
    /// # store.ensure_schema::<Order>().await?;
    /// # let customers = store.repository::<Customer>().await?;
    /// # let orders = store.repository::<Order>().await?;
    /// # for id in 1..=3 {
    /// #     customers.insert(&Customer { id, name: format!("customer {id}") }).await?;
    /// # }
    /// # for id in 0..9 {
    /// #     orders.insert(&Order { id, customer_id: 1 + id % 2, total: id * 10 }).await?;
    /// # }
    /// let found = customers.query(Filter::all()).sort(Customer::ID.asc()).fetch().await?;
    ///
    /// // N+1: one round trip for the customers, and one for each of them.
    /// for customer in &found {
    ///     let its = orders.query(Order::CUSTOMER_ID.eq(customer.id)).fetch().await?;
    ///     println!("{} has {} orders", customer.name, its.len());
    /// }
    ///
    /// // One round trip for the orders of all of them.
    /// let ids = found.iter().map(|customer| customer.id);
    /// let lists = orders
    ///     .load_many(Order::CUSTOMER_ID, ids)
    ///     .sort(Order::TOTAL.desc())
    ///     .limit_per_parent(2)
    ///     .fetch()
    ///     .await?;
    /// for (customer, orders) in found.iter().zip(&lists) {
    ///     println!("the largest orders of {}: {orders:?}", customer.name);
    /// }
    /// assert_eq!(lists.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 0]);
    ///
    /// // The other way round: one round trip for the customers of many orders.
    /// let orders = orders.query(Order::TOTAL.gt(50)).fetch().await?;
    /// let their = customers.get_many(orders.iter().map(|order| order.customer_id)).await?;
    /// for (order, customer) in orders.iter().zip(&their) {
    ///     println!("{order:?} is of {customer:?}");
    /// }
    /// # assert!(their.iter().all(Option::is_some));
    /// # Ok(())
    /// # }
    /// # }
    /// # #[cfg(feature = "derive")]
    /// # example::main().unwrap();
    /// ```
    #[track_caller]
    pub fn load_many<T: ColumnType, V: Operand<T::Base>>(
        &self,
        field: Field<E, T>,
        parents: impl IntoIterator<Item = V>,
    ) -> LoadMany<'_, E> {
        LoadMany::new(&self.table, field, parents, Location::caller())
    }

    /// Starts a query of the entities that meet a filter.
    #[track_caller]
    pub fn query(&self, filter: Filter<E>) -> Select<'_, E> {
        Select::new(&self.table, filter, Location::caller())
    }

    /// Adds a new row and returns it as it is stored, with what the store assigned.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`], naming the constraint, if its key or a unique value is taken.
    #[track_caller]
    pub fn insert<I: Insert<E>>(
        &self,
        row: I,
    ) -> impl Future<Output = Result<E>> + Send + use<'_, E, I> {
        let location = Location::caller();
        let change = self.insertion([row], OnConflict::Fail);
        async move {
            let (_, row) = self.write_one(change, location).await?;
            row.ok_or_else(not_returned)
        }
    }

    /// Adds a new row and returns it as it is stored, or none if its key or a unique value is taken.
    #[track_caller]
    pub fn insert_or_ignore<I: Insert<E>>(
        &self,
        row: I,
    ) -> impl Future<Output = Result<Option<E>>> + Send + use<'_, E, I> {
        let location = Location::caller();
        let change = self.insertion([row], OnConflict::Ignore);
        async move {
            let (effect, row) = self.write_one(change, location).await?;
            Ok(row.filter(|_| effect == Effect::Inserted))
        }
    }

    /// Adds new rows, each standing alone, and reports what became of each. One round trip for as
    /// many as the store takes at once.
    #[track_caller]
    pub fn insert_many<I: Insert<E>, R: IntoIterator<Item = I>>(
        &self,
        rows: R,
    ) -> impl Future<Output = Result<WriteReport>> + Send + use<'_, E, I, R> {
        self.write(self.insertion(rows, OnConflict::Fail), Location::caller())
    }

    /// Adds the row, or replaces the one with its key.
    #[track_caller]
    pub fn upsert<I: Insert<E>>(
        &self,
        row: I,
    ) -> impl Future<Output = Result<Effect>> + Send + use<'_, E, I> {
        let change = self.insertion([row], self.by_key());
        self.write_effect(change, Location::caller())
    }

    /// Adds the row, or replaces the one with the same values of a unique index, given by its name.
    #[track_caller]
    pub fn upsert_on<I: Insert<E>>(
        &self,
        unique: &str,
        row: I,
    ) -> impl Future<Output = Result<Effect>> + Send + use<'_, E, I> {
        let columns =
            self.table.schema().find_unique(unique).map(|index| index.columns.as_ref().into());
        let change = columns.and_then(|columns| self.insertion([row], OnConflict::Update(columns)));
        self.write_effect(change, Location::caller())
    }

    /// Adds rows or replaces those with their keys, each standing alone, and reports what became of
    /// each. Of a key that comes twice the last row wins. One round trip for as many as the store
    /// takes at once.
    #[track_caller]
    pub fn upsert_many<I: Insert<E>, R: IntoIterator<Item = I>>(
        &self,
        rows: R,
    ) -> impl Future<Output = Result<WriteReport>> + Send + use<'_, E, I, R> {
        let change = self.insertion(rows, self.by_key());
        self.write(change, Location::caller())
    }

    /// Replaces the row with the entity's key and returns it as it is stored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is none; [`ErrorKind::Version`] if the entity has a version
    /// column and the stored row another version.
    #[track_caller]
    pub fn update(&self, entity: &E) -> impl Future<Output = Result<E>> + Send + use<'_, E> {
        let location = Location::caller();
        let change = self.update_of(entity);
        async move {
            let (effect, row) = self.write_one(change, location).await?;
            match effect {
                Effect::Missing => {
                    let message = "there is no row with the key to update";
                    Err(Error::new(ErrorKind::NotFound, message).with("table", self.table.name()))
                }
                _ => row.ok_or_else(not_returned),
            }
        }
    }

    /// Changes some columns of the row with a key; [`Effect::Missing`] if there is none.
    #[track_caller]
    pub fn patch<K: AsKey<E::Key>, A: IntoIterator<Item = Assign<E>>>(
        &self,
        key: K,
        changes: A,
    ) -> impl Future<Output = Result<Effect>> + Send + use<'_, E, K, A> {
        self.write_effect(self.patch_of(key, changes, Expect::Any), Location::caller())
    }

    /// Changes some columns of the row with a key, if it has the expected version.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Version`] if it has another.
    #[track_caller]
    pub fn patch_expecting<K: AsKey<E::Key>, A: IntoIterator<Item = Assign<E>>>(
        &self,
        key: K,
        changes: A,
        expect: Expect,
    ) -> impl Future<Output = Result<Effect>> + Send + use<'_, E, K, A> {
        self.write_effect(self.patch_of(key, changes, expect), Location::caller())
    }

    /// Changes some columns of the rows that meet a filter and returns how many there are.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Limit`] if the store cannot decide the filter and more than the fallback's
    /// default of rows would be touched.
    #[track_caller]
    pub fn patch_where<A: IntoIterator<Item = Assign<E>>>(
        &self,
        filter: Filter<E>,
        changes: A,
    ) -> impl Future<Output = Result<u64>> + Send + use<'_, E, A> {
        let location = Location::caller();
        let query = filter.into_predicate().map(Query::new);
        let changes = assignments(changes);
        async move { self.table.patch_where_at(&query?, changes?, location).await }
    }

    /// Removes the row with a key and says whether there was one.
    #[track_caller]
    pub fn delete<K: AsKey<E::Key>>(
        &self,
        key: K,
    ) -> impl Future<Output = Result<bool>> + Send + use<'_, E, K> {
        self.delete_at(self.deletion([key], Expect::Any), Location::caller())
    }

    /// Removes the row with a key, if it has the expected version, and says whether there was one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Version`] if it has another.
    #[track_caller]
    pub fn delete_expecting<K: AsKey<E::Key>>(
        &self,
        key: K,
        expect: Expect,
    ) -> impl Future<Output = Result<bool>> + Send + use<'_, E, K> {
        self.delete_at(self.deletion([key], expect), Location::caller())
    }

    /// Removes the rows with these keys and reports what became of each. One round trip for as many
    /// as the store takes at once.
    #[track_caller]
    pub fn delete_many<K: AsKey<E::Key>, I: IntoIterator<Item = K>>(
        &self,
        keys: I,
    ) -> impl Future<Output = Result<WriteReport>> + Send + use<'_, E, K, I> {
        self.write(self.deletion(keys, Expect::Any), Location::caller())
    }

    /// Removes the rows that meet a filter and returns how many there were.
    ///
    /// # Errors
    ///
    /// As [`patch_where`](Repository::patch_where).
    #[track_caller]
    pub fn delete_where(&self, filter: Filter<E>) -> impl Future<Output = Result<u64>> + Send {
        let location = Location::caller();
        let query = filter.into_predicate().map(Query::new);
        async move { self.table.delete_where_at(&query?, location).await }
    }

    /// Starts a batch: writes that happen together or not at all.
    pub fn batch(&self) -> EntityBatch<'_, E> {
        EntityBatch::new(self)
    }

    async fn write(
        &self,
        change: Result<Change>,
        location: &'static Location<'static>,
    ) -> Result<WriteReport> {
        self.table.write_at(change?, false, None, location).await
    }

    async fn write_effect(
        &self,
        change: Result<Change>,
        location: &'static Location<'static>,
    ) -> Result<Effect> {
        first_effect(&self.write(change, location).await?)
    }

    /// Writes one row and reads it as it is stored.
    async fn write_one(
        &self,
        change: Result<Change>,
        location: &'static Location<'static>,
    ) -> Result<(Effect, Option<E>)> {
        let mut rows = Vec::new();
        let mut sink = Decode { rows: &mut rows, decode: |row| E::decode(row) };
        let returning = Some((self.table.columns().clone(), &mut sink as _));
        let report = self.table.write_at(change?, false, returning, location).await?;
        Ok((first_effect(&report)?, rows.pop()))
    }

    async fn delete_at(
        &self,
        change: Result<Change>,
        location: &'static Location<'static>,
    ) -> Result<bool> {
        Ok(self.write_effect(change, location).await? == Effect::Deleted)
    }
}

fn first_effect(report: &WriteReport) -> Result<Effect> {
    match report.outcomes.first() {
        Some(outcome) => outcome.effect(),
        None => Err(Error::new(ErrorKind::Internal, "the store reported no outcome of the write")),
    }
}

fn not_returned() -> Error {
    let message = "the row was written, but the store did not return it";
    Error::new(ErrorKind::Internal, message)
}

impl<E> Clone for Repository<E> {
    fn clone(&self) -> Self {
        Self {
            table: self.table.clone(),
            cache: self.cache.clone(),
            cache_mode: self.cache_mode,
            marker: PhantomData,
        }
    }
}

impl<E> fmt::Debug for Repository<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Repository").field(&self.table).finish()
    }
}
