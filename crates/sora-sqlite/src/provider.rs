//! The provider: which connection does what.

use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread::JoinHandle;
use std::time::Duration;

use sora_core::plan::Negotiation;
use sora_core::provider::{
    Administer, Administered, Capability, Provider, Session, SessionOptions,
};
use sora_core::read::{Read, ReadReport};
use sora_core::write::{Outcome, Write, WriteReport};
use sora_core::{Error, ErrorKind, LiveTable, Result, Retry, RowSink};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::chunk;
use crate::config::{Place, SqliteConfig};
use crate::connection::{Link, Role};
use crate::deadline::Deadlines;
use crate::failure::store_error;
use crate::gauge::Gauge;
use crate::held::Held;
use crate::inline::{self, Pool};
use crate::session::{SqliteSession, busy};
use crate::worker::{self, Caller, Job, Worker};
use crate::write::Written;
use crate::{describe, ensure, explain, negotiate, write};

/// A SQLite database.
///
/// One connection writes, on a thread of its own, and gives each write or session the database for
/// itself. Look-ups by key run on the thread of their caller while they are fast, pages and scans on
/// reading threads, first come first served; a database in memory has one connection for all.
///
/// Its futures need no runtime of their own. Dropping one that reads stops the statement; one that
/// has begun to write is done to its end. Dropping the last handle waits for what still runs.
#[derive(Debug)]
pub struct Sqlite(Arc<Shared>);

/// What the provider and its sessions share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<SqliteConfig>,
    /// Not bounded: only the holder of the one permit sends, and whoever ends a session.
    writer: Option<blocking::Sender<Job>>,
    /// None if the database is in memory.
    readers: Option<mpsc::Sender<Job>>,
    inline: Pool,
    gauge: Arc<Gauge>,
    /// One permit: the right to the writing connection.
    exclusive: Arc<Semaphore>,
    deadlines: Deadlines,
    /// Those that read, and behind them the one that writes.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Sqlite {
    /// Opens a database. A file is looked into, and created if need be, on another thread.
    ///
    /// # Errors
    ///
    /// One that names the file, what is wrong with it and the remedy.
    pub async fn open(config: SqliteConfig) -> Result<Self> {
        let config = Arc::new(config.settle()?);
        let (writer, jobs) = blocking::channel::<Job>();
        let for_inline = config.clone();
        let inline = move |_: &mut Worker| -> Result<Vec<Held>> {
            match for_inline.place {
                Place::Memory => Ok(Vec::new()),
                Place::File(_) => (0..Pool::links_wanted())
                    .map(|_| Link::open(&for_inline, Role::Inline).map(Held::new))
                    .collect(),
            }
        };
        let (links, thread) = worker::start(
            "sora-sqlite-write".into(),
            config.clone(),
            Role::Write,
            inline,
            move || jobs.recv().ok(),
        )
        .await?;
        let mut shared = Shared {
            inline: Pool::new(links),
            writer: Some(writer),
            readers: None,
            gauge: Arc::default(),
            exclusive: Arc::new(Semaphore::new(1)),
            deadlines: Deadlines::default(),
            threads: Mutex::new(vec![thread]),
            config,
        };
        if matches!(shared.config.place, Place::File(_)) {
            shared.start_readers().await?;
        }
        Ok(Self(Arc::new(shared)))
    }
}

impl Shared {
    async fn start_readers(&mut self) -> Result<()> {
        let (readers, jobs) = mpsc::channel::<Job>(self.config.queue_max);
        self.readers = Some(readers);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..self.config.readers {
            let jobs = jobs.clone();
            // Whoever waits for a job holds the lock, the others wait for the lock.
            let next = move || jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let name = format!("sora-sqlite-read-{number}");
            let started =
                worker::start(name, self.config.clone(), Role::Page, |_| Ok(()), next).await;
            let ((), thread) = started?;
            self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).insert(0, thread);
        }
        Ok(())
    }

    /// Waits for the right to the writing connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] after the configured time.
    pub(crate) async fn exclusive(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = self.exclusive.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let wait = Duration::from_millis(self.config.busy_timeout_ms.into());
        match self.deadlines.within(wait, self.exclusive.clone().acquire_owned()).await {
            Some(Ok(permit)) => Ok(permit),
            Some(Err(_)) => Err(chunk::gone()),
            None => Err(busy(self.config.busy_timeout_ms)),
        }
    }

    pub(crate) fn to_writer(&self, job: Job) -> Result<()> {
        let sent = self.writer.as_ref().map(|writer| writer.send(job));
        sent.and_then(Result::ok).ok_or_else(chunk::gone)
    }

    /// Runs something on the writing thread; it runs to its end even if nobody waits.
    pub(crate) async fn on_writer<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Worker) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.to_writer(Box::new(move |worker| {
            let _ = reply.send(job(worker));
        }))?;
        answer.await.map_err(|_| chunk::gone())?
    }

    /// Runs something on whichever thread reads.
    async fn on_reader<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Worker) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let (_caller, waiting) = Caller::new();
        self.to_reader(Box::new(move |worker| {
            if let Some(done) = worker.look(waiting, job) {
                let _ = reply.send(done);
            }
        }))
        .await?;
        answer.await.map_err(|_| chunk::gone())?
    }

    async fn to_reader(&self, job: Job) -> Result<()> {
        match &self.readers {
            Some(readers) => readers.send(job).await.map_err(|_| chunk::gone()),
            None => {
                let permit = self.exclusive().await?;
                self.to_writer(Box::new(move |worker| {
                    job(worker);
                    drop(permit);
                }))
            }
        }
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        if !self.config.read_only {
            return Ok(());
        }
        let message = "the database was opened read-only";
        Err(Error::new(ErrorKind::ReadOnly, message).with("database", &*self.config))
    }

    /// Runs a look-up here and now, if it is one and a connection is free; `None` if not.
    fn read_inline(&self, read: &Read, sink: &mut dyn RowSink) -> Option<Result<ReadReport>> {
        if !self.gauge.is_inline() || self.config.inline_us_max == 0 {
            return None;
        }
        let mut link = self.inline.free()?;
        let start_us = self.config.clock.now_us();
        let pulled = std::sync::atomic::AtomicU64::new(0);
        let done = link.run(read, &pulled, sink);
        self.gauge.note(&self.config, start_us);
        match done {
            // Somebody holds a lock, which a thread may wait for.
            Err(error) if error.kind() == ErrorKind::Busy => {
                sink.reset();
                None
            }
            done => Some(done),
        }
    }

    /// Runs a read on a thread, and pushes what it sends into the sink.
    async fn read_on_thread(
        &self,
        read: &Read,
        small: bool,
        sink: &mut dyn RowSink,
    ) -> Result<ReadReport> {
        let (sender, receiver) = chunk::channel();
        let (_caller, waiting) = Caller::new();
        let job_read = read.clone();
        let gauge = small.then(|| self.gauge.clone());
        let job: Job = Box::new(move |worker| {
            worker.look(waiting, |worker| worker.read(&job_read, gauge.as_deref(), &sender));
        });
        self.to_reader(job).await?;
        chunk::receive(receiver, sink).await
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The end of the queues ends the threads; the writing one last, because the connection that
        // is closed last tidies up behind the others.
        self.readers = None;
        let mut threads =
            std::mem::take(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner));
        let writer = threads.pop();
        for thread in threads {
            let _ = thread.join();
        }
        self.inline = Pool::new(Vec::new());
        self.writer = None;
        if let Some(thread) = writer {
            let _ = thread.join();
        }
    }
}

