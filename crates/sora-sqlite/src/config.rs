//! How a database is opened.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use sora_core::{Error, ErrorKind, Result, Retry};

/// What to open, and how.
///
/// The setters return the changed value:
///
/// ```
/// use sora_sqlite::{SqliteConfig, Synchronous};
///
/// let config = SqliteConfig::file("cities.db")?.synchronous(Synchronous::Normal).readers(4);
/// # Ok::<_, sora_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    pub(crate) place: Place,
    pub(crate) read_only: bool,
    pub(crate) synchronous: Synchronous,
    pub(crate) readers: usize,
    pub(crate) busy_timeout_ms: u32,
    pub(crate) mmap_bytes: u64,
    pub(crate) cache_bytes: u32,
    pub(crate) bulk_cache_bytes: u32,
    pub(crate) queue_max: usize,
    pub(crate) group_writes_max: usize,
    pub(crate) group_rows_max: usize,
    pub(crate) statements_max: usize,
    pub(crate) inline_us_max: u64,
    pub(crate) wal_bytes_max: u64,
    pub(crate) clock: Clock,
}

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// When it is on the disk. The default.
    #[default]
    Full,
    /// When the operating system has it: a loss of power can undo the last commits, but leaves the
    /// database whole.
    Normal,
}

/// What is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file.
    File(PathBuf),
    /// Memory that nobody else sees.
    Memory,
}

/// The clock by which inline reads are timed, in microseconds from any start; tests set their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl SqliteConfig {
    /// Reads the address of a store: `sqlite:PATH` or `sqlite::memory:`.
    ///
    /// The path is a plain path: nothing in it is decoded, and no parameters can follow it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it is not such an address.
    pub fn parse(address: &str) -> Result<Self> {
        match address.strip_prefix("sqlite:") {
            Some(":memory:") => Ok(Self::memory()),
            Some(path) if path.starts_with("//") && !path.starts_with("///") => {
                // Tools disagree whether this is beside them or at the root.
                let message = format!(
                    "{address:?} is not a path of a SQLite database: write sqlite:PATH without //, \
                     such as sqlite:cities.db or sqlite:/var/lib/cities.db"
                );
                Err(Error::new(ErrorKind::InvalidInput, message))
            }
            Some(path) => Self::file(path),
            None => {
                let message = format!(
                    "{address:?} is not the address of a SQLite database, which is sqlite:PATH or \
                     sqlite::memory:"
                );
                Err(Error::new(ErrorKind::InvalidInput, message))
            }
        }
    }

    /// Opens a file; it is created if it is not there and the database is not read-only.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the path is empty or holds a NUL.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if path.as_os_str().is_empty() {
            let message = "the path of the SQLite database is empty; write sqlite:PATH, or \
                           sqlite::memory: for one that is gone at the end";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            let message = "the path of the SQLite database contains a NUL";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(Self::new(Place::File(path)))
    }

    /// Opens an empty database in memory that nobody else sees. One connection reads and writes it.
    pub fn memory() -> Self {
        Self::new(Place::Memory)
    }

    /// Opens the file to read it alone: nothing is changed, not even its journal mode. Off by
    /// default.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets when a commit counts as done: [`Synchronous::Full`] by default.
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Sets the number of threads that read, 1 to 64; 2 by default.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.clamp(1, 64);
        self
    }

    /// Sets how long a write waits for another, of this process or of others: 5,000 by default.
    pub fn busy_timeout_ms(mut self, busy_timeout_ms: u32) -> Self {
        self.busy_timeout_ms = busy_timeout_ms;
        self
    }

    /// Sets how much of the file look-ups and pages read through mapped memory: 1 GiB by default, 0
    /// switches it off.
    ///
    /// It makes them up to 2.7 times as fast. The catch: an I/O error of the disk, or another
    /// program that truncates the file, ends the process by a SIGBUS signal instead of an error.
    /// Scans do not map, because mapped pages count as memory of the process.
    pub fn mmap_bytes(mut self, mmap_bytes: u64) -> Self {
        self.mmap_bytes = mmap_bytes;
        self
    }

    /// Sets the page cache of each connection: 2 MiB by default.
    pub fn cache_bytes(mut self, cache_bytes: u32) -> Self {
        self.cache_bytes = cache_bytes;
        self
    }

    /// Sets the page cache of the writing connection while it writes 1,000 rows and more at once:
    /// 64 MiB by default. It is given back when the next smaller write comes.
    pub fn bulk_cache_bytes(mut self, bulk_cache_bytes: u32) -> Self {
        self.bulk_cache_bytes = bulk_cache_bytes;
        self
    }

    /// Sets how many reads wait for a reading thread, and how many writes for the writing one, before
    /// callers wait for a place: 1,024 by default, at least 1.
    pub fn queue_max(mut self, queue_max: usize) -> Self {
        self.queue_max = queue_max.max(1);
        self
    }

    /// Sets how many writes are committed together: 256 by default, at least 1.
    ///
    /// Writes that arrive while others are committed go with the next commit. Each keeps its own
    /// outcome, and is answered when its commit is as durable as one of its own.
    pub fn group_writes_max(mut self, group_writes_max: usize) -> Self {
        self.group_writes_max = group_writes_max.max(1);
        self
    }

    /// Sets how many rows of several writes are committed together: 10,000 by default. A write of
    /// more rows is committed alone.
    pub fn group_rows_max(mut self, group_rows_max: usize) -> Self {
        self.group_rows_max = group_rows_max;
        self
    }

    /// Sets how many prepared statements each connection keeps: 128 by default, at least 1.
    pub fn statements_max(mut self, statements_max: usize) -> Self {
        self.statements_max = statements_max.max(1);
        self
    }

    /// Sets how long a look-up, or a page of up to 128 rows, may hold the thread of its caller: 200
    /// microseconds by default. After a longer one, look-ups run on the reading threads until they are
    /// fast again; so do pages of the same shape, and those begin there. 0 runs all of them there.
    pub fn inline_us_max(mut self, inline_us_max: u64) -> Self {
        self.inline_us_max = inline_us_max;
        self
    }

    /// Sets how large the write-ahead log grows: 128 MiB by default, at least 1 MiB.
    ///
    /// A thread of its own moves what the log holds into the file while others write. When it has moved
    /// nearly all, the next write waits some milliseconds for the rest, and the log starts over at a few
    /// MiB. Under constant writing it grows to this bound; there writes wait until all is moved and the
    /// file is on the disk: some tens of milliseconds on a common disk. The larger the bound, the rarer
    /// that is.
    ///
    /// Two things make the log longer for a while: a transaction that alone changes more, and a reader
    /// that stays in one transaction: another program, or a read that is no keyset page. The log
    /// starts over once they are done, and is cut then.
    pub fn wal_bytes_max(mut self, wal_bytes_max: u64) -> Self {
        self.wal_bytes_max = wal_bytes_max.max(1 << 20);
        self
    }

    /// Sets the clock by which inline reads are timed; for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            read_only: false,
            synchronous: Synchronous::default(),
            readers: 2,
            busy_timeout_ms: 5_000,
            mmap_bytes: 1 << 30,
            cache_bytes: 2 << 20,
            bulk_cache_bytes: 64 << 20,
            queue_max: 1_024,
            group_writes_max: 256,
            group_rows_max: 10_000,
            statements_max: 128,
            inline_us_max: 200,
            wal_bytes_max: 128 << 20,
            clock: Clock::monotonic(),
        }
    }

    /// Makes the path absolute. Connections that are opened later open the same file, wherever the
    /// process is then; and no name is anything but a file: neither `:memory:` nor `file:x?mode=ro`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if the working directory of the process cannot be told.
    pub(crate) fn settle(mut self) -> Result<Self> {
        if let Place::File(path) = &self.place {
            let path = std::path::absolute(path).map_err(|error| {
                let message = "the path of the SQLite database cannot be made absolute";
                Error::new(ErrorKind::Unavailable, message)
                    .with("database", &self)
                    .with_retry(Retry::Never)
                    .with_source(error)
            })?;
            self.place = Place::File(path);
        }
        Ok(self)
    }

    /// The path as SQLite is given it.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Memory => None,
        }
    }

    /// Whether there is a write-ahead log that holds something.
    pub(crate) fn has_log(&self) -> bool {
        let log = self.path().map(|path| {
            let mut log = path.to_path_buf().into_os_string();
            log.push("-wal");
            PathBuf::from(log)
        });
        log.and_then(|log| log.metadata().ok()).is_some_and(|log| log.len() > 0)
    }
}

