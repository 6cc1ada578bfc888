//! The order of rows.

use sora_core::{Column, Schema, Sort, Type, Value};

use crate::data::{ID, TYPES, X, edges, x};
use crate::report::{Verdict, same, skipped};
use crate::store::{Cells, Fixture, Store, in_order};

const SORTABLE: usize = TYPES.len() - 1;

fn by(column: u16, descending: bool) -> Sort {
    Sort { column, descending }
}

pub(crate) async fn by_value(store: &Store) -> Verdict {
    each_type(store, false).await
}

pub(crate) async fn nulls(store: &Store) -> Verdict {
    each_type(store, true).await
}

/// Sorts a column of every type both ways, the key behind it.
async fn each_type(store: &Store, with_nulls: bool) -> Verdict {
    let mut unclaimed = Vec::new();
    for (number, column_type) in TYPES.into_iter().take(SORTABLE).enumerate() {
        let schema = Schema::builder(format!("s{number}"))
            .column(Column::new("id", Type::I64))
            .column(x(column_type))
            .key(["id"])
            .build()?;
        let fixture = store.table(schema).await?;
        let edges = edges(column_type);
        // Scattered by a step that is prime to every length here, so that no order is by accident.
        let scattered = (0..edges.len()).map(|at| edges[at * 47 % edges.len()].clone());
        let mut values: Vec<Value> = scattered.collect();
        values.extend(edges.iter().take(3).cloned());
        if with_nulls {
            values.insert(2, Value::Null);
            values.push(Value::Null);
        }
        let rows = crate::data::numbered(values);
        fixture.fill(&rows).await?;
        for descending in [false, true] {
            let sort = [by(X, descending), by(ID, descending)];
            if fixture.sorts(&sort) {
                expect(&fixture, &rows, &sort).await?;
            } else {
                unclaimed.push(column_type.to_string());
            }
        }
    }
    note_unclaimed(store, &unclaimed, SORTABLE * 2)
}

pub(crate) async fn columns(store: &Store) -> Verdict {
    let schema = Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("a", Type::I64).nullable())
        .column(Column::new("b", Type::Text).nullable())
        .key(["id"])
        .build()?;
    let fixture = store.table(schema).await?;
    let mut rows: Vec<Cells> = Vec::new();
    for id in 0..36_i64 {
        let a = [Value::Null, Value::I64(1), Value::I64(2)];
        let b = [Value::Text("b".into()), Value::Null, Value::Text("a".into())];
        let at = |step: i64, list: [Value; 3]| {
            list[usize::try_from(id * step % 7 % 3).unwrap_or(0)].clone()
        };
        rows.push(vec![Value::I64(id), at(3, a), at(5, b)]);
    }
    fixture.fill(&rows).await?;
    let mut unclaimed = Vec::new();
    for bits in 0..8_u8 {
        let is = |bit: u8| bits & (1 << bit) != 0;
        for sort in [
            vec![by(1, is(0)), by(2, is(1)), by(ID, is(2))],
            vec![by(2, is(0)), by(1, is(1)), by(ID, is(2))],
        ] {
            if fixture.sorts(&sort) {
                expect(&fixture, &rows, &sort).await?;
            } else {
                unclaimed.push(format!("{sort:?}"));
            }
        }
    }
    note_unclaimed(store, &unclaimed, 16)
}

async fn expect(fixture: &Fixture<'_>, rows: &[Cells], sort: &[Sort]) -> Verdict {
    let mut read = fixture.scan();
    read.sort = sort.into();
    let mut expected = rows.to_vec();
    expected.sort_by(|left, right| in_order(sort, left, right));
    let column = fixture.schema().column(sort[0].column).column_type;
    let direction = if sort[0].descending { "descending" } else { "ascending" };
    let found = fixture.read(&read).await?.0;
    same(&format!("rows by {column} {direction}"), &found, &expected)
}

fn note_unclaimed(store: &Store, unclaimed: &[String], all: usize) -> Verdict {
    if unclaimed.len() == all {
        return skipped("it claims no such sort");
    }
    if !unclaimed.is_empty() {
        store.note(format!("not claimed: {}", unclaimed.join("; ")));
    }
    Ok(())
}
