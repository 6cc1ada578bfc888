//! Transactions of a connection.

use sora_core::{ErrorKind, Retry};

use super::support::{database, polled, pool, settled, texts, until, write};
use crate::failure::Stage;

const COUNT: &str = "select count(*)::text from t";

#[tokio::test]
async fn a_failed_transaction_is_no_success() {
    let database = database();
    database.execute("create table t (a int primary key)").expect("made");
    let lease = pool(&database.url(), "").acquire().await.expect("a connection");
    lease.begin("begin").await.expect("begun");
    write(&lease, "insert into t values (1)").await.expect("written");
    let error = write(&lease, "insert into t values (1)").await.expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = lease.commit().await.expect_err("rolled back");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Store, Retry::Never), "{error}");
    assert!(lease.is_clean());
    assert_eq!(texts(&lease, COUNT).await.expect("read"), ["0"]);

    // Back at a savepoint it can be committed.
    lease.begin("begin").await.expect("begun");
    write(&lease, "insert into t values (1)").await.expect("written");
    lease.savepoint(1).await.expect("set");
    write(&lease, "insert into t values (1)").await.expect_err("taken");
    lease.rollback_to(1).await.expect("back");
    lease.savepoint(2).await.expect("set");
    write(&lease, "insert into t values (2)").await.expect("written");
    lease.release(2).await.expect("released");
    lease.commit().await.expect("committed");
    assert_eq!(texts(&lease, COUNT).await.expect("read"), ["2"]);
}

#[tokio::test]
async fn a_failure_that_nobody_saw_is_not_committed() {
    let database = database();
    database.execute("create table t (a int primary key); insert into t values (1)").expect("made");
    let pool = pool(&database.url(), "connections_max=1");
    let lease = pool.acquire().await.expect("a connection");
    // Prepared before, so that one poll sends it.
    write(&lease, "insert into t values (1)").await.expect_err("taken");
    lease.begin("begin").await.expect("begun");
    write(&lease, "insert into t values (2)").await.expect("written");
    assert!(polled(write(&lease, "insert into t values (1)"), 1).await.is_none());
    let error = lease.commit().await.expect_err("not committed");
    assert_eq!(error.retry(), Retry::Never, "{error}");
    assert!(lease.in_transaction());
    drop(lease);
    settled(&pool, |gauges| gauges.idle == 1).await;
    let lease = pool.acquire().await.expect("a connection");
    assert_eq!(texts(&lease, COUNT).await.expect("read"), ["1"]);
}

#[tokio::test]
async fn a_deferred_constraint_fails_the_commit() {
    let database = database();
    database
        .execute("create table t (a int constraint once unique deferrable initially deferred)")
        .expect("made");
    let pool = pool(&database.url(), "connections_max=1");
    let lease = pool.acquire().await.expect("a connection");
    write(&lease, "insert into t values (1)").await.expect("written");
    let error = write(&lease, "insert into t values (1)").await.expect_err("by itself");
    assert_eq!((error.kind(), error.constraint()), (ErrorKind::Conflict, Some("once")));
    lease.begin("begin").await.expect("begun");
    write(&lease, "insert into t values (1)").await.expect("deferred");
    let error = lease.commit().await.expect_err("refused");
    assert_eq!((error.kind(), error.constraint()), (ErrorKind::Conflict, Some("once")));
    assert_eq!(error.retry(), Retry::Never);
    assert!(lease.is_clean());
    assert_eq!(texts(&lease, COUNT).await.expect("read"), ["1"]);
}

#[tokio::test]
async fn transactions_that_lose_can_be_run_again() {
    let database = database();
    database.execute("create table t (a int); insert into t values (1)").expect("made");
    let pool = pool(&database.url(), "");
    let (one, two) = (pool.acquire().await.expect("one"), pool.acquire().await.expect("two"));
    for lease in [&one, &two] {
        lease.begin("begin isolation level repeatable read").await.expect("begun");
        texts(lease, COUNT).await.expect("read");
    }
    write(&one, "update t set a = 2").await.expect("written");
    one.commit().await.expect("committed");
    let error = write(&two, "update t set a = 3").await.expect_err("lost");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Serialization, Retry::Safe), "{error}");
}

#[tokio::test]
async fn a_lock_that_is_not_free_is_busy() {
    let database = database();
    database.execute("create table t (a int)").expect("made");
    let pool = pool(&database.url(), "");
    let (one, two) = (pool.acquire().await.expect("one"), pool.acquire().await.expect("two"));
    one.begin("begin").await.expect("begun");
    one.batch(Stage::Reading, "lock table t").await.expect("locked");
    two.begin("begin").await.expect("begun");
    let error = two.batch(Stage::Reading, "lock table t nowait").await.expect_err("taken");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Busy, Retry::Safe), "{error}");
}

#[tokio::test]
async fn what_a_broken_connection_means_depends_on_the_stage() {
    let database = database();
    database.execute("create table t (a int)").expect("made");
    let pool = pool(&database.url(), "");
    let watcher = pool.acquire().await.expect("a connection");
    for (stage, in_transaction, retry) in [
        (Stage::Reading, false, Retry::Safe),
        (Stage::Writing, false, Retry::IfIdempotent),
        (Stage::Writing, true, Retry::Safe),
    ] {
        let lease = pool.acquire().await.expect("a connection");
        if in_transaction {
            lease.begin("begin").await.expect("begun");
        }
        let process = lease.process().expect("told");
        let sleep = async {
            let sql = || "select pg_sleep(60)::text".to_owned();
            let params: [&str; 0] = [];
            lease.execute(stage, b"sleep", sql, &[], &params).await
        };
        let end = async {
            let sleeping = format!(
                "select count(*)::text from pg_stat_activity \
                 where pid = {process} and wait_event = 'PgSleep'"
            );
            until(&watcher, &sleeping, "1").await;
            let end = format!("select pg_terminate_backend({process})::text");
            texts(&watcher, &end).await.expect("ended");
        };
        let (slept, ()) = tokio::join!(sleep, end);
        let error = slept.expect_err("ended");
        let expected = (ErrorKind::Unavailable, retry);
        assert_eq!((error.kind(), error.retry()), expected, "{stage:?} {error}");
    }
}
