//! The contract between Sora and a store.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use crate::plan::Negotiation;
use crate::read::{Read, ReadReport};
use crate::write::{Write, WriteReport};
use crate::{LiveTable, Result, RowSink, Schema};

pub use crate::session::{Isolation, Savepoint, Session, SessionOptions};

/// A boxed future that can be sent to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A store that is shared by all that use it.
pub type SharedProvider = Arc<dyn DynProvider>;

/// A store: implement this to add one.
///
/// Operations are data: a new feature is a field of [`Read`] or [`Write`]. No method has a default,
/// so that a new one breaks every wrapper at compile time instead of being skipped by it.
pub trait Provider: Debug + Send + Sync + 'static {
    /// The name in events and messages, such as `sqlite`.
    fn name(&self) -> &'static str;

    /// What the store can do, as few facts.
    fn capability(&self) -> Capability;

    /// Raises what the store does to `Inexact` or `Exact`, term by term. Pure: no I/O, no state.
    fn negotiate(&self, ask: &mut Negotiation);

    /// Pushes the rows of a read into the sink, until the end or until the sink breaks.
    fn read(
        &self,
        read: &Read,
        sink: &mut dyn RowSink,
    ) -> impl Future<Output = Result<ReadReport>> + Send;

    /// Writes rows, and pushes those that `returning` asks for into the sink.
    ///
    /// # Errors
    ///
    /// Only if no row was written, or, with [`Retry::IfIdempotent`](crate::Retry::IfIdempotent), if it
    /// is not known of any; what became of single rows stands in the report.
    fn write(
        &self,
        write: &Write,
        sink: &mut dyn RowSink,
    ) -> impl Future<Output = Result<WriteReport>> + Send;

    /// Reads a table, or all tables and views, from the catalogue; tables that the store keeps for
    /// itself, or Sora in it, are left out.
    fn describe(&self, table: Option<&str>) -> impl Future<Output = Result<Vec<LiveTable>>> + Send;

    /// Does one of the tasks beside reading and writing rows.
    fn administer(&self, task: &Administer) -> impl Future<Output = Result<Administered>> + Send;

    /// Opens a session: one connection with a transaction, until it is committed or rolled back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) without transactions.
    fn open(
        &self,
        options: SessionOptions,
    ) -> impl Future<Output = Result<Box<dyn Session>>> + Send;
}

/// The facts about a store that are not negotiated term by term. Each is read by the planner or by
/// the writers; the conformance suite holds each against what the store does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent fact")]
pub struct Capability {
    /// It aggregates the rows of an exact filter itself, where it is negotiated to.
    pub aggregates: bool,
    /// Writes of several rows can be all or nothing.
    pub atomic_writes: bool,
    /// It counts the rows of an exact filter itself.
    pub count: bool,
    /// It can start behind a position of an exact sort.
    pub keyset: bool,
    /// The most keys in one read or write.
    pub keys_max: usize,
    /// How many look-ups of joined keys pay at once; none if joining them does not pay.
    pub lookup_lanes: usize,
    /// Statements in its own language can be run.
    pub native: bool,
    /// It refuses writes.
    pub read_only: bool,
    /// A page of a scan that was asked for comes without being polled, and whoever leaves it
    /// unpolled keeps nothing from others.
    pub reads_ahead: bool,
    /// It applies the residual conditions of a read itself, before rows cross threads.
    pub residual: bool,
    /// Writes can return the rows as they are stored.
    pub returning: bool,
    /// The most rows in one write.
    pub rows_max: usize,
    /// Sessions can be opened.
    pub transactions: bool,
    /// How many groups of joined writes pay at once; none if joining them does not pay.
    pub write_lanes: usize,
    /// How long a write waits for the one writer, if there is but one: a session that writes keeps
    /// all other writes waiting until its end. None where it does not.
    pub writer_wait_ms: Option<u32>,
}

impl Capability {
    /// Nothing beyond reading and writing rows one at a time.
    pub const NONE: Self = Self {
        aggregates: false,
        atomic_writes: false,
        count: false,
        keyset: false,
        keys_max: 1,
        lookup_lanes: 0,
        native: false,
        read_only: false,
        reads_ahead: false,
        residual: false,
        returning: false,
        rows_max: 1,
        transactions: false,
        write_lanes: 0,
        writer_wait_ms: None,
    };

