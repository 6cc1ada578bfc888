//! Filters, sorts, keys and pages.

use std::sync::Arc;

use sora_core::plan::Plan;
use sora_core::provider::DynProvider;
use sora_core::read::Read;
use sora_core::text::{self, Parameters};
use sora_core::{
    Binding, Column, Comparison, Date, Decimal, FilterLimits, Predicate, Query, RowBuffer, Schema,
    Sort, Timestamp, Type, Value,
};
use sora_sqlite::{Sqlite, SqliteConfig};

use crate::support::{
    Store, all_rows, bind, count, explain, fill, found, lines, lookup, query, read, rows_of, sort,
    text as value,
};

fn everything() -> Schema {
    Schema::builder("all \"types\"")
        .column(Column::new("id", Type::I64))
        .column(Column::new("flag", Type::Bool).nullable())
        .column(Column::new("small", Type::I64).nullable().range(-128, 127))
        .column(Column::new("float", Type::F64).nullable())
        .column(Column::new("price", Type::Decimal { precision: 10, scale: 2 }).nullable())
        .column(Column::new("na\"me", Type::Text).nullable())
        .column(Column::new("bytes", Type::Bytes).nullable())
        .column(Column::new("at", Type::Timestamp).nullable())
        .column(Column::new("day", Type::Date).nullable())
        .column(Column::new("uuid", Type::Uuid).nullable())
        .column(Column::new("json", Type::Json).nullable())
        .key(["id"])
        .build()
        .expect("a schema")
}

fn row(id: i64) -> Vec<Value> {
    let decimal: Decimal = format!("{}.50", id * 7 - 10).parse().expect("a decimal");
    vec![
        Value::I64(id),
        Value::Bool(id % 2 == 0),
        Value::I64(id),
        Value::F64(if id == 3 {
            f64::INFINITY
        } else {
            1.5 * f64::from(i32::try_from(id).expect("small"))
        }),
        Value::Decimal(decimal),
        value(["ä", "a", "B", "b", "\u{10FFFF}"][usize::try_from(id % 5).expect("an index")]),
        Value::Bytes([0, u8::try_from(id).expect("small")].into()),
        Value::Timestamp(Timestamp::from_micros(id * 1_000_001 - 5_000_000).expect("in range")),
        Value::Date(Date::from_days(i32::try_from(id).expect("small") - 3).expect("in range")),
        Value::Uuid([u8::try_from(255 - id).expect("small"); 16]),
        Value::Json(format!("{{\"id\":{id}}}").into()),
    ]
}

