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
    /// How it ended.
    pub end: End,
    /// Where the operation was called.
    pub location: &'static Location<'static>,
}

/// What an [`Event`] was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are those of the methods")]
pub enum Operation {
    Batch,
    Count,
    Delete,
    DeleteWhere,
    Describe,
    EnsureSchema,
    Exists,
    Explain,
    Get,
    GetMany,
    Insert,
    Patch,
    PatchWhere,
    Query,
    Stream,
    Update,
    Upsert,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// As asked.
    Done,
    /// With an error, or with at least one row that failed.
    Failed(ErrorKind),
    /// The caller dropped it before its end.
    Dropped,
}

impl Operation {
    /// The name of the method.
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Count => "count",
            Self::Delete => "delete",
            Self::DeleteWhere => "delete_where",
            Self::Describe => "describe",
            Self::EnsureSchema => "ensure_schema",
            Self::Exists => "exists",
            Self::Explain => "explain",
            Self::Get => "get",
            Self::GetMany => "get_many",
            Self::Insert => "insert",
            Self::Patch => "patch",
            Self::PatchWhere => "patch_where",
            Self::Query => "query",
            Self::Stream => "stream",
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
            end: End::Dropped,
            location,
        }
    }
}
