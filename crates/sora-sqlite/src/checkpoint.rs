//! Moves what the write-ahead log holds into the file, out of the way of the commits.
//!
//! A thread of its own does so while the writing one goes on. It cannot start the log over: as long
//! as somebody writes, there is always something behind what it has moved. So the writing thread stops
//! between two commits, moves the rest, flushes the file and waits until no reader needs the log any
//! more; the next commit begins it anew. It does so when little is left to move, and however much it
//! is when the log is near its bound.
//!
//! A log that starts over while it is short is written over instead of made longer: then a flush of a
//! commit has no new blocks of the file to write down, which took most of its time.

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
    /// Between two commits, at most so many frames are moved.
    rest_frames: u64,
    /// The log is looked at when so much may have been added since.
    look_bytes: u64,
    /// What was written since the last look.
    added_bytes: u64,
    /// Rows that were changed until then, by triggers and references too.
    looked_at: u64,
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
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    Pass,
    End,
}

/// Room for the commit that reaches the bound: many single writes fit into it.
const ROOM_BYTES: u64 = 16 << 20;
/// What is moved at once. It takes some milliseconds.
const PASS_BYTES: u64 = 4 << 20;
/// What is moved between two commits, once a pass has moved the most. It takes a few milliseconds.
const REST_BYTES: u64 = PASS_BYTES / 2;
/// What a small row adds to the log: its page, and some of indexes.
const ROW_BYTES: u64 = 16 << 10;
/// How long the writing thread waits for readers that still need the log, at its bound.
const READERS_WAIT: Duration = Duration::from_millis(20);
/// How long it waits for them before.
const READERS_WAIT_SHORT: Duration = Duration::from_millis(1);

impl Checkpoints {
    /// Starts the thread beside a connection that writes.
    ///
    /// # Errors
    ///
    /// Those of opening the connection.
    pub(crate) fn start(writing: &Connection, config: &SqliteConfig) -> Result<Self> {
        let page_bytes: i64 =
            writing.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(store_error)?;
        // Each page stands in the log with a head of 24 bytes.
        let frame_bytes = page_bytes.unsigned_abs() + 24;
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
        let pass_frames = PASS_BYTES.min(bytes_max / 8) / frame_bytes;
        Ok(Self {
            shared,
            thread: Some(thread),
            frames_max: (bytes_max - ROOM_BYTES.min(bytes_max / 4)) / frame_bytes,
            pass_frames,
            look_bytes: PASS_BYTES.min(bytes_max / 8) / 16,
            added_bytes: 0,
            looked_at: 0,
            rest_frames: REST_BYTES.min(bytes_max / 16) / frame_bytes,
            again_at: 0,
            busy_timeout: Duration::from_millis(config.busy_timeout_ms.into()),
        })
    }

    /// Looks at the log behind a commit of rows of so many bytes, or of what cannot be told: asks for
    /// a pass, or starts the log over.
    pub(crate) fn look(&mut self, writing: &Connection, added: Option<u64>) {
        if !self.is_due(writing, added) {
            return;
        }
        // It moves nothing, and tells what there is.
        let Ok(now) = checkpoint(writing, "PRAGMA wal_checkpoint(NOOP)") else { return };
        if now.frames + self.pass_frames < self.again_at {
            // It was begun anew since.
            self.again_at = 0;
        }
        let rest = now.frames - now.done.min(now.frames);
        let started_over = if now.frames >= self.frames_max.max(self.again_at) {
            let _moving = self.shared.moving();
            self.start_over(writing, READERS_WAIT)
        } else if rest >= self.pass_frames {
            return self.shared.ask(Asked::Pass);
        } else if now.frames >= self.pass_frames.max(self.again_at)
            && (1..=self.rest_frames).contains(&rest)
            // While the thread moves, it is not known what it will leave.
            && let Ok(_moving) = self.shared.moving.try_lock()
        {
            self.start_over(writing, READERS_WAIT_SHORT)
        } else {
            return;
        };
        self.again_at = match started_over {
            true => 0,
            // A reader holds the log. It grows until the reader is done.
            false => now.frames + self.pass_frames,
        };
    }

    /// Whether enough may have been added for a look, which takes as long as a tenth of a small write:
    /// SQLite prepares the statement anew each time.
    fn is_due(&mut self, writing: &Connection, added: Option<u64>) -> bool {
        let rows = writing.total_changes();
        self.added_bytes = self.added_bytes.saturating_add(added.unwrap_or(u64::MAX));
        let pages_bytes = rows.saturating_sub(self.looked_at).saturating_mul(ROW_BYTES);
        let is_due = self.added_bytes.saturating_add(pages_bytes) >= self.look_bytes;
        if is_due {
            self.added_bytes = 0;
            self.looked_at = rows;
        }
        is_due
    }

    /// Moves all that is left and says whether the next commit begins the log anew.
    fn start_over(&self, writing: &Connection, wait: Duration) -> bool {
        let _ = writing.busy_timeout(wait);
        let moved = checkpoint(writing, "PRAGMA wal_checkpoint(RESTART)");
        let _ = writing.busy_timeout(self.busy_timeout);
        moved.is_ok_and(|moved| !moved.is_busy && moved.done == moved.frames)
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
        let _ = checkpoint(db, "PRAGMA wal_checkpoint(PASSIVE)");
        drop(moving);
        let mut asked = shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if *asked == Asked::Pass {
            *asked = Asked::Nothing;
        }
    }
}

/// What a checkpoint tells.
struct Log {
    /// Whether somebody was in the way.
    is_busy: bool,
    /// Frames in the log.
    frames: u64,
    /// Frames that are in the file.
    done: u64,
}

fn checkpoint(db: &Connection, text: &str) -> rusqlite::Result<Log> {
    let mut statement = db.prepare_cached(text)?;
    statement.query_row([], |row| {
        // −1 if there is no log.
        let frames = |at| row.get(at).map(|frames: i64| u64::try_from(frames).unwrap_or(0));
        Ok(Log { is_busy: row.get::<_, i64>(0)? != 0, frames: frames(1)?, done: frames(2)? })
    })
}
