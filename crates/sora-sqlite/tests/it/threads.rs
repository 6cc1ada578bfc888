//! Which thread reads, and what stops it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use sora_core::provider::{BoxFuture, DynProvider, SessionOptions};
use sora_core::read::{Pace, Read, ReadReport};
use sora_core::write::OnConflict;
use sora_core::{Binding, Column, ErrorKind, Result, Row, RowBuffer, RowSink, Schema, Type, Value};
use sora_sqlite::{Clock, Sqlite, SqliteConfig};

use tokio::sync::Notify;

use crate::support::{
    Store, all_rows, bind, count, directory, fill, found, insert, lookup, read, sort, text,
};

async fn ids(sqlite: &Sqlite, rows: i64) -> Arc<Binding> {
    let schema = Schema::builder("ids")
        .column(Column::new("id", Type::I64))
        .column(Column::new("name", Type::Text))
        .key(["id"])
        .build()
        .expect("a schema");
    let binding = bind(sqlite, schema).await;
    let rows: Vec<[Value; 2]> = (1..=rows).map(|id| [Value::I64(id), text("x")]).collect();
    for rows in rows.chunks(10_000) {
        let rows: Vec<&[Value]> = rows.iter().map(|row| &row[..]).collect();
        fill(sqlite, &binding, &rows).await;
    }
    binding
}

/// A clock that goes by a step at each look, and notes which threads look at it.
#[derive(Clone, Default)]
struct Steps {
    now_us: Arc<AtomicU64>,
    step_us: Arc<AtomicU64>,
    threads: Arc<Mutex<BTreeSet<String>>>,
}

impl Steps {
    fn clock(&self) -> Clock {
        let steps = self.clone();
        Clock::new(move || {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            let place = if name.starts_with("sora-sqlite") { "thread" } else { "inline" };
            steps.threads.lock().expect("not poisoned").insert(place.into());
            steps.now_us.fetch_add(steps.step_us.load(Ordering::Relaxed), Ordering::Relaxed)
        })
    }

    fn set(&self, step_us: u64) {
        self.step_us.store(step_us, Ordering::Relaxed);
    }

    /// Where the clock was looked at since the last question.
    fn places(&self) -> String {
        let places = std::mem::take(&mut *self.threads.lock().expect("not poisoned"));
        places.into_iter().collect::<Vec<_>>().join(" and ")
    }
}

#[tokio::test]
async fn a_slow_look_up_sends_the_next_ones_to_a_thread() {
    let steps = Steps::default();
    let store = Store::with(|config| config.clock(steps.clock()).inline_us_max(200)).await;
    let binding = ids(&store.sqlite, 3).await;
    let get = async || {
        let one = lookup(&binding, &[&[Value::I64(2)]]);
        assert_eq!(read(&store.sqlite, &one).await.expect("read"), ["2|x"]);
        steps.places()
    };
    steps.places();
    steps.set(200);
    assert_eq!(get().await, "inline");
    steps.set(201);
    assert_eq!(get().await, "inline");
    for _ in 0..20 {
        assert_eq!(get().await, "thread");
    }
    // Fast again: after several in a row, look-ups run inline.
    steps.set(1);
    let mut hops = 0;
    while get().await == "thread" {
        hops += 1;
    }
    assert_eq!(hops, 8);
    assert_eq!(get().await, "inline");
}

/// A page of so many rows, in the order of their keys.
fn page(binding: &Arc<Binding>, rows: u64) -> Read {
    let mut page = all_rows(binding);
    page.pace = Pace::Page;
    page.sort = sort(binding, &["id"]);
    page.limit = Some(rows);
    page
}

#[tokio::test]
async fn pages_run_inline_once_their_query_is_fast_and_are_stopped_when_it_is_not() {
    let steps = Steps::default();
    let store = Store::with(|config| config.clock(steps.clock()).inline_us_max(200)).await;
    let binding = ids(&store.sqlite, 100).await;
    let fast = page(&binding, 60);
    let mut other = fast.clone();
    other.sort = sort(&binding, &["-id"]);
    let run = async |page: &Read| {
        assert_eq!(read(&store.sqlite, page).await.expect("read").len(), 60);
        steps.places()
    };
    steps.places();
    steps.set(1);
    for _ in 0..8 {
        assert_eq!(run(&fast).await, "thread");
    }
    assert_eq!(run(&fast).await, "inline");
    assert_eq!(run(&other).await, "thread", "another query has to show that it is fast");
    // Some looks at the clock are one too many: what was read so far is thrown away.
    steps.set(150);
    for _ in 0..3 {
        assert_eq!(run(&fast).await, "inline and thread");
    }
    for _ in 0..20 {
        steps.set(201);
        assert_eq!(run(&fast).await, "thread");
    }
    // Look-ups are not judged by pages.
    steps.set(1);
    let one = lookup(&binding, &[&[Value::I64(2)]]);
    assert_eq!(read(&store.sqlite, &one).await.expect("read"), ["2|x"]);
    assert_eq!(steps.places(), "inline");
}