#[tokio::test]
async fn every_type_comes_back_and_is_compared_by_value() {
    for config in [None, Some(SqliteConfig::memory())] {
        let store = Store::new().await;
        let sqlite = match config {
            Some(config) => &Sqlite::open(config).await.expect("opened"),
            None => &store.sqlite,
        };
        let binding = bind(sqlite, everything()).await;
        let mut nulls = vec![Value::Null; 11];
        nulls[0] = Value::I64(0);
        let rows: Vec<Vec<Value>> = std::iter::once(nulls).chain((1..7).map(row)).collect();
        let borrowed: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
        fill(sqlite, &binding, &borrowed).await;
        let expected: Vec<String> = lines(&rows_of(&borrowed));
        assert_eq!(read(sqlite, &all_rows(&binding)).await.expect("read"), expected);

        // Each comparison, on each type, gives what Sora's own evaluation gives.
        for column in 1..10u16 {
            for value in rows.iter().map(|row| row[usize::from(column)].clone()) {
                if value.is_null() {
                    continue;
                }
                for comparison in [
                    Comparison::Equal,
                    Comparison::NotEqual,
                    Comparison::Less,
                    Comparison::LessOrEqual,
                    Comparison::Greater,
                    Comparison::GreaterOrEqual,
                ] {
                    let filter = Predicate::Compare { column, comparison, value: value.clone() };
                    for filter in [filter.clone(), Predicate::Not(Box::new(filter))] {
                        check(sqlite, &binding, &rows, &filter).await;
                    }
                }
                let list: Vec<Value> =
                    rows.iter().map(|row| row[usize::from(column)].clone()).collect();
                let list: Vec<Value> =
                    list.into_iter().filter(|value| !value.is_null()).take(3).collect();
                for null in [false, true] {
                    let filter = Predicate::In { column, values: list.clone().into(), null };
                    check(sqlite, &binding, &rows, &filter).await;
                    check(sqlite, &binding, &rows, &Predicate::Not(Box::new(filter))).await;
                }
            }
            for name in [false, true] {
                let schema = binding.schema();
                let direction = if name { "-" } else { "" };
                let by = format!("{direction}{}", schema.column(column).name);
                let mut page = all_rows(&binding);
                page.sort = sort(&binding, &[&by, "id"]);
                let mut sorted: Vec<&Vec<Value>> = rows.iter().collect();
                let at = usize::from(column);
                sorted.sort_by(|left, right| {
                    let order = left[at].cell().sort_order(right[at].cell());
                    if name { order.reverse() } else { order }
                });
                let sorted: Vec<&[Value]> = sorted.into_iter().map(Vec::as_slice).collect();
                let expected = lines(&rows_of(&sorted));
                assert_eq!(read(sqlite, &page).await.expect("read"), expected, "{by}");
            }
        }
    }
}

async fn check(sqlite: &Sqlite, binding: &Arc<Binding>, rows: &[Vec<Value>], filter: &Predicate) {
    let bound = filter.clone().bind(binding.schema(), FilterLimits::default());
    let bound = bound.expect("bound");
    let expected: Vec<&[Value]> = rows
        .iter()
        .filter(|row| bound.evaluate(*row).expect("a truth").is_true())
        .map(Vec::as_slice)
        .collect();
    let expected = if expected.is_empty() { Vec::new() } else { lines(&rows_of(&expected)) };
    let found = query(sqlite, binding, filter.clone()).await;
    assert_eq!(found, expected, "{}", bound.display(binding.schema()));
}

/// Ids from 1 on; the name is null for each fifth, and each name comes thrice.
async fn names(sqlite: &Sqlite, rows: i64) -> Arc<Binding> {
    let schema = Schema::builder("names")
        .column(Column::new("id", Type::I64))
        .column(Column::new("name", Type::Text).nullable())
        .column(Column::new("size", Type::I64))
        .key(["id"])
        .index(["name"])
        .index(["size"])
        .build()
        .expect("a schema");
    let binding = bind(sqlite, schema).await;
    let row = |id: i64| {
        let name = if id % 5 == 0 { Value::Null } else { value(&format!("n{:05}", id / 3)) };
        [Value::I64(id), name, Value::I64(id % 7)]
    };
    let rows: Vec<[Value; 3]> = (1..=rows).map(row).collect();
    for rows in rows.chunks(5_000) {
        let rows: Vec<&[Value]> = rows.iter().map(|row| &row[..]).collect();
        fill(sqlite, &binding, &rows).await;
    }
    binding
}

fn planned(sqlite: &Sqlite, binding: &Arc<Binding>, filter: &str, by: &[&str]) -> Read {
    let limits = FilterLimits::default();
    let parsed = text::parse(filter, binding.schema(), &Parameters::none(), limits);
    let mut query = Query::new(parsed.expect(filter));
    query.sort = sort(binding, by).to_vec();
    query.limit = Some(4);
    Plan::new(sqlite, binding, &query, true).expect("planned").read
}

