//! Filters, sorts, keys and pages.

use sora_core::read::Pace;
use sora_core::{
    Column, Comparison, Date, Decimal, Pattern, Predicate, Schema, Timestamp, Truth, Type, Value,
};
use sora_sqlite::{Sqlite, SqliteConfig};

use crate::support::{
    Store, all_rows, bind, count, explain, fill, lookup, predicate, query, read, rows_of, sort,
    text,
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
        text(["ä", "a", "B", "b", "\u{10FFFF}"][usize::try_from(id % 5).expect("an index")]),
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
        let expected: Vec<String> = crate::support::lines(&rows_of(&borrowed));
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
                let expected = crate::support::lines(&rows_of(&sorted));
                assert_eq!(read(sqlite, &page).await.expect("read"), expected, "{by}");
            }
        }
    }
}

async fn check(
    sqlite: &Sqlite,
    binding: &std::sync::Arc<sora_core::Binding>,
    rows: &[Vec<Value>],
    filter: &Predicate,
) {
    let bound = filter.clone().bind(binding.schema(), sora_core::FilterLimits::default());
    let bound = bound.expect("bound");
    let expected: Vec<&[Value]> = rows
        .iter()
        .filter(|row| bound.evaluate(*row).expect("a truth").is_true())
        .map(Vec::as_slice)
        .collect();
    let expected =
        if expected.is_empty() { Vec::new() } else { crate::support::lines(&rows_of(&expected)) };
    let found = query(sqlite, binding, filter.clone()).await;
    assert_eq!(found, expected, "{}", bound.display(binding.schema()));
}
