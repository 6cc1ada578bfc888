//! Servers that are killed, and one that takes the place of another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use sora::{BatchEnd, BatchMode, BatchOptions, Sora};
use sora_testbed::{Postgres, PostgresOptions};
use tokio::task::JoinSet;

use crate::support::{Each, Told, Watcher, check_full, in_time, item, open, repository, until};

/// Rows of a batch in which the server is killed.
const ROWS: i64 = 20_000;
const ROWS_PER_CHUNK: i64 = 500;

/// Writes a batch, kills the server once so many rows are settled, and starts it again at once or
/// when the batch has ended. Returns how it ended, and what is told of each row.
async fn killed(
    mode: BatchMode,
    options: BatchOptions,
    restart_at_once: bool,
) -> (BatchEnd, BTreeMap<i64, Told>) {
    let server = Arc::new(Postgres::start(&PostgresOptions::new()).expect("a server"));
    let url = server.url("postgres");
    let store = open(&url, "connections_max=4").await;
    let items = repository(&store).await;
    let settled_rows = AtomicI64::new(0);
    let killer = async {
        let is_far = || settled_rows.load(Ordering::Relaxed) >= 3 * ROWS_PER_CHUNK;
        until("rows to be settled", async || is_far()).await;
        let server = server.clone();
        let kill = move || {
            server.kill().expect("killed");
            if restart_at_once {
                server.restart().expect("restarted");
            }
        };
        tokio::task::spawn_blocking(kill).await.expect("no panic");
    };
    let mut told = BTreeMap::new();
    let options = BatchOptions { rows_per_chunk: usize::try_from(ROWS_PER_CHUNK).ok(), ..options };
    let stream = items.write_stream(Each((0..ROWS).map(item))).mode(mode).options(options);
    let stream = stream.on_settled(|settled| {
        let indexes = settled.indexes().map(|index| i64::try_from(index).expect("small"));
        told.extend(indexes.zip(settled.outcomes().iter().map(Told::of)));
        settled_rows.store(i64::try_from(settled.indexes().end).expect("small"), Ordering::Relaxed);
    });
    let both = async { tokio::join!(stream.into_future(), killer) };
    let report = in_time("the batch and the kill", both).await.0.expect("a report");
    if !restart_at_once {
        server.restart().expect("restarted");
    }
    assert_eq!(report.counts.sum(), report.rows, "{report}");
    assert_eq!(told.len() as u64, report.rows, "each row has one outcome");
    let watcher = Watcher::connect(&url).await;
    let ids = watcher.numbers("SELECT id FROM items ORDER BY id").await;
    for (id, told) in &told {
        let is_there = ids.binary_search(id).is_ok();
        match told {
            Told::Applied => assert!(is_there, "row {id} was acknowledged and is gone"),
            Told::Failed | Told::Skipped => assert!(!is_there, "row {id} failed and is there"),
            Told::Unknown => {}
        }
    }
    check_full(&store, 4).await;
    watcher.check_quiet().await;
    (report.end, told)
}

fn count(told: &BTreeMap<i64, Told>, wanted: Told) -> i64 {
    i64::try_from(told.values().filter(|told| **told == wanted).count()).expect("small")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_in_a_batch_leaves_no_row_without_its_true_outcome() {
    let options = BatchOptions { chunks_in_flight: 2, retries_max: 1, ..BatchOptions::default() };
    let (end, told) = killed(BatchMode::Insert, options, false).await;
    assert!(matches!(end, BatchEnd::Failed(_)), "{end:?}");
    assert!(count(&told, Told::Applied) >= 3 * ROWS_PER_CHUNK);
    // Only what was on its way.
    assert!(count(&told, Told::Unknown) <= 2 * ROWS_PER_CHUNK, "{}", count(&told, Told::Unknown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_upserts_outlives_a_server_that_comes_back() {
    let options = BatchOptions { retries_max: 50, retries_percent: 100, ..BatchOptions::default() };
    let (end, told) = killed(BatchMode::Upsert, options, true).await;
    assert!(matches!(end, BatchEnd::Complete), "{end:?}");
    assert_eq!(count(&told, Told::Applied), ROWS);
}

/// Writes rows one by one until told to stop, each with a number of its own, and keeps what was told.
async fn write_on(
    store: Sora,
    next: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<BTreeMap<i64, Told>>>,
) {
    let items = store.repository().await.expect("the table opens");
    while !stop.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let done = Told::of_result(&items.insert(item(id)).await);
        told.lock().expect("no panic").insert(id, done);
        if done != Told::Applied {
            // The next host is not asked sooner than others can run.
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_is_promoted_has_all_that_was_acknowledged() {
    let primary = Postgres::start(&PostgresOptions::new()).expect("a server");
    let replica = primary.replica().expect("a replica");
    let watcher = Watcher::connect(&primary.url("postgres")).await;
    let name = replica.name();
    watcher.run(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'")).await;
    watcher.run("SELECT pg_reload_conf()").await;
    until("the standby to be synchronous", async || {
        let sync = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        watcher.number(sync).await == 1
    })
    .await;
    let both = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write\
         &connections_max=4&connect_timeout_ms=10000",
        replica.port(),
        primary.port()
    );
    let store = Sora::open(&both).await.expect("the primary is found behind the standby");
    repository::<crate::support::Item>(&store).await;
    let (next, stop) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
    let told = Arc::new(Mutex::new(BTreeMap::new()));
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        tasks.spawn(write_on(store.clone(), next.clone(), stop.clone(), told.clone()));
    }
    let applied = || count(&told.lock().expect("no panic"), Told::Applied);
    until("rows to be acknowledged", async || applied() >= 200).await;
    primary.kill().expect("killed");
    replica.promote().expect("promoted");
    let before = applied();
    until("the new primary to be written to", async || applied() >= before + 200).await;
    stop.store(true, Ordering::Relaxed);
    in_time("the writers", tasks.join_all()).await;

    let watcher = Watcher::connect(&replica.url("postgres")).await;
    let ids = watcher.numbers("SELECT id FROM items ORDER BY id").await;
    for (id, told) in &*told.lock().expect("no panic") {
        let is_there = ids.binary_search(id).is_ok();
        match told {
            Told::Applied => assert!(is_there, "row {id} was acknowledged and is gone"),
            Told::Failed | Told::Skipped => assert!(!is_there, "row {id} failed and is there"),
            Told::Unknown => {}
        }
    }
    // What was on its way: one group in each lane, or one row of each task.
    let unknown = count(&told.lock().expect("no panic"), Told::Unknown);
    assert!(unknown <= 8, "{unknown} rows are unknown");
    check_full(&store, 4).await;
    watcher.check_quiet().await;
}
