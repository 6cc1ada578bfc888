//! Small reads on the thread of their caller.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use rusqlite::Connection;
use sora_core::read::{Access, Output, Pace, Read};
use tokio::task::coop;

use crate::config::Clock;
use crate::held::Held;

/// Connections for inline reads, each used by one thread at a time.
#[derive(Debug)]
pub(crate) struct Pool {
    links: Box<[Mutex<Held>]>,
}

/// A read so small that a thread's hop may cost more than the read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Small {
    /// A few keys: known to be fast, if the file is in memory.
    Lookup,
    /// A few rows. Whether an index finds them is seen when it is run.
    Page,
}

/// A task has used up its part of the runtime's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsedUp;

/// By when what runs inline must be over. What is not is stopped, and runs on a thread instead.
#[derive(Clone, Debug)]
pub(crate) struct Bound(Arc<Until>);

#[derive(Debug)]
struct Until {
    until_us: AtomicU64,
    is_passed: AtomicBool,
}

/// Keys of one look-up that still count as few.
const KEYS_MAX: usize = 4;

/// Rows of a page that still count as few.
const ROWS_MAX: u64 = 128;

/// Instructions of SQLite's machine between two looks at the clock: some rows.
const INSTRUCTIONS_PER_LOOK: i32 = 100;

impl Pool {
    /// The most connections: more threads than that hardly read at the same moment.
    const LINKS_MAX: usize = 8;

    /// How many connections suit this machine.
    pub(crate) fn links_wanted() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from).min(Self::LINKS_MAX)
    }

    pub(crate) fn new(links: Vec<Held>) -> Self {
        Self { links: links.into_iter().map(Mutex::new).collect() }
    }

    /// Returns a connection that nobody uses now. One that panicked in use is left alone.
    pub(crate) fn free(&self) -> Option<MutexGuard<'_, Held>> {
        self.links.iter().find_map(|link| link.try_lock().ok())
    }

    /// The same, if possible the one of a number.
    pub(crate) fn free_at(&self, number: usize) -> Option<MutexGuard<'_, Held>> {
        let own = self.links.get(number).and_then(|link| link.try_lock().ok());
        own.or_else(|| self.free())
    }
}

impl Small {
    /// Says how a read is small, if it is.
    pub(crate) fn of(read: &Read) -> Option<Self> {
        if read.output != Output::Rows {
            return None;
        }
        match (&read.access, read.pace) {
            (Access::Keys(keys), Pace::Lookup) if keys.len() <= KEYS_MAX => Some(Self::Lookup),
            (Access::Scan, Pace::Page) if read.limit.is_some_and(|limit| limit <= ROWS_MAX) => {
                Some(Self::Page)
            }
            _ => None,
        }
    }

    /// Takes its part of the 128 units that tokio gives a task for each poll, so that inline reads in
    /// a loop let other tasks run. A runtime may poll a task twice between two polls of another one.
    ///
    /// # Errors
    ///
    /// If they are used up and it does not wait: others must run first.
    #[inline]
    pub(crate) fn spend(self, waits: bool) -> impl Future<Output = Result<(), UsedUp>> {
        let mut left = match self {
            Self::Lookup => 2,
            Self::Page => 64,
        };
        poll_fn(move |context| {
            while left > 0 {
                match pin!(coop::consume_budget()).poll(context) {
                    Poll::Ready(()) => left -= 1,
                    Poll::Pending if waits => return Poll::Pending,
                    Poll::Pending => return Poll::Ready(Err(UsedUp)),
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl Bound {
    /// Watches over the statements of a connection.
    pub(crate) fn watch(db: &mut Connection, clock: Clock) -> Self {
        let until = Until { until_us: AtomicU64::new(u64::MAX), is_passed: AtomicBool::new(false) };
        let bound = Self(Arc::new(until));
        let Self(until) = bound.clone();
        let is_over = move || {
            let until_us = until.until_us.load(Ordering::Relaxed);
            let is_over = until_us != u64::MAX && clock.now_us() > until_us;
            if is_over {
                until.is_passed.store(true, Ordering::Relaxed);
            }
            is_over
        };
        // It cannot fail on a connection of one's own, and returns nothing in some versions.
        let _ = db.progress_handler(INSTRUCTIONS_PER_LOOK, Some(is_over));
        bound
    }

    /// Sets the bound of what runs next; `u64::MAX` for none.
    pub(crate) fn set(&self, until_us: u64) {
        self.0.until_us.store(until_us, Ordering::Relaxed);
        self.0.is_passed.store(false, Ordering::Relaxed);
    }

    /// Whether what ran last was stopped.
    pub(crate) fn is_passed(&self) -> bool {
        self.0.is_passed.load(Ordering::Relaxed)
    }
}
