//! Transactions of a store.

use std::fmt;
use std::fmt::Debug;

use crate::provider::BoxFuture;
use crate::read::{Read, ReadReport};
use crate::write::{Write, WriteReport};
use crate::{Result, RowSink};

/// A transaction on a connection of its own. It sees its own writes; nobody else does before the
/// commit. Dropping it rolls back.
///
/// A read that is given up before its end leaves the session as it was; a write that is given up
/// leaves one that may only be rolled back or dropped.
pub trait Session: Debug + Send {
    /// What keeps it apart from other transactions: at least what was asked for.
    fn isolation(&self) -> Isolation;

    /// Reads inside the transaction.
    fn read<'a>(
        &'a mut self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>>;

    /// Writes inside the transaction. A write that fails leaves the transaction as it was before it.
    fn write<'a>(
        &'a mut self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>>;

    /// Sets a savepoint, forgets it, or goes back to it.
    fn savepoint(&mut self, step: Savepoint) -> BoxFuture<'_, Result<()>>;

    /// Makes the writes durable and visible.
    ///
    /// # Errors
    ///
    /// One whose [`retry`](crate::Error::retry) is [`IfIdempotent`](crate::Retry::IfIdempotent) if it
    /// is not known whether the writes were committed; otherwise none was.
    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>>;

    /// Undoes the writes.
    fn rollback(self: Box<Self>) -> BoxFuture<'static, Result<()>>;
}

/// How a [`Session`] is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SessionOptions {
    /// What keeps it apart from other transactions; a store that lacks a level gives a stronger one.
    pub isolation: Isolation,
    /// Whether it only reads; a write in it is refused.
    pub read_only: bool,
    /// Whether a serializable session that only reads waits for a moment at which it can neither
    /// fail nor make others fail. Stores whose readers never fail need not wait.
    pub deferrable: bool,
}

/// What transactions that run at the same time see of each other. No level shows what is not
/// committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Isolation {
    /// Each statement sees what was committed before it began.
    #[default]
    ReadCommitted,
    /// All statements see what was committed before the first began, and a write to a row that was
    /// changed since fails.
    RepeatableRead,
    /// The outcome is that of running the transactions one after another.
    Serializable,
}

/// A step with a savepoint, which is known by its depth: 1 for the outermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Savepoint {
    /// Marks the place.
    Set(u16),
    /// Forgets the place and keeps what was written since.
    Release(u16),
    /// Undoes what was written since the place was marked, and forgets it.
    RollBack(u16),
}

impl SessionOptions {
    /// Returns options for a level of isolation.
    pub fn new(isolation: Isolation) -> Self {
        Self { isolation, ..Self::default() }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        })
    }
}
