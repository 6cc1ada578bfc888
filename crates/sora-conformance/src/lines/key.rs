//! Reads by key.

use std::sync::Arc;

use sora_core::plan::Support;
use sora_core::{Column, Comparison, Predicate, RowBuffer, Schema, Type, Value};

use crate::data::{ID, edges, numbered, table_of, x};
use crate::report::{Verdict, check, failed, same, skipped};
use crate::store::{Cells, Fixture, Store, sorted};

/// Reads rows by keys, as many at once as the store takes.
async fn by_keys(fixture: &Fixture<'_>, keys: &[Cells]) -> Verdict<Vec<Cells>> {
    let mut rows = Vec::new();
    for keys in keys.chunks(fixture.store.capability().keys_max.max(1)) {
        let read = fixture.by_keys(fixture.keys(keys)?);
        rows.extend(fixture.read(&read).await?.0);
    }
    Ok(sorted(rows))
}

pub(crate) async fn once(store: &Store) -> Verdict {
    let fixture = store.table(table_of(x(Type::I64)).build()?).await?;
    fixture.fill(&numbered((1..=9).map(Value::I64))).await?;
    if store.capability().keys_max < 6 {
        return one_by_one(&fixture).await;
    }
    // 4 twice, 50 and 0 not there.
    let keys: Vec<Cells> = [4, 2, 50, 4, 9, 0].map(|id| vec![Value::I64(id)]).into();
    let read = fixture.by_keys(fixture.keys(&keys)?);
    let (rows, report) = fixture.read(&read).await?;
    let expected: Vec<Cells> = [2, 4, 9].map(|id| vec![Value::I64(id), Value::I64(id)]).into();
    same("rows of the keys 4, 2, 50, 4, 9, 0", &sorted(rows), &expected)?;
    same("rows received", &report.received, &3)?;
    let none = fixture.by_keys(Arc::new(RowBuffer::new(1)));
    same("rows of no key", &fixture.read(&none).await?.0.len(), &0)
}

async fn one_by_one(fixture: &Fixture<'_>) -> Verdict {
    for (id, expected) in [(4, 1), (50, 0)] {
        let read = fixture.by_keys(fixture.keys(&[vec![Value::I64(id)]])?);
        same(&format!("rows of the key {id}"), &fixture.read(&read).await?.0.len(), &expected)?;
    }
    Ok(())
}

pub(crate) async fn of_every_type(store: &Store) -> Verdict {
    let types = [Type::I64, Type::Text, Type::Bytes, Type::Timestamp, Type::Date, Type::Uuid];
    for (number, column_type) in types.into_iter().enumerate() {
        let schema = Schema::builder(format!("k{number}"))
            .column(Column::new("id", column_type))
            .column(Column::new("n", Type::I64))
            .key(["id"])
            .build()?;
        let fixture = store.table(schema).await?;
        let rows: Vec<Cells> = edges(column_type)
            .into_iter()
            .zip(0..)
            .map(|(key, number)| vec![key, Value::I64(number)])
            .collect();
        fixture.fill(&rows).await?;
        let keys: Vec<Cells> = rows.iter().map(|row| vec![row[0].clone()]).collect();
        let what = format!("rows by keys of {column_type}");
        same(&what, &by_keys(&fixture, &keys).await?, &sorted(rows))?;
    }
    composite(store).await
}

async fn composite(store: &Store) -> Verdict {
    // The key's columns neither come first nor in the order of the table.
    let schema = Schema::builder("composite")
        .column(Column::new("n", Type::I64))
        .column(Column::new("b", Type::I64))
        .column(Column::new("a", Type::Text))
        .key(["a", "b"])
        .build()?;
    let fixture = store.table(schema).await?;
    let row = |a: &str, b, n| vec![Value::I64(n), Value::I64(b), Value::Text(a.into())];
    fixture.fill(&[row("x", 1, 1), row("x", 2, 2), row("y", 1, 3), row("", 1, 4)]).await?;
    let key = |a: &str, b| vec![Value::Text(a.into()), Value::I64(b)];
    let found = by_keys(&fixture, &[key("x", 2), key("y", 2), key("", 1), key("y", 1)]).await?;
    same(
        "rows by keys of two columns",
        &found,
        &vec![row("x", 2, 2), row("y", 1, 3), row("", 1, 4)],
    )
}

pub(crate) async fn filtered(store: &Store) -> Verdict {
    let fixture = store.table(table_of(x(Type::I64)).build()?).await?;
    fixture.fill(&numbered((1..=9).map(Value::I64))).await?;
    let value = Value::I64(5);
    let term = Predicate::Compare { column: ID, comparison: Comparison::Equal, value };
    let ask = fixture.negotiate(vec![term.clone()], Vec::new());
    if ask.terms().iter().any(|term| term.support() != Support::Exact) {
        return skipped("it does not claim the filter id = 5 exact");
    }
    let mut found = 0;
    for id in [4, 5] {
        let mut read = fixture.by_keys(fixture.keys(&[vec![Value::I64(id)]])?);
        read.filter = [term.clone()].into();
        found += fixture.read(&read).await?.0.len();
    }
    same("rows of the keys 4 and 5 where id = 5", &found, &1)
}

pub(crate) async fn as_many_as_declared(store: &Store) -> Verdict {
    /// More would test the machine's memory, not the store.
    const PROBED_MAX: usize = 20_000;
    let keys_max = store.capability().keys_max;
    check(keys_max > 0, || "a store that takes no key finds no row".into())?;
    let fixture = store.table(table_of(x(Type::I64)).build()?).await?;
    fixture.fill(&numbered((1..=9).map(Value::I64))).await?;
    let keys =
        |count: usize| -> Vec<Cells> { (1..).take(count).map(|id| vec![Value::I64(id)]).collect() };
    let probed = keys_max.min(PROBED_MAX);
    let read = fixture.by_keys(fixture.keys(&keys(probed))?);
    same("rows of the most keys", &fixture.read(&read).await?.0.len(), &probed.min(9))?;
    if keys_max > PROBED_MAX {
        store.note(format!("{probed} of {keys_max} keys were probed"));
        return Ok(());
    }
    // One more is refused, or served in full.
    let read = fixture.by_keys(fixture.keys(&keys(keys_max + 1))?);
    match fixture.read(&read).await {
        Ok((rows, _)) if rows.len() != (keys_max + 1).min(9) => {
            failed("one key more than declared is answered in part")
        }
        _ => Ok(()),
    }
}
