//! Transactions over the entities of one store.

mod options;
mod run;
mod state;
mod turn;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use sora_core::provider::{Isolation, Savepoint};
use sora_core::{End, Error, ErrorKind, Result, Retry};
use tokio::time::timeout_at;

pub use options::TransactionOptions;
pub(crate) use run::{begin, run};
pub(crate) use turn::Turn;

use crate::client::Store;
use state::{Finish, Level, State};

/// A handle of an open transaction, or of one that is nested in it.
///
/// Cheap to clone, and owned, so that it can go into a spawned task. Tables and repositories take part
/// in the transaction [`within`](crate::Repository::within) it: they see its writes, and nobody else
/// does before the commit. Operations by clones of one handle come one after another.
///
/// A handle that outlives its transaction is of no use: operations by it fail.
///
/// - The transaction has a limit of time, 30 s unless
///   [`time_max_ms`](TransactionOptions::time_max_ms) says otherwise. Then it is rolled back, also
///   while nobody uses it, and later uses fail with [`ErrorKind::Timeout`].
/// - After an error of kind [`ErrorKind::Serialization`] or [`ErrorKind::Timeout`] it is rolled back,
///   and later uses fail with the same error. Any other write that fails leaves it as it was before
///   that write.
/// - A write whose future is dropped before its end rolls the transaction back, because nobody knows
///   what of it was done. A read that is dropped does no harm.
///
/// # Stores with one writer
///
/// SQLite and the store in memory have one writer, and an open transaction is it. A write *beside*
/// the transaction, which is not `within` it, waits for its end. Inside a closure, where it would wait
/// for ever, it is refused at once with [`ErrorKind::InvalidInput`]; beside a [`TransactionGuard`], or in a
/// task of its own, it fails with [`ErrorKind::Busy`] after the time that a write waits for the
/// writer. Both errors name where the transaction was begun and where the write was called.
///
/// Reads beside the transaction are allowed, and see what is committed. Only `sqlite::memory:` has one
/// connection for all, and there they wait as writes do.
#[derive(Clone)]
pub struct Transaction {
    state: Arc<State>,
    level: Level,
}

/// A transaction that ends with this value: dropped, it is rolled back.
///
/// It is a [`Transaction`] by dereference.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct TransactionGuard {
    transaction: Transaction,
    is_over: bool,
}

impl Transaction {
    /// The most transactions that can be open inside each other, the outermost not counted.
    pub const DEPTH_MAX: u16 = 32;

    /// What keeps it apart from other transactions: at least what was asked for.
    pub fn isolation(&self) -> Isolation {
        self.state.isolation
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.state.read_only
    }

    /// Begins a transaction inside this one: a savepoint. Rolled back, it undoes its own writes and
    /// no others; committed, its writes are part of this transaction. One round trip, and one for its
    /// end.
    ///
    /// While it is open, this handle is not to be used.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Limit`] inside [`DEPTH_MAX`](Transaction::DEPTH_MAX) others.
    pub async fn begin(&self) -> Result<TransactionGuard> {
        let depth = self.level.depth + 1;
        if depth > Self::DEPTH_MAX {
            let message = format!("at most {} transactions are nested in another", Self::DEPTH_MAX);
            return Err(Error::new(ErrorKind::Limit, message));
        }
        let mut turn = self.turn().await?;
        turn.step(Savepoint::Set(depth)).await?;
        let level = self.state.push_level(depth);
        Ok(TransactionGuard::new(Self { state: self.state.clone(), level }))
    }

