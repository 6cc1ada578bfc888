//! The store that a program talks to.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use sora_core::memory::Memory;
use sora_core::provider::{
    Administer, Administered, Capability, Layer, SchemaReport, SharedProvider,
};
use sora_core::{
    Entity, Error, ErrorKind, Event, LiveTable, Observer, Operation, Result, Schema, Statement,
    find_name, unknown_name,
};
use tracing::Instrument;

use crate::cache::{Cache, Caches, Coherent, RemoteState};
use crate::deadline;
use crate::transaction::{self, Transaction, TransactionGuard, TransactionOptions};
use crate::watch::Watch;
use crate::writer::Writers;
use crate::{Native, Repository, Table};

/// A store, with its layers and observers. Cheap to clone; all clones share the store.
#[derive(Clone)]
pub struct Sora {
    store: Arc<Store>,
}

/// What every table of a [`Sora`] shares.
pub(crate) struct Store {
    pub(crate) provider: SharedProvider,
    pub(crate) observers: Box<[Arc<dyn Observer>]>,
    /// The transactions that keep the store's one writer, if it has but one.
    pub(crate) writers: Arc<Writers>,
    /// What is kept in memory of its tables, if anything is.
    pub(crate) caches: Option<Arc<Caches>>,
}

/// Opens a store with layers and observers.
#[derive(Default)]
pub struct SoraBuilder {
    layers: Vec<Box<dyn Layer>>,
    observers: Vec<Arc<dyn Observer>>,
    cache: Option<Cache>,
}

impl Sora {
    /// Opens a store by its address: `memory:`, `sqlite:PATH`, `sqlite::memory:` or `postgres://…`.
    ///
    /// SQLite and PostgreSQL need the features of these names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the address is of no known form; what the store says if it
    /// cannot be opened.
    pub async fn open(address: &str) -> Result<Self> {
        Self::builder().open(address).await
    }

    /// Starts to open a store with layers and observers.
    pub fn builder() -> SoraBuilder {
        SoraBuilder::default()
    }

    /// Opens a table as the catalogue tells it. One round trip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], naming the nearest table.
    #[track_caller]
    pub fn table<'a>(&'a self, name: &'a str) -> impl Future<Output = Result<Table>> + Send + 'a {
        self.open_table(name, None, Location::caller())
    }

