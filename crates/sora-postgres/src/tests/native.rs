//! Statements in the server's own SQL.

use std::sync::Arc;

use sora_core::read::{Access, Output, Read};
use sora_core::write::{Change, Write};
use sora_core::{
    Binding, Column, ColumnType, Error, ErrorKind, Result, RowBuffer, Schema, Statement, Type,
    take_columns,
};
use sora_testbed::{PgBouncer, PoolMode, Postgres};

use super::support::{database, pool, texts};
use crate::link::Link;
use crate::native::{self, Place};
use crate::{read, write};

fn statement(text: &str) -> Statement {
    Statement::from_trusted_text(text)
}

/// The binding of rows with a column `x`.
fn binding(x: Type) -> Arc<Binding> {
    let schema = Schema::builder("statement").column(Column::new("x", x).nullable());
    let schema = Arc::new(schema.build().expect("a schema"));
    Arc::new(Binding::of_statement(schema).expect("bound"))
}

/// Binds a value.
fn of<T: ColumnType>(value: T) -> impl Fn(Statement) -> Statement {
    move |statement| statement.bind(&value)
}

fn shown(rows: &RowBuffer) -> String {
    rows.iter().map(|row| row.get(0).to_string()).collect::<Vec<_>>().join(" ")
}

/// The column `x` of a statement's rows.
async fn ask(link: &Link, statement: Statement, x: Type, place: Place) -> Result<String> {
    let mut read = Read::new(binding(x), [0].into());
    read.access = Access::Native(statement);
    let mut rows = RowBuffer::new(1);
    match place {
        Place::Alone => read::run(link, &read, &mut rows).await?,
        Place::Session => read::run_inside(link, &read, &mut rows).await?,
    };
    Ok(shown(&rows))
}

/// Runs a statement that writes, and returns how many rows it touched and its column `x`.
async fn run(link: &Link, statement: Statement, x: Option<Type>, place: Place) -> Result<String> {
    let binding = binding(x.unwrap_or(Type::Unknown));
    let mut write = Write::new(binding, Change::Native(statement.writing("t")));
    write.returning = x.map(|_| [0].into());
    let mut rows = RowBuffer::new(usize::from(x.is_some()));
    let report = match place {
        Place::Alone => write::run(link, &write, &mut rows).await?,
        Place::Session => write::run_inside(link, &write, &mut rows).await?,
    };
    report.outcomes[0].clone().effect()?;
    Ok(format!("{}: {}", report.affected, shown(&rows)))
}

fn refused(found: Result<String>, part: &str) -> Error {
    let error = found.expect_err(part);
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains(part), "{error}");
    error
}

#[tokio::test]
async fn values_go_by_the_types_of_their_placeholders() {
    let database = database();
    let server = Postgres::shared().expect("a server");
    let pooler = PgBouncer::start(server, PoolMode::Transaction).expect("a pooler");
    for url in [database.url(), pooler.url(database.name())] {
        let lease = pool(&url, "").acquire().await.expect("a connection");
        let bound = |text: &str, value: &dyn Fn(Statement) -> Statement| value(statement(text));
        for (text, value, x, expected) in [
            ("select $1::int4 + 1 as x", &of(4i64) as &dyn Fn(_) -> _, Type::I64, "5"),
            ("select $1 as x", &of("é".to_owned()), Type::Text, "'é'"),
            ("select $1::float8 / 2 as x", &of(3i64), Type::F64, "1.5"),
            ("select $1::float4 as x", &of(0.5f64), Type::F64, "0.5"),
            ("select $1::numeric * 2 as x", &of(4i64), Type::Unknown, "8"),
            ("select $1::bool as x", &of(true), Type::Bool, "TRUE"),
            ("select $1::int8 as x", &of(None::<i64>), Type::I64, "NULL"),
            // What the server alone knows goes, and comes, as text.
            (
                "select ($1::interval * 2)::text as x",
                &of("1 day".to_owned()),
                Type::Text,
                "'2 days'",
            ),
            (
                "select '{\"b\": 1, \"a\":2}'::json as x where $1",
                &of(true),
                Type::Json,
                "'{\"a\":2,\"b\":1}'",
            ),
        ] {
            let found = ask(&lease, bound(text, value), x, Place::Alone).await;
            assert_eq!(found.expect(text), expected, "{text}");
        }
        for (text, value, part) in [
            (
                "select $1::int2 as x",
                &of(70_000i64) as &dyn Fn(_) -> _,
                "$1 is beyond the type int2",
            ),
            ("select $1 as x", &of(5i64), "$1 is a i64, and the server takes the type text"),
            ("select $1::float8 as x", &of((1i64 << 53) + 1), "$1::int8"),
            ("select $1::int4 as x", &of("5".to_owned()), "$1::text"),
            ("select $1 as x, $2 as y", &of(5i64), "2 placeholders, and 1 values"),
            ("select 1 as x", &of(5i64), "0 placeholders"),
        ] {
            let found = ask(&lease, bound(text, value), Type::I64, Place::Alone).await;
            refused(found, part);
        }
        assert!(lease.is_usable());
    }
}

