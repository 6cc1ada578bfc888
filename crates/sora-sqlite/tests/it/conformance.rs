//! The provider against the contract.

use sora_sqlite::{Sqlite, SqliteConfig};

#[tokio::test]
async fn a_file_conforms() {
    let directory = tempfile::tempdir().expect("a directory");
    let number = std::sync::atomic::AtomicU32::new(0);
    let make = || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let config = SqliteConfig::file(directory.path().join(format!("{number}.db")));
        async { Sqlite::open(config.expect("a path")).await.expect("opened") }
    };
    let report = sora_conformance::suite(make).await;
    report.expect_green();
    assert_eq!(report.skipped(), ["inexact filters leave out no row that belongs"]);
}

#[tokio::test]
async fn memory_conforms() {
    let make = || async { Sqlite::open(SqliteConfig::memory()).await.expect("opened") };
    let report = sora_conformance::suite(make).await;
    report.expect_green();
    assert_eq!(report.skipped(), ["inexact filters leave out no row that belongs"]);
}