    /// Opens a table as a schema has it, whose columns may be of other types than the catalogue tells
    /// where the store reads them so: see [`LiveColumn::readable_as`](crate::LiveColumn::readable_as).
    /// One round trip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is no such table, [`ErrorKind::Schema`] if it does not fit.
    #[track_caller]
    pub fn table_as<'a>(
        &'a self,
        schema: &'a Arc<Schema>,
    ) -> impl Future<Output = Result<Table>> + Send + 'a {
        self.open_table(schema.table(), Some(schema), Location::caller())
    }

    /// Opens the table of an entity. One round trip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is no such table, [`ErrorKind::Schema`] if it does not fit.
    #[track_caller]
    pub fn repository<E: Entity>(&self) -> impl Future<Output = Result<Repository<E>>> + Send {
        let location = Location::caller();
        async move {
            let schema = E::schema()?;
            let table = self.open_table(schema.table(), Some(schema), location).await?;
            Repository::new(table)
        }
    }

    /// Creates what is missing of an entity's table and reports what differs. Never drops anything.
    #[track_caller]
    pub fn ensure_schema<E: Entity>(&self) -> impl Future<Output = Result<SchemaReport>> + Send {
        let location = Location::caller();
        async move { self.ensure_at(E::schema()?, location).await }
    }

    /// Creates what is missing of a table and reports what differs. Never drops anything.
    #[track_caller]
    pub fn ensure<'a>(
        &'a self,
        schema: &'a Arc<Schema>,
    ) -> impl Future<Output = Result<SchemaReport>> + Send + 'a {
        self.ensure_at(schema, Location::caller())
    }

    /// Describes all tables and views. One round trip or a few.
    #[track_caller]
    pub fn tables(&self) -> impl Future<Output = Result<Vec<LiveTable>>> + Send {
        let location = Location::caller();
        async move {
            let watch = Watch::start(&self.store, "*", Operation::Describe, location);
            let span = watch.span();
            let described = self.store.provider.describe(None).instrument(span);
            watch.end(deadline::reading(described).await)
        }
    }

    /// Begins a transaction, which [`commit`](TransactionGuard::commit) ends; dropped, it is rolled
    /// back. One round trip, and one for its end.
    ///
    /// ```
    /// # #[cfg(feature = "derive")]
    /// # mod example {
    /// # use sora::{Entity, Sora};
    /// # #[derive(Debug, Entity)]
    /// # #[sora(table = "accounts")]
    /// # struct Account { #[sora(key)] owner: String, balance: i64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # pub async fn main() -> sora::Result<()> {
    /// # let store = Sora::open("memory:").await?;
    /// # store.ensure_schema::<Account>().await?;
    /// # let accounts = store.repository::<Account>().await?;
    /// let tx = store.begin().await?;
    /// accounts.within(&tx).insert(&Account { owner: "Ada".into(), balance: 5 }).await?;
    /// assert!(accounts.get("Ada").await?.is_none()); // beside the transaction
    /// tx.commit().await?;
    /// assert!(accounts.get("Ada").await?.is_some());
    /// # Ok(())
    /// # }
    /// # }
    /// # #[cfg(feature = "derive")]
    /// # example::main().unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] before any work if the store has no transactions. Where one
    /// transaction writes at a time, [`ErrorKind::Busy`] after the store's wait for the writer, and
    /// [`ErrorKind::InvalidInput`] at once inside the closure of another.
    #[track_caller]
    pub fn begin(&self) -> impl Future<Output = Result<TransactionGuard>> + Send {
        let location = Location::caller();
        async move { transaction::begin(&self.store, &TransactionOptions::new(), location).await }
    }

    /// Begins a transaction, with options.
    ///
    /// # Errors
    ///
    /// As [`begin`](Sora::begin).
    #[track_caller]
    pub fn begin_with(
        &self,
        options: TransactionOptions,
    ) -> impl Future<Output = Result<TransactionGuard>> + Send {
        let location = Location::caller();
        async move { transaction::begin(&self.store, &options, location).await }
    }

    /// Runs a closure in a transaction: committed if it returns a value, rolled back if it returns an
    /// error, panics or is dropped. Two round trips beside those of the closure.
    ///
    /// The error of the closure is of any type that one of Sora can be turned into.
    ///
    /// ```
    /// # #[cfg(feature = "derive")]
    /// # mod example {
    /// # use sora::{Entity, Sora};
    /// # #[derive(Debug, Entity)]
    /// # #[sora(table = "accounts")]
    /// # struct Account { #[sora(key)] owner: String, balance: i64 }
    /// #[derive(Debug)]
    /// enum Refused {
    ///     TooPoor,
    ///     Store(sora::Error),
    /// }
    ///
    /// impl From<sora::Error> for Refused {
    ///     fn from(error: sora::Error) -> Self {
    ///         Self::Store(error)
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # pub async fn main() -> sora::Result<()> {
    /// # let store = Sora::open("memory:").await?;
    /// # store.ensure_schema::<Account>().await?;
    /// # let accounts = &store.repository::<Account>().await?;
    /// # accounts.insert(&Account { owner: "Ada".into(), balance: 5 }).await?;
    /// # accounts.insert(&Account { owner: "Eve".into(), balance: 0 }).await?;
    /// // `accounts` is a reference, so that the closure can run more than once.
    /// let paid = store.transaction(|tx| async move {
    ///     let accounts = accounts.within(&tx);
    ///     let ada = accounts.get_for_update("Ada").await?;
    ///     accounts.patch("Eve", [Account::BALANCE.add(7)]).await?;
    ///     if ada.is_none_or(|ada| ada.balance < 7) {
    ///         return Err(Refused::TooPoor);
    ///     }
    ///     accounts.patch("Ada", [Account::BALANCE.add(-7)]).await?;
    ///     Ok(())
    /// });
    /// assert!(matches!(paid.await, Err(Refused::TooPoor)));
    /// assert_eq!(accounts.get("Eve").await?.unwrap().balance, 0);
    /// # Ok(())
    /// # }
    /// # }
    /// # #[cfg(feature = "derive")]
    /// # example::main().unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// That of the closure; those of [`begin`](Sora::begin) and
    /// [`commit`](TransactionGuard::commit).
    #[track_caller]
    pub fn transaction<T, E, F, Fut>(&self, body: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send,
        E: From<Error> + Send,
        F: FnMut(Transaction) -> Fut + Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        let location = Location::caller();
        async move { transaction::run(&self.store, &TransactionOptions::new(), body, location).await }
    }

    /// Runs a closure in a transaction, with options, which may say that it runs again after it has
    /// lost against another transaction.
    ///
    /// # Errors
    ///
    /// As [`transaction`](Sora::transaction), those of the last run.
    #[track_caller]
    pub fn transaction_with<T, E, F, Fut>(
        &self,
        options: TransactionOptions,
        body: F,
    ) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send,
        E: From<Error> + Send,
        F: FnMut(Transaction) -> Fut + Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        let location = Location::caller();
        async move { transaction::run(&self.store, &options, body, location).await }
    }

    /// Starts a statement in the store's own language, for what Sora has no words for.
    #[track_caller]
    pub fn native(&self, statement: Statement) -> Native<'_> {
        Native::new(&self.store, statement, Location::caller())
    }

    /// Asks whether the store answers. One round trip.
    pub async fn ping(&self) -> Result<()> {
        self.store.provider.administer(&Administer::Ping).await.map(drop)
    }

    /// What the store can do.
    pub fn capability(&self) -> Capability {
        self.store.provider.capability()
    }

    /// How the cache that processes share does; none if there is none.
    pub fn remote_state(&self) -> Option<RemoteState> {
        self.store.caches.as_ref().and_then(|caches| caches.remote_state())
    }

    /// The store itself, behind its layers.
    pub fn provider(&self) -> &SharedProvider {
        &self.store.provider
    }

    async fn open_table(
        &self,
        name: &str,
        schema: Option<&Arc<Schema>>,
        location: &'static Location<'static>,
    ) -> Result<Table> {
        let watch = Watch::start(&self.store, name, Operation::Describe, location);
        let span = watch.span();
        let table = async {
            let Some(live) = self.store.describe(name).await? else {
                return Err(self.missing_table(name, schema.is_some()).await?);
            };
            let schema = match schema {
                Some(schema) => schema.clone(),
                None => Arc::new(live.to_schema()?),
            };
            Table::new(self.store.clone(), schema, Arc::new(live))
        };
        let table = deadline::reading(table.instrument(span)).await;
        watch.end(table)
    }

    async fn missing_table(&self, name: &str, is_entity: bool) -> Result<Error> {
        let tables = self.store.provider.describe(None).await?;
        let error = unknown_name("table", name, tables.iter().map(|table| &*table.name));
        let remedy = if is_entity { "; `ensure_schema` creates it" } else { "" };
        Ok(Error::new(ErrorKind::NotFound, format!("{}{remedy}", error.message())))
    }

    async fn ensure_at(
        &self,
        schema: &Arc<Schema>,
        location: &'static Location<'static>,
    ) -> Result<SchemaReport> {
        let watch = Watch::start(&self.store, schema.table(), Operation::EnsureSchema, location);
        let span = watch.span();
        let ensured = async {
            self.store.pass_writers(location).await?;
            match self.store.provider.administer(&Administer::Ensure(schema.clone())).await? {
                Administered::Ensured(report) => Ok(report),
                other => Err(unexpected_answer(&other)),
            }
        };
        let ensured = deadline::writing(ensured.instrument(span)).await;
        watch.end(ensured)
    }
}

