//! The provider under a table: what the store does not do is done above it, and gives the same.

pub(crate) mod aggregate;
pub(crate) mod batch_writer;
pub(crate) mod read;
pub(crate) mod stream;
pub(crate) mod write;

use std::sync::Arc;

use sora::{Sora, Table};
use sora_core::provider::{Layer, SharedProvider};
use sora_core::write::{Change, OnConflict};
use sora_core::{Column, Comparison, Predicate, Query, Result, Schema, Sort, Type, Value};

use crate::Profile;
use crate::report::{Stop, Verdict, failed};
use crate::store::{Cells, Rows, Store};

const ID: u16 = 0;
const X: u16 = 1;
const NAME: u16 = 2;

/// Opens a table of the store as seen through a profile.
async fn open(store: &Store, profile: Profile, name: &str) -> Result<Table> {
    open_provider(profile.layer(store.provider.clone()), name).await
}

async fn open_provider(provider: SharedProvider, name: &str) -> Result<Table> {
    Sora::builder().provider(provider).table(name).await
}

/// Makes a table of numbered rows whose `x` has ties and nulls.
async fn make(store: &Store, name: &str, count: i64) -> Verdict<Vec<Cells>> {
    let schema = Schema::builder(name)
        .column(Column::new("id", Type::I64))
        .column(Column::new("x", Type::I64).nullable())
        .column(Column::new("name", Type::Text))
        .key(["id"])
        .unique(["name"])
        .build()?;
    let fixture = store.table(schema).await?;
    let rows: Vec<Cells> = (1..=count).map(row).collect();
    fixture.fill(&rows).await?;
    Ok(rows)
}

fn row(id: i64) -> Cells {
    let x = if id % 5 == 0 { Value::Null } else { Value::I64(id * 7 % 4) };
    vec![Value::I64(id), x, Value::Text(format!("n{id}").into())]
}

fn insert(table: &Table, rows: &[Cells], on_conflict: OnConflict) -> Result<Change> {
    let mut intake = table.intake(table.columns());
    for row in rows {
        intake.row(|out| row.iter().try_for_each(|value| out.cell(value.cell())))?;
    }
    let columns = intake.columns().clone();
    Ok(Change::Insert { rows: Arc::new(intake.finish()), columns, on_conflict })
}

fn keys(table: &Table, ids: &[i64]) -> Result<sora_core::RowBuffer> {
    let mut intake = table.key_intake()?;
    for id in ids {
        intake.row(|out| out.cell(Value::I64(*id).cell()))?;
    }
    Ok(intake.finish())
}

/// Returns a condition that no profile but the full one decides alone: `name LIKE '%n%' AND …`
/// inside an `OR`, which keeps the rows whose `x` is above a number.
fn above(number: i64) -> Predicate {
    let value = Value::I64(number);
    let greater = Predicate::Compare { column: X, comparison: Comparison::Greater, value };
    match sora_core::Pattern::contains("\u{1}") {
        Ok(pattern) => {
            Predicate::Or(vec![greater, Predicate::Like { column: NAME, pattern, fold: false }])
        }
        Err(_) => greater,
    }
}

fn is_above(row: &Cells, number: i64) -> bool {
    matches!(row[1], Value::I64(x) if x > number)
}

fn by_x(descending: bool) -> Vec<Sort> {
    vec![Sort { column: X, descending }]
}

fn total(descending: bool) -> Vec<Sort> {
    vec![Sort { column: X, descending }, Sort { column: ID, descending }]
}

async fn rows_of(table: &Table, query: &Query) -> Result<Vec<Cells>> {
    let mut rows = Rows::default();
    table.query(query, &mut rows).await?;
    Ok(rows.0)
}

/// All rows, sorted by the key.
async fn all_rows(store: &Store, name: &str) -> Result<Vec<Cells>> {
    let table = open(store, Profile::Full, name).await?;
    Ok(crate::store::sorted(rows_of(&table, &Query::default()).await?))
}

/// Says on which profile a line failed.
fn on(profile: Profile, verdict: Verdict) -> Verdict {
    match verdict {
        Err(Stop::Failed(why)) => failed(format!("on {profile:?}: {why}")),
        other => other,
    }
}
