//! The place where the operations of a table go: to the store, or into a transaction.

use std::panic::Location;

use sora_core::provider::{Session, SessionOptions};
use sora_core::read::{Read, ReadReport};
use sora_core::{Error, ErrorKind, Operation, Result, RowSink};

use super::Table;
use crate::transaction::{Transaction, Turn};
use crate::watch::Watch;

impl Table {
    /// Returns the table with all its operations as part of a transaction. No round trip.
    ///
    /// They see what was written in the transaction, and come one after another. A stream fetches a
    /// page when it is asked for it; one that cannot be fetched by keyset pages is read at once, within
    /// the query's fallback.
    pub fn within(&self, transaction: &Transaction) -> Self {
        Self { inner: self.inner.clone(), transaction: Some(transaction.clone()) }
    }

    /// The transaction that its operations are part of.
    pub(crate) fn transaction(&self) -> Option<&Transaction> {
        self.transaction.as_ref()
    }

    /// Starts to watch an operation.
    pub(crate) fn watch(
        &self,
        operation: Operation,
        location: &'static Location<'static>,
    ) -> Watch<'_> {
        let mut watch = Watch::start(self.store(), self.name(), operation, location);
        watch.within(self.transaction.is_some());
        watch
    }

    /// Reads where the table's operations go.
    pub(crate) async fn read_once(
        &self,
        read: &Read,
        sink: &mut dyn RowSink,
    ) -> Result<ReadReport> {
        match &self.transaction {
            None => self.store().provider.read(read, sink).await,
            // Apart, so that the future of other reads is small.
            Some(transaction) => {
                Box::pin(async { self.session(transaction).await?.read(read, sink).await }).await
            }
        }
    }

    /// Waits for the session of the table's transaction.
    pub(crate) async fn session<'a>(&self, transaction: &'a Transaction) -> Result<Turn<'a>> {
        transaction.check_store(self.store())?;
        transaction.turn().await
    }

    /// Returns a session for several writes that are kept or undone together: one of their own, or a
    /// savepoint of the table's transaction.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>> {
        let Some(transaction) = &self.transaction else {
            self.store().check_transactions().map_err(|error| error.with("table", self.name()))?;
            return Ok(Turn::own(self.store().provider.open(SessionOptions::default()).await?));
        };
        let mut turn = self.session(transaction).await?;
        turn.mark().await?;
        Ok(turn)
    }

    /// Opens a session of an operation's own.
    pub(crate) async fn own_session(&self) -> Result<Box<dyn Session>> {
        self.store().check_transactions().map_err(|error| error.with("table", self.name()))?;
        self.store().provider.open(SessionOptions::default()).await
    }

    /// Lets a write go on beside the transactions of this process, unless it is part of one.
    pub(crate) async fn pass_writers(&self, location: &'static Location<'static>) -> Result<()> {
        if self.transaction.is_some() {
            return Ok(());
        }
        let passed = self.store().pass_writers(location).await;
        passed.map_err(|error| error.with("table", self.name()))
    }

    /// Refuses a write that would wait for the transaction in whose closure it is called, unless it is
    /// part of one.
    pub(crate) fn refuse_inside(&self, location: &'static Location<'static>) -> Result<()> {
        if self.transaction.is_some() {
            return Ok(());
        }
        let refused = self.store().refuse_inside(location);
        refused.map_err(|error| error.with("table", self.name()))
    }

    /// Refuses to lock a row that nothing would unlock.
    pub(crate) fn check_lock(&self) -> Result<()> {
        let (kind, message) = match &self.transaction {
            None => (
                ErrorKind::InvalidInput,
                "a row is locked until the end of a transaction; read it `within` one",
            ),
            Some(transaction) if transaction.is_read_only() => {
                (ErrorKind::ReadOnly, "the transaction was begun to read only, and locks no rows")
            }
            Some(_) => return Ok(()),
        };
        Err(Error::new(kind, message).with("table", self.name()))
    }
}
