//! The files of the benchmark: one that is read, and copies of it that are written.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sora_benchmarks::{Durability, Item, Result, open_sqlite};

use crate::options::Options;

/// Rows that are inserted together.
const CHUNK: u64 = 10_000;

/// Returns the file with the table, made if it is not there.
pub(crate) fn table(options: &Options) -> Result<PathBuf> {
    let path = options.folder.join(format!("table-{}.db", options.rows));
    if !path.exists() {
        eprintln!("  makes {}", path.display());
        let unfinished = path.with_extension("unfinished");
        remove(&unfinished);
        make(&unfinished, options.rows)?;
        fs::rename(unfinished, &path)?;
    }
    Ok(path)
}

/// Copies the table, so that a copy may be written.
pub(crate) fn copy(options: &Options, name: &str) -> Result<PathBuf> {
    let path = options.folder.join(format!("{name}.db"));
    remove(&path);
    fs::copy(table(options)?, &path)?;
    // What is written back later would slow down whoever runs then.
    File::open(&path)?.sync_all()?;
    Ok(path)
}

/// Removes a database and what SQLite makes beside it.
pub(crate) fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{ending}", path.display()));
    }
}

fn make(path: &Path, rows: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = open_sqlite(path, Durability::Normal).await?;
        store.ensure_schema::<Item>().await?;
        let items = store.repository::<Item>().await?;
        for start in (0..rows).step_by(CHUNK as usize) {
            let end = rows.min(start + CHUNK);
            let report = items.insert_many((start..end).map(|id| Item::of(id.cast_signed())));
            if let Some(error) = report.await?.first_error() {
                return Err(error.clone().into());
            }
        }
        Result::<()>::Ok(())
    })?;
    // All of it is in the file alone, so that the file can be copied.
    let connection = rusqlite::Connection::open(path)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.execute_batch("ANALYZE")?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}
