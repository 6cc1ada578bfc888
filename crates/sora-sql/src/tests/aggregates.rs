//! Aggregations as SQL.

use sora_core::{AggregateFunction, Aggregation, Measure};

use super::*;

fn aggregation(group: &[u16], measures: &[(AggregateFunction, u16)]) -> Read {
    let measures = measures.iter().map(|(function, column)| Measure::new(*function, *column));
    let measures: Vec<Measure> = [Measure::ROWS].into_iter().chain(measures).collect();
    let mut read = read();
    read.filter = filter(&read.binding, "size > 5");
    read.output = Output::Aggregate(Arc::new(Aggregation::new(group, measures)));
    read
}

#[test]
fn all_rows_are_one_group() {
    use AggregateFunction::{Average, Count, Max, Min, Sum};
    let read = aggregation(&[], &[(Count, 1), (Sum, 5), (Average, 4), (Min, 2), (Max, 4)]);
    check(
        &read,
        &expect![[r#"
            SELECT count(*), count("name"), sora_sum("size"), sora_avg("price"), min("code" COLLATE BINARY), max("price" COLLATE sora_decimal) FROM "ci""ties" WHERE "size" > ?
            5
        "#]],
    );
}

#[test]
fn groups_are_by_value_and_in_its_order() {
    let mut read = aggregation(&[2, 1, 4], &[]);
    read.limit = Some(11);
    check(
        &read,
        &expect![[r#"
        SELECT "code" COLLATE BINARY, "name", "price" COLLATE sora_decimal, count(*) FROM "ci""ties" WHERE "size" > ? GROUP BY "code" COLLATE BINARY, "name", "price" COLLATE sora_decimal ORDER BY "code" COLLATE BINARY, "name", "price" COLLATE sora_decimal LIMIT ?
        5 · 11
    "#]],
    );
}

#[test]
fn another_aggregation_is_another_shape() {
    use AggregateFunction::{Max, Min, Sum};
    let mut shapes = Vec::new();
    for read in [
        aggregation(&[], &[]),
        aggregation(&[1], &[]),
        aggregation(&[2], &[]),
        aggregation(&[1, 2], &[]),
        aggregation(&[1], &[(Sum, 5)]),
        aggregation(&[1], &[(Min, 5)]),
        aggregation(&[1], &[(Max, 5)]),
        aggregation(&[1], &[(Max, 0)]),
    ] {
        let mut shape = Vec::new();
        read_shape::<Sqlite>(&read, portions(&read)[0], &mut shape);
        assert!(!shapes.contains(&shape), "{read:?}");
        shapes.push(shape);
    }
}

/// The measures of a column of each type that has its own words on PostgreSQL.
fn postgres_measure(function: AggregateFunction, column_type: Type) -> String {
    let schema =
        Schema::builder("t").column(Column::new("x", column_type)).build().expect("a schema");
    let mut live = LiveTable::from(&schema);
    if column_type == Type::Text {
        live.columns[0].collation = Some("en-US-x-icu".into());
    }
    let binding = Binding::new(Arc::new(schema), Arc::new(live)).expect("bound");
    let mut read = Read::new(Arc::new(binding), Arc::from([0]));
    read.output = Output::Aggregate(Arc::new(Aggregation::new([], [Measure::new(function, 0)])));
    show_read_in::<Postgres>(&read).trim_end().to_owned()
}

#[test]
fn postgres_measures_each_type_in_its_own_words() {
    use AggregateFunction::{Average, Count, Max, Min, Sum};
    let decimal = Type::Decimal { precision: 6, scale: 2 };
    let mut shown = String::new();
    for (function, column_type) in [
        (Count, Type::Json),
        (Sum, Type::I64),
        (Sum, Type::F64),
        (Sum, decimal),
        (Average, Type::I64),
        (Average, Type::F64),
        (Average, decimal),
        (Min, Type::Bool),
        (Max, Type::Bool),
        (Min, Type::Bytes),
        (Max, Type::Bytes),
        (Min, Type::Uuid),
        (Max, Type::Text),
        (Min, Type::F64),
        (Max, Type::Timestamp),
    ] {
        shown += &postgres_measure(function, column_type);
        shown.push('\n');
    }
    expect![[r#"
        SELECT count("x") FROM "t"
        SELECT sum("x")::int8 FROM "t"
        SELECT sum("x"::float8) FROM "t"
        SELECT sum("x")::numeric(28, 2) FROM "t"
        SELECT (round(sum("x")::numeric, 120) / count("x"))::float8 FROM "t"
        SELECT CASE WHEN abs(sum("x"::float8)) < 1e-300 AND 2 * abs(sum("x"::float8)) <= count("x") * float8 '5e-324' THEN 0 ELSE sum("x"::float8) / count("x") END FROM "t"
        SELECT (round(sum("x")::numeric, 120) / count("x"))::float8 FROM "t"
        SELECT bool_and("x") FROM "t"
        SELECT bool_or("x") FROM "t"
        SELECT decode(min(encode("x", 'hex') COLLATE "C"), 'hex') FROM "t"
        SELECT decode(max(encode("x", 'hex') COLLATE "C"), 'hex') FROM "t"
        SELECT min("x"::text COLLATE "C")::uuid FROM "t"
        SELECT max("x" COLLATE "C") FROM "t"
        SELECT min("x") FROM "t"
        SELECT max("x") FROM "t"
    "#]].assert_eq(&shown);
}

#[test]
fn postgres_groups_text_by_bytes() {
    let mut read = aggregation(&[2, 1], &[]);
    read.limit = Some(10_001);
    expect![[r#"
        SELECT "code" COLLATE "C", "name", count(*) FROM "ci""ties" WHERE "size" > $1::int8 GROUP BY "code" COLLATE "C", "name" ORDER BY "code" COLLATE "C", "name" NULLS FIRST LIMIT $2::int8
        5 · 10001
    "#]].assert_eq(&show_read_in::<Postgres>(&read));
}
