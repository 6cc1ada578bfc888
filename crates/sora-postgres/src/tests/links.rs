//! What is known of a connection, and how statements run on it.

use postgres_types::Type;
use sora_core::{ErrorKind, Retry};
use sora_testbed::{PgBouncer, PoolMode, Postgres};

use super::support::{database, pool, settled, texts, until, with, write};
use crate::failure::Stage;

const NAMES: &str = "select count(*)::text from pg_prepared_statements";

#[tokio::test]
async fn a_direct_connection_is_proved_and_uses_names() {
    let server = Postgres::shared().expect("a server");
    let database = database();
    let lease = pool(&database.url(), "").acquire().await.expect("a connection");
    assert!(lease.keeps_statements());
    assert_eq!(texts(&lease, "select version()").await.expect("read").len(), 1);
    let process = texts(&lease, "select pg_backend_pid()::text").await.expect("read");
    assert_eq!(process, [lease.process().expect("told").to_string()]);
    assert_eq!(lease.statements_len(), 2);
    assert_eq!(texts(&lease, NAMES).await.expect("read"), ["3"]);

    if let Some(directory) = server.socket_directory() {
        let host = directory.display();
        let url = format!("{}?host={host}&port={}", database.url(), server.port());
        let lease = pool(&url, "").acquire().await.expect("a connection");
        assert!(lease.keeps_statements(), "over a socket");
    }
}

#[tokio::test]
async fn a_database_in_another_encoding_is_refused() {
    let server = Postgres::shared().expect("a server");
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("sora_{}", encoding.to_lowercase());
        let create =
            format!("create database {name} encoding '{encoding}' locale 'C' template template0");
        server.execute("postgres", &create).expect("created");
        let refused = pool(&server.url(&name), "").acquire().await.expect_err("refused");
        server.execute("postgres", &format!("drop database {name} with (force)")).expect("dropped");
        assert_eq!((refused.kind(), refused.retry()), (ErrorKind::Unsupported, Retry::Never));
        let text = refused.to_string();
        assert!(text.contains(encoding) && text.contains("WITH ENCODING 'UTF8'"), "{text}");
    }
}

