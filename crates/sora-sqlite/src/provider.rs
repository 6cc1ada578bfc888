//! The provider: which connection does what.

use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread::JoinHandle;

use sora_core::plan::Negotiation;
use sora_core::provider::{
    Administer, Administered, Capability, Provider, Session, SessionOptions,
};
use sora_core::read::{Read, ReadReport};
use sora_core::write::{Outcome, Write, WriteReport};
use sora_core::{Error, ErrorKind, LiveTable, Result, Retry, RowSink};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::chunk;
use crate::config::{Place, SqliteConfig};
use crate::connection::{Link, Role};
use crate::failure::store_error;
use crate::gathering::{Gatherings, is_of_one_key};
use crate::gauge::{Gauges, Place as GaugePlace};
use crate::held::Held;
use crate::inline::{Pool, Small};
use crate::line::{Line, Turn};
use crate::session::SqliteSession;
use crate::worker::{self, Caller, Job, Worker};
use crate::write::Written;
use crate::{describe, ensure, explain, negotiate};

/// A SQLite database.
///
/// One connection writes, on a thread of its own, first come first served: writes that wait together
/// are committed together, a session has the connection for itself. Look-ups by key, and pages of up to
/// 128 rows whose query has shown to be fast, run on the thread of their caller while they are;
/// everything else on reading threads, first come first served. Where many tasks of a runtime look up
/// single keys at once, those of a thread read them together, in one transaction. A database in memory
/// has one connection for all.
///
/// Its futures need no runtime of their own. Dropping one that reads stops the statement; one that
/// has begun to write is done to its end, one that has not is not begun. Dropping the last handle
/// waits for what still runs.
#[derive(Debug)]
pub struct Sqlite(Arc<Shared>);

/// What the provider and its sessions share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<SqliteConfig>,
    gauges: Arc<Gauges>,
    // From here on in the order in which they are dropped: the end of a queue ends its threads, and
    // the writing connection is closed last, because the last one tidies up behind the others.
    /// None if the database is in memory.
    readers: Option<mpsc::Sender<Job>>,
    reading: Threads,
    inline: Pool,
    gatherings: Gatherings,
    /// Who waits for the writing connection.
    line: Arc<Line>,
    _writing: Threads,
}