impl fmt::Display for SqliteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(path) => write!(f, "sqlite:{}", path.display()),
            Place::Memory => f.write_str("sqlite::memory:"),
        }
    }
}

impl Clock {
    /// Returns a clock of this function, which gives microseconds from any start.
    pub fn new(now_us: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now_us))
    }

    /// The time now, in microseconds.
    pub(crate) fn now_us(&self) -> u64 {
        (self.0)()
    }

    fn monotonic() -> Self {
        let start = Instant::now();
        Self::new(move || {
            let elapsed = start.elapsed();
            // Not `as_micros`, whose 128 bits cost as much as the reading. 64 bits of microseconds
            // last half a million years.
            elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros())
        })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_paths() {
        let path = |address: &str| {
            let config = SqliteConfig::parse(address).and_then(SqliteConfig::settle);
            config.map(|config| config.path().map(Path::to_path_buf))
        };
        let here = std::env::current_dir().expect("a directory");
        for (address, expected) in [
            ("sqlite:a.db", here.join("a.db")),
            ("sqlite:/tmp/a b?c#d%20", "/tmp/a b?c#d%20".into()),
            ("sqlite:file:a?mode=memory", here.join("file:a?mode=memory")),
            ("sqlite:./:memory:", here.join(":memory:")),
        ] {
            assert_eq!(path(address).expect("a path"), Some(expected), "{address}");
        }
        assert_eq!(path("sqlite::memory:").expect("memory"), None);
        for address in
            ["", "sqlite", "sqlite:", "sqlite://x", "postgres://x", "SQLITE:x", "sqlite:a\0b"]
        {
            let error = path(address).expect_err(address);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{address}");
        }
    }
}
