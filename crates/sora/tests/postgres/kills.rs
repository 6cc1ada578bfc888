//! What was acknowledged is there after the process of the writer, or its server, was killed.
//!
//! `SORA_KILLS=50 cargo test -p sora --features postgres --test postgres kills` kills at 50 moments
//! instead of 3.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sora::{Filter, Sora};
use sora_testbed::{Postgres, PostgresOptions};
use tokio::task::JoinSet;

use crate::support::{Item, Random, Watcher, count_of, item, repository};

/// Where the writer's process finds its store, and the first of its numbers.
const STORE: &str = "SORA_TEST_WRITER_STORE";
const FIRST: &str = "SORA_TEST_WRITER_FIRST";
/// Rows that a writer may at most write.
const ROWS_MAX: i64 = 10_000_000;
/// Rows that are acknowledged before a kill, at most.
const BEFORE_MAX: u64 = 400;

#[test]
fn acknowledged_rows_outlive_their_process_and_their_server() {
    if let Ok(address) = std::env::var(STORE) {
        write(&address);
        return;
    }
    let kills = count_of("SORA_KILLS", 3);
    let mut options = PostgresOptions::new();
    for (name, value) in [("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on")]
    {
        options = options.set(name, value);
    }
    let server = Postgres::start(&options).expect("a server");
    let address = format!("{}?connections_max=8", server.url("postgres"));
    let runtime = runtime();
    let mut acknowledged = BTreeSet::new();
    let mut random = Random(1);
    for kill in 0..kills {
        let mut writer = Writer::start(&address, kill);
        acknowledged.extend(writer.take(1 + random.below(BEFORE_MAX)));
        spin(&mut random);
        // Every second time the server goes first, while rows are still being written.
        match kill % 2 {
            0 => server.kill().expect("killed"),
            _ => writer.kill(),
        }
        acknowledged.extend(writer.rest());
        if kill % 2 == 0 {
            server.restart().expect("it recovers");
        }
        let stored = runtime.block_on(async {
            let watcher = Watcher::connect(&server.url("postgres")).await;
            watcher.numbers("SELECT id FROM items").await
        });
        check(&acknowledged, &stored.into_iter().collect());
    }
    say("PostgreSQL", kills, &acknowledged);
}

#[test]
fn acknowledged_rows_of_a_file_outlive_their_process() {
    if std::env::var(STORE).is_ok() {
        return;
    }
    let kills = count_of("SORA_KILLS", 3);
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("sora.db");
    // As it comes, a commit is flushed: `synchronous=FULL`.
    let address = format!("sqlite:{}", path.display());
    let mut acknowledged = BTreeSet::new();
    let mut random = Random(2);
    for kill in 0..kills {
        let mut writer = Writer::start(&address, kill);
        acknowledged.extend(writer.take(1 + random.below(BEFORE_MAX)));
        spin(&mut random);
        writer.kill();
        acknowledged.extend(writer.rest());
        let database = rusqlite::Connection::open(&path).expect("it opens");
        let integrity: String =
            database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
        assert_eq!(integrity, "ok");
        let stored: Vec<i64> = runtime().block_on(async {
            let store = Sora::open(&address).await.expect("it opens");
            let items = repository::<Item>(&store).await;
            let rows = items.query(Filter::all()).fallback(sora::Fallback::Reject);
            let mut rows = rows.stream();
            let mut ids = Vec::new();
            while let Some(row) = rows.next().await {
                ids.push(row.expect("a row").id);
            }
            ids
        });
        check(&acknowledged, &stored.into_iter().collect());
    }
    say("SQLite", kills, &acknowledged);
}

fn check(acknowledged: &BTreeSet<i64>, stored: &BTreeSet<i64>) {
    let lost: Vec<_> = acknowledged.difference(stored).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
}

fn say(store: &str, kills: u64, acknowledged: &BTreeSet<i64>) {
    let rows = acknowledged.len();
    let line = format!("{store}: {kills} kills, {rows} acknowledged rows, all of them there");
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Some work, so that the moment is any.
fn spin(random: &mut Random) {
    for turn in 0..random.below(3_000_000) {
        std::hint::black_box(turn);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A process that writes rows, by this program itself.
struct Writer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn start(address: &str, at: u64) -> Self {
        let first = i64::try_from(at).expect("small") * ROWS_MAX;
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--exact", "kills::acknowledged_rows_outlive_their_process_and_their_server"])
            .arg("--nocapture")
            .envs([(STORE, address), (FIRST, &first.to_string())])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// Waits for so many acknowledged rows.
    fn take(&mut self, count: u64) -> Vec<i64> {
        let ids: Vec<i64> = (0..count).map_while(|_| self.next()).collect();
        assert_eq!(ids.len() as u64, count, "the writer has ended by itself");
        ids
    }

    /// The rows that it had acknowledged up to its end.
    fn rest(&mut self) -> Vec<i64> {
        let ids = std::iter::from_fn(|| self.next()).collect();
        self.child.wait().expect("it has ended");
        ids
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
    }

    fn next(&mut self) -> Option<i64> {
        loop {
            // What is cut in its middle has no end of a line, or was written as a whole.
            let line = self.lines.next()?.ok()?;
            if let Some(id) = line.split("row ").nth(1).and_then(|rest| rest.strip_suffix(" done"))
            {
                return Some(id.parse().expect("a number"));
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Upserts rows from many tasks, says which are acknowledged, and ends when one is not.
fn write(address: &str) {
    let first: i64 = std::env::var(FIRST).expect("set").parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let store = Sora::open(address).await.expect("the store opens");
        let items = repository::<Item>(&store).await;
        let next = Arc::new(AtomicI64::new(first));
        let mut tasks = JoinSet::new();
        for _ in 0..32 {
            let (items, next) = (items.clone(), next.clone());
            tasks.spawn(async move {
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    if id >= first + ROWS_MAX || items.upsert(item(id)).await.is_err() {
                        return;
                    }
                    let line = format!("row {id} done\n");
                    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
        tasks.join_all().await;
    });
}
