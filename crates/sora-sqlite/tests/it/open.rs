//! What can be opened, and what is said of what cannot.

use sora_core::provider::{Administer, Administered, DynProvider, SessionOptions};
use sora_core::write::OnConflict;
use sora_core::{Column, Error, ErrorKind, Retry, RowBuffer, Schema, Type, Value};
use sora_sqlite::{Sqlite, SqliteConfig, Synchronous};

use crate::support::{Store, all_rows, bind, directory, ensure, fill, found, insert, read, write};

fn ids() -> Schema {
    let builder = Schema::builder("ids").column(Column::new("id", Type::I64)).key(["id"]);
    builder.build().expect("a schema")
}

async fn refused(config: SqliteConfig) -> Error {
    Sqlite::open(config).await.expect_err("refused")
}

#[tokio::test]
async fn what_cannot_be_opened_is_named_with_its_remedy() {
    let directory = directory();
    let file = |name: &str| SqliteConfig::file(directory.path().join(name)).expect("a path");

    let error = refused(SqliteConfig::file(directory.path()).expect("a path")).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("this is a directory; name a file in it"), "{error}");

    let error = refused(file("missing/x.db")).await;
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never));
    assert!(error.to_string().contains("there is no directory"), "{error}");

    let error = refused(file("missing.db").read_only(true)).await;
    assert!(error.to_string().contains("no such database"), "{error}");
    assert!(!directory.path().join("missing.db").exists());

    std::fs::write(
        directory.path().join("text.db"),
        "not a database, but long enough\n".repeat(99),
    )
    .expect("written");
    for read_only in [false, true] {
        let error = refused(file("text.db").read_only(read_only)).await;
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.to_string().contains("not a SQLite database"), "{error}");
        assert!(error.to_string().contains("text.db"), "{error}");
    }

    let path = directory.path().join("utf16.db");
    let db = rusqlite::Connection::open(&path).expect("opened");
    db.execute_batch("PRAGMA encoding = 'UTF-16'; CREATE TABLE t (a TEXT)").expect("made");
    drop(db);
    let error = refused(file("utf16.db")).await;
    assert!(error.to_string().contains("encoded in UTF-16"), "{error}");
}

#[tokio::test]
async fn a_path_is_a_path_whatever_it_looks_like() {
    let directory = directory();
    // The names stand behind a directory here; that a bare one is no URI either is tested where the
    // path is made.
    for name in ["a b.db", "x?mode=memory", "y#z", "file:q.db", "per%20cent", ":memory:"] {
        let config = SqliteConfig::file(directory.path().join(name)).expect("a path");
        let sqlite = Sqlite::open(config).await.expect("opened");
        let binding = bind(&sqlite, ids()).await;
        fill(&sqlite, &binding, &[&[Value::I64(1)]]).await;
        drop(sqlite);
        assert!(directory.path().join(name).is_file(), "{name}");
    }
}

#[tokio::test]
async fn a_memory_database_is_private() {
    let first = Sqlite::open(SqliteConfig::memory()).await.expect("opened");
    let second = Sqlite::open(SqliteConfig::memory()).await.expect("opened");
    bind(&first, ids()).await;
    let provider: &dyn DynProvider = &second;
    assert_eq!(provider.describe(None).await.expect("described"), []);
}

#[tokio::test]
async fn a_closed_database_is_one_file_that_opens_again() {
    let store = Store::with(|config| config.synchronous(Synchronous::Normal)).await;
    let binding = bind(&store.sqlite, ids()).await;
    fill(&store.sqlite, &binding, &[&[Value::I64(1)]]).await;
    read(&store.sqlite, &all_rows(&binding)).await.expect("read");
    let Store { sqlite, directory } = store;
    drop(sqlite);
    let left: Vec<_> = std::fs::read_dir(directory.path())
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["test.db"]);
    let config = SqliteConfig::file(directory.path().join("test.db")).expect("a path");
    let sqlite = Sqlite::open(config).await.expect("opened");
    let binding = found(&sqlite, "ids").await;
    assert_eq!(read(&sqlite, &all_rows(&binding)).await.expect("read"), ["1"]);
}

