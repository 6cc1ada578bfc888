//! What streams elsewhere get wrong: docs/flaws/streaming.md.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sora::plan::{Negotiation, Support};
use sora::provider::{
    Administer, Administered, Capability, Layer, Provider, Session, SessionOptions, SharedProvider,
};
use sora::read::{Read, ReadReport};
use sora::write::{Write, WriteReport};
use sora::{
    Entity, ErrorKind, Filter, LiveTable, Repository, Result, RowSink, Sora, StreamOptions,
};

#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "lines", index(rank))]
struct Line {
    #[sora(key)]
    id: i64,
    rank: i64,
}

/// A store that gives at most some rows at once, or sorts nothing, and counts what it gave.
#[derive(Clone, Debug)]
struct Weak {
    page_max: Option<u64>,
    sorts: bool,
    rows: Arc<AtomicU64>,
    /// Reads that were begun.
    begun: Arc<AtomicU64>,
    inner: Option<SharedProvider>,
}

impl Weak {
    fn new(page_max: Option<u64>, sorts: bool) -> Self {
        Self { page_max, sorts, rows: Arc::default(), begun: Arc::default(), inner: None }
    }

    fn inner(&self) -> &SharedProvider {
        self.inner.as_ref().expect("it was layered")
    }
}

impl Layer for Weak {
    fn layer(&self, inner: SharedProvider) -> SharedProvider {
        Arc::new(Self { inner: Some(inner), ..self.clone() })
    }
}

impl Provider for Weak {
    fn name(&self) -> &'static str {
        "weak"
    }

    fn capability(&self) -> Capability {
        self.inner().capability()
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        self.inner().negotiate(ask);
        if !self.sorts {
            ask.set_sort(Support::Unsupported);
        }
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        let mut read = read.clone();
        if let Some(max) = self.page_max {
            read.limit = Some(read.limit.map_or(max, |limit| limit.min(max)));
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        let report = self.inner().read(&read, sink).await?;
        self.rows.fetch_add(report.received, Ordering::SeqCst);
        Ok(report)
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        self.inner().write(write, sink).await
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        self.inner().describe(table).await
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        self.inner().administer(task).await
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        self.inner().open(options).await
    }
}

const ROWS: i64 = 1_000;

async fn lines(weak: &Weak) -> Repository<Line> {
    lines_at(weak, "memory:").await
}

async fn lines_at(weak: &Weak, place: &str) -> Repository<Line> {
    let store = Sora::builder().layer(weak.clone()).open(place).await.expect("a store");
    store.ensure_schema::<Line>().await.expect("a table");
    let lines = store.repository::<Line>().await.expect("a repository");
    let rows: Vec<Line> = (0..ROWS).map(|id| Line { id, rank: (id * 7) % ROWS }).collect();
    lines.upsert_many(&rows).await.expect("rows");
    lines
}

#[tokio::test]
async fn a_short_page_is_not_the_end() {
    let lines = lines(&Weak::new(Some(200), true)).await;
    let mut stream = lines.query(Filter::all()).stream();
    let mut rows = 0;
    while let Some(line) = stream.next().await {
        assert_eq!(line.expect("a line").id, rows);
        rows += 1;
    }
    assert_eq!(rows, ROWS);
}

#[tokio::test]
async fn rows_that_come_and_go_beside_a_stream_move_no_other_row() {
    let lines = lines(&Weak::new(None, true)).await;
    let query = lines.query(Filter::all()).sort(Line::RANK.asc());
    let mut stream = query.stream_with(StreamOptions { page_rows: 10 });
    let mut ranks = Vec::new();
    while let Some(line) = stream.next().await {
        let line = line.expect("a line");
        if ranks.len() % 10 == 5 {
            // By offsets, each row that goes would hide one of the next page, each that comes would
            // repeat one.
            lines.delete(line.id).await.expect("deleted");
            lines.upsert(&Line { id: 10_000 + line.id, rank: -1 }).await.expect("written");
            lines.upsert(&Line { id: 20_000 + line.id, rank: -1 }).await.expect("written");
        }
        ranks.push(line.rank);
    }
    assert_eq!(ranks, (0..ROWS).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_store_does_not_sort_is_read_once_or_refused() {
    let weak = Weak::new(None, false);
    let lines = lines(&weak).await;
    weak.rows.store(0, Ordering::SeqCst);
    let query = lines.query(Filter::all()).sort(Line::RANK.asc());
    let mut stream = query.stream_with(StreamOptions { page_rows: 10 });
    let mut rows = 0;
    while let Some(line) = stream.next().await {
        assert_eq!(line.expect("a line").rank, rows);
        rows += 1;
    }
    assert_eq!(rows, ROWS);
    assert_eq!(weak.rows.load(Ordering::SeqCst), ROWS.cast_unsigned(), "each row once");
    let bound = sora::Fallback::Scan { rows_max: 100 };
    let query = lines.query(Filter::all()).sort(Line::RANK.asc()).fallback(bound);
    let mut stream = query.stream();
    let error = stream.next().await.expect("no end").expect_err("beyond the bound");
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_page_of_no_rows_is_one_of_one() {
    let lines = lines(&Weak::new(None, true)).await;
    let query = lines.query(Line::ID.lt(3));
    let mut stream = query.stream_with(StreamOptions { page_rows: 0 });
    let mut rows = 0;
    while let Some(line) = stream.next().await {
        line.expect("a line");
        rows += 1;
    }
    assert_eq!(rows, 3);
}

#[tokio::test]
async fn a_page_goes_on_from_the_token_of_the_one_before() {
    let lines = lines(&Weak::new(None, true)).await;
    let mut seen = Vec::new();
    let mut next: Option<sora::Cursor> = None;
    loop {
        let mut query = lines.query(Filter::all()).sort(Line::RANK.desc()).limit(100);
        if let Some(cursor) = next {
            query = query.after(cursor);
        }
        let page = query.fetch().await.expect("a page");
        seen.extend(page.iter().map(|line| line.rank));
        assert!(seen.len() <= 1_000, "it starts over");
        let Some(cursor) = page.next() else { break };
        // As text, as it crosses a network.
        next = Some(cursor.to_string().parse().expect("a cursor"));
    }
    assert_eq!(seen, (0..ROWS).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_next_page_is_on_its_way_while_one_is_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = format!("sqlite:{}", directory.path().join("lines.db").display());
    for place in ["memory:", &file] {
        let weak = Weak::new(None, true);
        let lines = lines_at(&weak, place).await;
        weak.begun.store(0, Ordering::SeqCst);
        weak.rows.store(0, Ordering::SeqCst);
        let mut stream = lines.query(Filter::all()).stream_with(StreamOptions { page_rows: 10 });
        stream.next().await.expect("a row").expect("a line");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        // What a file gives is counted when it is taken.
        let rows = weak.rows.load(Ordering::SeqCst);
        assert_eq!(weak.begun.load(Ordering::SeqCst), 2, "{place}: one page ahead, and no more");
        assert!(rows == 20 || place == file && rows == 10, "{place}: {rows} rows");
    }
}