#[tokio::test]
async fn names_can_be_forbidden() {
    let database = database();
    let lease = pool(&database.url(), "statements=unnamed").acquire().await.expect("a connection");
    assert!(!lease.keeps_statements());
    assert_eq!(with(&lease, "select $1", &["a"]).await.expect("read"), ["a"]);
    assert_eq!(texts(&lease, NAMES).await.expect("read"), ["0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_is_used_through_a_pooler() {
    let server = Postgres::shared().expect("a server");
    let bouncer = PgBouncer::start(server, PoolMode::Transaction).expect("a pooler");
    let database = database();
    let pool = pool(&bouncer.url(database.name()), "statement_timeout_ms=60000");
    let tasks = (0..8).map(|task| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let lease = pool.acquire().await.expect("a connection");
            assert!(!lease.keeps_statements());
            let lane = pool.lane(task).await.expect("a lane");
            for at in 0..40 {
                let sql = format!("select $1 || '-{task}-{at}'");
                let found = with(&lease, &sql, &["a"]).await.expect("read");
                assert_eq!(found, [format!("a-{task}-{at}")]);
                let found = with(&lane, &sql, &["b"]).await.expect("read");
                assert_eq!(found, [format!("b-{task}-{at}")]);
            }
            assert_eq!(texts(&lease, NAMES).await.expect("read"), ["0"]);
            let shown = texts(&lease, "select current_setting('statement_timeout')").await;
            assert_eq!(shown.expect("read"), ["0"], "set on a session that others use");
            lease.begin("begin").await.expect("begun");
            let shown = texts(&lease, "select current_setting('statement_timeout')").await;
            assert_eq!(shown.expect("read"), ["1min"]);
            lease.commit().await.expect("committed");
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a task");
    }
    assert_eq!(pool.gauges().discarded_total, 0);
}

#[tokio::test]
async fn statements_leave_in_the_order_of_their_use() {
    let database = database();
    let lease = pool(&database.url(), "statements_max=2").acquire().await.expect("a connection");
    for sql in ["select 'a'", "select 'b'", "select 'a'", "select 'c'"] {
        texts(&lease, sql).await.expect(sql);
    }
    assert_eq!(lease.statements_len(), 2);
    let mut rows = lease
        .query_once(
            Stage::Reading,
            "select statement from pg_prepared_statements order by 1",
            &[],
            &[""; 0],
        )
        .await
        .expect("asked");
    let mut kept = Vec::new();
    while let Some(row) = rows.next().await.expect("read") {
        kept.push(row.get::<_, String>(0));
    }
    assert_eq!(kept, ["select 'a'", "select 'c'"]);
}

#[tokio::test]
async fn a_lost_statement_is_prepared_again_once() {
    let database = database();
    database.execute("create table t (a text); insert into t values ('x')").expect("made");
    let lease = pool(&database.url(), "").acquire().await.expect("a connection");
    let all = "select * from t";
    assert_eq!(texts(&lease, all).await.expect("read"), ["x"]);

    // Its name is gone.
    lease.batch(Stage::Reading, "deallocate all").await.expect("done");
    assert_eq!(texts(&lease, all).await.expect("read"), ["x"]);
    // Its plan is.
    database.execute("alter table t add column b text").expect("altered");
    assert_eq!(texts(&lease, all).await.expect("read"), ["x"]);
    assert!(lease.is_clean());

    // Inside a transaction it cannot be repeated: it fails, but not for good.
    database.execute("alter table t add column c text").expect("altered");
    lease.begin("begin").await.expect("begun");
    let error = texts(&lease, all).await.expect_err("stale");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Schema, Retry::Safe), "{error}");
    lease.rollback().await.expect("rolled back");
    lease.begin("begin").await.expect("begun");
    assert_eq!(texts(&lease, all).await.expect("read"), ["x"]);
    lease.commit().await.expect("committed");
}

#[tokio::test]
async fn a_statement_of_other_types_is_another() {
    let database = database();
    let lease = pool(&database.url(), "").acquire().await.expect("a connection");
    let sql = || "select pg_typeof($1)::text".to_owned();
    for (kind, expected) in [(Type::TEXT, "text"), (Type::VARCHAR, "character varying")] {
        let mut rows =
            lease.query(Stage::Reading, b"same", sql, &[kind], &["a"]).await.expect("asked");
        let row = rows.next().await.expect("read").expect("a row");
        assert_eq!(row.get::<_, String>(0), expected);
        assert!(rows.next().await.expect("the end").is_none());
    }
    assert_eq!(lease.statements_len(), 1);
}

#[tokio::test]
async fn a_lane_is_shared_planned_generically_and_opened_again() {
    let database = database();
    let pool = pool(&database.url(), "lookup_connections=2");
    assert_eq!(pool.lanes(), 2);
    let lane = pool.lane(0).await.expect("a lane");
    let process = lane.process();
    assert_eq!(pool.lane(2).await.expect("a lane").process(), process);
    assert_ne!(pool.lane(1).await.expect("a lane").process(), process);
    let mode = "select current_setting('plan_cache_mode')";
    assert_eq!(texts(&lane, mode).await.expect("read"), ["force_generic_plan"]);
    let lease = pool.acquire().await.expect("a connection");
    assert_eq!(texts(&lease, mode).await.expect("read"), ["auto"]);
    assert_eq!(pool.gauges().connections, 1, "lanes are not the pool's");

    let process = process.expect("told").to_string();
    let end = "select pg_terminate_backend($1::text::int)::text";
    assert_eq!(with(&lease, end, &[&process]).await.expect("ended"), ["true"]);
    let gone = format!("select count(*)::text from pg_stat_activity where pid = {process}");
    until(&lease, &gone, "0").await;
    // Whether the loss is seen before or after a statement is sent, nothing else is lost.
    if let Err(error) = texts(&lane, mode).await {
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Safe));
    }
    let again = pool.lane(0).await.expect("a lane");
    assert_eq!(texts(&again, mode).await.expect("read"), ["force_generic_plan"]);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let database = database();
    let pool = pool(&database.url(), "statement_timeout_ms=20&connections_max=1");
    let lease = pool.acquire().await.expect("a connection");
    let error = texts(&lease, "select pg_sleep(60)::text").await.expect_err("ended");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::Never), "{error}");
    drop(lease);
    let gauges = settled(&pool, |gauges| gauges.idle == 1).await;
    assert_eq!(gauges.discarded_total, 0);
}

