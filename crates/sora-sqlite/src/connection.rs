//! One connection, prepared for Sora.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use sora_core::{Error, ErrorKind, Result, Retry};

use crate::config::{SqliteConfig, Synchronous};
use crate::failure::store_error;
use crate::functions;
use crate::statements::Statements;

/// A connection and its prepared statements.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) db: Connection,
    pub(crate) statements: Statements,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Moves what the log holds into the file.
    Checkpoint,
    /// Reads on the thread of a caller: it never waits for a lock.
    Inline,
    /// Look-ups and pages.
    Page,
    /// Scans: nothing is mapped, because mapped pages count as memory of the process.
    Scan,
    /// Writes, and everything if the database is in memory.
    Write,
}

impl Link {
    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// One that names the file, what is wrong with it, and the remedy.
    pub(crate) fn open(config: &SqliteConfig, role: Role) -> Result<Self> {
        let db = match config.path() {
            Some(path) => open_file(path, config, role)?,
            None => Connection::open_in_memory_with_flags(flags(false)).map_err(store_error)?,
        };
        let at = |error: Error| error.with("database", config);
        configure(&db, config, role).map_err(|error| opened(error, config)).map_err(at)?;
        functions::register(&db).map_err(store_error).map_err(at)?;
        check_encoding(&db)
            .map_err(|error| opened(error, config))
            .and_then(|encoding| utf8(&encoding))
            .map_err(at)?;
        db.set_prepared_statement_cache_capacity(config.statements_max);
        Ok(Self { db, statements: Statements::new(config.statements_max) })
    }
}

/// Returns a connection that, closed last, removes the log and its index, which SQLite makes beside
/// a database in WAL mode even to read it, and which read-only connections leave there. `None` if
/// there is nothing to remove, or the file cannot be opened so.
pub(crate) fn tidier(link: &Connection, config: &SqliteConfig) -> Option<Connection> {
    let mode: String = link.query_row("PRAGMA journal_mode", [], |row| row.get(0)).ok()?;
    let path = config.path().filter(|_| mode.eq_ignore_ascii_case("wal"))?;
    let access = flags(false) - OpenFlags::SQLITE_OPEN_CREATE;
    let db = Connection::open_with_flags(path, access).ok()?;
    db.pragma_update(None, "query_only", true).ok()?;
    // Only a connection that has looked into the log has it open.
    db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).ok()?;
    Some(db)
}

fn flags(read_only: bool) -> OpenFlags {
    let access = match read_only {
        true => OpenFlags::SQLITE_OPEN_READ_ONLY,
        false => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    };
    // Each connection is used by one thread at a time.
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE
}

fn open_file(path: &Path, config: &SqliteConfig, role: Role) -> Result<Connection> {
    let refused = |kind, why: String| {
        Err(Error::new(kind, why).with("database", config).with_retry(Retry::Never))
    };
    // Only names are looked up: to open the file by other means than SQLite's, and to close it
    // again, would drop the locks of every connection of this process.
    match path.metadata() {
        Ok(found) if found.is_dir() => {
            let why = "this is a directory; name a file in it";
            return refused(ErrorKind::InvalidInput, why.into());
        }
        Ok(_) => {}
        Err(_) if config.read_only => {
            let why = "there is no such database, and one that is opened read-only is not created";
            return refused(ErrorKind::Unavailable, why.into());
        }
        Err(_) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
                let why = format!("there is no directory {}; create it first", parent.display());
                return refused(ErrorKind::Unavailable, why);
            }
        }
    }
    let read_only = config.read_only || !matches!(role, Role::Checkpoint | Role::Write);
    Connection::open_with_flags(path, flags(read_only))
        .map_err(|error| opened(error, config).with("database", config))
}

fn configure(db: &Connection, config: &SqliteConfig, role: Role) -> rusqlite::Result<()> {
    // An inline read must not wait: it is sent to a thread instead.
    let wait_ms = if role == Role::Inline { 0 } else { config.busy_timeout_ms };
    db.busy_timeout(Duration::from_millis(wait_ms.into()))?;
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        // A plan that depends on bound values would be made anew for each.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
    ] {
        db.set_db_config(setting, on)?;
    }
    if config.path().is_some() {
        let mapped =
            if matches!(role, Role::Checkpoint | Role::Scan) { 0 } else { config.mmap_bytes };
        // SQLite takes an i64 and has a limit of its own.
        db.pragma_update(None, "mmap_size", i64::try_from(mapped).unwrap_or(i64::MAX))?;
        if role == Role::Write && !config.read_only {
            db.pragma_update(None, "journal_mode", "WAL")?;
            // Not inside of commits: see `checkpoint`.
            db.pragma_update(None, "wal_autocheckpoint", 0)?;
            // A log that a reader or a large transaction has made longer is cut when it starts over.
            let log_bytes = i64::try_from(config.wal_bytes_max).unwrap_or(i64::MAX);
            db.pragma_update(None, "journal_size_limit", log_bytes)?;
        }
        db.pragma_update(
            None,
            "synchronous",
            match config.synchronous {
                Synchronous::Full => "FULL",
                Synchronous::Normal => "NORMAL",
            },
        )?;
    }
    db.pragma_update(None, "foreign_keys", true)?;
    // What a scan sorts may be larger than memory should be.
    let temporary = if role == Role::Scan { "FILE" } else { "MEMORY" };
    db.pragma_update(None, "temp_store", temporary)?;
    // A negative number is a size in KiB.
    db.pragma_update(None, "cache_size", -i64::from(config.cache_bytes.div_ceil(1024)))
}

/// The first look into the file, which tells whether it is a database.
fn check_encoding(db: &Connection) -> rusqlite::Result<String> {
    db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    db.query_row("PRAGMA encoding", [], |row| row.get(0))
}

/// The error of a file that cannot be opened or looked into.
fn opened(error: rusqlite::Error, config: &SqliteConfig) -> Error {
    let is_refused = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    );
    let message = match config.read_only {
        _ if !is_refused => return store_error(error),
        true => {
            "the database cannot be read: either this user may not, or it is in WAL mode, in which \
             SQLite makes files beside it, and its directory does not allow that; copy it elsewhere, \
             or run `PRAGMA journal_mode = DELETE` on it where it can be written"
        }
        false => {
            "the database cannot be written: this user may not write the file or its directory; \
             change their permissions, or open it read-only"
        }
    };
    Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Never).with_source(error)
}

fn utf8(encoding: &str) -> Result<()> {
    if encoding == "UTF-8" {
        return Ok(());
    }
    let message = format!(
        "the database is encoded in {encoding}, which orders text in another way than UTF-8; \
         convert it: sqlite3 OLD .dump | sqlite3 NEW"
    );
    Err(Error::new(ErrorKind::Unsupported, message))
}
