mod flaws;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sora::write::{Change, OnConflict};
use sora::{
    Cell, Column, End, Event, Filter, Observer, Operation, Query, Schema, Sora, StreamOptions,
    Type, Value,
};

use crate::stores::{City, cities, stores};

#[tokio::test]
async fn a_stream_meets_every_row_in_order() {
    for store in stores().await {
        let cities = cities(&store).await;
        for page_rows in [1, 7, 250, 1_000] {
            let options = StreamOptions { page_rows };
            let query = cities.query(City::STATE.ne("TX")).sort(City::NUMBER.desc());
            let mut stream = query.stream_with(options);
            let mut numbers = Vec::new();
            while let Some(city) = stream.next().await {
                numbers.push(city.expect("a city").number);
            }
            let expected: Vec<i64> = (0..250).rev().filter(|number| number % 5 != 3).collect();
            assert_eq!(numbers, expected, "{page_rows}");
        }
    }
}

#[tokio::test]
async fn a_limit_ends_a_stream() {
    for store in stores().await {
        let cities = cities(&store).await;
        let query = cities.query(Filter::all()).offset(3).limit(10);
        let mut stream = query.stream_with(StreamOptions { page_rows: 4 });
        let mut count = 0;
        while let Some(city) = stream.next().await {
            city.expect("a city");
            count += 1;
        }
        assert_eq!(count, 10);
    }
}

#[derive(Default)]
struct Reads {
    rows: AtomicUsize,
    dropped: AtomicUsize,
}

impl Observer for Reads {
    fn observe(&self, event: &Event<'_>) {
        if event.operation == Operation::Stream {
            self.rows.fetch_add(usize::try_from(event.received).expect("few"), Ordering::SeqCst);
            self.dropped.fetch_add(usize::from(event.end == End::Dropped), Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn a_dropped_stream_fetches_at_most_one_page_ahead_and_says_so() {
    let reads = Arc::new(Reads::default());
    let store: Sora =
        Sora::builder().observer(reads.clone()).open("memory:").await.expect("the store opens");
    let cities = cities(&store).await;
    let mut stream = cities.query(Filter::all()).stream_with(StreamOptions { page_rows: 10 });
    stream.next().await.expect("a row").expect("a city");
    drop(stream);
    assert_eq!(reads.dropped.load(Ordering::SeqCst), 1);
    assert!(reads.rows.load(Ordering::SeqCst) <= 20);
}

/// A table without a key has no place to continue from, so one cursor pushes its pages.
#[tokio::test]
async fn a_table_without_a_key_streams_by_one_cursor() {
    for store in stores().await {
        let schema = Schema::builder("log").column(Column::new("line", Type::I64)).build();
        store.ensure(&Arc::new(schema.expect("a schema"))).await.expect("a table");
        let table = store.table("log").await.expect("a table");
        let mut intake = table.intake(&[0]);
        for line in 0..25 {
            intake.row(|out| out.cell(Cell::I64(line))).expect("a row");
        }
        let columns = intake.columns().clone();
        let rows = Arc::new(intake.finish());
        let insert = Change::Insert { rows, columns, on_conflict: OnConflict::Fail };
        table.write(insert).await.expect("written");
        let mut stream = table.stream(&Query::default(), StreamOptions { page_rows: 4 });
        let mut lines = Vec::new();
        while let Some(page) = stream.next().await {
            let page = page.expect("a page");
            // A found table of SQLite is read with its `rowid` behind.
            lines.extend(page.iter().map(|row| row.get(0).to_value()));
        }
        lines.sort_by(|left, right| left.cell().sort_order(right.cell()));
        assert_eq!(lines, (0..25).map(Value::I64).collect::<Vec<_>>());
    }
}

/// The rows of each page of a stream of so many rows, each with a text of so many bytes.
async fn pages(store: &Sora, rows: i64, text_len: usize) -> Vec<usize> {
    let key = Column::new("id", Type::I64);
    let schema = Schema::builder("notes").column(key).column(Column::new("note", Type::Text));
    let schema = schema.key(["id"]).build().expect("a schema");
    store.ensure(&Arc::new(schema)).await.expect("a table");
    let table = store.table("notes").await.expect("a table");
    let mut intake = table.intake(&[0, 1]);
    let note = "n".repeat(text_len);
    for id in 0..rows {
        let written = intake.row(|out| {
            out.cell(Cell::I64(id))?;
            out.cell(Cell::Text(&note))
        });
        written.expect("a row");
    }
    let columns = intake.columns().clone();
    let rows = Arc::new(intake.finish());
    let insert = Change::Insert { rows, columns, on_conflict: OnConflict::Fail };
    table.write(insert).await.expect("written");
    let mut stream = table.stream(&Query::default(), StreamOptions::default());
    let mut pages = Vec::new();
    let mut next = 0;
    while let Some(page) = stream.next().await {
        let page = page.expect("a page");
        for row in page.iter() {
            assert_eq!(row.get(0), Cell::I64(next));
            next += 1;
        }
        pages.push(page.len());
    }
    pages
}

#[tokio::test]
async fn pages_are_as_long_as_their_rows_are_wide() {
    for store in stores().await {
        assert_eq!(pages(&store, 7_000, 8).await, [1_000, 5_000, 1_000]);
    }
    for store in stores().await {
        // 512 KiB by some 8 KiB, rounded down to a power of two.
        assert_eq!(pages(&store, 1_100, 8_192).await, [1_000, 32, 32, 32, 4]);
    }
}
