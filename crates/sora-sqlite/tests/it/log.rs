//! The length of the write-ahead log.

use std::sync::Arc;

use sora_core::provider::{DynProvider, SessionOptions};
use sora_core::write::OnConflict;
use sora_core::{Binding, Column, RowBuffer, Schema, Type, Value};
use sora_sqlite::{Sqlite, SqliteConfig};

use crate::support::{Store, all_rows, bind, count, fill, insert, lookup, read, text};

const BOUND: u64 = 1 << 20;

fn bounded(config: SqliteConfig) -> SqliteConfig {
    config.wal_bytes_max(BOUND)
}

async fn notes(sqlite: &Sqlite) -> Arc<Binding> {
    let schema = Schema::builder("notes")
        .column(Column::new("id", Type::I64))
        .column(Column::new("note", Type::Text))
        .key(["id"]);
    bind(sqlite, schema.build().expect("a schema")).await
}

fn log_bytes(store: &Store) -> u64 {
    std::fs::metadata(format!("{}-wal", store.path().display())).map_or(0, |log| log.len())
}

/// Writes one row of some pages.
async fn write(store: &Store, binding: &Arc<Binding>, id: i64) {
    write_of(store, binding, id, 20_000).await;
}

async fn write_of(store: &Store, binding: &Arc<Binding>, id: i64, bytes: usize) {
    let row: &[Value] = &[Value::I64(id), text(&"x".repeat(bytes))];
    fill(&store.sqlite, binding, &[row]).await;
}

#[tokio::test]
async fn single_writes_keep_the_log_within_its_bound() {
    let store = Store::with(bounded).await;
    let binding = notes(&store.sqlite).await;
    for id in 0..300 {
        let row = lookup(&binding, &[&[Value::I64(id)]]);
        let first = write(&store, &binding, id * 2);
        let second = write(&store, &binding, id * 2 + 1);
        let (seen, (), ()) = tokio::join!(biased; read(&store.sqlite, &row), first, second);
        seen.expect("read");
        assert!(log_bytes(&store) <= BOUND, "{} bytes after {id}", log_bytes(&store));
    }
    assert_eq!(count(&store.sqlite, &all_rows(&binding)).await, Some(600));
    // More than ten times the bound went through the log.
    assert!(store.path().metadata().expect("a file").len() > 10 * BOUND);
}

#[tokio::test]
async fn a_log_that_could_be_long_starts_over_while_it_is_short() {
    let store = Store::new().await;
    let binding = notes(&store.sqlite).await;
    let mut id = 0;
    while log_bytes(&store) <= 7 << 19 {
        id += 1;
        write(&store, &binding, id).await;
    }
    // A reader, so that the thread that moves leaves a rest behind, as beside a constant writer.
    let reader = rusqlite::Connection::open(store.path()).expect("opened");
    reader.execute_batch("BEGIN").expect("begun");
    let seen: i64 =
        reader.query_row("SELECT count(*) FROM notes", [], |row| row.get(0)).expect("read");
    assert!(seen > 0);
    write_of(&store, &binding, 1_000, 1_200_000).await;
    let other = rusqlite::Connection::open(store.path()).expect("opened");
    let frames = || {
        let log = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        other.query_row("PRAGMA wal_checkpoint(NOOP)", [], log).expect("told")
    };
    let left = || frames().0 - frames().1;
    while left() > 400 {
        std::thread::yield_now();
    }
    assert!(left() > 100);
    reader.execute_batch("COMMIT").expect("ended");
    // With the next write; or later, if the thread that moves has not seen yet that it is done.
    let (long, _) = frames();
    let mut id = 1_000;
    while frames().0 >= long {
        id += 1;
        assert!(id < 1_100, "it is as long as its bound allows");
        write_of(&store, &binding, id, 300_000).await;
    }
    let length = log_bytes(&store);
    for id in 2_000..2_100 {
        write(&store, &binding, id).await;
    }
    assert_eq!(log_bytes(&store), length);
}

#[tokio::test]
async fn sessions_keep_the_log_within_its_bound() {
    let store = Store::with(bounded).await;
    let binding = notes(&store.sqlite).await;
    for id in 0..200 {
        let mut session =
            DynProvider::open(&store.sqlite, SessionOptions::default()).await.expect("a session");
        let row: &[Value] = &[Value::I64(id), text(&"x".repeat(20_000))];
        let one = insert(&binding, &[row], OnConflict::Fail);
        session.write(&one, &mut RowBuffer::new(0)).await.expect("written");
        session.commit().await.expect("committed");
        assert!(log_bytes(&store) <= BOUND, "{} bytes after {id}", log_bytes(&store));
    }
}

#[tokio::test]
async fn the_log_is_cut_behind_a_transaction_that_was_larger() {
    let store = Store::with(bounded).await;
    let binding = notes(&store.sqlite).await;
    let rows: Vec<[Value; 2]> =
        (1_000..1_200).map(|id| [Value::I64(id), text(&"x".repeat(20_000))]).collect();
    let rows: Vec<&[Value]> = rows.iter().map(|row| &row[..]).collect();
    fill(&store.sqlite, &binding, &rows).await;
    assert!(log_bytes(&store) > BOUND);
    write(&store, &binding, 1).await;
    assert!(log_bytes(&store) <= BOUND, "{} bytes", log_bytes(&store));
}

#[tokio::test]
async fn a_reader_that_stays_makes_the_log_longer_and_stops_nobody() {
    let store = Store::with(bounded).await;
    let binding = notes(&store.sqlite).await;
    write(&store, &binding, 0).await;
    let reader = rusqlite::Connection::open(store.path()).expect("opened");
    reader.execute_batch("BEGIN").expect("begun");
    let seen = || reader.query_row("SELECT count(*) FROM notes", [], |row| row.get(0));
    assert_eq!(seen(), Ok(1));
    for id in 1..100 {
        write(&store, &binding, id).await;
    }
    assert!(log_bytes(&store) > BOUND);
    assert_eq!(seen(), Ok(1));
    reader.execute_batch("COMMIT").expect("ended");
    for id in 100..120 {
        write(&store, &binding, id).await;
    }
    assert!(log_bytes(&store) <= BOUND, "{} bytes", log_bytes(&store));
    assert_eq!(seen(), Ok(120));
}
