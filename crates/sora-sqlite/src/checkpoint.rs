//! Moves what the write-ahead log holds into the file, out of the way of the commits.
//!
//! A thread of its own does so while the writing one goes on. It cannot start the log over: as long
//! as somebody writes, there is always something behind what it has moved. So when the log is near its
//! bound, the writing thread stops between two commits, moves the rest, flushes the file and waits
//! until no reader needs the log any more; the next commit begins it anew.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use sora_core::{Error, ErrorKind, Result};

use crate::config::SqliteConfig;
use crate::connection::{Link, Role};
use crate::failure::store_error;

/// Keeps the log of a writing connection within its bound.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// From this length on the log is started over.
    frames_max: u64,
    /// So many frames are moved at once, not fewer.
    pass_frames: u64,
    /// The length of the log behind the last commit.
    last: u64,
    /// The length at which it is tried again, because a reader still needed the log.
    again_at: u64,
    busy_timeout: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<Asked>,
    changed: Condvar,
    /// Held by whoever moves frames.
    moving: Mutex<()>,
    /// Frames of the log that are moved.
    moved: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    Pass,
    End,
}

thread_local! {
    /// Frames in the log behind the last commit of this thread. The hook that tells them cannot hold
    /// anything in all versions of rusqlite.
    static FRAMES: Cell<u64> = const { Cell::new(0) };
}

/// Room for the commit that reaches the bound: many single writes fit into it.
const ROOM_BYTES: u64 = 16 << 20;
/// What is moved at once. It takes some milliseconds.
const PASS_BYTES: u64 = 4 << 20;
/// How long the writing thread waits for readers that still need the log.
const READERS_WAIT: Duration = Duration::from_millis(20);

impl Checkpoints {
    /// Starts the thread. Both connections are of one file in WAL mode; `writing` is used by this
    /// thread.
    ///
    /// # Errors
    ///
    /// Those of opening the connection.
    pub(crate) fn start(writing: &mut Connection, config: &SqliteConfig) -> Result<Self> {
        let page_bytes: i64 =
            writing.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(store_error)?;
        // Each page stands in the log with a head of 24 bytes.
        let frame_bytes = page_bytes.unsigned_abs() + 24;
        watch(writing).map_err(store_error)?;
        let shared = Arc::new(Shared::default());
        let link = Link::open(config, Role::Checkpoint)?;
        let for_thread = shared.clone();
        let run = move || move_when_asked(&link.db, &for_thread);
        let thread = std::thread::Builder::new()
            .name("sora-sqlite-checkpoint".into())
            .spawn(run)
            .map_err(|error| {
            Error::new(ErrorKind::Store, "a thread for SQLite cannot be started").with_source(error)
        })?;
        let bytes_max = config.wal_bytes_max;
        Ok(Self {
            shared,
            thread: Some(thread),
            frames_max: (bytes_max - ROOM_BYTES.min(bytes_max / 4)) / frame_bytes,
            pass_frames: PASS_BYTES.min(bytes_max / 8) / frame_bytes,
            last: 0,
            again_at: 0,
            busy_timeout: Duration::from_millis(config.busy_timeout_ms.into()),
        })
    }

    /// Looks at the log behind a commit: asks for a pass, or starts the log over.
    pub(crate) fn look(&mut self, writing: &Connection) {
        let frames = FRAMES.replace(0);
        if frames == 0 {
            return;
        }
        if frames < std::mem::replace(&mut self.last, frames) {
            // It was begun anew since, by this thread or because all was moved.
            self.again_at = 0;
        }
        // More than there are were moved of the log before.
        let moved = self.shared.moved.load(Ordering::Relaxed);
        let left = frames.checked_sub(moved).unwrap_or(frames);
        if frames >= self.frames_max.max(self.again_at) {
            self.again_at = match self.start_over(writing) {
                true => 0,
                // A reader holds the log. It grows beyond its bound until the reader is done.
                false => frames + self.pass_frames,
            };
        } else if left >= self.pass_frames {
            self.shared.ask(Asked::Pass);
        }
    }

    /// Moves all that is left and says whether the next commit begins the log anew.
    fn start_over(&self, writing: &Connection) -> bool {
        let _moving = self.shared.moving();
        let _ = writing.busy_timeout(READERS_WAIT);
        let moved = checkpoint(writing, "PRAGMA wal_checkpoint(RESTART)");
        let _ = writing.busy_timeout(self.busy_timeout);
        let Ok(moved) = moved else { return false };
        let is_new = !moved.is_busy && moved.done == moved.frames;
        self.shared.moved.store(moved.done, Ordering::Relaxed);
        is_new
    }
}

impl Shared {
    fn ask(&self, asked: Asked) {
        let mut now = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if *now == Asked::Nothing || asked == Asked::End {
            *now = asked;
            drop(now);
            self.changed.notify_one();
        }
    }

    fn moving(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.shared.ask(Asked::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn move_when_asked(db: &Connection, shared: &Shared) {
    loop {
        let mut asked = shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        while *asked == Asked::Nothing {
            asked = shared.changed.wait(asked).unwrap_or_else(PoisonError::into_inner);
        }
        if *asked == Asked::End {
            return;
        }
        drop(asked);
        let moving = shared.moving();
        // One that fails is tried again with the next commits, and by the writing thread at last.
        if let Ok(moved) = checkpoint(db, "PRAGMA wal_checkpoint(PASSIVE)") {
            shared.moved.store(moved.done, Ordering::Relaxed);
        }
        drop(moving);
        let mut asked = shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if *asked == Asked::Pass {
            *asked = Asked::Nothing;
        }
    }
}

/// What a checkpoint did.
struct Moved {
    /// Whether somebody was in the way.
    is_busy: bool,
    /// Frames in the log.
    frames: u64,
    /// Frames that are in the file.
    done: u64,
}

fn checkpoint(db: &Connection, text: &str) -> rusqlite::Result<Moved> {
    let mut statement = db.prepare_cached(text)?;
    statement.query_row([], |row| {
        // −1 if there is no log.
        let frames = |at| row.get(at).map(|frames: i64| u64::try_from(frames).unwrap_or(0));
        Ok(Moved { is_busy: row.get::<_, i64>(0)? != 0, frames: frames(1)?, done: frames(2)? })
    })
}

/// Has a connection note the length of the log behind each commit; it takes the place of SQLite's own
/// checkpoints inside of commits.
fn watch(db: &mut Connection) -> rusqlite::Result<()> {
    db.wal_hook(Some(|_: &mut rusqlite::hooks::Wal, frames: std::ffi::c_int| {
        FRAMES.set(u64::try_from(frames).unwrap_or(0));
        Ok(())
    }))
}
