//! One connection: its client, what is known of its server, and what runs on it.

mod native;
mod repair;
mod rows;
mod transaction;

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use postgres_types::{BorrowToSql, Type};
use sora_core::{Error, ErrorKind, Result};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::{Client, Statement};

pub(crate) use self::rows::Rows;
use crate::cancel::Canceller;
use crate::failure::{Stage, broken, is_last, is_stale, store_error};
use crate::statements::Statements;

/// A connection to a server.
///
/// Statements run under a name and are cached where the session of the server is this connection's
/// alone, and are sent whole in one round trip where it may not be. The callers see no difference, but
/// one: without names, no column of a result may be of a type that the database itself defines (an
/// enum, a domain): the client would look it up by a named statement. Such a column is cast to text.
#[derive(Debug)]
pub(crate) struct Link {
    client: Client,
    /// None where statements have no name.
    statements: Option<Mutex<Statements>>,
    canceller: Option<Canceller>,
    /// Ends when the connection does.
    driver: JoinHandle<()>,
    /// Statements that were sent, and whose end was not seen.
    running: AtomicU32,
    in_transaction: AtomicBool,
    /// The transaction was begun to read only: that it refuses a write says nothing of the server.
    is_read_only: AtomicBool,
    /// A statement of the transaction failed: the server takes no more but its end.
    is_aborted: AtomicBool,
    /// The server has ended the session, or takes no writes any more from whoever needs to write.
    is_unfit: AtomicBool,
    limits: Limits,
}

/// What holds for one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// None if it is used without end.
    pub(crate) expires: Option<Instant>,
    /// Whether only a server that can be written to will do.
    pub(crate) needs_primary: bool,
    /// What each transaction sets, because the connection is not its own to be set; 0 is nothing.
    pub(crate) transaction_timeout_ms: u32,
}

/// A statement that was sent. Unless it is seen to end, the connection counts as busy.
#[derive(Debug)]
#[must_use]
pub(crate) struct Running<'a>(&'a Link);

impl Link {
    pub(crate) fn new(
        client: Client,
        driver: JoinHandle<()>,
        statements_max: Option<usize>,
        canceller: Option<Canceller>,
        limits: Limits,
    ) -> Self {
        Self {
            client,
            statements: statements_max.map(|max| Mutex::new(Statements::new(max))),
            canceller,
            driver,
            running: AtomicU32::new(0),
            in_transaction: AtomicBool::new(false),
            is_read_only: AtomicBool::new(false),
            is_aborted: AtomicBool::new(false),
            is_unfit: AtomicBool::new(false),
            limits,
        }
    }

    /// The process of the server, or what a pooler gives for one.
    #[cfg(test)]
    pub(crate) fn process(&self) -> Option<i32> {
        self.canceller.as_ref().map(|canceller| canceller.key.process())
    }

    /// Whether statements have names here and are kept.
    pub(crate) fn keeps_statements(&self) -> bool {
        self.statements.is_some()
    }

    /// Whether the server was seen to walk an index for a shape of pages; `None` if nobody looked
    /// lately.
    pub(crate) fn seen(&self, shape: &[u8]) -> Option<bool> {
        self.statements()?.seen(shape, Instant::now())
    }

    /// Remembers whether the server walks an index for a shape of pages.
    pub(crate) fn saw(&self, shape: &[u8], walks: bool) {
        if let Some(mut statements) = self.statements() {
            statements.saw(shape, walks, Instant::now());
        }
    }

    /// How many statements are kept.
    #[cfg(test)]
    pub(crate) fn statements_len(&self) -> usize {
        self.statements().map_or(0, |statements| statements.len())
    }

