//! The pool: order, limits, and callers that go away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sora_core::{ErrorKind, Retry};
use sora_testbed::{PgBouncer, PoolMode, Postgres, PostgresOptions};

use super::support::{database, polled, pool, settled, texts, until, write};
use crate::pool::Lease;

#[tokio::test]
async fn who_waits_is_served_in_order_within_the_limit() {
    let database = database();
    let pool = pool(&database.url(), "connections_max=2");
    assert_eq!(pool.config().connections_max, 2);
    let held = [pool.acquire().await.expect("one"), pool.acquire().await.expect("two")];
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for at in 0..20 {
        let (waiter, order) = (pool.clone(), order.clone());
        tasks.push(tokio::spawn(async move {
            let lease = waiter.acquire().await.expect("a connection");
            order.lock().expect("a list").push(at);
            texts(&lease, "select 'x'").await.expect("read");
            assert!(lease.waited() > Duration::ZERO);
        }));
        settled(&pool, |gauges| gauges.waiting == at + 1).await;
    }
    let gauges = pool.gauges();
    assert_eq!((gauges.connections, gauges.idle), (2, 0));
    drop(held);
    for task in tasks {
        task.await.expect("a task");
    }
    assert_eq!(*order.lock().expect("a list"), (0..20).collect::<Vec<_>>());
    let gauges = pool.gauges();
    assert_eq!((gauges.connections, gauges.idle, gauges.waiting), (2, 2, 0));
    assert_eq!((gauges.opened_total, gauges.closed_total, gauges.discarded_total), (2, 0, 0));
    let lease = pool.acquire().await.expect("a connection");
    assert_eq!(lease.waited(), Duration::ZERO);
}

#[tokio::test]
async fn the_connection_used_last_is_used_first() {
    let database = database();
    let pool = pool(&database.url(), "");
    let process = |lease: &Lease| lease.process();
    let (one, two) = (pool.acquire().await.expect("one"), pool.acquire().await.expect("two"));
    let last = process(&one);
    drop(two);
    drop(one);
    for _ in 0..3 {
        assert_eq!(process(&pool.acquire().await.expect("a connection")), last);
    }
}

#[tokio::test]
async fn an_exhausted_pool_says_so() {
    let database = database();
    let pool = pool(&database.url(), "connections_max=1&acquire_timeout_ms=5");
    let held = loop {
        // Opening takes longer than the wait, but goes on.
        if let Ok(lease) = pool.acquire().await {
            break lease;
        }
    };
    let error = pool.acquire().await.expect_err("none free");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Busy, Retry::Safe));
    let text = error.to_string();
    assert!(text.contains("raise connections_max") && text.contains("in_use: 1"), "{text}");
    drop(held);
    assert_eq!(pool.gauges().opened_total, 1);
    pool.acquire().await.expect("free again");
}