    /// Runs a closure in a transaction inside this one, a savepoint: on an error its writes are undone
    /// and no others. It is run once; what runs again is the outermost closure. Two round trips.
    ///
    /// # Errors
    ///
    /// That of the closure, and those of [`begin`](Transaction::begin).
    pub async fn transaction<T, E, F, Fut>(&self, body: F) -> Result<T, E>
    where
        E: From<Error>,
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let guard = self.begin().await?;
        match body(guard.clone()).await {
            Ok(value) => guard.commit().await.map(|()| value).map_err(E::from),
            Err(error) => {
                // The first error is the one to tell. If this one fails, all is rolled back.
                drop(guard.rollback().await);
                Err(error)
            }
        }
    }

    /// Waits until no other operation has the session.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>> {
        Turn::within(self).await
    }

    /// Refuses a table of another store.
    pub(crate) fn check_store(&self, store: &Store) -> Result<()> {
        if std::ptr::eq(&raw const *self.state.store, store) {
            return Ok(());
        }
        let message = "the transaction is one of another store; a transaction spans one store, \
                       opened once";
        Err(Error::new(ErrorKind::InvalidInput, message))
    }
}

impl TransactionGuard {
    fn new(transaction: Transaction) -> Self {
        Self { transaction, is_over: false }
    }

    /// Makes the writes durable and visible to others; of a nested transaction, part of the one
    /// around it. It waits for operations that other tasks have begun by clones of the handle. One
    /// round trip.
    ///
    /// # Errors
    ///
    /// Nothing was committed, unless [`Error::is_unknown`] says that nobody knows. [`ErrorKind::Timeout`]
    /// if the transaction was open for too long, [`ErrorKind::Serialization`] if it lost against
    /// another; what the store says of rules that it checks at the commit.
    pub async fn commit(mut self) -> Result<()> {
        let Transaction { state, level } = self.transaction.clone();
        let mut turn = self.transaction.turn().await?;
        if level != Level::OUTERMOST {
            turn.step(Savepoint::Release(level.depth)).await?;
            state.pop_level(level);
            drop(turn);
            self.is_over = true;
            return Ok(());
        }
        let session = turn.take()?;
        state.begin_end(Finish::Committed);
        drop(turn);
        let done = match timeout_at(state.deadline, session.commit()).await {
            Ok(done) => done.map_err(unknown),
            Err(_) => Err(unknown(state.timed_out().with_retry(Retry::IfIdempotent))),
        };
        match &done {
            Ok(()) => state.conclude(End::Done),
            Err(error) => {
                state.fail_end(error);
                state.conclude(End::Failed(error.kind()));
            }
        }
        done
    }

    /// Undoes the writes. One round trip.
    ///
    /// # Errors
    ///
    /// What the store says; the writes are undone all the same.
    pub async fn rollback(mut self) -> Result<()> {
        let Transaction { state, level } = self.transaction.clone();
        let mut turn = match self.transaction.turn().await {
            Ok(turn) => turn,
            // It has failed before, which has rolled it back.
            Err(_) if state.failure().is_some() => return Ok(()),
            Err(error) => return Err(error),
        };
        if level != Level::OUTERMOST {
            turn.step(Savepoint::RollBack(level.depth)).await?;
            state.pop_level(level);
            drop(turn);
            self.is_over = true;
            return Ok(());
        }
        let session = turn.take()?;
        state.begin_end(Finish::RolledBack);
        drop(turn);
        let done = session.rollback().await;
        state.conclude(End::Dropped);
        done
    }
}

/// Says that nobody knows whether a commit was done, where that is so.
fn unknown(error: Error) -> Error {
    if !error.is_unknown() {
        return error;
    }
    let message = "it is not known whether the transaction was committed; find out before it is run \
                   again";
    Error::new(error.kind(), message).with_retry(Retry::IfIdempotent).with_source(error)
}

impl Deref for TransactionGuard {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.transaction
    }
}

impl Drop for TransactionGuard {
    fn drop(&mut self) {
        let Transaction { state, level } = &self.transaction;
        if *level == Level::OUTERMOST {
            state.close(Finish::RolledBack);
            // A commit that was dropped has told nobody yet.
            state.conclude(End::Dropped);
        } else if !self.is_over {
            state.abandon_level(*level);
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("provider", &self.state.store.provider.name())
            .field("isolation", &self.state.isolation)
            .field("depth", &self.level.depth)
            .field("is_open", &self.state.is_open())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TransactionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TransactionGuard").field(&self.transaction).finish()
    }
}
