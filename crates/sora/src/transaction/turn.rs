//! A session, for one operation.

use std::fmt;

use sora_core::provider::{Savepoint, Session};
use sora_core::read::{Read, ReadReport};
use sora_core::write::{Write, WriteReport};
use sora_core::{Error, ErrorKind, Result, RowSink};
use tokio::sync::MutexGuard;
use tokio::time::{Instant, timeout_at};

use super::Transaction;
use super::state::Finish;

/// A session that one operation has for itself: one of its own, or that of the transaction that it is
/// part of.
///
/// What is dropped in the middle of a write rolls the whole transaction back, because nobody knows
/// what of it was done.
pub(crate) struct Turn<'a> {
    /// None once the session is gone.
    session: Option<Box<dyn Session>>,
    within: Option<Within<'a>>,
    /// The savepoint that stands for a transaction of its own.
    savepoint: Option<u16>,
    is_clean: bool,
}

struct Within<'a> {
    transaction: &'a Transaction,
    // Given back behind the session.
    _queue: MutexGuard<'a, ()>,
}

impl<'a> Turn<'a> {
    /// Returns the turn of an operation with a session of its own.
    pub(crate) fn own(session: Box<dyn Session>) -> Self {
        Self { session: Some(session), within: None, savepoint: None, is_clean: true }
    }

    /// Waits until no other operation has the session of a transaction.
    pub(super) async fn within(transaction: &'a Transaction) -> Result<Self> {
        let queue = transaction.state.queue.lock().await;
        let (session, undo) = transaction.state.take(transaction.level)?;
        let mut turn = Self {
            session: Some(session),
            within: Some(Within { transaction, _queue: queue }),
            savepoint: None,
            is_clean: true,
        };
        if let Some(depth) = undo {
            turn.step(Savepoint::RollBack(depth)).await?;
        }
        Ok(turn)
    }

    /// Marks the place that [`undo`](Turn::undo) goes back to. A session of one's own has such a
    /// place: its beginning.
    pub(crate) async fn mark(&mut self) -> Result<()> {
        let Some(within) = &self.within else { return Ok(()) };
        let depth = within.transaction.level.depth + 1;
        self.step(Savepoint::Set(depth)).await?;
        self.savepoint = Some(depth);
        Ok(())
    }

    /// Keeps what was written: commits a session of one's own.
    pub(crate) async fn keep(mut self) -> Result<()> {
        match (self.savepoint.take(), &self.within) {
            (Some(depth), _) => self.step(Savepoint::Release(depth)).await,
            (None, Some(_)) => Ok(()),
            (None, None) => self.take()?.commit().await,
        }
    }

    /// Undoes what was written since the [`mark`](Turn::mark).
    pub(crate) async fn undo(mut self) -> Result<()> {
        match (self.savepoint.take(), &self.within) {
            (Some(depth), _) => self.step(Savepoint::RollBack(depth)).await,
            (None, Some(_)) => Ok(()),
            (None, None) => self.take()?.rollback().await,
        }
    }

    /// Keeps what was written if it was written as it should be, else undoes it.
    pub(crate) async fn end<T>(
        self,
        written: Result<T>,
        is_kept: impl FnOnce(&T) -> bool,
    ) -> Result<T> {
        match written {
            Ok(value) if is_kept(&value) => self.keep().await.map(|()| value),
            Ok(value) => self.undo().await.map(|()| value),
            Err(error) => {
                // The first error is the one to tell; what cannot be undone ends the transaction.
                drop(self.undo().await);
                Err(error)
            }
        }
    }

    pub(crate) async fn read(&mut self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        let deadline = self.deadline();
        let done = in_time(deadline, self.session()?.read(read, sink)).await;
        self.note(done)
    }

    pub(crate) async fn write(
        &mut self,
        write: &Write,
        sink: &mut dyn RowSink,
    ) -> Result<WriteReport> {
        if self.within.as_ref().is_some_and(|within| within.transaction.state.read_only) {
            let message = "the transaction was begun to read only";
            return Err(Error::new(ErrorKind::ReadOnly, message));
        }
        let deadline = self.deadline();
        self.is_clean = false;
        let done = in_time(deadline, self.session()?.write(write, sink)).await;
        self.is_clean = true;
        self.note(done)
    }

    /// Does a step with a savepoint. One that fails leaves nobody knowing where the transaction is,
    /// and ends it.
    pub(super) async fn step(&mut self, step: Savepoint) -> Result<()> {
        let deadline = self.deadline();
        self.is_clean = false;
        let done = in_time(deadline, self.session()?.savepoint(step)).await;
        self.is_clean = true;
        let done = self.note(done);
        if let Err(error) = &done {
            self.fail(error);
        }
        done
    }

    /// Takes the session out, to end it.
    pub(super) fn take(&mut self) -> Result<Box<dyn Session>> {
        self.session.take().ok_or_else(gone)
    }

    fn session(&mut self) -> Result<&mut Box<dyn Session>> {
        self.session.as_mut().ok_or_else(gone)
    }

    fn deadline(&self) -> Option<Instant> {
        self.within.as_ref().map(|within| within.transaction.state.deadline)
    }

    /// Ends a transaction that has lost or has run out of time, whoever looks at the error.
    fn note<T>(&mut self, done: Option<Result<T>>) -> Result<T> {
        let done = match (done, &self.within) {
            (Some(done), _) => done,
            (None, Some(within)) => Err(within.transaction.state.timed_out()),
            (None, None) => Err(gone()),
        };
        if let Err(error) = &done
            && matches!(error.kind(), ErrorKind::Serialization | ErrorKind::Timeout)
        {
            self.fail(error);
        }
        done
    }

    fn fail(&mut self, error: &Error) {
        if let Some(within) = &self.within {
            within.transaction.state.close(Finish::Failed(error.clone()));
            self.session = None;
        }
    }
}

/// Waits for a session at most until its transaction has run out of time.
async fn in_time<T>(
    deadline: Option<Instant>,
    future: impl Future<Output = Result<T>>,
) -> Option<Result<T>> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Internal, "the session was used after its end")
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let (Some(session), Some(within)) = (self.session.take(), &self.within) else { return };
        let state = &within.transaction.state;
        if self.is_clean && self.savepoint.is_none() {
            state.put_back(session);
            return;
        }
        let message = "a write of the transaction was dropped before its end, so that the \
                       transaction was rolled back; await every write, or roll back yourself";
        state.close(Finish::Failed(Error::new(ErrorKind::Cancelled, message)));
        drop(session);
    }
}

impl fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("session", &self.session).finish_non_exhaustive()
    }
}
