//! Transactions that stay open between calls.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use sora_core::provider::{DynProvider, SessionOptions};
use sora_core::write::OnConflict;
use sora_core::{Binding, Column, ErrorKind, Retry, RowBuffer, Schema, Type, Value};
use sora_sqlite::{Sqlite, SqliteConfig};

use crate::support::{
    Store, all_rows, bind, count, fill, found, insert, outcomes, read, read_inside,
};

async fn ids(sqlite: &Sqlite) -> Arc<Binding> {
    let schema = Schema::builder("ids").column(Column::new("id", Type::I64)).key(["id"]);
    bind(sqlite, schema.build().expect("a schema")).await
}

/// Polls a future once and drops it unless it is done.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn nothing() -> RowBuffer {
    RowBuffer::new(0)
}

#[tokio::test]
async fn nobody_else_sees_what_is_not_committed() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite).await;
    let provider: &dyn DynProvider = &store.sqlite;
    let mut session = provider.open(SessionOptions::default()).await.expect("a session");
    let one = insert(&binding, &[&[Value::I64(1)]], OnConflict::Fail);
    session.write(&one, &mut nothing()).await.expect("written");
    assert_eq!(read_inside(&mut *session, &all_rows(&binding)).await.expect("read"), ["1"]);
    assert_eq!(read(provider, &all_rows(&binding)).await.expect("read"), [""; 0]);
    session.commit().await.expect("committed");
    assert_eq!(read(provider, &all_rows(&binding)).await.expect("read"), ["1"]);
}

#[tokio::test]
async fn a_dropped_session_has_never_been() {
    for memory in [false, true] {
        let store = Store::new().await;
        let sqlite = match memory {
            true => &Sqlite::open(SqliteConfig::memory()).await.expect("opened"),
            false => &store.sqlite,
        };
        let binding = ids(sqlite).await;
        let provider: &dyn DynProvider = sqlite;
        let one = insert(&binding, &[&[Value::I64(1)]], OnConflict::Fail);
        let mut session = provider.open(SessionOptions::default()).await.expect("a session");
        session.write(&one, &mut nothing()).await.expect("written");
        drop(session);
        // A session that is dropped while it opens, and a write that is dropped while it runs.
        let _ = poll_once(provider.open(SessionOptions::default())).await;
        let mut session = provider.open(SessionOptions::default()).await.expect("a session");
        let _ = poll_once(session.write(&one, &mut nothing())).await;
        drop(session);
        assert_eq!(read(provider, &all_rows(&binding)).await.expect("read"), [""; 0]);
    }
}

#[tokio::test]
async fn a_commit_that_was_begun_is_done() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite).await;
    let provider: &dyn DynProvider = &store.sqlite;
    let mut session = provider.open(SessionOptions::default()).await.expect("a session");
    let one = insert(&binding, &[&[Value::I64(1)]], OnConflict::Fail);
    session.write(&one, &mut nothing()).await.expect("written");
    let _ = poll_once(session.commit()).await;
    // The next session has the database only once the first has ended.
    let mut next = provider.open(SessionOptions::default()).await.expect("a session");
    assert_eq!(read_inside(&mut *next, &all_rows(&binding)).await.expect("read"), ["1"]);
    next.rollback().await.expect("rolled back");
}

#[tokio::test]
async fn who_waits_too_long_for_a_session_is_told() {
    let store = Store::with(|config| config.busy_timeout_ms(5)).await;
    let binding = ids(&store.sqlite).await;
    let provider: &dyn DynProvider = &store.sqlite;
    let session = provider.open(SessionOptions::default()).await.expect("a session");
    let one = insert(&binding, &[&[Value::I64(1)]], OnConflict::Fail);
    let error = provider.write(&one, &mut nothing()).await.expect_err("busy");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Busy, Retry::Safe));
    assert!(error.to_string().contains("held the database for 5 ms"), "{error}");
    let error = provider.open(SessionOptions::default()).await.expect_err("busy");
    assert_eq!(error.kind(), ErrorKind::Busy);
    session.rollback().await.expect("rolled back");
    provider.write(&one, &mut nothing()).await.expect("written");
}

