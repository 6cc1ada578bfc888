//! The provider against the contract.

use sora_sqlite::{Sqlite, SqliteConfig};

/// Nothing is inexact, and one session writes at a time.
const SKIPPED: [&str; 5] = [
    "inexact filters leave out no row that belongs",
    "what a session has not committed no other session sees",
    "a repeatable read sees nothing that was committed since",
    "a repeatable read loses no update",
    "serializable sessions do as one after another",
];

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
    assert_eq!(report.skipped(), SKIPPED);
}

#[tokio::test]
async fn memory_conforms() {
    let make = || async { Sqlite::open(SqliteConfig::memory()).await.expect("opened") };
    let report = sora_conformance::suite(make).await;
    report.expect_green();
    assert_eq!(report.skipped(), SKIPPED);
}

/// A number from the environment, which asks more, and other, questions:
/// `SORA_FILTERS=1000000 SORA_SEED=1 cargo test -p sora-sqlite --test it random -- --nocapture`.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Random filters, sorts and pages: the rows are those that evaluation in memory gives.
async fn compare(half: u64) {
    let make = || async { Sqlite::open(SqliteConfig::memory()).await.expect("opened") };
    let filters = number("SORA_FILTERS", 100_000) / 2;
    let seed = number("SORA_SEED", 0).wrapping_mul(2).wrapping_add(half);
    sora_conformance::differential(make, seed, filters).await.expect_equal();
}

#[tokio::test]
async fn half_of_the_random_filters_give_the_rows_of_memory() {
    compare(0).await;
}

// A test of its own, so that two cores are busy.
#[tokio::test]
async fn the_other_half_of_the_random_filters_give_the_rows_of_memory() {
    compare(1).await;
}

#[tokio::test]
async fn random_writes_do_what_they_do_in_memory() {
    let make = || async { Sqlite::open(SqliteConfig::memory()).await.expect("opened") };
    let (seed, writes) = (number("SORA_SEED", 0), number("SORA_WRITES", 10_000));
    sora_conformance::history(make, seed, writes).await.expect_equal();
}

#[tokio::test]
async fn a_file_that_is_opened_read_only_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = || SqliteConfig::file(directory.path().join("a.db")).expect("a path");
    drop(Sqlite::open(config()).await.expect("made"));
    let make = || async { Sqlite::open(config().read_only(true)).await.expect("opened") };
    let report = sora_conformance::suite(make).await;
    report.expect_green();
    assert_eq!(report.skipped().len(), sora_conformance::lines().count() - 1);
}