impl Provider for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn capability(&self) -> Capability {
        let mut capability = Capability::NONE;
        capability.atomic_writes = true;
        capability.count = true;
        capability.keyset = true;
        capability.keys_max = 10_000;
        capability.read_only = self.0.config.read_only;
        capability.residual = true;
        capability.returning = true;
        capability.rows_max = 10_000;
        capability.transactions = true;
        capability
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        negotiate::negotiate(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        let shared = &self.0;
        let small = inline::is_small(read);
        if small && shared.readers.is_some() {
            // Inline reads in a loop would never let another task of the thread run. Two units of the
            // 128 that a task has for each poll: a runtime may poll a task twice between two polls of
            // another one.
            tokio::task::coop::consume_budget().await;
            tokio::task::coop::consume_budget().await;
            if let Some(done) = shared.read_inline(read, sink) {
                return done;
            }
        }
        // Apart, so that the future of an inline read is small.
        Box::pin(shared.read_on_thread(read, small, sink)).await
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        self.0.check_writable()?;
        if write.change.is_empty() {
            return Ok(WriteReport::default());
        }
        let permit = self.0.exclusive().await?;
        let job_write = write.clone();
        let written = self.0.on_writer(move |worker| {
            let written = write::run(&mut worker.link, &job_write);
            drop(permit);
            written
        });
        Ok(deliver(written.await?, sink))
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        let table = table.map(str::to_owned);
        self.0.on_reader(move |worker| describe::describe(&worker.link.db, table.as_deref())).await
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        match task {
            Administer::Ping => {
                let ping = |worker: &mut Worker| {
                    let one = worker.link.db.query_row("SELECT 1", [], |row| row.get::<_, i64>(0));
                    one.map_err(store_error)
                };
                self.0.on_reader(ping).await?;
                Ok(Administered::Answered)
            }
            Administer::Ensure(schema) => {
                self.0.check_writable()?;
                let permit = self.0.exclusive().await?;
                let schema = schema.clone();
                let ensured = self.0.on_writer(move |worker| {
                    let ensured = ensure::ensure(&mut worker.link, &schema);
                    drop(permit);
                    ensured
                });
                ensured.await.map(Administered::Ensured)
            }
            Administer::Explain { read, analyze } => {
                let (read, analyze) = (read.clone(), *analyze);
                let explained =
                    self.0.on_reader(move |worker| explain::explain(&worker.link, &read, analyze));
                explained.await.map(Administered::Explained)
            }
            Administer::Pools => Ok(Administered::Pools(Vec::new())),
            _ => {
                let message = "the SQLite provider does not know this task";
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        Ok(Box::new(SqliteSession::begin(self.0.clone(), options).await?))
    }
}

/// Hands the rows that a write returns to the caller's sink. They are written by then: of one that
/// the sink refuses nothing can be confirmed, and it is not undone either.
pub(crate) fn deliver(written: Written, sink: &mut dyn RowSink) -> WriteReport {
    let Written { mut report, rows } = written;
    // The outcomes of the rows that are returned, in order; of a write by filter the only one.
    let mut places = (0..report.outcomes.len()).filter(|at| report.outcomes[*at].is_written());
    let mut place = 0;
    let mut refused = None;
    for row in rows.iter() {
        place = places.next().unwrap_or(place);
        match sink.row(&row) {
            Ok(flow) if flow.is_continue() => {}
            Ok(_) => break,
            Err(error) => {
                refused = Some(error.with_retry(Retry::IfIdempotent));
                break;
            }
        }
    }
    if let (Some(error), Some(outcome)) = (refused, report.outcomes.get_mut(place)) {
        *outcome = Outcome::Unknown(error);
    }
    report
}