#[tokio::test]
async fn columns_are_told_and_those_of_other_types_are_cast() {
    let database = database();
    database
        .execute("create type mood as enum ('sad', 'glad'); create table t (a mood, b numeric(6,2), c int8[])")
        .expect("made");
    database.execute("insert into t values ('glad', 1.5, '{1}')").expect("written");
    let direct = pool(&database.url(), "").acquire().await.expect("a connection");
    let mut read = Read::new(binding(Type::Unknown), [0].into());
    read.access = Access::Native(statement("select *, count(*) over () from t"));
    read.output = Output::Columns;
    let mut found = RowBuffer::new(read.width());
    read::run(&direct, &read, &mut found).await.expect("told");
    let columns = take_columns(&found).expect("columns");
    let columns: Vec<String> =
        columns.iter().map(|column| format!("{} {}", column.name, column.column_type)).collect();
    assert_eq!(columns, ["a unknown", "b decimal(6,2)", "c unknown", "count i64"]);

    let label = || statement("select a as x from t where a = $1").bind(&"glad".to_owned());
    let found = ask(&direct, label(), Type::Text, Place::Alone).await;
    assert_eq!(found.expect("read"), "'glad'");
    let array = ask(&direct, statement("select c as x from t"), Type::Text, Place::Alone).await;
    refused(array, "type _int8, which Sora does not read; cast it, as in x::text AS x");

    let server = Postgres::shared().expect("a server");
    let pooler = PgBouncer::start(server, PoolMode::Transaction).expect("a pooler");
    let lease = pool(&pooler.url(database.name()), "").acquire().await.expect("a connection");
    let cast = "select a::text as x from t where a::text = $1";
    let cast = statement(cast).bind(&"glad".to_owned());
    let found = ask(&lease, cast, Type::Text, Place::Alone).await;
    assert_eq!(found.expect("read"), "'glad'");
    let kept = texts(&lease, "select count(*)::text from pg_prepared_statements").await;
    assert_eq!(kept.expect("read"), ["0"], "its name is not left to others");
    let found = ask(&lease, label(), Type::Text, Place::Alone).await;
    refused(found, "mood, which the database defines");
    assert!(!lease.is_usable(), "what it looked up is gone with it");
}

