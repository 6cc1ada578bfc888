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