#[tokio::test]
async fn an_error_names_the_constraint_and_shows_no_value() {
    let database = database();
    database
        .execute(
            "create table p (a text primary key, b text not null constraint short check (length(b) < 3));
             create table c (a text constraint parent references p deferrable initially deferred);
             insert into p values ('s3cret', 'b')",
        )
        .expect("made");
    let lease = pool(&database.url(), "").acquire().await.expect("a connection");
    for (sql, kind, constraint, state) in [
        ("insert into p values ('s3cret', 'b')", ErrorKind::Conflict, Some("p_pkey"), "23505"),
        ("insert into p values ('s3cret1')", ErrorKind::Constraint, Some("b"), "23502"),
        ("insert into p values ('x', 's3cret')", ErrorKind::Constraint, Some("short"), "23514"),
        ("insert into c values ('s3cret2')", ErrorKind::Constraint, Some("parent"), "23503"),
        ("select 's3cret'::int", ErrorKind::InvalidInput, None, "22P02"),
        ("select 9223372036854775807 + 1", ErrorKind::Constraint, None, "22003"),
        ("select * from missing", ErrorKind::Schema, None, "42P01"),
        ("select missing from p", ErrorKind::Schema, None, "42703"),
        ("select 1 from p where a = 1", ErrorKind::Schema, None, "42883"),
        ("selec", ErrorKind::InvalidInput, None, "42601"),
    ] {
        let error = write(&lease, sql).await.expect_err(sql);
        assert_eq!((error.kind(), error.constraint()), (kind, constraint), "{sql}: {error}");
        assert_eq!(error.retry(), Retry::Never, "{sql}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(state) && !shown.contains("s3cret"), "{sql}: {shown}");
        assert!(lease.is_clean(), "{sql}");
    }
}

#[tokio::test]
async fn a_parameter_that_cannot_be_written_sends_nothing() {
    let database = database();
    let lease = pool(&database.url(), "").acquire().await.expect("a connection");
    let sql = || "select $1".to_owned();
    let error = lease.query(Stage::Writing, b"x", sql, &[Type::TEXT], &[Refused]).await;
    let error = error.expect_err("refused");
    assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidInput, "no such value"));
    assert!(lease.is_clean());
}

#[derive(Debug)]
struct Refused;

impl postgres_types::ToSql for Refused {
    fn to_sql(
        &self,
        _: &Type,
        _: &mut postgres_types::private::BytesMut,
    ) -> Result<postgres_types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Err(Box::new(sora_core::Error::new(ErrorKind::InvalidInput, "no such value")))
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    postgres_types::to_sql_checked!();
}