/// Threads that are waited for when this is dropped.
#[derive(Debug)]
struct Threads(Vec<JoinHandle<()>>);

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
                    .map(|_| {
                        let link = Link::open(&for_inline, Role::Inline)?;
                        Ok(Held::new(link, &for_inline))
                    })
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
            gauges: Arc::default(),
            readers: None,
            reading: Threads(Vec::new()),
            inline: Pool::new(links),
            gatherings: Gatherings::new(Pool::links_wanted()),
            line: Arc::new(Line::new(&config, writer)),
            _writing: Threads(vec![thread]),
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
            self.reading.0.push(thread);
        }
        Ok(())
    }

    /// Waits for the writing connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] after the configured time.
    pub(crate) async fn exclusive(&self) -> Result<Turn> {
        self.line.turn().await
    }

    /// Gives the writing thread something to do for whoever has the connection.
    pub(crate) fn to_writer(&self, job: Job) -> Result<()> {
        self.line.send(job)
    }

    /// Runs something on the writing thread for whoever has the connection; it runs to its end even
    /// if nobody waits.
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
            Some(readers) => match readers.try_send(job) {
                Ok(()) => Ok(()),
                Err(TrySendError::Closed(_)) => Err(chunk::gone()),
                Err(TrySendError::Full(job)) => queue(readers.clone(), job).await,
            },
            None => {
                let turn = self.exclusive().await?;
                self.to_writer(Box::new(move |worker| {
                    job(worker);
                    drop(turn);
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

    /// Runs a small read here and now, if a connection is free and it ends in time; `None` if not.
    fn read_inline(
        &self,
        read: &Read,
        (small, place): (Small, GaugePlace),
        sink: &mut dyn RowSink,
    ) -> Option<Result<ReadReport>> {
        let mut link = self.inline.free()?;
        let start_us = self.config.clock.now_us();
        let until_us = match small {
            // To stop it would take longer than to let it end.
            Small::Lookup => u64::MAX,
            Small::Page => start_us.saturating_add(self.config.inline_us_max),
        };
        let done = link.run_until(until_us, read, sink);
        self.gauges.at(place).note(&self.config, start_us);
        match done {
            // Somebody holds a lock, which a thread may wait for, or it took too long.
            Some(Err(error)) if error.kind() == ErrorKind::Busy => sink.reset(),
            None => sink.reset(),
            done => return done,
        }
        None
    }

    /// Has a look-up wait for a turn of the other tasks, and runs it with theirs; `None` if it is to
    /// run on a thread.
    async fn read_gathered(
        &self,
        read: &Read,
        sink: &mut dyn RowSink,
    ) -> Option<Result<ReadReport>> {
        let (gathering, number) = self.gatherings.here();
        let ticket = gathering.put_down(read, &self.config)?;
        let gauge = self.gauges.at(GaugePlace::Lookups);
        for _ in 0..GATHERED_TURNS_MAX {
            tokio::task::yield_now().await;
            if ticket.turn(&self.config, gauge, || self.inline.free_at(number)) {
                let answer = ticket.answer().await;
                let _ = Small::Lookup.spend(true).await;
                return answer.deliver(sink);
            }
        }
        None
    }

    /// Runs a read on a thread, and pushes what it sends into the sink.
    async fn read_on_thread(
        &self,
        read: &Read,
        place: Option<GaugePlace>,
        sink: &mut dyn RowSink,
    ) -> Result<ReadReport> {
        let (sender, receiver) = chunk::channel(read);
        let (_caller, waiting) = Caller::new();
        let job_read = read.clone();
        let gauge = place.map(|place| (self.gauges.clone(), place));
        let job: Job = Box::new(move |worker| {
            let gauge = gauge.as_ref().map(|(gauges, place)| gauges.at(*place));
            worker.look(waiting, |worker| worker.read(&job_read, gauge, &sender));
        });
        self.to_reader(job).await?;
        chunk::receive(receiver, sink).await
    }
}

/// Turns of the other tasks that a look-up waits for a connection.
const GATHERED_TURNS_MAX: usize = 4;

/// Waits for a place in the queue.
///
/// A task of its own does: whoever reads ahead may not be polled for long, and would keep the place
/// that it was given from others.
async fn queue(readers: mpsc::Sender<Job>, job: Job) -> Result<()> {
    if Handle::try_current().is_err() {
        return readers.send(job).await.map_err(|_| chunk::gone());
    }
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { readers.send(job).await.is_ok() });
    match waiting.join_next().await {
        Some(Ok(true)) => Ok(()),
        _ => Err(chunk::gone()),
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
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
        capability.aggregates = true;
        capability.atomic_writes = true;
        capability.count = true;
        capability.keyset = true;
        capability.keys_max = 10_000;
        capability.native = true;
        capability.read_only = self.0.config.read_only;
        capability.reads_ahead = self.0.readers.is_some();
        capability.residual = true;
        capability.returning = true;
        capability.rows_max = 50_000;
        capability.transactions = true;
        capability.writer_wait_ms = Some(self.0.config.busy_timeout_ms);
        capability
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        negotiate::negotiate(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        let shared = &self.0;
        // A database in memory has no connection but one.
        let small = Small::of(read).filter(|_| shared.readers.is_some());
        let small = small.map(|small| (small, shared.gauges.place(read, small)));
        if let Some((small, place)) = small
            && shared.config.inline_us_max > 0
            && shared.gauges.at(place).is_inline()
        {
            let is_page = small == Small::Page;
            let is_wanted =
                (!is_page && shared.gatherings.is_open()) || small.spend(is_page).await.is_err();
            let done = if is_wanted && is_of_one_key(read) {
                // Apart, as the last.
                Box::pin(shared.read_gathered(read, sink)).await
            } else {
                if is_wanted {
                    let _ = small.spend(true).await;
                }
                shared.read_inline(read, (small, place), sink)
            };
            if let Some(done) = done {
                return done;
            }
        }
        // Apart, so that the future of an inline read is small.
        Box::pin(shared.read_on_thread(read, small.map(|(_, place)| place), sink)).await
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        self.0.check_writable()?;
        if write.change.is_empty() {
            return Ok(WriteReport::default());
        }
        Ok(deliver(self.0.line.write(write.clone()).await?, sink))
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
                let schema = schema.clone();
                let ensured =
                    self.0.line.once(move |worker| ensure::ensure(&mut worker.link, &schema));
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
