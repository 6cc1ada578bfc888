//! Tables as the catalogue tells them.

use std::sync::Arc;

use expect_test::{Expect, expect};
use sora_core::Comparison::{Equal, Greater, Less, NotEqual};
use sora_core::plan::Support;
use sora_core::provider::DynProvider;
use sora_core::text::{self, Parameters};
use sora_core::{
    Assigned, Binding, Column, ErrorKind, FilterLimits, LiveColumn, LiveTable, Predicate, Schema,
    Type, Value,
};

use crate::support::{
    Store, all_rows, bind, explain, found, live, lookup, query, read, support, text as value,
};

fn show(live: &LiveTable) -> String {
    let names = |columns: &[u16]| -> Vec<String> {
        columns.iter().map(|at| live.column(*at).name.to_string()).collect()
    };
    let mut lines = vec![format!("{}{}", live.name, if live.is_view { " (view)" } else { "" })];
    lines.extend(live.columns.iter().map(show_column));
    lines.push(format!("  key {:?}", names(&live.key)));
    for index in &live.indexes {
        let unique = if index.unique { "unique " } else { "" };
        let partial = if index.is_complete { "" } else { " partial" };
        let (name, columns) = (&index.name, names(&index.columns));
        lines.push(format!("  {unique}index {name:?} {columns:?} {:?}{partial}", index.descending));
    }
    lines.join("\n") + "\n"
}

