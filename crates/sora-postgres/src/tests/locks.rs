//! Rows that are locked until their transaction ends.

use std::sync::Arc;

use sora_core::read::{Access, Read};
use sora_core::{Binding, Cell, CellSink, Column, Result, RowBuffer, Schema, Type};

use super::support::{database, pool, until, write};
use crate::describe::describe;
use crate::link::Link;
use crate::read;

/// A read of rows by their keys, which locks them.
async fn locking(link: &Link, key: &[&str], keys: &[i64]) -> Read {
    let columns = ["a", "b", "x"].map(|name| Column::new(name, Type::I64));
    let schema = columns.into_iter().fold(Schema::builder("t"), sora_core::SchemaBuilder::column);
    let schema = Arc::new(schema.key(key.iter().copied()).build().expect("a schema"));
    let live = describe(link, Some("t")).await.expect("described").remove(0);
    let binding = Binding::new(schema, Arc::new(live)).expect("bound");
    let mut read = Read::new(Arc::new(binding), [2].into());
    let mut buffer = RowBuffer::new(key.len());
    for key in keys {
        buffer.cell(Cell::I64(*key)).expect("a cell");
    }
    read.access = Access::Keys(Arc::new(buffer));
    read.for_update = true;
    read
}

async fn found(link: &Link, read: &Read) -> Result<Vec<i64>> {
    let mut rows = RowBuffer::new(1);
    read::run_inside(link, read, &mut rows).await?;
    let number = |cell: Cell<'_>| match cell {
        Cell::I64(number) => number,
        other => panic!("{other} is no number"),
    };
    Ok(rows.iter().map(|row| number(row.get(0))).collect())
}

#[tokio::test]
async fn who_reads_for_an_update_waits_for_the_one_before() {
    let database = database();
    database
        .execute("create table t (a int8 primary key, b int8, x int8); insert into t values (1, 1, 1), (2, 2, 2)")
        .expect("made");
    let pool = pool(&database.url(), "connections_max=4");
    let (one, two) = (pool.acquire().await.expect("one"), pool.acquire().await.expect("two"));
    let watcher = pool.acquire().await.expect("a watcher");
    let read = locking(&watcher, &["a"], &[1]).await;
    one.begin("begin").await.expect("begun");
    two.begin("begin").await.expect("begun");
    assert_eq!(found(&one, &read).await.expect("read"), [1]);
    // Who only reads does not wait, nor who locks another row.
    let mut plain = read.clone();
    plain.for_update = false;
    assert_eq!(found(&two, &plain).await.expect("read"), [1]);
    let other = locking(&watcher, &["a"], &[2]).await;
    assert_eq!(found(&two, &other).await.expect("read"), [2]);

    let process = two.process().expect("told");
    let waits = format!(
        "select count(*)::text from pg_stat_activity where pid = {process} and wait_event_type = 'Lock'"
    );
    let change = async {
        until(&watcher, &waits, "1").await;
        write(&one, "update t set x = 7 where a = 1").await.expect("written");
        one.commit().await.expect("committed");
    };
    let (second, ()) = tokio::join!(found(&two, &read), change);
    assert_eq!(second.expect("read"), [7], "what the first has written");
}

#[tokio::test]
async fn rows_of_many_keys_are_locked() {
    let database = database();
    database
        .execute(
            "create table t (a int8, b int8, x int8, primary key (a, b));
             insert into t values (1, 1, 1), (1, 2, 2), (2, 1, 3)",
        )
        .expect("made");
    let pool = pool(&database.url(), "");
    let (one, two) = (pool.acquire().await.expect("one"), pool.acquire().await.expect("two"));
    one.begin("begin").await.expect("begun");
    let read = locking(&two, &["a", "b"], &[1, 1, 2, 1]).await;
    let mut rows = found(&one, &read).await.expect("read");
    rows.sort_unstable();
    assert_eq!(rows, [1, 3]);
    let free = "select x from t for update skip locked";
    two.begin("begin").await.expect("begun");
    assert_eq!(write(&two, free).await.expect("read"), 1);
}