    /// The client, for what has no method here. Whatever is sent by it must be told by
    /// [`running`](Self::running).
    #[cfg(test)]
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Says that a statement is sent: the connection is not handed on until
    /// [`end`](Running::end) is called.
    pub(crate) fn running(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::AcqRel);
        Running(self)
    }

    /// Whether the connection can be used: open, and to a server that will do.
    pub(crate) fn is_usable(&self) -> bool {
        !self.client.is_closed() && !self.is_unfit.load(Ordering::Acquire)
    }

    /// Whether its time is over.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.limits.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether nothing runs on it.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.load(Ordering::Acquire) == 0
    }

    /// Whether nothing runs on it and no transaction is open.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_idle() && !self.in_transaction.load(Ordering::Acquire)
    }

    /// Runs a statement that gives rows; `sql` is called only if its shape is new here. One round
    /// trip, or two where it is prepared.
    ///
    /// A statement whose name or plan the server has lost is prepared again once, outside a
    /// transaction.
    ///
    /// # Errors
    ///
    /// As [`store_error`] has them; `stage` says what a broken connection means.
    pub(crate) async fn query<P: BorrowToSql>(
        &self,
        stage: Stage,
        shape: &[u8],
        sql: impl FnOnce() -> String + Send,
        types: &[Type],
        params: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator> + Clone,
    ) -> Result<Rows<'_>> {
        let stage = self.check_open(stage)?;
        let running = self.running();
        if self.statements.is_none() {
            return self.query_unnamed(running, stage, &sql(), types, params).await;
        }
        let mut sql = Sql::Unwritten(Some(sql));
        let mut may_repeat = !self.in_transaction.load(Ordering::Acquire);
        loop {
            let (failed, stage) = match self.prepared(shape, &mut sql, types).await {
                Ok(statement) => match self.client.query_raw(&statement, params.clone()).await {
                    Ok(stream) => return Ok(Rows::new(stream, running, stage)),
                    Err(error) => (error, stage),
                },
                // What was prepared at most has written nothing.
                Err(error) => (error, Stage::Reading),
            };
            if !self.forget_stale(shape, &failed) || !std::mem::take(&mut may_repeat) {
                return Err(running.failed(failed, stage));
            }
        }
    }

    /// Runs a statement for its effect, and returns how many rows it touched; otherwise as
    /// [`query`](Self::query).
    #[cfg(test)]
    pub(crate) async fn execute<P: BorrowToSql>(
        &self,
        stage: Stage,
        shape: &[u8],
        sql: impl FnOnce() -> String + Send,
        types: &[Type],
        params: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator> + Clone,
    ) -> Result<u64> {
        let mut rows = self.query(stage, shape, sql, types, params).await?;
        while rows.next().await?.is_some() {}
        Ok(rows.affected().unwrap_or(0))
    }

    /// Runs a statement that will not come again, such as one on the catalogue: it has no name and is
    /// not kept. One round trip.
    pub(crate) async fn query_once<P: BorrowToSql>(
        &self,
        stage: Stage,
        sql: &str,
        types: &[Type],
        params: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>,
    ) -> Result<Rows<'_>> {
        let stage = self.check_open(stage)?;
        self.query_unnamed(self.running(), stage, sql, types, params).await
    }

    /// Runs statements without parameters or rows, separated by semicolons. One round trip.
    pub(crate) async fn batch(&self, stage: Stage, sql: &str) -> Result<()> {
        let stage = self.check_open(stage)?;
        let running = self.running();
        match self.client.batch_execute(sql).await {
            Ok(()) => {
                running.end();
                Ok(())
            }
            Err(error) => Err(running.failed(error, stage)),
        }
    }

    /// Closes the connection and waits until that is done.
    pub(crate) async fn close(self) {
        drop((self.client, self.statements));
        // It fails only if it panicked, or the runtime ends: either way it is over.
        let _ = self.driver.await;
    }

    async fn query_unnamed<'a, P: BorrowToSql>(
        &'a self,
        running: Running<'a>,
        stage: Stage,
        sql: &str,
        types: &[Type],
        params: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>,
    ) -> Result<Rows<'a>> {
        let params = params.into_iter();
        if types.len() != params.len() {
            running.end();
            let message = "a statement has not as many parameters as types";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let params = params.zip(types.iter().cloned());
        match Box::pin(self.client.query_typed_raw(sql, params)).await {
            Ok(stream) => Ok(Rows::new(stream, running, stage)),
            Err(error) => Err(running.failed(error, stage)),
        }
    }

    async fn prepared<F: FnOnce() -> String>(
        &self,
        shape: &[u8],
        sql: &mut Sql<F>,
        types: &[Type],
    ) -> Result<Statement, tokio_postgres::Error> {
        if let Some(found) = self.statements().and_then(|mut kept| kept.find(shape, types)) {
            return Ok(found);
        }
        // Apart, so that the future of a statement that is kept is small.
        let statement = Box::pin(self.client.prepare_typed(sql.text(), types)).await?;
        let left = self.statements().and_then(|mut kept| kept.insert(shape, statement.clone()));
        // Dropped after the lock: it sends.
        drop(left);
        Ok(statement)
    }

    /// Forgets a statement that the server has lost; returns whether that was it.
    fn forget_stale(&self, shape: &[u8], error: &tokio_postgres::Error) -> bool {
        let is_stale = is_stale(error);
        if is_stale {
            let left = self.statements().and_then(|mut kept| kept.remove(shape));
            drop(left);
        }
        is_stale
    }

    /// Nobody else gets the connection.
    fn give_up(&self) {
        self.is_unfit.store(true, Ordering::Release);
    }

    fn statements(&self) -> Option<MutexGuard<'_, Statements>> {
        let statements = self.statements.as_ref()?;
        Some(statements.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is not open is told apart from what broke on the way; and a write inside a transaction
    /// commits nothing.
    fn check_open(&self, stage: Stage) -> Result<Stage> {
        if self.client.is_closed() {
            return Err(broken(Stage::BeforeSend));
        }
        let in_transaction = self.in_transaction.load(Ordering::Acquire);
        Ok(if stage == Stage::Writing && in_transaction { Stage::Reading } else { stage })
    }

    fn note(&self, error: &Error) {
        let in_transaction = self.in_transaction.load(Ordering::Acquire);
        if in_transaction {
            self.is_aborted.store(true, Ordering::Release);
        }
        let is_meant = in_transaction && self.is_read_only.load(Ordering::Acquire);
        if error.kind() == ErrorKind::ReadOnly && self.limits.needs_primary && !is_meant {
            self.give_up();
        }
    }
}

impl Running<'_> {
    /// The statement has ended.
    pub(crate) fn end(self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }

    /// The statement has failed: it has ended if the server says so, or if it was never sent.
    pub(crate) fn failed(self, error: tokio_postgres::Error, stage: Stage) -> Error {
        let is_ours = error.source().is_some_and(<dyn StdError>::is::<Error>);
        let is_server = error.as_db_error().is_some();
        let is_last = is_last(&error);
        let made = store_error(error, stage);
        if is_server {
            self.0.note(&made);
        }
        // The end of the connection is on its way, or the two sides do not understand each other: it
        // must not be handed on before it is seen to be closed.
        if is_last || !(is_server || is_ours) {
            self.0.give_up();
        }
        if is_server || is_ours {
            self.end();
        }
        made
    }
}

/// The text of a statement, written when it is first needed.
enum Sql<F> {
    Unwritten(Option<F>),
    Written(String),
}

impl<F: FnOnce() -> String> Sql<F> {
    fn text(&mut self) -> &str {
        if let Self::Unwritten(write) = self {
            *self = Self::Written(write.take().map_or_else(String::new, |write| write()));
        }
        match self {
            Self::Written(text) => text,
            Self::Unwritten(_) => "",
        }
    }
}