#[tokio::test]
async fn what_is_meant_to_read_does_not_write() {
    let database = database();
    database
        .execute("create table t (x int8 primary key); create sequence s; insert into t values (1)")
        .expect("made");
    let pool = pool(&database.url(), "target_session_attrs=read-write");
    let alone = pool.acquire().await.expect("a connection");
    let session = pool.acquire().await.expect("a connection");
    session.begin("begin").await.expect("begun");
    for (lease, place) in [(&alone, Place::Alone), (&session, Place::Session)] {
        for text in [
            "delete from t returning x",
            "with gone as (delete from t returning x) select x from gone",
            "select nextval('s') as x",
            "select x from t for update",
        ] {
            refused(ask(lease, statement(text), Type::I64, place).await, "`Statement::writing`");
        }
        for (text, part) in [
            ("commit", "\"commit\" would change the session"),
            ("select 1 as x; commit", "multiple commands"),
            ("selec 1", "\"selec\" would change"),
            ("select 1 from nothing", "does not take the statement: relation \"nothing\""),
        ] {
            refused(ask(lease, statement(text), Type::I64, place).await, part);
        }
        let found = ask(lease, statement("select x from t"), Type::I64, place).await;
        assert_eq!(found.expect("read"), "1");
    }
    assert!(alone.is_usable(), "the server is no other for what was refused");
    // The session itself writes on, and what failed is no part of it.
    let insert = || statement("insert into t values ($1) returning x").bind(&2i64);
    let found = run(&session, insert(), Some(Type::I64), Place::Session).await;
    assert_eq!(found.expect("written"), "1: 2");
    let again = run(&session, insert(), Some(Type::I64), Place::Session).await;
    assert_eq!(again.expect_err("twice").kind(), ErrorKind::Conflict);
    session.commit().await.expect("committed");
    assert_eq!(
        ask(&alone, statement("select count(*) as x from t"), Type::I64, Place::Alone)
            .await
            .expect("read"),
        "2"
    );
}

#[tokio::test]
async fn what_writes_is_done_as_a_whole() {
    let database = database();
    database.execute("create table t (x text)").expect("made");
    let server = Postgres::shared().expect("a server");
    let pooler = PgBouncer::start(server, PoolMode::Transaction).expect("a pooler");
    for url in [database.url(), pooler.url(database.name())] {
        let lease = pool(&url, "").acquire().await.expect("a connection");
        let insert =
            || statement("insert into t values ($1), ('b') returning x").bind(&"a".to_owned());
        let count = || statement("select count(*) as x from t");
        assert_eq!(
            run(&lease, insert(), Some(Type::Text), Place::Alone).await.expect("written"),
            "2: 'a' 'b'"
        );
        // A row that cannot be read undoes what gave it.
        let unread = run(&lease, insert(), Some(Type::Uuid), Place::Alone).await;
        assert_eq!(unread.expect_err("no UUID").kind(), ErrorKind::Data);
        assert_eq!(ask(&lease, count(), Type::I64, Place::Alone).await.expect("read"), "2");
        let found = run(&lease, statement("delete from t where x = 'b'"), None, Place::Alone).await;
        assert_eq!(found.expect("written"), "1: ");
        assert_eq!(
            run(&lease, statement("truncate t"), None, Place::Alone).await.expect("done"),
            "0: "
        );
        refused(
            run(&lease, statement("begin"), None, Place::Alone).await,
            "would change the session",
        );
    }
}

#[tokio::test]
async fn a_statement_is_prepared_anew_where_its_plan_is_lost() {
    let database = database();
    database.execute("create table t (x int8); insert into t values (1)").expect("made");
    let lease = pool(&database.url(), "").acquire().await.expect("a connection");
    let all = || statement("select * from t");
    for (place, change) in [
        (Place::Alone, "alter table t alter x type text"),
        (Place::Session, "alter table t alter x type int8 using x::int8"),
    ] {
        let kept = ask(&lease, all(), Type::Unknown, Place::Alone).await;
        kept.expect("kept");
        database.execute(change).expect("altered");
        if place == Place::Session {
            lease.begin("begin").await.expect("begun");
        }
        let expected = if place == Place::Alone { "'1'" } else { "1" };
        let found = ask(&lease, all(), Type::Unknown, place).await;
        assert_eq!(found.expect("prepared anew"), expected);
    }
    let lost = Error::new(ErrorKind::Schema, "lost").with_retry(sora_core::Retry::Safe);
    assert!(native::is_lost(&lost) && !native::is_lost(&Error::new(ErrorKind::Schema, "gone")));
}
