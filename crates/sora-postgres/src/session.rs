//! Transactions that stay open between calls.

use sora_core::provider::{BoxFuture, Isolation, Savepoint, Session, SessionOptions};
use sora_core::read::{Read, ReadReport};
use sora_core::write::{Write, WriteReport};
use sora_core::{Result, RowSink};

use crate::pool::{Lease, Pool};
use crate::{read, write};

/// A transaction on a connection of its own. Dropped, it is rolled back before anybody else gets the
/// connection.
#[derive(Debug)]
pub(crate) struct PostgresSession {
    lease: Lease,
    isolation: Isolation,
}

impl PostgresSession {
    /// Begins a transaction. One round trip.
    pub(crate) async fn begin(pool: &Pool, options: SessionOptions) -> Result<Self> {
        let lease = pool.acquire().await?;
        let mut sql = format!("begin isolation level {}", options.isolation);
        if options.read_only {
            sql.push_str(" read only");
        }
        if options.deferrable {
            sql.push_str(" deferrable");
        }
        lease.begin(&sql).await?;
        Ok(Self { lease, isolation: options.isolation })
    }
}

impl Session for PostgresSession {
    fn isolation(&self) -> Isolation {
        self.isolation
    }

    fn read<'a>(
        &'a mut self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        Box::pin(read::run_inside(&self.lease, read, sink))
    }

    fn write<'a>(
        &'a mut self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        Box::pin(write::run_inside(&self.lease, write, sink))
    }

    fn savepoint(&mut self, step: Savepoint) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            match step {
                Savepoint::Set(depth) => self.lease.savepoint(depth.into()).await,
                Savepoint::Release(depth) => self.lease.release(depth.into()).await,
                Savepoint::RollBack(depth) => {
                    self.lease.rollback_to(depth.into()).await?;
                    self.lease.release(depth.into()).await
                }
            }
        })
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move { self.lease.commit().await })
    }

    fn rollback(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move { self.lease.rollback().await })
    }
}