    /// The facts by name, for tables and checks.
    pub fn facts(self) -> [(&'static str, String); 15] {
        [
            ("aggregates", self.aggregates.to_string()),
            ("atomic_writes", self.atomic_writes.to_string()),
            ("count", self.count.to_string()),
            ("keyset", self.keyset.to_string()),
            ("keys_max", self.keys_max.to_string()),
            ("lookup_lanes", self.lookup_lanes.to_string()),
            ("native", self.native.to_string()),
            ("read_only", self.read_only.to_string()),
            ("reads_ahead", self.reads_ahead.to_string()),
            ("residual", self.residual.to_string()),
            ("returning", self.returning.to_string()),
            ("rows_max", self.rows_max.to_string()),
            ("transactions", self.transactions.to_string()),
            ("write_lanes", self.write_lanes.to_string()),
            (
                "writer_wait_ms",
                self.writer_wait_ms.map_or_else(|| "none".into(), |wait_ms| wait_ms.to_string()),
            ),
        ]
    }
}

/// A task beside reading and writing rows.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a task is made where it is used, and borrowed")]
pub enum Administer {
    /// Creates the table and indexes of a schema that are missing, and reports what differs.
    Ensure(Arc<Schema>),
    /// Says how the store would run a read; with `analyze`, runs it and says what it touched.
    Explain {
        /// The read.
        read: Read,
        /// Whether to run it.
        analyze: bool,
    },
    /// Asks whether the store answers.
    Ping,
    /// Counts the connections of the store's pools.
    Pools,
}

/// What an [`Administer`] task gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Administered {
    /// The answer to [`Administer::Ensure`].
    Ensured(SchemaReport),
    /// The answer to [`Administer::Explain`].
    Explained(StorePlan),
    /// The answer to [`Administer::Ping`].
    Answered,
    /// The answer to [`Administer::Pools`]; none where there is no pool.
    Pools(Vec<PoolGauges>),
}

/// How many connections a pool has, and what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolGauges {
    /// What the pool is for.
    pub name: &'static str,
    /// Open connections.
    pub connections: usize,
    /// Those that nobody uses.
    pub idle: usize,
    /// The most that may be open.
    pub connections_max: usize,
    /// Callers that wait for one.
    pub waiting: usize,
    /// Connections opened since the start.
    pub opened: u64,
    /// Connections closed since the start, for their age or idleness, or because they broke.
    pub closed: u64,
}

/// What [`Administer::Ensure`] did and what it left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaReport {
    /// The statements that were run, each creating something that was missing.
    pub created: Vec<String>,
    /// What is there but differs.
    pub differs: Vec<Difference>,
}

/// Something of a live table that differs from the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What differs, in words.
    pub what: String,
    /// The statement that would mend it, where one can; it was not run.
    pub remedy: Option<String>,
}

/// How a store runs a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorePlan {
    /// The statement, with placeholders for its values.
    pub statement: Option<String>,
    /// The store's own words, line by line.
    pub lines: Vec<String>,
    /// The indexes that serve it.
    pub indexes: Vec<String>,
    /// What the caller should know: an index that cannot serve and why.
    pub notes: Vec<String>,
}

/// The object-safe twin of [`Provider`], implemented for every provider.
#[expect(missing_docs, reason = "the methods are those of `Provider`")]
pub trait DynProvider: Debug + Send + Sync + 'static {
    fn name(&self) -> &'static str;
    fn capability(&self) -> Capability;
    fn negotiate(&self, ask: &mut Negotiation);
    fn read<'a>(
        &'a self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>>;
    fn write<'a>(
        &'a self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>>;
    fn describe<'a>(&'a self, table: Option<&'a str>) -> BoxFuture<'a, Result<Vec<LiveTable>>>;
    fn administer<'a>(&'a self, task: &'a Administer) -> BoxFuture<'a, Result<Administered>>;
    fn open(&self, options: SessionOptions) -> BoxFuture<'_, Result<Box<dyn Session>>>;
}

impl<P: Provider> DynProvider for P {
    fn name(&self) -> &'static str {
        Provider::name(self)
    }

    fn capability(&self) -> Capability {
        Provider::capability(self)
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        Provider::negotiate(self, ask);
    }

    fn read<'a>(
        &'a self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        Box::pin(Provider::read(self, read, sink))
    }

    fn write<'a>(
        &'a self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        Box::pin(Provider::write(self, write, sink))
    }

    fn describe<'a>(&'a self, table: Option<&'a str>) -> BoxFuture<'a, Result<Vec<LiveTable>>> {
        Box::pin(Provider::describe(self, table))
    }

    fn administer<'a>(&'a self, task: &'a Administer) -> BoxFuture<'a, Result<Administered>> {
        Box::pin(Provider::administer(self, task))
    }

    fn open(&self, options: SessionOptions) -> BoxFuture<'_, Result<Box<dyn Session>>> {
        Box::pin(Provider::open(self, options))
    }
}

/// Wraps a provider to change how it is called: retry, limit, fault injection. What only watches is
/// an [`Observer`](crate::Observer).
pub trait Layer: Debug + Send + Sync + 'static {
    /// Returns the provider with this layer around it.
    fn layer(&self, inner: SharedProvider) -> SharedProvider;
}