#[tokio::test]
async fn in_memory_a_read_waits_for_the_end_of_a_session() {
    let sqlite = Sqlite::open(SqliteConfig::memory()).await.expect("opened");
    let binding = ids(&sqlite).await;
    let provider: &dyn DynProvider = &sqlite;
    let mut session = provider.open(SessionOptions::default()).await.expect("a session");
    let all = all_rows(&binding);
    let waiting = read(provider, &all);
    let ending = async {
        let one = insert(&binding, &[&[Value::I64(1)]], OnConflict::Fail);
        session.write(&one, &mut nothing()).await.expect("written");
        session.commit().await.expect("committed");
    };
    let (seen, ()) = tokio::join!(biased; waiting, ending);
    assert_eq!(seen.expect("read"), ["1"]);
}

#[tokio::test]
async fn an_atomic_write_inside_is_undone_alone() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite).await;
    let provider: &dyn DynProvider = &store.sqlite;
    let mut session = provider.open(SessionOptions::default()).await.expect("a session");
    let rows: [&[Value]; 2] = [&[Value::I64(1)], &[Value::I64(2)]];
    session.write(&insert(&binding, &rows, OnConflict::Fail), &mut nothing()).await.expect("done");
    let rows: [&[Value]; 3] = [&[Value::I64(3)], &[Value::I64(2)], &[Value::I64(4)]];
    let mut atomic = insert(&binding, &rows, OnConflict::Fail);
    atomic.atomic = true;
    let report = session.write(&atomic, &mut nothing()).await.expect("a report");
    assert!(outcomes(&report)[1].starts_with("Conflict"), "{report:?}");
    assert_eq!(report.affected, 0);
    atomic.atomic = false;
    session.write(&atomic, &mut nothing()).await.expect("a report");
    session.commit().await.expect("committed");
    assert_eq!(read(provider, &all_rows(&binding)).await.expect("read"), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn what_sqlite_rolls_back_is_not_gone_on_with() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT;
         CREATE TRIGGER no BEFORE INSERT ON t WHEN new.id = 13
         BEGIN SELECT RAISE(ROLLBACK, 'unlucky'); END",
    );
    let binding = found(&store.sqlite, "t").await;
    let provider: &dyn DynProvider = &store.sqlite;
    let row = |id| insert(&binding, &[&[Value::I64(id)]], OnConflict::Fail);
    let mut session = provider.open(SessionOptions::default()).await.expect("a session");
    session.write(&row(1), &mut nothing()).await.expect("written");
    let error = session.write(&row(13), &mut nothing()).await.expect_err("rolled back");
    assert!(error.to_string().contains("unlucky"), "{error}");
    for id in [2, 3] {
        let error = session.write(&row(id), &mut nothing()).await.expect_err("no transaction");
        assert!(error.to_string().contains("rolled the transaction back"), "{error}");
    }
    assert!(read_inside(&mut *session, &all_rows(&binding)).await.is_err());
    assert!(session.commit().await.is_err());
    let rows: [&[Value]; 3] = [&[Value::I64(4)], &[Value::I64(13)], &[Value::I64(5)]];
    let three = insert(&binding, &rows, OnConflict::Fail);
    let error = provider.write(&three, &mut nothing()).await.expect_err("rolled back");
    assert_eq!(error.kind(), ErrorKind::Constraint, "{error}");
    assert_eq!(count(provider, &all_rows(&binding)).await, Some(0));
    // The connection is none the worse for it.
    fill(provider, &binding, &[&[Value::I64(6)]]).await;
}

#[tokio::test]
async fn a_session_outlives_its_provider() {
    let store = Store::new().await;
    let binding = ids(&store.sqlite).await;
    let path = store.path();
    let Store { sqlite, directory: _directory } = store;
    let mut session =
        DynProvider::open(&sqlite, SessionOptions::default()).await.expect("a session");
    drop(sqlite);
    let one = insert(&binding, &[&[Value::I64(1)]], OnConflict::Fail);
    session.write(&one, &mut nothing()).await.expect("written");
    session.commit().await.expect("committed");
    let sqlite = Sqlite::open(SqliteConfig::file(path).expect("a path")).await.expect("opened");
    let binding = found(&sqlite, "ids").await;
    assert_eq!(read(&sqlite, &all_rows(&binding)).await.expect("read"), ["1"]);
}