impl Store {
    /// How long a write waits for a transaction that keeps the store's one writer, if it has but one.
    pub(crate) fn writer_wait_ms(&self) -> Option<u32> {
        self.provider.capability().writer_wait_ms
    }

    /// Lets a write beside the transactions of this process go on, or fails in time.
    pub(crate) async fn pass_writers(&self, location: &'static Location<'static>) -> Result<()> {
        match self.writer_wait_ms() {
            Some(wait_ms) => self.writers.pass(wait_ms, location).await,
            None => Ok(()),
        }
    }

    /// Refuses what would wait for the transaction in whose closure it is called.
    pub(crate) fn refuse_inside(&self, location: &'static Location<'static>) -> Result<()> {
        match self.writer_wait_ms() {
            Some(_) => self.writers.refuse_inside(location),
            None => Ok(()),
        }
    }

    /// Refuses what needs transactions before anything is done.
    pub(crate) fn check_transactions(&self) -> Result<()> {
        if self.provider.capability().transactions {
            return Ok(());
        }
        let message =
            format!("{} cannot open a transaction, which this needs", self.provider.name());
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// Tells every observer.
    pub(crate) fn emit(&self, event: &Event<'_>) {
        for observer in &*self.observers {
            observer.observe(event);
        }
    }

    /// Finds a table exactly, else by the only match that ignores ASCII case.
    pub(crate) async fn describe(&self, name: &str) -> Result<Option<LiveTable>> {
        sora_core::check_name("table", name)?;
        let mut found = self.provider.describe(Some(name)).await?;
        let at = find_name(found.iter().map(|table| &*table.name), name);
        Ok(at.map(|at| found.swap_remove(at)))
    }
}

impl SoraBuilder {
    /// Adds a layer around the store; the last one added is called first.
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// Adds an observer of every operation.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Keeps rows in memory, as the configuration says; by default nothing is kept.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Opens a store by its address, as [`Sora::open`] does.
    pub async fn open(self, address: &str) -> Result<Sora> {
        let provider = open_provider(address).await?;
        Ok(self.provider(provider))
    }

