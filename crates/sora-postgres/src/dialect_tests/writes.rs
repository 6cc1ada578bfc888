//! Writes against a real server.

use sora_core::write::{Change, OnConflict, Target, Write};
use sora_core::{Assigned, Assignment, Column, Type};
use sora_sql::{BulkForm, Detail, ToldBy, bulk_form, change, change_rows, rows_exist};

use super::*;

/// Inserts rows of all visible columns by one statement.
pub(super) async fn insert(bench: &Bench, binding: &Arc<Binding>, rows: &[Vec<Value>]) {
    let columns = binding.schema().visible().collect();
    let change = Change::Insert { rows: buffer(rows), columns, on_conflict: OnConflict::Fail };
    let write = Write::new(binding.clone(), change);
    many(bench, &write, rows.len()).await.expect("inserted");
}

async fn many(
    bench: &Bench,
    write: &Write,
    rows: usize,
) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
    let rows = 0..rows;
    let text = render::<Postgres>(|out| change_rows(write, &rows, Detail::Each, out));
    let parameters = Parameters::of(|out| change_rows(write, &rows, Detail::Each, out));
    bench.query(&text, &parameters.expect("they fit")).await
}

async fn one(
    bench: &Bench,
    write: &Write,
    row: &[Value],
) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
    let rows = buffer(&[row.to_vec()]);
    let text = render::<Postgres>(|out| change::<Postgres, _>(write, rows.row(0), out));
    let parameters = Parameters::of(|out| change::<Postgres, _>(write, rows.row(0), out));
    bench.query(&text, &parameters.expect("they fit")).await
}

async fn stored(bench: &Bench, write: &Write, rows: usize) -> Vec<i64> {
    let rows = 0..rows;
    let text = render::<Postgres>(|out| rows_exist(write, &rows, out));
    let parameters = Parameters::of(|out| rows_exist(write, &rows, out)).expect("they fit");
    let found = bench.query(&text, &parameters).await.expect(&text);
    let mut numbers: Vec<i64> = found.iter().map(|row| row.get(0)).collect();
    numbers.sort_unstable();
    numbers
}

/// The numbers that the rows end in, in their order.
fn numbers(rows: &[Row]) -> Vec<i64> {
    let mut numbers: Vec<i64> = rows.iter().map(|row| row.get(row.len() - 1)).collect();
    numbers.sort_unstable();
    numbers
}

fn schema() -> Schema {
    Schema::builder("item")
        .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
        .column(Column::new("code", Type::Text))
        .column(Column::new("size", Type::I64).range(0, 255).nullable())
        .column(Column::new("price", Type::Decimal { precision: 4, scale: 2 }).nullable())
        .column(Column::new("float", Type::F64).nullable())
        .column(Column::new("json", Type::Json).nullable())
        .column(Column::new("version", Type::I64))
        .key(["id"])
        .unique(["code"])
        .version("version")
        .build()
        .expect("a schema")
}

fn item(id: i64, code: &str, size: i64) -> Vec<Value> {
    let code = Value::Text(code.into());
    vec![Value::I64(id), code, Value::I64(size), Value::I64(1)]
}

const COLUMNS: [u16; 4] = [0, 1, 2, 6];

fn inserts(
    binding: &Arc<Binding>,
    rows: &[Vec<Value>],
    columns: &[u16],
    on_conflict: OnConflict,
) -> Write {
    let change = Change::Insert { rows: buffer(rows), columns: columns.into(), on_conflict };
    Write::new(binding.clone(), change)
}

#[tokio::test]
async fn rows_of_an_upsert_say_whether_they_are_new() {
    let bench = Bench::new().await;
    let binding = bench.create(schema()).await;
    let first = [item(1, "a", 1), item(2, "b", 2)];
    let write = inserts(&binding, &first, &COLUMNS, OnConflict::Fail);
    assert_eq!(many(&bench, &write, 2).await.expect("inserted").len(), 2);
    assert_eq!(code(many(&bench, &write, 2).await), Some(SqlState::UNIQUE_VIOLATION));
    let second = [item(2, "b", 20), item(3, "c", 30)];
    let mut write = inserts(&binding, &second, &COLUMNS, OnConflict::Update(Arc::from([0u16])));
    write.returning = Some(Arc::from([2u16, 6]));
    let form = bulk_form(&write, Detail::Each).expect("one statement");
    assert_eq!(form.told_by, Some(ToldBy::Columns([2].into())));
    let rows = many(&bench, &write, 2).await.expect("upserted");
    let found = decode(&rows, &binding, &form.returned.columns).expect("rows");
    assert_eq!(found[0], [Value::I64(20), Value::I64(2), Value::I64(2)]);
    assert_eq!(found[1], [Value::I64(30), Value::I64(1), Value::I64(3)]);
    let is_inserted: Vec<bool> = rows.iter().map(|row| row.get(3)).collect();
    assert_eq!(is_inserted, [false, true]);
    // One row alone says so, too, if it is returned anyway.
    let rows = one(&bench, &write, &item(3, "c", 31)).await.expect("upserted");
    assert!(!rows[0].get::<_, bool>(2));
    let rows = one(&bench, &write, &item(4, "d", 40)).await.expect("upserted");
    assert!(rows[0].get::<_, bool>(2));
    write.returning = None;
    let rows = one(&bench, &write, &item(4, "d", 41)).await.expect("upserted");
    assert!(rows.is_empty());
    let write = inserts(
        &binding,
        &[item(4, "d", 0), item(5, "a", 0), item(6, "f", 0)],
        &COLUMNS,
        OnConflict::Ignore,
    );
    let rows = many(&bench, &write, 3).await.expect("inserted");
    assert_eq!(decode(&rows, &binding, &[0]).expect("rows"), [[Value::I64(6)]]);
}

