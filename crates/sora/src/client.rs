//! The store that a program talks to.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use sora_core::memory::Memory;
use sora_core::provider::{
    Administer, Administered, Capability, Layer, SchemaReport, SharedProvider,
};
use sora_core::{
    Entity, Error, ErrorKind, Event, LiveTable, Observer, Operation, Result, Schema, find_name,
    unknown_name,
};
use tracing::Instrument;

use crate::watch::Watch;
use crate::{Repository, Table};

/// A store, with its layers and observers. Cheap to clone; all clones share the store.
#[derive(Clone)]
pub struct Sora {
    store: Arc<Store>,
}

/// What every table of a [`Sora`] shares.
pub(crate) struct Store {
    pub(crate) provider: SharedProvider,
    pub(crate) observers: Box<[Arc<dyn Observer>]>,
}

/// Opens a store with layers and observers.
#[derive(Default)]
pub struct SoraBuilder {
    layers: Vec<Box<dyn Layer>>,
    observers: Vec<Arc<dyn Observer>>,
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
            Ok(Repository::new(table))
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
            watch.end(self.store.provider.describe(None).instrument(span).await)
        }
    }

    /// Asks whether the store answers. One round trip.
    pub async fn ping(&self) -> Result<()> {
        self.store.provider.administer(&Administer::Ping).await.map(drop)
    }

    /// What the store can do.
    pub fn capability(&self) -> Capability {
        self.store.provider.capability()
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
        let table = table.instrument(span).await;
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
            match self.store.provider.administer(&Administer::Ensure(schema.clone())).await? {
                Administered::Ensured(report) => Ok(report),
                other => Err(unexpected_answer(&other)),
            }
        };
        let ensured = ensured.instrument(span).await;
        watch.end(ensured)
    }
}

impl Store {
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

    /// Opens a store by its address, as [`Sora::open`] does.
    pub async fn open(self, address: &str) -> Result<Sora> {
        let provider = open_provider(address).await?;
        Ok(self.provider(provider))
    }

    /// Uses a store that is open already.
    pub fn provider(self, provider: SharedProvider) -> Sora {
        let provider = self.layers.iter().fold(provider, |inner, layer| layer.layer(inner));
        Sora { store: Arc::new(Store { provider, observers: self.observers.into() }) }
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
            .finish()
    }
}
