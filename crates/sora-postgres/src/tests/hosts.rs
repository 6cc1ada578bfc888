//! Several hosts, and which of them will do.

use sora_core::{ErrorKind, Retry};
use sora_testbed::{PgBouncer, PoolMode, Postgres, PostgresOptions};

use super::support::{config, pool, texts, until, write};
use crate::pool::Pool;

const RECOVERY: &str = "select pg_is_in_recovery()::text";

#[tokio::test]
async fn a_failover_is_followed() {
    let primary = Postgres::start(&PostgresOptions::new()).expect("a server");
    let standby = primary.replica().expect("a replica");
    let url = |first: &Postgres, second: &Postgres| {
        let user = config(&primary.url("postgres"), "").user;
        let host = |server: &Postgres| format!("{}:{}", server.host(), server.port());
        format!("postgres://{user}@{},{}/postgres", host(first), host(second))
    };
    let both = url(&standby, &primary);
    for (target, expected) in [
        ("any", "true"),
        ("read-write", "false"),
        ("primary", "false"),
        ("read-only", "true"),
        ("standby", "true"),
        ("prefer-standby", "true"),
    ] {
        for url in [&both, &url(&primary, &standby)] {
            if target == "any" && url != &both {
                continue;
            }
            let pool = pool(url, &format!("target_session_attrs={target}"));
            let lease = pool.acquire().await.expect(target);
            assert_eq!(texts(&lease, RECOVERY).await.expect("read"), [expected], "{target}");
        }
    }
    // A pooler does not hand on what the server says of itself: it is asked.
    let bouncer = PgBouncer::start(&standby, PoolMode::Transaction).expect("a pooler");
    for (target, is_there) in
        [("read-write", false), ("primary", false), ("standby", true), ("read-only", true)]
    {
        let pool = pool(&bouncer.url("postgres"), &format!("target_session_attrs={target}"));
        assert_eq!(pool.acquire().await.is_ok(), is_there, "{target}");
    }
    drop(bouncer);

    follow(&primary, &standby, &pool(&both, "target_session_attrs=read-write")).await;
    let alone = pool(&both, "target_session_attrs=prefer-standby");
    let lease = alone.acquire().await.expect("the primary");
    assert_eq!(texts(&lease, RECOVERY).await.expect("read"), ["false"]);
}

/// The primary dies and the standby takes its place: the next connection goes there.
async fn follow(primary: &Postgres, standby: &Postgres, pool: &Pool) {
    let lease = pool.acquire().await.expect("the primary");
    write(&lease, "create table t (a int)").await.expect("written");
    // It follows at its own pace.
    let follower = super::support::pool(&standby.url("postgres"), "");
    let follower = follower.acquire().await.expect("the standby");
    until(&follower, "select (to_regclass('t') is not null)::text", "true").await;
    primary.kill().expect("killed");
    let error = write(&lease, "insert into t values (1)").await.expect_err("gone");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    drop(lease);
    let error = pool.acquire().await.expect_err("no primary yet");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Safe));
    let text = error.to_string();
    assert!(text.contains("not read-write") && text.contains("cannot be reached"), "{text}");
    standby.promote().expect("promoted");
    let lease = pool.acquire().await.expect("the new primary");
    assert_eq!(texts(&lease, RECOVERY).await.expect("read"), ["false"]);
    write(&lease, "insert into t values (1)").await.expect("written");
}

#[tokio::test]
async fn a_server_that_no_longer_takes_writes_is_left() {
    let server = Postgres::start(&PostgresOptions::new()).expect("a server");
    let pool = pool(&server.url("postgres"), "target_session_attrs=read-write&connections_max=1");
    let lease = pool.acquire().await.expect("a connection");
    write(&lease, "create table t (a int)").await.expect("written");
    // As after a demotion behind an address that stays.
    write(&lease, "set default_transaction_read_only = on").await.expect("set");
    let error = write(&lease, "insert into t values (1)").await.expect_err("read-only");
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
    drop(lease);
    assert_eq!(pool.gauges().discarded_total, 1);
    let lease = pool.acquire().await.expect("another connection");
    write(&lease, "insert into t values (1)").await.expect("written");
}

#[tokio::test]
async fn a_host_that_does_not_answer_costs_its_time_alone() {
    let server = Postgres::start(&PostgresOptions::new()).expect("a server");
    let silent = Postgres::start(&PostgresOptions::new()).expect("a server");
    silent.pause().expect("paused");
    let user = config(&server.url("postgres"), "").user;
    let url = format!(
        "postgres://{user}@{}:{},{}:{}/postgres",
        silent.host(),
        silent.port(),
        server.host(),
        server.port()
    );
    let lease = pool(&url, "connect_timeout_ms=3000").acquire().await;
    silent.resume().expect("resumed");
    assert_eq!(texts(&lease.expect("the other"), "select 'x'").await.expect("read"), ["x"]);
}

#[tokio::test]
async fn a_host_that_is_not_there_is_named() {
    for (url, part) in [
        ("postgres://u@127.0.0.1:1/db", "host: 127.0.0.1:1"),
        ("postgres://u@no-such-host.invalid/db", "cannot be resolved"),
        ("postgres://u@%2Fno%2Fsuch/db", "host: /no/such:5432"),
    ] {
        let error = pool(url, "").acquire().await.expect_err(url);
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Safe), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}
