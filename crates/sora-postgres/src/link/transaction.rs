//! The transaction of a connection.

use std::sync::atomic::Ordering;

use sora_core::{Error, ErrorKind, Result};

use super::Link;
use crate::failure::Stage;

impl Link {
    /// Begins a transaction by `begin …`. From here to its end the connection is not handed on.
    /// One round trip.
    pub(crate) async fn begin(&self, sql: &str) -> Result<()> {
        self.is_aborted.store(false, Ordering::Release);
        self.in_transaction.store(true, Ordering::Release);
        self.is_read_only.store(sql.contains(" read only"), Ordering::Release);
        let timeout_ms = self.limits.transaction_timeout_ms;
        // If it fails, whether a transaction is open is left for a rollback to settle.
        match timeout_ms {
            0 => self.batch(Stage::Reading, sql).await,
            _ => {
                let sql = format!("{sql}; set local statement_timeout = {timeout_ms}");
                self.batch(Stage::Reading, &sql).await
            }
        }
    }

    /// Commits. One round trip.
    ///
    /// # Errors
    ///
    /// [`Retry::IfIdempotent`](sora_core::Retry::IfIdempotent) if the connection broke on the way;
    /// after any other error nothing was committed. A transaction in which a statement failed is
    /// rolled back, which the server by itself would call a success.
    pub(crate) async fn commit(&self) -> Result<()> {
        if self.is_aborted.load(Ordering::Acquire) {
            self.rollback().await?;
            return Err(aborted());
        }
        // Of a statement whose caller went away nobody saw whether it failed: then the server is
        // asked for a row, which it refuses in a failed transaction.
        let was_seen = self.is_idle();
        let sql = if was_seen { "commit" } else { "select 1; commit" };
        let committed = self.batch(Stage::Committing, sql).await;
        // A commit that the server refuses ends the transaction too. Where it is not known that the
        // commit was reached, a rollback before the connection is handed on settles it.
        if committed.is_ok() || was_seen {
            self.ended();
        }
        committed
    }

    /// Rolls back. One round trip.
    pub(crate) async fn rollback(&self) -> Result<()> {
        self.batch(Stage::Reading, "rollback").await?;
        self.ended();
        Ok(())
    }

    /// Sets the savepoint of this number. One round trip.
    pub(crate) async fn savepoint(&self, number: u32) -> Result<()> {
        self.batch(Stage::Reading, &format!("savepoint sora_{number}")).await
    }

    /// Undoes what came after the savepoint of this number, which stays. One round trip.
    pub(crate) async fn rollback_to(&self, number: u32) -> Result<()> {
        self.batch(Stage::Reading, &format!("rollback to savepoint sora_{number}")).await?;
        self.is_aborted.store(false, Ordering::Release);
        Ok(())
    }

    /// Forgets the savepoint of this number and keeps what came after it. One round trip.
    pub(crate) async fn release(&self, number: u32) -> Result<()> {
        self.batch(Stage::Reading, &format!("release savepoint sora_{number}")).await
    }

    /// Whether a transaction is open, or may be.
    pub(crate) fn in_transaction(&self) -> bool {
        self.in_transaction.load(Ordering::Acquire)
    }

    pub(super) fn ended(&self) {
        self.is_aborted.store(false, Ordering::Release);
        self.in_transaction.store(false, Ordering::Release);
    }
}

fn aborted() -> Error {
    let message = "nothing was committed: a statement of the transaction had failed; roll back to a \
                   savepoint before it, or run the transaction again";
    Error::new(ErrorKind::Store, message)
}
