//! What is computed over rows.

use std::sync::Arc;

use sora_core::plan::{Negotiation, Support};
use sora_core::read::{Output, Read};
use sora_core::{
    AggregateFunction, Aggregation, Column, Decimal, ErrorKind, Measure, Schema, Type, Value,
};

use super::scan::refused;
use crate::data::{DECIMAL, TYPES, X, edges, x};
use crate::expected::Expected;
use crate::report::{Verdict, failed, same, skipped};
use crate::store::{Cells, Fixture, Rows, Store};

use AggregateFunction::{Average, Count, Max, Min, Sum};

/// The position of the column to group by.
const GROUP: u16 = 2;

/// Makes a table of a key, a column `x` and a column to group by.
async fn table<'s>(store: &'s Store, name: &str, x: Column, group: Type) -> Verdict<Fixture<'s>> {
    let schema = Schema::builder(name)
        .column(Column::new("id", Type::I64))
        .column(x)
        .column(Column::new("g", group).nullable())
        .key(["id"])
        .build()?;
    store.table(schema).await
}

/// Returns the read of an aggregation, if the store claims it.
fn read_of(fixture: &Fixture<'_>, aggregation: &Aggregation) -> Option<Read> {
    let aggregation = Arc::new(aggregation.clone());
    let mut ask = Negotiation::new(fixture.binding.clone(), Vec::new(), Vec::new())
        .aggregating(aggregation.clone());
    fixture.store.provider.negotiate(&mut ask);
    let mut read = Read::new(fixture.binding.clone(), fixture.columns());
    read.output = Output::Aggregate(aggregation);
    let is_claimed = fixture.store.capability().aggregates;
    (is_claimed && ask.aggregation_support() == Support::Exact).then_some(read)
}

/// Compares what the store computes over rows with what it should be.
async fn judge(fixture: &Fixture<'_>, read: &Read, rows: &[Cells]) -> Verdict {
    let Output::Aggregate(aggregation) = &read.output else { return Ok(()) };
    let rows: Vec<&Cells> = rows.iter().collect();
    let limit = read.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let expected = Expected::of(fixture.schema(), &rows, aggregation).limited(limit);
    let mut found = Rows::default();
    let report = fixture.store.provider.read(read, &mut found).await;
    let what = aggregation.display(fixture.schema());
    if let Err(why) = expected.compare(report.clone().map(|_| found.0.as_slice())) {
        return failed(format!("{what}: {why}"));
    }
    match report {
        Ok(report) => same("groups received", &report.received, &(found.0.len() as u64)),
        Err(_) => Ok(()),
    }
}

/// The measures of a column of a type.
fn measures(column_type: Type) -> Vec<Measure> {
    let mut measures = vec![Measure::ROWS, Measure::new(Count, X)];
    if column_type.is_comparable() {
        measures.extend([Measure::new(Min, X), Measure::new(Max, X)]);
    }
    if matches!(column_type, Type::I64 | Type::F64 | Type::Decimal { .. }) {
        measures.extend([Measure::new(Sum, X), Measure::new(Average, X)]);
    }
    measures
}

pub(crate) async fn measured(store: &Store) -> Verdict {
    if !store.capability().aggregates {
        let fixture = table(store, "measures", x(Type::I64), Type::Text).await?;
        let mut read = fixture.scan();
        read.output = Output::Aggregate(Arc::new(Aggregation::new([], [Measure::ROWS])));
        return refused("an aggregation", fixture.read(&read).await);
    }
    let mut unclaimed = Vec::new();
    for column_type in TYPES {
        let name = format!("measures {column_type}");
        let fixture = table(store, &name, x(column_type), Type::Text).await?;
        let of_all = Aggregation::new([], measures(column_type));
        let by_group = Aggregation::new([GROUP], measures(column_type));
        let (Some(of_all), Some(by_group)) =
            (read_of(&fixture, &of_all), read_of(&fixture, &by_group))
        else {
            unclaimed.push(format!("not claimed: {}", of_all.display(fixture.schema())));
            continue;
        };
        // Over no row.
        judge(&fixture, &of_all, &[]).await?;
        judge(&fixture, &by_group, &[]).await?;
        let mut rows: Vec<Cells> = Vec::new();
        let small = |value: &Value| !is_large(value);
        let values: Vec<Value> = edges(column_type).into_iter().filter(small).collect();
        for (at, value) in values.iter().rev().chain([&Value::Null]).chain(&values).enumerate() {
            let group = [Value::Text("b".into()), Value::Null, Value::Text("a".into())];
            let id = Value::I64(i64::try_from(at).unwrap_or(0));
            rows.push(vec![id, value.clone(), group[at % 3].clone()]);
        }
        // A group of nothing but null.
        rows.push(vec![Value::I64(-1), Value::Null, Value::Text("c".into())]);
        fixture.fill(&rows).await?;
        judge(&fixture, &of_all, &rows).await?;
        judge(&fixture, &by_group, &rows).await?;
        filtered(&fixture, by_group, &rows).await?;
    }
    means(store).await?;
    for why in unclaimed {
        store.note(why);
    }
    Ok(())
}

/// Values whose sum would go beyond their type, or depends on the order.
fn is_large(value: &Value) -> bool {
    match value {
        Value::I64(value) => value.unsigned_abs() > 1 << 53,
        Value::F64(value) => value.abs() > 1e15,
        Value::Decimal(value) => value.precision() > 20,
        _ => false,
    }
}

/// The filter applies before the groups are made.
async fn filtered(fixture: &Fixture<'_>, mut read: Read, rows: &[Cells]) -> Verdict {
    let term = sora_core::Predicate::Not(Box::new(sora_core::Predicate::IsNull(X)));
    let ask = fixture.negotiate(vec![term.clone()], Vec::new());
    if ask.terms().iter().any(|term| term.support() != Support::Exact) {
        return Ok(());
    }
    read.filter = [term].into();
    let kept: Vec<Cells> = rows.iter().filter(|row| !row[1].is_null()).cloned().collect();
    judge(fixture, &read, &kept).await
}