#[tokio::test]
async fn errors_are_told_apart_by_their_state() {
    let database = database();
    let lease = pool(&database.url(), "statements=unnamed").acquire().await.expect("a connection");
    let (never, safe, unknown) = (Retry::Never, Retry::Safe, Retry::IfIdempotent);
    for (state, kind, reading, writing) in [
        ("0A000", ErrorKind::Unsupported, never, never),
        ("22001", ErrorKind::Constraint, never, never),
        ("22003", ErrorKind::Constraint, never, never),
        ("22007", ErrorKind::InvalidInput, never, never),
        ("22012", ErrorKind::InvalidInput, never, never),
        ("22021", ErrorKind::InvalidInput, never, never),
        ("22P02", ErrorKind::InvalidInput, never, never),
        ("23502", ErrorKind::Constraint, never, never),
        ("23503", ErrorKind::Constraint, never, never),
        ("23505", ErrorKind::Conflict, never, never),
        ("23514", ErrorKind::Constraint, never, never),
        ("23P01", ErrorKind::Constraint, never, never),
        ("25006", ErrorKind::ReadOnly, never, never),
        ("25P02", ErrorKind::Store, never, never),
        ("25P03", ErrorKind::Timeout, never, never),
        ("28000", ErrorKind::Unavailable, never, never),
        ("28P01", ErrorKind::Unavailable, never, never),
        ("3D000", ErrorKind::Unavailable, never, never),
        ("3F000", ErrorKind::Schema, never, never),
        ("40001", ErrorKind::Serialization, safe, safe),
        ("40002", ErrorKind::Constraint, never, never),
        ("40003", ErrorKind::Unavailable, safe, unknown),
        ("40P01", ErrorKind::Serialization, safe, safe),
        ("42501", ErrorKind::Store, never, never),
        ("42601", ErrorKind::InvalidInput, never, never),
        ("42703", ErrorKind::Schema, never, never),
        ("42804", ErrorKind::Schema, never, never),
        ("42883", ErrorKind::Schema, never, never),
        ("42P01", ErrorKind::Schema, never, never),
        ("42P10", ErrorKind::Schema, never, never),
        ("44000", ErrorKind::Constraint, never, never),
        ("53100", ErrorKind::Store, never, never),
        ("53200", ErrorKind::Store, never, never),
        ("53300", ErrorKind::Unavailable, safe, safe),
        ("54000", ErrorKind::Limit, never, never),
        ("55P03", ErrorKind::Busy, safe, safe),
        ("57014", ErrorKind::Timeout, never, never),
        ("P0001", ErrorKind::Constraint, never, never),
        ("XX000", ErrorKind::Store, never, never),
    ] {
        for (stage, retry) in [(Stage::Reading, reading), (Stage::Writing, writing)] {
            let sql = format!(
                "do $$ begin raise exception 'text' using errcode = '{state}', \
                 detail = 's3cret', constraint = 'rule', table = 'it'; end $$"
            );
            let error = lease.batch(stage, &sql).await.expect_err(state);
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{state} {stage:?}: {error}");
            let text = format!("{error} {error:?}");
            assert!(text.contains(&format!("sqlstate: {state}")), "{text}");
            assert!(text.contains("table: it") && !text.contains("s3cret"), "{text}");
            let is_rule = kind == ErrorKind::Conflict || state.starts_with("23");
            assert_eq!(error.constraint().is_some(), is_rule || matches!(state, "40002" | "44000"));
            assert!(lease.is_clean() && lease.is_usable(), "{state}");
        }
    }
    // After these the server closes: nobody gets the connection, whether the end was seen or not.
    for (state, retry) in [
        ("08006", [safe, unknown, unknown]),
        ("57P01", [safe, unknown, unknown]),
        ("57P02", [safe, unknown, unknown]),
        ("57P03", [safe, safe, safe]),
    ] {
        for (at, stage) in [Stage::Reading, Stage::Writing, Stage::Committing].iter().enumerate() {
            let lease = pool(&database.url(), "").acquire().await.expect("a connection");
            let sql = format!("do $$ begin raise exception 'x' using errcode = '{state}'; end $$");
            let error = lease.batch(*stage, &sql).await.expect_err(state);
            assert_eq!(
                (error.kind(), error.retry()),
                (ErrorKind::Unavailable, retry[at]),
                "{state}"
            );
            assert!(!lease.is_usable(), "{state}");
        }
    }
}