#[tokio::test]
async fn partitions_take_upserts() {
    let bench = Bench::new().await;
    bench
        .run(
            "CREATE TABLE item (id int8 PRIMARY KEY, size int4) PARTITION BY HASH (id); \
             CREATE TABLE item_0 PARTITION OF item FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        )
        .await;
    let schema = Schema::builder("item")
        .column(Column::new("id", Type::I64))
        .column(Column::new("size", Type::I64).nullable())
        .key(["id"])
        .build()
        .expect("a schema");
    let mut live = LiveTable::from(&schema);
    live.is_partitioned = true;
    let binding = Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"));
    let rows = [vec![Value::I64(1), Value::I64(1)], vec![Value::I64(2), Value::Null]];
    let write = inserts(&binding, &rows, &[0, 1], OnConflict::Update(Arc::from([0u16])));
    for _ in 0..2 {
        let found = many(&bench, &write, 2).await.expect("upserted");
        assert_eq!(decode(&found, &binding, &[0]).expect("rows").len(), 2);
        one(&bench, &write, &rows[0]).await.expect("upserted");
    }
}

#[tokio::test]
async fn numbers_are_assigned_in_the_order_of_the_rows() {
    let bench = Bench::new().await;
    let binding = bench.create(schema()).await;
    let rows: Vec<Vec<Value>> = (0..1_000)
        .map(|at| vec![Value::Text(format!("{}", (at * 7_919) % 1_000).into()), Value::I64(1)])
        .collect();
    let mut write = inserts(&binding, &rows, &[1, 6], OnConflict::Fail);
    write.returning = Some(Arc::from([0u16, 1]));
    let form = bulk_form(&write, Detail::Each).expect("one statement");
    assert!(matches!(&form, BulkForm { told_by: Some(ToldBy::Order), .. }));
    let found = many(&bench, &write, rows.len()).await.expect("inserted");
    let found = decode(&found, &binding, &[0, 1]).expect("rows");
    for ((number, given), row) in (1i64..).zip(&rows).zip(&found) {
        assert_eq!(row, &[Value::I64(number), given[0].clone()]);
    }
}

#[tokio::test]
async fn changes_tell_which_rows_they_found() {
    let bench = Bench::new().await;
    let binding = bench.create(schema()).await;
    let rows = [item(1, "a", 1), item(2, "b", 2), item(3, "c", 3)];
    let write = inserts(&binding, &rows, &COLUMNS, OnConflict::Fail);
    many(&bench, &write, 3).await.expect("inserted");
    // The second is of another version, the third is missing.
    let mut changed = [item(3, "c", 30), item(2, "bb", 20), item(9, "x", 90)];
    changed[1][3] = Value::I64(7);
    let change =
        Change::Update { rows: buffer(&changed), columns: COLUMNS.into(), check_version: true };
    let mut write = Write::new(binding.clone(), change);
    write.returning = Some(Arc::from([2u16]));
    let found = many(&bench, &write, 3).await.expect("updated");
    assert_eq!(numbers(&found), [1]);
    assert_eq!(decode(&found, &binding, &[2]).expect("rows"), [[Value::I64(30)]]);
    assert_eq!(stored(&bench, &write, 3).await, [1, 2]);
    assert_eq!(one(&bench, &write, &item(2, "b", 21)).await.expect("updated").len(), 1);

    let keys = || Some(buffer(&[vec![Value::I64(3)], vec![Value::I64(8)], vec![Value::I64(1)]]));
    let target = Target { keys: keys(), filter: filter(&binding, "size < 10").into() };
    let assignments = Arc::from([
        Assignment { column: 2, add: true, value: Value::I64(5) },
        Assignment { column: 3, add: false, value: decimal("1.50") },
        Assignment { column: 5, add: false, value: Value::Json("{}".into()) },
    ]);
    let change = Change::Patch { target: target.clone(), assignments, version: None };
    let write = Write::new(binding.clone(), change);
    assert_eq!(numbers(&many(&bench, &write, 3).await.expect("changed")), [3]);
    assert_eq!(stored(&bench, &write, 3).await, [3]);

    let target = Target { keys: keys(), filter: Arc::default() };
    let change = Change::Delete { target, version: None };
    let write = Write::new(binding.clone(), change);
    assert_eq!(numbers(&many(&bench, &write, 3).await.expect("removed")), [1, 3]);
    assert_eq!(stored(&bench, &write, 3).await, [0i64; 0]);
}

#[tokio::test]
async fn sums_are_exact_or_refused() {
    let bench = Bench::new().await;
    let created = bench.create(schema()).await;
    // The same table as a found one: its own types are wider than those of the schema.
    let mut live = (**created.live()).clone();
    live.columns[2].range = None;
    live.columns[3].column_type = Type::Decimal { precision: 10, scale: 2 };
    bench
        .run(
            "ALTER TABLE item DROP CONSTRAINT item_size_check; \
             ALTER TABLE item ALTER size TYPE int8, ALTER price TYPE numeric(10,2)",
        )
        .await;
    let binding = Arc::new(Binding::new(created.schema().clone(), Arc::new(live)).expect("bound"));
    let row = vec![
        Value::I64(1),
        Value::Text("a".into()),
        Value::I64(250),
        decimal("99.98"),
        Value::F64(f64::INFINITY),
        Value::Null,
        Value::I64(1),
    ];
    let mut nulls = vec![Value::Null; row.len()];
    (nulls[0], nulls[1], nulls[6]) = (Value::I64(2), Value::Text("b".into()), Value::I64(1));
    insert(&bench, &binding, &[row, nulls]).await;
    let overflow = Some(SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
    for (column, value, refused) in [
        (2, Value::I64(5), None),
        (2, Value::I64(1), overflow.clone()),
        (2, Value::I64(i64::MAX), overflow.clone()),
        (3, decimal("0.01"), None),
        (3, decimal("0.01"), overflow.clone()),
        (4, Value::F64(1.0), None),
        (4, Value::F64(f64::NEG_INFINITY), overflow.clone()),
        (6, Value::I64(1), None),
    ] {
        let assignments = Arc::from([Assignment { column, add: true, value }]);
        let target = Target::keys(buffer(&[vec![Value::I64(1)], vec![Value::I64(2)]]));
        let change = Change::Patch { target, assignments, version: None };
        let write = Write::new(binding.clone(), change);
        assert_eq!(code(one(&bench, &write, &[Value::I64(1)]).await), refused, "{column}");
        // Null stays null.
        assert_eq!(code(one(&bench, &write, &[Value::I64(2)]).await), None, "{column}");
    }
}

#[tokio::test]
async fn columns_that_only_the_store_knows_are_written_as_text() {
    let bench = Bench::new().await;
    bench
        .run(
            "CREATE TYPE mood AS ENUM ('glad', 'sad'); \
             CREATE TABLE t (id int4 PRIMARY KEY, mood mood, code char(3), bits bit(2), \
             tags text[])",
        )
        .await;
    let schema = Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("mood", Type::Text).nullable())
        .column(Column::new("code", Type::Text).nullable())
        .column(Column::new("bits", Type::Text).nullable())
        .column(Column::new("tags", Type::Text).nullable())
        .key(["id"])
        .build()
        .expect("a schema");
    let mut live = LiveTable::from(&schema);
    let declared = ["mood", "character(3)", "bit(2)", "text[]"];
    for (column, declared) in live.columns[1..].iter_mut().zip(declared) {
        column.declared = declared.into();
        column.column_type = Type::Unknown;
        column.readable_as = Box::from([Type::Text]);
    }
    let binding = Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"));
    let text = |text: &str| Value::Text(text.into());
    let row = |id, mood, code, bits| {
        vec![Value::I64(id), text(mood), text(code), text(bits), text("{a,\"b c\",NULL}")]
    };
    let rows = [row(1, "glad", "abc", "01"), row(2, "sad", "xyz", "11")];
    insert(&bench, &binding, &rows).await;
    let mut read = Read::new(binding.clone(), Arc::from([0, 1, 2, 3, 4]));
    read.filter = filter(&binding, "id > 0").into();
    assert_eq!(bench.read(&read).await.expect("rows"), rows);
    let write = inserts(&binding, &rows[..1], &[0, 1, 2, 3, 4], OnConflict::Fail);
    for refused in
        [row(3, "mad", "abc", "01"), row(3, "sad", "abcd", "01"), row(3, "sad", "a", "0")]
    {
        assert!(code(one(&bench, &write, &refused).await).is_some(), "{refused:?}");
    }
}