#[tokio::test]
async fn callers_that_go_away_at_any_poll_lose_nothing() {
    let database = database();
    let pool = pool(&database.url(), "connections_max=2");
    for polls in 1.. {
        if polled(pool.acquire(), polls).await.is_some() {
            break;
        }
    }
    // The whole of a use: acquire, prepare, read, begin, write, commit.
    database.execute("create table t (a int)").expect("made");
    let mut ended = 0;
    for round in 0..3 {
        for polls in 1..200 {
            let sql = format!("select '{round}-{polls}' from generate_series(1, 1000)");
            let done = polled(
                async {
                    let lease = pool.acquire().await.expect("a connection");
                    assert!(lease.is_clean());
                    texts(&lease, &sql).await.expect("read");
                    lease.begin("begin").await.expect("begun");
                    write(&lease, "insert into t values (1)").await.expect("written");
                    lease.commit().await.expect("committed");
                },
                polls,
            );
            if done.await.is_some() {
                ended += 1;
                break;
            }
        }
    }
    assert_eq!(ended, 3);
    let gauges = settled(&pool, |gauges| gauges.idle == gauges.connections).await;
    assert!(gauges.connections <= 2 && gauges.waiting == 0, "{gauges:?}");
    assert_eq!(gauges.discarded_total, 0, "{gauges:?}");
    let (one, two) = (pool.acquire().await.expect("one"), pool.acquire().await.expect("two"));
    for lease in [one, two] {
        let open = "select count(*)::text from pg_stat_activity \
                    where datname = current_database() and state like 'idle in%'";
        assert_eq!(texts(&lease, open).await.expect("read"), ["0"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_that_go_away_leave_the_pool_whole() {
    let database = database();
    database.execute("create table t (task int, a int)").expect("made");
    let pool = pool(&database.url(), "connections_max=4");
    let tasks = (0..16).map(|task| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for at in 0..100_usize {
                let insert = format!("insert into t values ({task}, {})", at % 5);
                let work = async {
                    let lease = pool.acquire().await.expect("a connection");
                    assert!(lease.is_clean());
                    lease.begin("begin").await.expect("begun");
                    for _ in 0..2 {
                        write(&lease, &insert).await.expect("written");
                    }
                    lease.commit().await.expect("committed");
                };
                // Any number that is not the same each time.
                polled(work, (at * 7 + task) % 13).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a task");
    }
    let gauges = settled(&pool, |gauges| gauges.idle == gauges.connections).await;
    assert!(gauges.connections <= 4 && gauges.waiting == 0, "{gauges:?}");
    assert_eq!(gauges.discarded_total, 0, "{gauges:?}");
    let lease = pool.acquire().await.expect("a connection");
    let halves = "select count(*)::text from \
                  (select 1 from t group by task, a having count(*) % 2 = 1) as odd";
    assert_eq!(texts(&lease, halves).await.expect("read"), ["0"]);
    let all = texts(&lease, "select (count(*) > 0)::text from t").await.expect("read");
    assert_eq!(all, ["true"]);
}

#[tokio::test]
async fn what_nobody_waits_for_is_stopped_on_the_server() {
    let database = database();
    database.execute("create table t (a int)").expect("made");
    let sleeper = pool(&database.url(), "connections_max=1");
    let watcher = pool(&database.url(), "");
    let watcher = watcher.acquire().await.expect("a connection");
    let sleeping = "select count(*)::text from pg_stat_activity \
                    where datname = current_database() and wait_event = 'PgSleep'";
    for in_transaction in [false, true] {
        let lease = sleeper.acquire().await.expect("a connection");
        let process = lease.process();
        if in_transaction {
            lease.begin("begin").await.expect("begun");
            write(&lease, "insert into t values (1)").await.expect("written");
        }
        tokio::select! {
            _ = texts(&lease, "select pg_sleep(3600)::text") => panic!("it slept for an hour"),
            () = until(&watcher, sleeping, "1") => {}
        }
        assert!(!lease.is_clean());
        drop(lease);
        let lease = sleeper.acquire().await.expect("a connection");
        assert_eq!(lease.process(), process, "the connection was kept");
        assert!(lease.is_clean());
        assert_eq!(texts(&watcher, sleeping).await.expect("read"), ["0"]);
        for _ in 0..100 {
            texts(&lease, "select 'x'").await.expect("no late request to stop");
        }
    }
    let count = texts(&watcher, "select count(*)::text from t").await;
    assert_eq!(count.expect("read"), ["0"], "rolled back");
    assert_eq!(sleeper.gauges().discarded_total, 0);
}

#[tokio::test]
async fn what_nobody_waits_for_is_stopped_through_a_pooler() {
    let server = Postgres::shared().expect("a server");
    let bouncer = PgBouncer::start(server, PoolMode::Transaction).expect("a pooler");
    let database = database();
    database.execute("create table t (a int)").expect("made");
    let pool = pool(&bouncer.url(database.name()), "connections_max=1");
    let watcher = super::support::pool(&database.url(), "");
    let watcher = watcher.acquire().await.expect("a connection");
    let sleeping = "select count(*)::text from pg_stat_activity \
                    where datname = current_database() and wait_event = 'PgSleep'";
    for in_transaction in [false, true] {
        let lease = pool.acquire().await.expect("a connection");
        if in_transaction {
            lease.begin("begin").await.expect("begun");
            write(&lease, "insert into t values (1)").await.expect("written");
        }
        tokio::select! {
            _ = texts(&lease, "select pg_sleep(3600)::text") => panic!("it slept for an hour"),
            () = until(&watcher, sleeping, "1") => {}
        }
        drop(lease);
        let lease = pool.acquire().await.expect("a connection");
        assert_eq!(texts(&watcher, sleeping).await.expect("read"), ["0"]);
        for _ in 0..100 {
            texts(&lease, "select 'x'").await.expect("no late request to stop");
        }
    }
    let count = texts(&watcher, "select count(*)::text from t").await;
    assert_eq!(count.expect("read"), ["0"], "rolled back");
    assert_eq!(pool.gauges().opened_total, 1);
}

#[tokio::test]
async fn rows_that_nobody_reads_do_not_hold_the_connection() {
    let database = database();
    let pool = pool(&database.url(), "connections_max=1");
    let lease = pool.acquire().await.expect("a connection");
    let sql = || "select generate_series(1, 1000000000)::text".to_owned();
    let params: [&str; 0] = [];
    let mut rows = lease
        .query(crate::failure::Stage::Reading, b"many", sql, &[], &params)
        .await
        .expect("asked");
    rows.next().await.expect("read").expect("a row");
    drop(rows);
    drop(lease);
    let lease = pool.acquire().await.expect("a connection");
    assert_eq!(texts(&lease, "select 'x'").await.expect("read"), ["x"]);
    assert_eq!(pool.gauges().opened_total, 1);
}

#[tokio::test]
async fn a_copy_that_is_left_does_not_hold_the_connection() {
    let database = database();
    database.execute("create table t (a int)").expect("made");
    let pool = pool(&database.url(), "connections_max=1");
    let lease = pool.acquire().await.expect("a connection");
    let process = lease.process();
    let _running = lease.running();
    let copy = lease.client().copy_in::<_, &[u8]>("copy t from stdin").await.expect("begun");
    drop(copy);
    drop(lease);
    let lease = pool.acquire().await.expect("a connection");
    assert_eq!(lease.process(), process);
    assert_eq!(texts(&lease, "select count(*)::text from t").await.expect("read"), ["0"]);
}

#[tokio::test]
async fn time_without_use_and_age_end_connections() {
    let database = database();
    let pool = pool(&database.url(), "idle_timeout_ms=60000&lifetime_ms=600000&connections_min=1");
    settled(&pool, |gauges| gauges.idle == 1).await;
    let (one, two) = (pool.acquire().await.expect("one"), pool.acquire().await.expect("two"));
    drop((one, two));
    assert_eq!(pool.gauges().idle, 2);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(59)).await;
    pool.reap();
    assert_eq!(pool.gauges().idle, 2);
    tokio::time::advance(Duration::from_millis(1_001)).await;
    pool.reap();
    let gauges = pool.gauges();
    assert_eq!((gauges.idle, gauges.closed_total), (1, 1), "one more than must be");
    tokio::time::advance(Duration::from_secs(478)).await;
    pool.reap();
    assert_eq!(pool.gauges().connections, 1, "not a tenth before its age");
    tokio::time::advance(Duration::from_secs(62)).await;
    pool.reap();
    let gauges = pool.gauges();
    assert_eq!(gauges.closed_total, 2, "{gauges:?}");
    tokio::time::resume();
    settled(&pool, |gauges| gauges.idle == 1).await;
}

#[tokio::test]
async fn a_closed_pool_waits_for_who_is_out() {
    let database = database();
    let pool = pool(&database.url(), "connections_max=2");
    let watcher = super::support::pool(&database.url(), "");
    let watcher = watcher.acquire().await.expect("a connection");
    let (one, two) = (pool.acquire().await.expect("one"), pool.acquire().await.expect("two"));
    drop(two);
    pool.lane(0).await.expect("a lane");
    let close = tokio::spawn({
        let pool = pool.clone();
        async move { pool.close().await }
    });
    settled(&pool, |gauges| gauges.connections == 1).await;
    let error = pool.acquire().await.expect_err("closed");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never));
    assert!(pool.lane(0).await.is_err());
    assert!(!close.is_finished());
    texts(&one, "select 'x'").await.expect("still its own");
    drop(one);
    close.await.expect("closed");
    let gauges = pool.gauges();
    assert_eq!((gauges.connections, gauges.closed_total), (0, 2));
    let others = "select count(*)::text from pg_stat_activity \
                  where datname = current_database() and pid <> pg_backend_pid()";
    until(&watcher, others, "0").await;
}

#[tokio::test]
async fn connections_that_broke_are_not_handed_out() {
    let server = Postgres::start(&PostgresOptions::new()).expect("a server");
    let pool = pool(&server.url("postgres"), "connections_max=2&acquire_timeout_ms=20000");
    let held: Vec<Lease> =
        vec![pool.acquire().await.expect("one"), pool.acquire().await.expect("two")];
    drop(held);
    server.kill().expect("killed");
    while pool.gauges().connections > 0 {
        pool.reap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(pool.gauges().discarded_total, 2);
    let error = pool.acquire().await.expect_err("no server");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Safe), "{error}");
    assert_eq!(pool.gauges().connections, 0);
    server.restart().expect("again");
    let lease = pool.acquire().await.expect("a connection");
    assert_eq!(texts(&lease, "select 'x'").await.expect("read"), ["x"]);
}

#[tokio::test]
async fn a_pool_without_a_runtime_says_so() {
    let url = database().url();
    let made = std::thread::spawn(move || crate::pool::Pool::new(super::support::config(&url, "")));
    let error = made.join().expect("a thread").expect_err("no runtime");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