#[tokio::test]
async fn pages_are_ranges_of_an_index() {
    let store = Store::new().await;
    let binding = names(&store.sqlite, 500).await;
    let cases: [(&[&str], &[Value]); 7] = [
        (&["id"], &[Value::I64(250)]),
        (&["-size"], &[Value::I64(3), Value::I64(250)]),
        (&["name"], &[value("n00100"), Value::I64(301)]),
        (&["-name"], &[value("n00100"), Value::I64(301)]),
        (&["name"], &[Value::Null, Value::I64(250)]),
        (&["-name"], &[Value::Null, Value::I64(250)]),
        (&["size", "name"], &[Value::I64(3), Value::Null, Value::I64(250)]),
    ];
    for (by, after) in cases {
        let mut read = planned(&store.sqlite, &binding, "TRUE", by);
        read.after = Some(after.into());
        let plan = explain(&store.sqlite, &read, false).await;
        let lines = plan.lines.join("\n");
        assert!(lines.contains("SEARCH") && !lines.contains("SCAN"), "{by:?} {after:?}: {lines}");
        // Two columns of different indexes are sorted; a page by one index never is.
        assert_eq!(lines.contains("B-TREE"), by.len() > 1, "{by:?} {after:?}: {lines}");
    }
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip() {
    let store = Store::new().await;
    let binding = names(&store.sqlite, 60).await;
    for by in [&["name"][..], &["-name"], &["size", "-name"], &["-size", "name"], &["-id"]] {
        let mut read = planned(&store.sqlite, &binding, "size <> 6", by);
        read.limit = None;
        let all = self::read(&store.sqlite, &read).await.expect("read");
        let mut paged = Vec::new();
        read.limit = Some(4);
        loop {
            let mut rows = RowBuffer::new(read.columns.len());
            let provider: &dyn DynProvider = &store.sqlite;
            provider.read(&read, &mut rows).await.expect("read");
            let Some(last) = rows.iter().last() else { break };
            let position = |sort: &Sort| {
                let at = read.columns.iter().position(|column| *column == sort.column);
                last.get(at.expect("read")).to_value()
            };
            read.after = Some(read.sort.iter().map(position).collect());
            paged.extend(lines(&rows));
        }
        assert_eq!(paged, all, "{by:?}");
        assert_eq!(all.len(), 52);
    }
}

#[tokio::test]
async fn filters_use_indexes_and_lists_are_one_shape() {
    let store = Store::new().await;
    let binding = names(&store.sqlite, 500).await;
    let plan = async |filter: &str| {
        let mut read = planned(&store.sqlite, &binding, filter, &[]);
        read.sort = Arc::default();
        let plan = explain(&store.sqlite, &read, false).await;
        (plan.lines.join("; "), plan.statement.unwrap_or_default())
    };
    for filter in ["name LIKE 'n0001%'", "name LIKE 'n0001_'", "name = 'n00010'", "name IS NULL"] {
        let (lines, _) = plan(filter).await;
        assert!(lines.contains("SEARCH names USING INDEX names_name_idx"), "{filter}: {lines}");
    }
    let list = |len: i32| {
        let list: Vec<String> = (0..len).map(|size| size.to_string()).collect();
        format!("size IN ({})", list.join(", "))
    };
    let ((nine, first), (many, second)) = (plan(&list(9)).await, plan(&list(900)).await);
    assert_eq!((&first, &nine), (&second, &many));
    assert!(nine.contains("SEARCH names USING INDEX names_size_idx (size=?)"), "{nine}");
    let analyzed = planned(&store.sqlite, &binding, "size = 3", &[]);
    let lines = explain(&store.sqlite, &analyzed, true).await.lines;
    assert!(lines.iter().any(|line| line.starts_with("analyze: 4 rows, 0 rows")), "{lines:?}");
}

#[tokio::test]
async fn an_index_that_cannot_serve_is_told() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT COLLATE NOCASE) STRICT;
         CREATE INDEX t_code ON t (code)",
    );
    let binding = found(&store.sqlite, "t").await;
    let plan = async |filter: &str, by: &[&str]| {
        explain(&store.sqlite, &planned(&store.sqlite, &binding, filter, by), false).await
    };
    let note = "the index \"t_code\" is in the order of the collation NOCASE: it serves equality on \
                \"code\", but no order";
    let equal = plan("code = 'a'", &[]).await;
    assert_eq!((&*equal.indexes, &*equal.notes), (&["t_code".into()][..], &[note.into()][..]));
    let sorted = plan("id > 5", &["code"]).await;
    assert_eq!(sorted.notes, [note]);
    assert!(sorted.lines.iter().any(|line| line.contains("B-TREE")), "{sorted:?}");
    assert!(plan("id > 5", &[]).await.notes.is_empty());
}

