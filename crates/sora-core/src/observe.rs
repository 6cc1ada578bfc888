//! What observers see of every operation that leaves memory.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::ErrorKind;
use crate::plan::Plan;

/// Watches operations, and steers none.
///
/// It is called on the thread of the operation, once at its end: keep it short and do not block.
pub trait Observer: Send + Sync + 'static {
    /// Takes one event.
    fn observe(&self, event: &Event<'_>);
}

/// One operation on one table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The table, which is the entity.
    pub table: &'a str,
    /// What was done.
    pub operation: Operation,
    /// The provider's name.
    pub provider: &'static str,
    /// Who did what of a query, if it was one: its conditions, sort and bound.
    pub plan: Option<&'a Plan>,
    /// Filter terms that the store decided alone.
    pub pushed: usize,
    /// Filter terms that were checked above the store.
    pub residual: usize,
    /// Rows that the store handed out, or was given.
    pub received: u64,
    /// Rows that the caller got, or that were written.
    pub returned: u64,
    /// From the call to its end.
    pub duration: Duration,
    /// How much of that was spent waiting for a connection.
    pub waited: Duration,
    /// How many callers shared the round trip; one if nobody joined.
    pub shared_by: usize,
    /// Where its rows came from.
    pub source: Source,
    /// How many operations like it it stands for: more than one for look-ups that were answered from
    /// memory, of which only one in so many is told.
    pub stands_for: u64,
    /// How it ended.
    pub end: End,
    /// Where the operation was called.
    pub location: &'static Location<'static>,
    /// The request that it was part of, if the caller runs inside one.
    pub request: Option<RequestId>,
    /// Whether it ran inside a transaction, which has an event of its own at its end.
    pub in_transaction: bool,
}

/// Tells the operations of one request from those of others.
///
/// It has the size of a trace identifier, so that one can be used as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

/// What an [`Event`] was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are those of the methods")]
pub enum Operation {
    Aggregate,
    Batch,
    BatchWrite,
    Count,
    Delete,
    DeleteWhere,
    Describe,
    EnsureSchema,
    Exists,
    Explain,
    Get,
    GetForUpdate,
    GetMany,
    Insert,
    LoadMany,
    Native,
    Patch,
    PatchWhere,
    Query,
    Stream,
    Transaction,
    Update,
    Upsert,
}

/// Where rows came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The memory of this process.
    Memory,
    /// The cache that processes share.
    Remote,
    /// The store.
    Store,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// As asked.
    Done,
    /// With an error, or with at least one row that failed.
    Failed(ErrorKind),
    /// The caller dropped it before its end, or rolled it back.
    Dropped,
}

impl Operation {
    /// The name of the method.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aggregate => "aggregate",
            Self::Batch => "batch",
            Self::BatchWrite => "batch_write",
            Self::Count => "count",
            Self::Delete => "delete",
            Self::DeleteWhere => "delete_where",
            Self::Describe => "describe",
            Self::EnsureSchema => "ensure_schema",
            Self::Exists => "exists",
            Self::Explain => "explain",
            Self::Get => "get",
            Self::GetForUpdate => "get_for_update",
            Self::GetMany => "get_many",
            Self::Insert => "insert",
            Self::LoadMany => "load_many",
            Self::Native => "native",
            Self::Patch => "patch",
            Self::PatchWhere => "patch_where",
            Self::Query => "query",
            Self::Stream => "stream",
            Self::Transaction => "transaction",
            Self::Update => "update",
            Self::Upsert => "upsert",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl<'a> Event<'a> {
    /// Returns the event of an operation that has just begun.
    pub fn new(
        table: &'a str,
        operation: Operation,
        provider: &'static str,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            table,
            operation,
            provider,
            plan: None,
            pushed: 0,
            residual: 0,
            received: 0,
            returned: 0,
            duration: Duration::ZERO,
            waited: Duration::ZERO,
            shared_by: 1,
            source: Source::Store,
            stands_for: 1,
            end: End::Dropped,
            location,
            request: None,
            in_transaction: false,
        }
    }
}
