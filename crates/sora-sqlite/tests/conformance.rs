//! SQLite against the contract of every provider.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use sora_sqlite::{Sqlite, SqliteConfig};

#[tokio::test]
async fn a_database_in_memory_conforms() {
    let make = || async { Sqlite::open(SqliteConfig::memory()).await.expect("it opens") };
    sora_conformance::suite(make).await.expect_green();
}

#[tokio::test]
async fn a_file_conforms() {
    let directory = tempfile::tempdir().expect("a directory");
    let next = AtomicU32::new(0);
    let path = || -> PathBuf {
        directory.path().join(format!("{}.db", next.fetch_add(1, Ordering::Relaxed)))
    };
    let make = || async {
        let config = SqliteConfig::file(path()).expect("a path");
        Sqlite::open(config).await.expect("it opens")
    };
    sora_conformance::suite(make).await.expect_green();
}
