//! One table of a store, without the type of its rows: where the flow of every operation is decided.

mod aggregate;
mod batch;
mod cached;
mod children;
mod fetch;
mod group;
mod key;
mod lookup;
mod read;
mod session;
mod stream;
mod write;
mod write_where;

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use sora_core::provider::Capability;
use sora_core::{
    Binding, CellSink, End, Event, Intake, LiveTable, Operation, Result, RowBuffer, Schema, Source,
};

pub use batch::Batch;
pub use children::LoadOptions;
pub use read::{Explanation, Page};
pub use stream::{RowStream, StreamOptions};

use self::group::{GroupCommit, Groups};
use self::lookup::{Lookup, Lookups};
use crate::cache::{CachedRow, EntityCache, SAMPLE};
use crate::client::Store;
use crate::request;
use crate::transaction::Transaction;

/// A table: rows in, rows out, by the schema that an entity declares or the catalogue tells.
///
/// Cheap to clone. [`Repository`](crate::Repository) puts the types of an entity on top; whoever
/// knows no types uses the table directly.
#[derive(Clone)]
pub struct Table {
    inner: Arc<Inner>,
    /// The transaction that its operations are part of.
    transaction: Option<Transaction>,
}

struct Inner {
    store: Arc<Store>,
    schema: Arc<Schema>,
    /// All columns that are not hidden: what is read unless something else is asked for.
    columns: Arc<[u16]>,
    key: Arc<[u16]>,
    /// Replaced when the store says that the table has changed.
    binding: RwLock<Arc<Binding>>,
    /// Where look-ups join, if the store says that it pays.
    lookups: Option<Arc<Lookups>>,
    /// Where single writes join, likewise.
    groups: Option<Arc<Groups>>,
    /// What is kept of its rows, once it is asked for one by its key.
    rows: OnceLock<Option<EntityCache<CachedRow>>>,
}

impl Table {
    pub(crate) fn new(
        store: Arc<Store>,
        schema: Arc<Schema>,
        live: Arc<LiveTable>,
    ) -> Result<Self> {
        let binding = RwLock::new(Arc::new(Binding::new(schema.clone(), live)?));
        let columns = schema.visible().collect();
        let key = schema.key().into();
        let capability = store.provider.capability();
        let lookups = Lookup::lanes(capability.lookup_lanes, capability.keys_max);
        let groups = GroupCommit::lanes(capability.write_lanes, capability.rows_max);
        let rows = OnceLock::new();
        let inner = Inner { store, schema, columns, key, binding, lookups, groups, rows };
        Ok(Self { inner: Arc::new(inner), transaction: None })
    }

    /// The name of the table.
    pub fn name(&self) -> &str {
        self.inner.schema.table()
    }

    /// The columns, key and indexes.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.inner.schema
    }

    /// The table as the catalogue told it when it was opened.
    pub fn live(&self) -> Arc<LiveTable> {
        self.binding().live().clone()
    }

    /// The columns that are read unless others are asked for, in the schema's order.
    pub fn columns(&self) -> &Arc<[u16]> {
        &self.inner.columns
    }

    /// Returns a buffer of one key, which `encode` writes a cell for each key column of.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](sora_core::ErrorKind::InvalidInput) if a cell does not fit.
    pub fn key(&self, encode: impl FnOnce(&mut dyn CellSink) -> Result<()>) -> Result<RowBuffer> {
        let mut intake = self.key_intake()?;
        intake.row(encode)?;
        Ok(intake.finish())
    }

    /// Returns an intake for keys.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](sora_core::ErrorKind::Unsupported) if the table has no key.
    pub fn key_intake(&self) -> Result<Intake<'_>> {
        let schema = self.schema();
        if schema.key().is_empty() {
            return Err(key::no_key(schema));
        }
        Ok(Intake::stored(schema, self.inner.key.clone()))
    }

    /// Tells the observers of one of many look-ups that were answered from memory.
    pub(crate) fn sampled(
        &self,
        operation: Operation,
        duration: Duration,
        is_there: bool,
        location: &'static Location<'static>,
    ) {
        let store = self.store();
        if store.observers.is_empty() {
            return;
        }
        let mut event = Event::new(self.name(), operation, store.provider.name(), location);
        event.duration = duration;
        event.returned = u64::from(is_there);
        event.source = Source::Memory;
        event.stands_for = SAMPLE;
        event.end = End::Done;
        event.request = request::current();
        store.emit(&event);
    }

    pub(crate) fn binding(&self) -> Arc<Binding> {
        // The lock is only held to copy or replace one pointer: a panic cannot leave it half done.
        self.inner.binding.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn capability(&self) -> Capability {
        self.store().provider.capability()
    }

    /// Describes the table anew, after the store said that it has changed.
    async fn bind_again(&self) -> Result<()> {
        let live = self.store().describe(self.name()).await?;
        let live = live.ok_or_else(|| key::table_gone(self.name()))?;
        let binding = Arc::new(Binding::new(self.inner.schema.clone(), Arc::new(live))?);
        *self.inner.binding.write().unwrap_or_else(PoisonError::into_inner) = binding;
        Ok(())
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("name", &self.name())
            .field("provider", &self.store().provider.name())
            .finish_non_exhaustive()
    }
}
