//! The threads that own connections, and what they are given to do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use sora_core::read::{Pace, Read};
use sora_core::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot};

use crate::bulk::Cache;
use crate::checkpoint::Checkpoints;
use crate::chunk::{self, Chunk};
use crate::config::SqliteConfig;
use crate::connection::{Link, Role, tidier};
use crate::gauge::Gauge;
use crate::read;

/// Something for a thread to do.
pub(crate) type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// What a thread holds: the connection that it began with, and one for scans once it needs it.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Ends before the connection, which is closed behind all others. None if there is no log.
    checkpoints: Option<Checkpoints>,
    pub(crate) link: Link,
    pub(crate) cache: Cache,
    pub(crate) config: Arc<SqliteConfig>,
    role: Role,
    scan: Option<Link>,
    watch: Watch,
    /// The log was looked at behind the last commit.
    has_looked: bool,
    /// Closed behind all others.
    _tidier: Option<Connection>,
}

/// Whether somebody still waits for the statement that runs now. It looks now and then, and stops if
/// nobody does: an interrupt from outside could hit the next job instead.
type Watch = Arc<Mutex<Option<Waiting>>>;

/// Whether the caller of a job still waits for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<AtomicBool>);

/// Tells, when the caller's future ends or is dropped, that nobody waits any more.
#[derive(Debug)]
pub(crate) struct Caller(Waiting);

impl Caller {
    /// Returns the caller's end and the job's.
    pub(crate) fn new() -> (Self, Waiting) {
        let waiting = Waiting::default();
        (Self(waiting.clone()), waiting)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Instructions of SQLite's machine between two looks, some ten microseconds.
const INSTRUCTIONS_PER_LOOK: i32 = 1_000;

impl Worker {
    pub(crate) fn open(config: Arc<SqliteConfig>, role: Role) -> Result<Self> {
        let watch = Watch::default();
        let is_clean = role == Role::Write && config.read_only && !config.has_log();
        let link = watched(Link::open(&config, role)?, &watch);
        let has_log = role == Role::Write && !config.read_only && config.path().is_some();
        let checkpoints = has_log.then(|| Checkpoints::start(&link.db, &config)).transpose()?;
        let tidy = if is_clean { tidier(&link.db, &config) } else { None };
        let cache = Cache::new(&config);
        Ok(Self {
            checkpoints,
            link,
            cache,
            config,
            role,
            scan: None,
            watch,
            has_looked: false,
            _tidier: tidy,
        })
    }

    /// Looks at the log, if a commit may just have been done: of rows of so many bytes, if that can be
    /// told.
    pub(crate) fn look_at_log(&mut self, added: Option<u64>) {
        if let Some(checkpoints) = &mut self.checkpoints
            && self.link.db.is_autocommit()
        {
            checkpoints.look(&self.link.db, added);
            self.has_looked = true;
        }
    }

    /// Does something that only reads, unless nobody waits for it; what runs for long is stopped
    /// once nobody does.
    pub(crate) fn look<T>(
        &mut self,
        waiting: Waiting,
        job: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        if waiting.is_over() {
            return None;
        }
        set(&self.watch, Some(waiting));
        let done = job(self);
        set(&self.watch, None);
        Some(done)
    }

    /// Runs a read and sends its rows; takes note of the time of a look-up.
    pub(crate) fn read(
        &mut self,
        read: &Read,
        gauge: Option<&Gauge>,
        chunks: &mpsc::Sender<Chunk>,
    ) {
        chunk::send(read, chunks, |pulled, sink| {
            let config = self.config.clone();
            let start_us = gauge.map(|_| config.clock.now_us());
            let done = self
                .link_for(read.pace)
                .and_then(|Link { db, statements }| read::run(db, statements, read, pulled, sink));
            if let (Some(gauge), Some(start_us)) = (gauge, start_us) {
                gauge.note(&config, start_us);
            }
            done
        });
    }

    fn link_for(&mut self, pace: Pace) -> Result<&mut Link> {
        if pace != Pace::Scan || self.role == Role::Write {
            return Ok(&mut self.link);
        }
        let scan = match self.scan.take() {
            Some(scan) => scan,
            None => watched(Link::open(&self.config, Role::Scan)?, &self.watch),
        };
        Ok(self.scan.insert(scan))
    }
}

/// Starts a thread that opens a connection and then does what it is given, first come first served.
///
/// # Errors
///
/// Those of opening the connection.
pub(crate) async fn start<T: Send + 'static>(
    name: String,
    config: Arc<SqliteConfig>,
    role: Role,
    prepare: impl FnOnce(&mut Worker) -> Result<T> + Send + 'static,
    mut next: impl FnMut() -> Option<Job> + Send + 'static,
) -> Result<(T, JoinHandle<()>)> {
    let (ready, opened) = oneshot::channel();
    let run = move || {
        let worker = Worker::open(config, role)
            .and_then(|mut worker| prepare(&mut worker).map(|prepared| (worker, prepared)));
        let mut worker = match worker {
            Ok((worker, prepared)) => {
                // Whoever opens the store may have given up; then there are no jobs either.
                let _ = ready.send(Ok(prepared));
                worker
            }
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        while let Some(job) = next() {
            job(&mut worker);
            if !std::mem::take(&mut worker.has_looked) {
                worker.look_at_log(None);
                worker.has_looked = false;
            }
        }
    };
    let thread = std::thread::Builder::new().name(name).spawn(run).map_err(|error| {
        Error::new(ErrorKind::Store, "a thread for SQLite cannot be started").with_source(error)
    })?;
    let prepared = opened.await.map_err(|_| chunk::gone())??;
    Ok((prepared, thread))
}

fn watched(mut link: Link, watch: &Watch) -> Link {
    let watch = watch.clone();
    let abandoned = move || {
        let waiting = watch.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.as_ref().is_some_and(Waiting::is_over)
    };
    let db = &mut link.db;
    // It cannot fail on a connection of one's own, and returns nothing in some versions.
    let _ = db.progress_handler(INSTRUCTIONS_PER_LOOK, Some(abandoned));
    link
}

fn set(watch: &Watch, waiting: Option<Waiting>) {
    *watch.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
}