fn show_column(column: &LiveColumn) -> String {
    let range = column.range.map(|(min, max)| format!("{min}..={max}"));
    let collation = column.collation.as_ref().map(|collation| format!("collate {collation}"));
    let assigned = Some(&column.assigned).filter(|assigned| **assigned != Assigned::Caller);
    let parts = [
        Some(format!("  {:?} {:?} {}", column.name, column.declared, column.column_type)),
        range,
        column.nullable.then(|| "nullable".into()),
        (!column.is_enforced).then(|| "loose".into()),
        column.hidden.then(|| "hidden".into()),
        collation,
        assigned.map(|assigned| format!("{assigned:?}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

async fn check(store: &Store, table: &str, expected: Expect) {
    expected.assert_eq(&show(&live(&store.sqlite, table).await));
}

async fn found_tables() -> Store {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE people (
            name VARCHAR(20) NOT NULL COLLATE NOCASE, age INT DEFAULT 5, born DATE, score REAL,
            photo BLOB, happy BOOLEAN DEFAULT FALSE, anything, price DECIMAL(10,2),
            at TEXT DEFAULT CURRENT_TIMESTAMP, shout TEXT AS (upper(name)), PRIMARY KEY (name));
         CREATE INDEX people_age ON people (age DESC, name);
         CREATE UNIQUE INDEX people_young ON people (born) WHERE age < 30;
         CREATE INDEX people_length ON people (age, length(name));
         CREATE TABLE log (line TEXT, rowid TEXT);
         CREATE TABLE shadowed (rowid TEXT, _rowid_ TEXT, oid TEXT);
         CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER UNIQUE);
         CREATE TABLE maybe_null (code TEXT PRIMARY KEY);
         CREATE TABLE descending (id INTEGER PRIMARY KEY DESC, a TEXT);
         CREATE TABLE pairs (a INTEGER, b TEXT, c ANY, PRIMARY KEY (b, a)) STRICT, WITHOUT ROWID;
         CREATE VIEW adults AS SELECT name, age + 1 AS next FROM people WHERE age > 17;
         CREATE TABLE gone (a); CREATE VIEW broken AS SELECT a FROM gone; DROP TABLE gone;
         CREATE VIRTUAL TABLE words USING fts5(word);",
    );
    store
}

#[tokio::test]
async fn found_tables_are_described_by_what_they_declare() {
    let store = found_tables().await;
    check(
        &store,
        "people",
        expect![[r#"
        people
          "name" "VARCHAR(20)" text loose collate NOCASE
          "age" "INT" i64 nullable loose Default(5)
          "born" "DATE" unknown nullable loose
          "score" "REAL" f64 nullable loose
          "photo" "BLOB" bytes nullable loose
          "happy" "BOOLEAN" bool nullable loose Default(FALSE)
          "anything" "" unknown nullable loose
          "price" "DECIMAL(10,2)" unknown nullable loose
          "at" "TEXT" text nullable loose Store("CURRENT_TIMESTAMP")
          "shout" "TEXT" text nullable loose Store("a computed column")
          key ["name"]
          index "people_age" ["age", "name"] [true, false]
          index "people_length" ["age"] [false]
          unique index "people_young" ["born"] [false] partial
    "#]],
    )
    .await;
    check(
        &store,
        "log",
        expect![[r#"
            log
              "line" "TEXT" text nullable loose
              "rowid" "TEXT" text nullable loose
              "_rowid_" "INTEGER" i64 hidden Store("the rowid")
              key ["_rowid_"]
        "#]],
    )
    .await;
    check(
        &store,
        "shadowed",
        expect![[r#"
        shadowed
          "rowid" "TEXT" text nullable loose
          "_rowid_" "TEXT" text nullable loose
          "oid" "TEXT" text nullable loose
          key []
    "#]],
    )
    .await;
    check(
        &store,
        "counted",
        expect![[r#"
        counted
          "id" "INTEGER" i64 Identity
          "n" "INTEGER" i64 nullable loose
          key ["id"]
          unique index "sqlite_autoindex_counted_1" ["n"] [false]
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_key_is_never_null_or_it_is_the_rowid() {
    let store = found_tables().await;
    check(
        &store,
        "maybe_null",
        expect![[r#"
        maybe_null
          "code" "TEXT" text nullable loose
          "rowid" "INTEGER" i64 hidden Store("the rowid")
          key ["rowid"]
    "#]],
    )
    .await;
    check(
        &store,
        "descending",
        expect![[r#"
        descending
          "id" "INTEGER" i64 nullable loose
          "a" "TEXT" text nullable loose
          "rowid" "INTEGER" i64 hidden Store("the rowid")
          key ["rowid"]
    "#]],
    )
    .await;
    check(
        &store,
        "PAIRS",
        expect![[r#"
        pairs
          "a" "INTEGER" i64
          "b" "TEXT" text
          "c" "ANY" unknown nullable
          key ["b", "a"]
    "#]],
    )
    .await;
    check(
        &store,
        "adults",
        expect![[r#"
        adults (view)
          "name" "VARCHAR(20)" text nullable loose
          "next" "" unknown nullable loose
          key []
    "#]],
    )
    .await;
}

#[tokio::test]
async fn all_tables_are_listed_that_can_be_read() {
    let store = found_tables().await;
    let provider: &dyn DynProvider = &store.sqlite;
    let all = provider.describe(None).await.expect("described");
    let names: Vec<&str> = all.iter().map(|live| &*live.name).collect();
    expect!["adults counted descending log maybe_null pairs people shadowed words"]
        .assert_eq(&names.join(" "));
    for missing in ["nothing", "sqlite_schema", "people; DROP TABLE people", "\"people\""] {
        assert_eq!(provider.describe(Some(missing)).await.expect("described"), [], "{missing}");
    }
}

#[tokio::test]
async fn sora_s_own_tables_are_left_out() {
    let store = Store::new().await;
    let schema = Schema::builder("days").column(Column::new("day", Type::Date)).key(["day"]);
    bind(&store.sqlite, schema.build().expect("a schema")).await;
    let provider: &dyn DynProvider = &store.sqlite;
    let all = provider.describe(None).await.expect("described");
    assert_eq!(all.len(), 1);
    assert_eq!(store.rows("SELECT * FROM _sora_columns"), ["days|day|date"]);
}

#[tokio::test]
async fn a_cell_of_another_class_fails_its_row() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, b BOOLEAN, s TEXT);
         INSERT INTO t VALUES (1, 5, 1, 'x'), (2, 'many', 0, 'y'), (3, 1.5, 2, X'00')",
    );
    let binding = found(&store.sqlite, "t").await;
    let one = |id: i64, column: u16| {
        let mut read = lookup(&binding, &[&[Value::I64(id)]]);
        read.columns = Arc::from([column]);
        read
    };
    assert_eq!(read(&store.sqlite, &one(1, 1)).await.expect("read"), ["5"]);
    for (id, column, expected) in [
        (2, 1, "the column \"n\" holds text, not i64 (table: t, row: \"id\" = 2)"),
        (3, 1, "the column \"n\" holds the float 1.5, not i64 (table: t, row: \"id\" = 3)"),
        (3, 2, "the column \"b\" holds 2, neither 0 nor 1 (table: t, row: \"id\" = 3)"),
        (3, 3, "the column \"s\" holds bytes, not text (table: t, row: \"id\" = 3)"),
    ] {
        let error = read(&store.sqlite, &one(id, column)).await.expect_err("refused");
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Data, expected));
        // On a thread as inline.
        let mut scan = all_rows(&binding);
        scan.columns = Arc::from([column]);
        assert_eq!(read(&store.sqlite, &scan).await.expect_err("refused").kind(), ErrorKind::Data);
    }
}

#[tokio::test]
async fn filters_claim_no_more_than_the_table_keeps() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE loose (id INTEGER PRIMARY KEY, n INTEGER, d DATE);
         CREATE TABLE strict (id INTEGER PRIMARY KEY, n INTEGER, s TEXT COLLATE NOCASE, x ANY) STRICT",
    );
    let support_of = async |table: &str, filter: &str| {
        let binding = found(&store.sqlite, table).await;
        let limits = FilterLimits::default();
        let parsed = text::parse(filter, binding.schema(), &Parameters::none(), limits);
        support(&store.sqlite, &binding, parsed.expect(filter))
    };
    assert_eq!(support_of("loose", "n > 5").await, Support::Inexact);
    assert_eq!(support_of("loose", "n IS NULL OR d IS NULL").await, Support::Exact);
    assert_eq!(support_of("loose", "id > 5").await, Support::Exact);
    assert_eq!(support_of("strict", "n > 5 AND s < 'b'").await, Support::Exact);
    assert_eq!(support_of("strict", "NOT (x IS NULL)").await, Support::Exact);
    // An entity that reads a text as a date compares dates, SQLite texts.
    let live = live(&store.sqlite, "strict").await;
    let schema = Schema::builder("strict")
        .column(Column::new("id", Type::I64))
        .column(Column::new("s", Type::Date).nullable())
        .key(["id"])
        .build()
        .expect("a schema");
    let binding = Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"));
    let day = Predicate::Compare {
        column: 1,
        comparison: Less,
        value: Value::Date(sora_core::Date::MAX),
    };
    assert_eq!(support(&store.sqlite, &binding, day), Support::Unsupported);
    assert_eq!(support(&store.sqlite, &binding, Predicate::IsNull(1)), Support::Exact);
    store.sql("INSERT INTO strict VALUES (1, 1, '2024-02-29', NULL), (2, 2, 'soon', NULL)");
    let one = lookup(&binding, &[&[Value::I64(1)]]);
    assert_eq!(read(&store.sqlite, &one).await.expect("read"), ["1|'2024-02-29'"]);
    let error = read(&store.sqlite, &all_rows(&binding)).await.expect_err("no date");
    assert!(error.to_string().contains("\"soon\" is not a date"), "{error}");
}

#[tokio::test]
async fn a_collation_never_decides() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE t (code TEXT PRIMARY KEY NOT NULL COLLATE NOCASE, n INTEGER) STRICT;
         INSERT INTO t VALUES ('a', 1), ('B', 2), ('c', 3), ('Ä', 4)",
    );
    let binding = found(&store.sqlite, "t").await;
    let compare =
        |comparison, code: &str| Predicate::Compare { column: 0, comparison, value: value(code) };
    let ask = async |filter| query(&store.sqlite, &binding, filter).await;
    assert_eq!(ask(compare(Equal, "A")).await, [""; 0]);
    assert_eq!(ask(compare(Equal, "a")).await, ["a|1"]);
    assert_eq!(ask(compare(NotEqual, "A")).await, ["B|2", "a|1", "c|3", "Ä|4"]);
    assert_eq!(ask(compare(Less, "a")).await, ["B|2"]);
    assert_eq!(ask(compare(Greater, "a")).await, ["c|3", "Ä|4"]);
    let list: Vec<Value> = ["A", "B", "C"].into_iter().map(value).collect();
    let is_in = Predicate::In { column: 0, values: list.into(), null: false };
    assert_eq!(ask(is_in).await, ["B|2"]);
    let key = |code: &str| lookup(&binding, &[&[value(code)]]);
    assert_eq!(read(&store.sqlite, &key("b")).await.expect("read"), [""; 0]);
    assert_eq!(read(&store.sqlite, &key("B")).await.expect("read"), ["B|2"]);
    let many: Vec<Value> = ('A'..='K').map(|c| value(&c.to_string())).collect();
    let many: Vec<&[Value]> = many.iter().map(std::slice::from_ref).collect();
    assert_eq!(read(&store.sqlite, &lookup(&binding, &many)).await.expect("read"), ["B|2"]);
    // Its index finds what is equal, and is said to be lost for order.
    let plan = explain(&store.sqlite, &key("B"), false).await;
    assert_eq!(plan.indexes, ["sqlite_autoindex_t_1"]);
}