#[tokio::test]
async fn reading_alone_changes_nothing() {
    for mode in ["DELETE", "WAL"] {
        let directory = directory();
        let path = directory.path().join("found.db");
        let db = rusqlite::Connection::open(&path).expect("opened");
        db.execute_batch(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); \
             INSERT INTO t VALUES (1, 'a')"
        ))
        .expect("made");
        drop(db);
        let before = std::fs::read(&path).expect("read");

        let config = SqliteConfig::file(&path).expect("a path").read_only(true);
        let sqlite = Sqlite::open(config).await.expect("opened");
        assert!(DynProvider::capability(&sqlite).read_only);
        let binding = found(&sqlite, "t").await;
        assert_eq!(read(&sqlite, &all_rows(&binding)).await.expect("read"), ["1|a"]);
        let provider: &dyn DynProvider = &sqlite;
        let row: &[Value] = &[Value::I64(2), Value::Null];
        let adding = insert(&binding, &[row], OnConflict::Fail);
        let refused = provider.write(&adding, &mut RowBuffer::new(0)).await;
        assert_eq!(refused.expect_err("refused").kind(), ErrorKind::ReadOnly);
        assert_eq!(ensure(&sqlite, &ids()).await.expect_err("refused").kind(), ErrorKind::ReadOnly);
        let mut session = provider.open(SessionOptions::default()).await.expect("a session");
        let refused = session.write(&adding, &mut RowBuffer::new(0)).await;
        assert_eq!(refused.expect_err("refused").kind(), ErrorKind::ReadOnly);
        session.commit().await.expect("committed");
        drop(sqlite);

        assert_eq!(std::fs::read(&path).expect("read"), before, "{mode}");
        let left = std::fs::read_dir(directory.path()).expect("listed").count();
        assert_eq!(left, 1, "{mode}");
    }
}

#[tokio::test]
async fn a_log_that_is_there_is_read_and_left() {
    let directory = directory();
    let path = directory.path().join("found.db");
    let other = rusqlite::Connection::open(&path).expect("opened");
    other
        .execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY); \
             INSERT INTO t VALUES (1)",
        )
        .expect("made");
    let log = directory.path().join("found.db-wal");
    let before = std::fs::read(&log).expect("a log");
    let config = SqliteConfig::file(&path).expect("a path").read_only(true);
    let sqlite = Sqlite::open(config).await.expect("opened");
    let binding = found(&sqlite, "t").await;
    assert_eq!(read(&sqlite, &all_rows(&binding)).await.expect("read"), ["1"]);
    // What others commit is seen.
    other.execute_batch("INSERT INTO t VALUES (2)").expect("inserted");
    assert_eq!(read(&sqlite, &all_rows(&binding)).await.expect("read"), ["1", "2"]);
    drop(sqlite);
    assert!(std::fs::read(&log).expect("a log").starts_with(&before));
}

#[tokio::test]
async fn settings_are_those_of_the_configuration() {
    let store = Store::new().await;
    assert_eq!(store.rows("PRAGMA journal_mode"), ["wal"]);
    let ping = Administer::Ping;
    let provider: &dyn DynProvider = &store.sqlite;
    assert!(matches!(provider.administer(&ping).await, Ok(Administered::Answered)));
    // Text in double quotes is a name, never a text: a misspelt one is an error.
    store.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)");
    let binding = found(&store.sqlite, "t").await;
    store.sql("ALTER TABLE t DROP COLUMN name");
    let error = read(&store.sqlite, &all_rows(&binding)).await.expect_err("gone");
    assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
    let row: &[Value] = &[Value::I64(2), Value::Null];
    let adding = insert(&binding, &[row], OnConflict::Fail);
    let error = provider.write(&adding, &mut RowBuffer::new(0)).await.expect_err("gone");
    assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
}

#[tokio::test]
async fn a_file_that_another_connection_holds_is_busy() {
    let store = Store::with(|config| config.busy_timeout_ms(10)).await;
    let binding = bind(&store.sqlite, ids()).await;
    let other = rusqlite::Connection::open(store.path()).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("begun");
    let adding = insert(&binding, &[&[Value::I64(1)]], OnConflict::Fail);
    let provider: &dyn DynProvider = &store.sqlite;
    let error = provider.write(&adding, &mut RowBuffer::new(0)).await.expect_err("busy");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Busy, Retry::Safe), "{error}");
    assert_eq!(read(&store.sqlite, &all_rows(&binding)).await.expect("read"), [""; 0]);
    other.execute_batch("COMMIT").expect("committed");
    assert!(write(&store.sqlite, &adding).await.first_error().is_none());
}
