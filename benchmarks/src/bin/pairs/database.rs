//! The database that both sides use, and how each opens it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use sora::sqlite::{Sqlite, SqliteConfig, Synchronous};
use sora::{Repository, Sora};
use sora_benchmarks::Item;
use tokio::runtime::Runtime;

use crate::Result;
use crate::rounds::Options;

pub(crate) const UPSERT: &str = "INSERT INTO item (id, name, city, population, score, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, city = excluded.city, \
     population = excluded.population, score = excluded.score, at = excluded.at";

/// Returns the database of so many rows, made if it is not there.
pub(crate) fn database(options: &Options) -> Result<PathBuf> {
    let path = options.folder.join(format!("item-{}.db", options.rows));
    if !path.exists() {
        let made = path.with_extension("making");
        remove(&made);
        runtime(1)?.block_on(async {
            let store = Sora::open(&format!("sqlite:{}", made.display())).await?;
            store.ensure_schema::<Item>().await?;
            let items = store.repository::<Item>().await?;
            for start in (0..options.rows).step_by(10_000) {
                let end = options.rows.min(start + 10_000);
                items.insert_many((start..end).map(|id| Item::of(id.cast_signed()))).await?;
            }
            Result::Ok(())
        })?;
        std::fs::rename(made, &path)?;
    }
    Ok(path)
}

/// Removes a database and what SQLite makes beside it.
pub(crate) fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
    }
}

/// The settings that Sora uses by default.
pub(crate) fn connect(path: &Path, full: bool, mapped: bool) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if full { "FULL" } else { "NORMAL" })?;
    connection.pragma_update(None, "mmap_size", if mapped { 1i64 << 30 } else { 0 })?;
    Ok(connection)
}

pub(crate) fn config(path: &Path, full: bool) -> Result<SqliteConfig> {
    let mode = if full { Synchronous::Full } else { Synchronous::Normal };
    Ok(SqliteConfig::file(path)?.synchronous(mode))
}

pub(crate) async fn items(config: SqliteConfig) -> Result<Repository<Item>> {
    let store = Sora::builder().provider(Arc::new(Sqlite::open(config).await?));
    Ok(store.repository::<Item>().await?)
}

pub(crate) fn runtime(threads: usize) -> Result<Runtime> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    Ok(builder.worker_threads(threads).enable_all().build()?)
}

pub(crate) fn item(row: &rusqlite::Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item {
        id: row.get(0)?,
        name: row.get(1)?,
        city: row.get(2)?,
        population: row.get(3)?,
        score: row.get(4)?,
        at: row.get(5)?,
    })
}