#[tokio::test]
async fn long_lists_compare_each_type_right() {
    let store = Store::new().await;
    let binding = bind(&store.sqlite, everything()).await;
    let rows: Vec<Vec<Value>> = (1..40).map(row).collect();
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    fill(&store.sqlite, &binding, &rows).await;
    for column in 2..10u16 {
        let list: Vec<Value> =
            rows.iter().skip(5).step_by(2).map(|row| row[usize::from(column)].clone()).collect();
        let filter = Predicate::In { column, values: list.clone().into(), null: false };
        let expected: Vec<&[Value]> =
            rows.iter().copied().filter(|row| list.contains(&row[usize::from(column)])).collect();
        let expected = lines(&rows_of(&expected));
        assert!(expected.len() >= 17);
        assert_eq!(query(&store.sqlite, &binding, filter).await, expected, "column {column}");
    }
}

#[tokio::test]
async fn keys_of_several_columns_are_found_by_their_index() {
    let store = Store::new().await;
    let schema = Schema::builder("pairs")
        .column(Column::new("n", Type::I64))
        .column(Column::new("code", Type::Text))
        .column(Column::new("uuid", Type::Uuid))
        .column(Column::new("at", Type::Timestamp))
        .key(["code", "n", "uuid", "at"])
        .build()
        .expect("a schema");
    let binding = bind(&store.sqlite, schema).await;
    let at = Value::Timestamp(Timestamp::MIN);
    let codes = ["", "a\"b", "\\", "\u{1}\n", "東京", "1"];
    let rows: Vec<[Value; 4]> = (0..120i64)
        .map(|n| {
            let code = codes[usize::try_from(n).expect("small") % codes.len()];
            let uuid = Value::Uuid([u8::try_from(n).expect("small"); 16]);
            [Value::I64(i64::MIN + n), value(code), uuid, at.clone()]
        })
        .collect();
    let borrowed: Vec<&[Value]> = rows.iter().map(|row| &row[..]).collect();
    fill(&store.sqlite, &binding, &borrowed).await;
    for wanted in [1, 2, 8, 9, 40] {
        let picked: Vec<&[Value; 4]> = rows.iter().take(wanted).collect();
        let keys: Vec<[Value; 4]> = picked
            .iter()
            .chain(&picked)
            .map(|[n, code, uuid, at]| [code.clone(), n.clone(), uuid.clone(), at.clone()])
            .collect();
        // Each key twice, and one that is not there.
        let mut keys: Vec<&[Value]> = keys.iter().map(|key| &key[..]).collect();
        let missing = [value("x"), Value::I64(0), Value::Uuid([0; 16]), at.clone()];
        keys.push(&missing);
        let by_keys = lookup(&binding, &keys);
        let mut found = read(&store.sqlite, &by_keys).await.expect("read");
        found.sort();
        let expected: Vec<&[Value]> = picked.into_iter().map(|row| &row[..]).collect();
        let mut expected = lines(&rows_of(&expected));
        expected.sort();
        assert_eq!(found, expected, "{wanted}");
        let plan = explain(&store.sqlite, &by_keys, false).await.lines.join("; ");
        assert!(plan.contains("(code=? AND n=? AND uuid=? AND at=?)"), "{wanted}: {plan}");
        assert_eq!(count(&store.sqlite, &by_keys).await, Some(expected.len() as u64));
    }
}