/// Means whose sum is not a float, or no integer of 64 bits.
async fn means(store: &Store) -> Verdict {
    const EXACT: i64 = 1 << 53;
    let fixture = table(store, "means", x(Type::I64), Type::I64).await?;
    let Some(read) = read_of(&fixture, &Aggregation::new([GROUP], [Measure::new(Average, X)]))
    else {
        return Ok(());
    };
    let groups: [(&[i64], f64); 4] = [
        (&[EXACT, 1, 0], 3_002_399_751_580_331.0),
        (&[i64::MAX, i64::MAX, i64::MAX], 9_223_372_036_854_775_807.0),
        (&[1, 0, 0], 1.0 / 3.0),
        (&[-EXACT - 1, 1, 0], -3_002_399_751_580_330.7),
    ];
    let mut rows: Vec<Cells> = Vec::new();
    for (group, (values, _)) in (0..).zip(&groups) {
        for value in *values {
            let id = i64::try_from(rows.len()).unwrap_or(0);
            rows.push([id, *value, group].map(Value::I64).into());
        }
    }
    fixture.fill(&rows).await?;
    let (found, _) = fixture.read(&read).await?;
    let expected: Vec<Cells> = (0..)
        .zip(&groups)
        .map(|(group, (_, mean))| vec![Value::I64(group), Value::F64(*mean)])
        .collect();
    same("the floats nearest to the means", &found, &expected)
}

pub(crate) async fn grouped(store: &Store) -> Verdict {
    needs_aggregates(store)?;
    let mut unclaimed = Vec::new();
    for column_type in TYPES.into_iter().filter(|column_type| column_type.is_sortable()) {
        let name = format!("groups {column_type}");
        let fixture = table(store, &name, x(Type::Text), column_type).await?;
        let counts: &[(&[u16], Option<u64>)] =
            &[(&[GROUP], None), (&[GROUP], Some(2)), (&[X, GROUP], None), (&[GROUP, X], Some(5))];
        let values = edges(column_type);
        let mut rows: Vec<Cells> = Vec::new();
        for round in 0..3 {
            for (at, value) in values.iter().rev().chain([&Value::Null]).enumerate() {
                // `A` and `a` are two groups, whatever a collation says.
                let name = ["b", "B", "a"][(at + round) % 3];
                let id = Value::I64(i64::try_from(rows.len()).unwrap_or(0));
                rows.push(vec![id, Value::Text(name.into()), value.clone()]);
            }
        }
        fixture.fill(&rows).await?;
        for (group, limit) in counts {
            let aggregation = Aggregation::new(*group, [Measure::ROWS, Measure::new(Max, 0)]);
            match read_of(&fixture, &aggregation) {
                Some(mut read) => {
                    read.limit = *limit;
                    judge(&fixture, &read, &rows).await?;
                }
                None => {
                    let what = aggregation.display(fixture.schema());
                    unclaimed.push(format!("not claimed: {what}"));
                }
            }
        }
    }
    for why in unclaimed {
        store.note(why);
    }
    Ok(())
}

pub(crate) async fn totals(store: &Store) -> Verdict {
    needs_aggregates(store)?;
    let decimal = |text: &str| text.parse::<Decimal>().map(Value::Decimal);
    let most = "999999999999999999999999.9999";
    let float = Value::F64;
    let cases: [(&str, Type, Vec<Value>); 7] = [
        ("i64 beyond", Type::I64, [i64::MAX, 1].map(Value::I64).into()),
        ("i64 within in the end", Type::I64, [i64::MAX, 1, -1].map(Value::I64).into()),
        ("i64 below", Type::I64, [i64::MIN, -1].map(Value::I64).into()),
        ("decimal beyond", DECIMAL, vec![decimal(most)?, decimal("0.0001")?]),
        ("decimal within", DECIMAL, vec![decimal(most)?, decimal("0.0001")?, decimal("-0.0001")?]),
        ("no number", Type::F64, vec![float(f64::INFINITY), float(f64::NEG_INFINITY)]),
        ("infinite", Type::F64, vec![float(f64::INFINITY), float(1.0), float(f64::INFINITY)]),
    ];
    for (name, column_type, values) in cases {
        let fixture = table(store, &format!("totals {name}"), x(column_type), Type::I64).await?;
        let aggregation = Aggregation::new([], [Measure::new(Sum, X)]);
        let Some(read) = read_of(&fixture, &aggregation) else {
            store.note(format!("not claimed: the sum of {column_type}"));
            continue;
        };
        let rows: Vec<Cells> =
            (0..).zip(values).map(|(id, value)| vec![Value::I64(id), value, Value::Null]).collect();
        fixture.fill(&rows).await?;
        if name == "no number" {
            // Sora refuses it above a store that gives NaN.
            let mut found = Rows::default();
            match store.provider.read(&read, &mut found).await {
                Err(error) if error.kind() == ErrorKind::Constraint => continue,
                Ok(_) if is_nan(&found.0) => continue,
                other => return failed(format!("∞ − ∞ gave {other:?} and {:?}", found.0)),
            }
        }
        judge(&fixture, &read, &rows).await?;
    }
    Ok(())
}

fn is_nan(rows: &[Cells]) -> bool {
    matches!(rows, [row] if matches!(**row, [Value::F64(value)] if value.is_nan()))
}

fn needs_aggregates(store: &Store) -> Verdict {
    if store.capability().aggregates { Ok(()) } else { skipped("it does not aggregate") }
}
