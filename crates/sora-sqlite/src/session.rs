//! Transactions that stay open between calls.

use std::sync::Arc;

use sora_core::provider::{BoxFuture, Isolation, Savepoint, Session, SessionOptions};
use sora_core::read::{Read, ReadReport};
use sora_core::write::{Write, WriteReport};
use sora_core::{Error, ErrorKind, Result, RowSink};

use crate::chunk;
use crate::connection::Link;
use crate::line::Turn;
use crate::provider::{Shared, deliver};
use crate::worker::Caller;
use crate::write;

/// A transaction on the writing connection, which it has for itself until its end.
#[derive(Debug)]
pub(crate) struct SqliteSession {
    shared: Arc<Shared>,
    /// The right to the writing connection. It goes with the job that ends the transaction, so that
    /// nobody has it before.
    permit: Option<Turn>,
    read_only: bool,
}

impl SqliteSession {
    /// Begins a transaction.
    pub(crate) async fn begin(shared: Arc<Shared>, options: SessionOptions) -> Result<Self> {
        let permit = shared.exclusive().await?;
        let read_only = shared.config.read_only || options.read_only;
        // From here on, dropping the future rolls back.
        let session = Self { shared, permit: Some(permit), read_only };
        session
            .shared
            .on_writer(move |worker| match read_only {
                true => write::execute(&worker.link.db, "BEGIN"),
                false => write::begin(&mut worker.link),
            })
            .await?;
        Ok(session)
    }

    /// Ends the transaction on the writing thread, whether or not anybody waits for it.
    async fn end(
        mut self: Box<Self>,
        end: impl FnOnce(&mut Link) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let permit = self.permit.take();
        let ended = self.shared.on_writer(move |worker| {
            let ended = end(&mut worker.link);
            drop(permit);
            ended
        });
        ended.await
    }
}

impl Session for SqliteSession {
    /// One writer at a time, and this is it.
    fn isolation(&self) -> Isolation {
        Isolation::Serializable
    }

    fn read<'a>(
        &'a mut self,
        read: &'a Read,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<ReadReport>> {
        Box::pin(async move {
            let (sender, receiver) = chunk::channel(read);
            let (_caller, waiting) = Caller::new();
            let job_read = read.clone();
            self.shared.to_writer(Box::new(move |worker| {
                if worker.link.db.is_autocommit() {
                    chunk::send(&job_read, &sender, |_, _| Err(write::ended()));
                } else {
                    worker.look(waiting, |worker| worker.read(&job_read, None, &sender));
                }
            }))?;
            chunk::receive(receiver, sink).await
        })
    }

    fn write<'a>(
        &'a mut self,
        write: &'a Write,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<WriteReport>> {
        Box::pin(async move {
            self.shared.check_writable()?;
            if self.read_only {
                let message = "the transaction was begun to read only";
                return Err(Error::new(ErrorKind::ReadOnly, message));
            }
            let job_write = write.clone();
            let written = self.shared.on_writer(move |worker| {
                if worker.link.db.is_autocommit() {
                    return Err(write::ended());
                }
                worker.cache.suit(&worker.link.db, job_write.change.len());
                write::run_inside(&mut worker.link, &job_write)
            });
            Ok(deliver(written.await?, sink))
        })
    }

    fn savepoint(&mut self, step: Savepoint) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.shared.on_writer(move |worker| {
            if worker.link.db.is_autocommit() {
                return Err(write::ended());
            }
            let db = &worker.link.db;
            match step {
                Savepoint::Set(depth) => write::execute(db, &format!("SAVEPOINT sora_{depth}")),
                Savepoint::Release(depth) => write::execute(db, &format!("RELEASE sora_{depth}")),
                Savepoint::RollBack(depth) => {
                    write::execute(db, &format!("ROLLBACK TO sora_{depth}"))?;
                    write::execute(db, &format!("RELEASE sora_{depth}"))
                }
            }
        }))
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(self.end(|link| {
            if link.db.is_autocommit() {
                return Err(write::ended());
            }
            write::commit(link)
        }))
    }

    fn rollback(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(self.end(|link| {
            write::roll_back(link);
            Ok(())
        }))
    }
}

impl Drop for SqliteSession {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        // A thread that has ended has rolled back with its connection.
        let _ = self.shared.to_writer(Box::new(move |worker| {
            write::roll_back(&mut worker.link);
            drop(permit);
        }));
    }
}