    /// Uses a store that is open already.
    pub fn provider(self, provider: SharedProvider) -> Sora {
        let provider = self.layers.iter().fold(provider, |inner, layer| layer.layer(inner));
        let caches = self.cache.map(|cache| Arc::new(Caches::new(cache)));
        let provider = match &caches {
            // Around all layers: what a layer writes again is one write.
            Some(caches) => Arc::new(Coherent::new(provider, caches.clone())),
            None => provider,
        };
        let observers = self.observers.into();
        Sora { store: Arc::new(Store { provider, observers, writers: Arc::default(), caches }) }
    }
}

#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(clippy::unused_async, reason = "opening memory does not wait")
)]
async fn open_provider(address: &str) -> Result<SharedProvider> {
    if address == "memory:" {
        return Ok(Arc::new(Memory::new()));
    }
    #[cfg(feature = "sqlite")]
    if address.starts_with("sqlite:") {
        let config = sora_sqlite::SqliteConfig::parse(address)?;
        return Ok(Arc::new(sora_sqlite::Sqlite::open(config).await?));
    }
    #[cfg(feature = "postgres")]
    if address.starts_with("postgres:") || address.starts_with("postgresql:") {
        let config = sora_postgres::PostgresConfig::parse(address)?;
        return Ok(Arc::new(sora_postgres::Postgres::open(config).await?));
    }
    // The address may hold a password: only its scheme is repeated.
    let scheme = address.split(':').next().unwrap_or_default();
    let message = format!(
        "no store is addressed by {scheme:?}; there are memory:, sqlite:PATH, sqlite::memory: and \
         postgres://, the latter by the features sqlite and postgres"
    );
    Err(Error::new(ErrorKind::InvalidInput, message))
}

/// A provider answered one task with the answer to another.
pub(crate) fn unexpected_answer(answer: &Administered) -> Error {
    let message = format!("the provider gave an answer to another task: {answer:?}");
    Error::new(ErrorKind::Internal, message)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("provider", &self.provider.name()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Sora {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sora")
            .field("provider", &self.store.provider.name())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SoraBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoraBuilder")
            .field("layers", &self.layers)
            .field("observers", &self.observers.len())
            .field("cache", &self.cache)
            .finish()
    }
}