#[tokio::test]
async fn scans_large_pages_and_many_keys_run_on_a_thread() {
    let steps = Steps::default();
    let store = Store::with(|config| config.clock(steps.clock())).await;
    let binding = ids(&store.sqlite, 9).await;
    steps.places();
    let keys: Vec<Value> = (1..=9).map(Value::I64).collect();
    let keys: Vec<&[Value]> = keys.iter().map(std::slice::from_ref).collect();
    assert_eq!(read(&store.sqlite, &lookup(&binding, &keys)).await.expect("read").len(), 9);
    assert_eq!(read(&store.sqlite, &all_rows(&binding)).await.expect("read").len(), 9);
    assert_eq!(read(&store.sqlite, &page(&binding, 129)).await.expect("read").len(), 9);
    // Only small reads look at the clock, and none was one.
    assert_eq!(steps.places(), "");
    let none = Store::with(|config| config.clock(steps.clock()).inline_us_max(0)).await;
    let binding = ids(&none.sqlite, 1).await;
    read(&none.sqlite, &lookup(&binding, &[&[Value::I64(1)]])).await.expect("read");
    assert_eq!(steps.places(), "thread");
}

/// Reads in a loop, and returns how many reads there were at most between two polls of another task
/// of the only worker, and how often that was polled.
async fn reads_between_polls(read_of: fn(&Arc<Binding>) -> Read) -> (u32, u32) {
    // A clock that stands still: nothing is slow, whatever the machine does.
    let store = Store::with(|config| config.clock(Clock::new(|| 0))).await;
    let binding = ids(&store.sqlite, 3).await;
    let one = read_of(&binding);
    for _ in 0..8 {
        read(&store.sqlite, &one).await.expect("read");
    }
    let gets = Arc::new(AtomicU32::new(0));
    let counter = gets.clone();
    let looking = tokio::spawn(async move {
        for _ in 0..2_000 {
            assert_eq!(read(&store.sqlite, &one).await.expect("read").len(), 1);
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let other = tokio::spawn(async move {
        let (mut last, mut most, mut polls) = (0, 0, 0);
        while last < 2_000 {
            tokio::task::yield_now().await;
            let now = gets.load(Ordering::Relaxed);
            most = most.max(now - last);
            last = now;
            polls += 1;
        }
        (most, polls)
    });
    let between = other.await.expect("joined");
    looking.await.expect("joined");
    between
}

#[tokio::test]
async fn inline_reads_leave_the_thread_to_other_tasks() {
    let one = |binding: &Arc<Binding>| lookup(binding, &[&[Value::I64(2)]]);
    for (read_of, most_expected) in [(one as fn(&_) -> Read, 128), (|binding| page(binding, 1), 4)]
    {
        let (most, polls) = reads_between_polls(read_of).await;
        assert!(most <= most_expected, "{most} reads between two polls");
        assert!(most > 1 && polls < 2_000, "the reads were not inline: {polls} polls");
    }
}

/// A view that gives 9,999 rows, then none, and never ends.
const ENDLESS: &str = "CREATE VIEW endless AS WITH RECURSIVE n(i) AS \
    (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 10000";

/// Tells when it has taken so many rows.
struct Telling(usize, Arc<Notify>);

impl RowSink for Telling {
    fn row(&mut self, _: &dyn Row) -> Result<ControlFlow<()>> {
        self.0 -= 1;
        if self.0 == 0 {
            self.1.notify_one();
        }
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {}
}

#[tokio::test]
async fn a_dropped_read_frees_its_thread() {
    let store = Store::with(|config| config.readers(1)).await;
    store.sql(ENDLESS);
    let binding = ids(&store.sqlite, 3).await;
    let endless = found(&store.sqlite, "endless").await;
    let provider: &dyn DynProvider = &store.sqlite;
    for _ in 0..3 {
        let scan = Read::new(endless.clone(), Arc::from([0u16]));
        // Rows of 16 bytes come 4,096 at a time: behind the second lot the statement goes on alone.
        let running = Arc::new(Notify::new());
        let mut sink = Telling(8_192, running.clone());
        tokio::select! {
            _ = provider.read(&scan, &mut sink) => panic!("it ended"),
            () = running.notified() => {}
        }
        // The only thread answers again.
        assert_eq!(count(provider, &all_rows(&binding)).await, Some(3));
    }
}

/// Has a read begin, and leaves it alone then.
fn begin(read: &mut BoxFuture<'_, Result<ReadReport>>) {
    let begun = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(begun.is_pending(), "it is over");
}

/// Waits for what must not wait for anybody.
async fn at_once<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), future).await.expect("a place")
}

#[tokio::test]
async fn a_page_that_nobody_takes_keeps_no_place() {
    let store = Store::with(|config| config.readers(1).queue_max(1)).await;
    store.sql(ENDLESS);
    let binding = ids(&store.sqlite, 3).await;
    let endless = Read::new(found(&store.sqlite, "endless").await, Arc::from([0u16]));
    let provider: &dyn DynProvider = &store.sqlite;
    let running = Arc::new(Notify::new());
    let mut sink = Telling(8_192, running.clone());
    let mut busy = provider.read(&endless, &mut sink);
    tokio::select! {
        _ = &mut busy => panic!("it ended"),
        () = running.notified() => {}
    }
    // One finds a place behind it, and one finds none.
    let mut page = all_rows(&binding);
    page.limit = Some(2);
    let mut rows = [RowBuffer::new(2), RowBuffer::new(2)];
    let mut pages: Vec<_> = rows.iter_mut().map(|rows| provider.read(&page, rows)).collect();
    pages.iter_mut().for_each(begin);
    drop(busy);
    assert_eq!(at_once(count(provider, &all_rows(&binding))).await, Some(3));
    for page in pages {
        assert_eq!(page.await.expect("a page").received, 2);
    }
}

#[tokio::test]
async fn a_large_page_that_nobody_takes_keeps_no_thread() {
    let store = Store::with(|config| config.readers(1)).await;
    let binding = ids(&store.sqlite, 3).await;
    store.sql("UPDATE ids SET name = hex(zeroblob(2000000))");
    let provider: &dyn DynProvider = &store.sqlite;
    let mut page = all_rows(&binding);
    page.limit = Some(3);
    let mut rows = RowBuffer::new(2);
    let mut read = provider.read(&page, &mut rows);
    begin(&mut read);
    assert_eq!(at_once(count(provider, &all_rows(&binding))).await, Some(3));
    assert_eq!(read.await.expect("a page").received, 3);
}

/// Takes some rows and then breaks.
struct Few(usize);

impl RowSink for Few {
    fn row(&mut self, _: &dyn Row) -> Result<ControlFlow<()>> {
        self.0 -= 1;
        Ok(if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn reset(&mut self) {}
}

#[tokio::test]
async fn a_sink_that_breaks_ends_the_statement() {
    for rows in [1, 4_000, 30_000] {
        let store = Store::with(|config| config.readers(1)).await;
        let binding = ids(&store.sqlite, 40_000).await;
        let provider: &dyn DynProvider = &store.sqlite;
        let report = provider.read(&all_rows(&binding), &mut Few(rows)).await.expect("read");
        assert_eq!((report.received, report.rejected), (rows as u64, 0));
        assert_eq!(count(provider, &all_rows(&binding)).await, Some(40_000));
    }
}

#[tokio::test]
async fn readers_come_first_served_beyond_the_queue() {
    let store = Store::with(|config| config.readers(1).queue_max(1)).await;
    let binding = ids(&store.sqlite, 100).await;
    let all = all_rows(&binding);
    let one = || async { read(&store.sqlite, &all).await.expect("read").len() };
    let all = tokio::join!(one(), one(), one(), one(), one(), one());
    assert_eq!(all, (100, 100, 100, 100, 100, 100));
}

#[tokio::test]
async fn a_schema_that_changes_under_a_statement_is_read_anew() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite, 1).await;
    let one = lookup(&binding, &[&[Value::I64(1)]]);
    assert_eq!(read(&store.sqlite, &one).await.expect("read"), ["1|x"]);
    store.sql("ALTER TABLE ids ADD COLUMN more TEXT; CREATE INDEX ids_name ON ids (name)");
    assert_eq!(read(&store.sqlite, &one).await.expect("read"), ["1|x"]);
    store.sql("ALTER TABLE ids RENAME COLUMN name TO title");
    for read in [one, all_rows(&binding)] {
        let mut rows = RowBuffer::new(2);
        let provider: &dyn DynProvider = &store.sqlite;
        let error = provider.read(&read, &mut rows).await.expect_err("gone");
        assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
    }
}

/// Runs a future without any runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn no_runtime_is_needed() {
    block_on(async {
        let directory = directory();
        let config = SqliteConfig::file(directory.path().join("x.db")).expect("a path");
        let sqlite = Sqlite::open(config.busy_timeout_ms(5)).await.expect("opened");
        let binding = ids(&sqlite, 300).await;
        let one = lookup(&binding, &[&[Value::I64(2)]]);
        for _ in 0..300 {
            assert_eq!(read(&sqlite, &one).await.expect("read"), ["2|x"]);
        }
        let provider: &dyn DynProvider = &sqlite;
        let session = provider.open(SessionOptions::default()).await.expect("a session");
        let row: &[Value] = &[Value::I64(0), text("y")];
        let adding = insert(&binding, &[row], OnConflict::Fail);
        let error = provider.write(&adding, &mut RowBuffer::new(0)).await.expect_err("busy");
        assert_eq!(error.kind(), ErrorKind::Busy);
        session.commit().await.expect("committed");
        assert_eq!(read(&sqlite, &all_rows(&binding)).await.expect("read").len(), 300);
    });
}