#[tokio::test]
async fn views_and_hidden_keys_are_read() {
    let store = Store::new().await;
    store.sql(
        "CREATE TABLE log (line TEXT COLLATE NOCASE); INSERT INTO log VALUES ('b'), ('A'), ('a');
         CREATE VIEW lines AS SELECT line FROM log",
    );
    let binding = found(&store.sqlite, "log").await;
    let mut all = all_rows(&binding);
    all.columns = Arc::from([1, 0]);
    assert_eq!(read(&store.sqlite, &all).await.expect("read"), ["1|b", "2|A", "3|a"]);
    let mut one = lookup(&binding, &[&[Value::I64(2)]]);
    one.columns = Arc::from([0]);
    assert_eq!(read(&store.sqlite, &one).await.expect("read"), ["A"]);
    let view = found(&store.sqlite, "lines").await;
    let mut sorted = all_rows(&view);
    sorted.sort = sort(&view, &["line"]);
    assert_eq!(read(&store.sqlite, &sorted).await.expect("read"), ["A", "a", "b"]);
    sorted.filter = Arc::from([Predicate::Compare {
        column: 0,
        comparison: Comparison::Equal,
        value: value("a"),
    }]);
    assert_eq!(read(&store.sqlite, &sorted).await.expect("read"), ["a"]);
}

#[tokio::test]
async fn names_cannot_leave_their_quotes() {
    let store = Store::new().await;
    store.sql("CREATE TABLE victim (id INTEGER PRIMARY KEY); INSERT INTO victim VALUES (1)");
    let evil = "t\"; DROP TABLE victim; --";
    let schema = Schema::builder(evil)
        .column(Column::new("id\" = 1 OR 1 --", Type::I64))
        .column(Column::new("select", Type::Text).nullable())
        .column(Column::new("a b'", Type::Date).nullable())
        .key(["id\" = 1 OR 1 --"])
        .named_index("i\" ON victim (id); --", ["a b'"], false)
        .build()
        .expect("a schema");
    let binding = bind(&store.sqlite, schema.clone()).await;
    let text = value("x'); DROP TABLE victim; --");
    fill(&store.sqlite, &binding, &[&[Value::I64(1), text.clone(), Value::Null]]).await;
    let equal = Predicate::Compare { column: 1, comparison: Comparison::Equal, value: text };
    assert_eq!(query(&store.sqlite, &binding, equal).await.len(), 1);
    let like = text::parse(
        "\"select\" LIKE 'x''); DROP%'",
        &schema,
        &Parameters::none(),
        FilterLimits::default(),
    );
    assert_eq!(query(&store.sqlite, &binding, like.expect("parsed")).await.len(), 1);
    assert_eq!(store.rows("SELECT id FROM victim"), ["1"]);
}

#[tokio::test]
async fn counts_bounds_and_residuals() {
    let store = Store::new().await;
    let binding = names(&store.sqlite, 3_000).await;
    let mut all = all_rows(&binding);
    assert_eq!(count(&store.sqlite, &all).await, Some(3_000));
    (all.limit, all.offset) = (Some(10), 2_995);
    assert_eq!(count(&store.sqlite, &all).await, Some(5));
    assert_eq!(read(&store.sqlite, &all).await.expect("read").len(), 5);
    // What a residual condition rejects is counted where it is rejected, on the reading thread.
    let mut residual = all_rows(&binding);
    residual.residual = Arc::from([Predicate::Compare {
        column: 2,
        comparison: Comparison::Equal,
        value: Value::I64(6),
    }]);
    let mut rows = RowBuffer::new(3);
    let provider: &dyn DynProvider = &store.sqlite;
    let report = provider.read(&residual, &mut rows).await.expect("read");
    assert_eq!((report.received, report.rejected, rows.len()), (3_000, 2_572, 428));
    residual.rejected_max = Some(100);
    let report = provider.read(&residual, &mut RowBuffer::new(3)).await.expect("read");
    assert!(report.exceeded && report.rejected == 101, "{report:?}");
}
