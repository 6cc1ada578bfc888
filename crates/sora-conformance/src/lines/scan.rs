//! Reads without filter and order: rows, cells, reports, sinks.

use std::ops::ControlFlow;

use sora_core::read::Read;
use sora_core::{
    Column, Comparison, Error, ErrorKind, Predicate, Result, Row, RowSink, Schema, Type, Value,
};

use crate::data::{ID, TYPES, X, edges, numbered, table_of, x};
use crate::report::{Verdict, check, failed, same, skipped};
use crate::store::{Cells, Fixture, Rows, Store, sorted, text};

/// Numbers 1 to `count`, each with the same value in `x`.
pub(crate) async fn numbers(store: &Store, count: usize) -> Verdict<(Fixture<'_>, Vec<Cells>)> {
    let fixture = store.table(table_of(x(Type::I64)).build()?).await?;
    let rows = numbered(std::iter::repeat_n(Value::I64(7), count));
    fixture.fill(&rows).await?;
    Ok((fixture, rows))
}

pub(crate) async fn once(store: &Store) -> Verdict {
    let (fixture, rows) = numbers(store, 50).await?;
    same("rows", &fixture.stored().await?, &rows)
}

pub(crate) async fn projection(store: &Store) -> Verdict {
    let schema = Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("a", Type::I64))
        .column(Column::new("b", Type::Text))
        .column(Column::new("c", Type::I64).nullable())
        .key(["id"])
        .build()?;
    let fixture = store.table(schema).await?;
    let row = vec![Value::I64(1), Value::I64(2), Value::Text("b".into()), Value::Null];
    fixture.fill(std::slice::from_ref(&row)).await?;
    for columns in [&[0, 1, 2, 3][..], &[3, 2, 1, 0], &[2], &[1, 0], &[3], &[2, 0, 1]] {
        let read = Read::new(fixture.binding.clone(), columns.into());
        let expected: Cells = columns.iter().map(|at| row[usize::from(*at)].clone()).collect();
        same(&format!("columns {columns:?}"), &fixture.read(&read).await?.0, &vec![expected])?;
    }
    Ok(())
}

/// A table with a column of every type.
fn wide() -> Result<Schema> {
    let mut builder = Schema::builder("wide").column(Column::new("id", Type::I64));
    for column_type in TYPES {
        let name = format!("c_{}", column_type.to_string().split('(').next().unwrap_or_default());
        builder = builder.column(Column::new(name, column_type).nullable());
    }
    builder.key(["id"]).build()
}

pub(crate) async fn values(store: &Store) -> Verdict {
    let fixture = store.table(wide()?).await?;
    let pools: Vec<Vec<Value>> = TYPES.into_iter().map(edges).collect();
    let longest = pools.iter().map(Vec::len).max().unwrap_or(0);
    let row = |at: usize| {
        let id = Value::I64(i64::try_from(at).unwrap_or(0));
        let value = |pool: &Vec<Value>| pool[at % pool.len()].clone();
        std::iter::once(id).chain(pools.iter().map(value)).collect()
    };
    let rows: Vec<Cells> = (0..longest).map(row).collect();
    fixture.fill(&rows).await?;
    // As text, which tells 1.5 from 1.50 and 0.0 from -0.0.
    for (found, expected) in text(&fixture.stored().await?).iter().zip(text(&rows)) {
        same("a row", found, &expected)?;
    }
    let zero = fixture.insert(&[minus_zero(&fixture)], sora_core::write::OnConflict::Fail)?;
    let report = fixture.write(&zero).await?;
    check(report.first_error().is_none(), || format!("{:?}", report.first_error()))?;
    let stored = fixture.stored().await?;
    let found = stored.iter().find(|row| row[0] == Value::I64(-1));
    let is_zero = found.is_some_and(|row| format!("{:?}", row[3]) == "0.0");
    check(is_zero, || format!("-0.0 is to be stored as 0.0, found {found:?}"))
}

/// A row whose float is −0.0, which is stored as 0.0.
fn minus_zero(fixture: &Fixture<'_>) -> Cells {
    let mut row = vec![Value::Null; fixture.columns().len()];
    row[0] = Value::I64(-1);
    row[3] = Value::F64(-0.0);
    row
}

pub(crate) async fn nothing_stays_apart(store: &Store) -> Verdict {
    let schema = Schema::builder("t")
        .column(Column::new("id", Type::I64))
        .column(Column::new("s", Type::Text).nullable())
        .column(Column::new("b", Type::Bytes).nullable())
        .key(["id"])
        .build()?;
    let fixture = store.table(schema).await?;
    let (text, bytes) = (Value::Text("".into()), Value::Bytes([].into()));
    let rows = vec![
        vec![Value::I64(1), Value::Null, bytes],
        vec![Value::I64(2), text, Value::Null],
        vec![Value::I64(3), Value::Text("NULL".into()), Value::Null],
    ];
    fixture.fill(&rows).await?;
    same("rows", &fixture.stored().await?, &rows)
}

pub(crate) async fn long_values(store: &Store) -> Verdict {
    /// Longer than a page or a packet of any store, short of what any refuses.
    const BYTES: usize = 1 << 20;
    let schema = Schema::builder("long")
        .column(Column::new("id", Type::I64))
        .column(Column::new("s", Type::Text))
        .column(Column::new("b", Type::Bytes))
        .column(Column::new("j", Type::Json))
        .key(["id"])
        .build()?;
    let fixture = store.table(schema).await?;
    let row = vec![
        Value::I64(1),
        Value::Text("é".repeat(BYTES / 2).into()),
        Value::Bytes((0..BYTES).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect()),
        Value::Json(format!("\"{}\"", "x".repeat(BYTES)).into()),
    ];
    fixture.fill(std::slice::from_ref(&row)).await?;
    let stored = fixture.stored().await?;
    check(stored == [row], || {
        let lengths: Vec<usize> =
            stored.iter().flatten().map(|cell| format!("{cell:?}").len()).collect();
        format!("values of 1 MiB came back in these lengths: {lengths:?}")
    })
}

pub(crate) async fn received(store: &Store) -> Verdict {
    let (fixture, _) = numbers(store, 20).await?;
    let (rows, report) = fixture.read(&fixture.scan()).await?;
    same("rows received", &report.received, &(rows.len() as u64))?;
    same("a count that was not asked for", &report.count, &None)?;
    same("rows rejected", &(report.rejected, report.exceeded), &(0, false))
}

/// Takes so many rows, and says how many came.
struct Taking {
    rows_max: usize,
    rows: usize,
    fails: bool,
}

impl RowSink for Taking {
    fn row(&mut self, _: &dyn Row) -> Result<ControlFlow<()>> {
        self.rows += 1;
        if self.rows < self.rows_max {
            return Ok(ControlFlow::Continue(()));
        }
        if self.fails {
            return Err(Error::new(ErrorKind::Data, "the sink refuses the row"));
        }
        Ok(ControlFlow::Break(()))
    }

    fn reset(&mut self) {
        self.rows = 0;
    }
}

pub(crate) async fn breaks(store: &Store) -> Verdict {
    let (fixture, _) = numbers(store, 20).await?;
    let mut sink = Taking { rows_max: 5, rows: 0, fails: false };
    let report = store.provider.read(&fixture.scan(), &mut sink).await?;
    same("rows that reached a sink that broke at the fifth", &sink.rows, &5)?;
    check(report.received >= 5, || format!("{} rows were reported", report.received))
}

pub(crate) async fn sink_fails(store: &Store) -> Verdict {
    let (fixture, _) = numbers(store, 20).await?;
    let mut sink = Taking { rows_max: 5, rows: 0, fails: true };
    match store.provider.read(&fixture.scan(), &mut sink).await {
        Err(error) if error.message() == "the sink refuses the row" => {
            same("rows that reached a sink that failed at the fifth", &sink.rows, &5)
        }
        other => failed(format!("the sink failed, the read gave {other:?}")),
    }
}

/// A read of `count` numbered rows whose residual condition rejects those up to `rejected`.
async fn with_residual(store: &Store, rejected: i64) -> Verdict<(Fixture<'_>, Read)> {
    if !store.capability().residual {
        return skipped("residual conditions are applied above this store");
    }
    let (fixture, _) = numbers(store, 20).await?;
    let mut read = fixture.scan();
    // The columns are positions in the read.
    read.columns = [X, ID].into();
    let value = Value::I64(rejected);
    read.residual =
        [Predicate::Compare { column: 1, comparison: Comparison::Greater, value }].into();
    Ok((fixture, read))
}

pub(crate) async fn residual(store: &Store) -> Verdict {
    let (fixture, mut read) = with_residual(store, 15).await?;
    read.rejected_max = Some(15);
    let (rows, report) = fixture.read(&read).await?;
    let expected: Vec<Cells> = (16..=20).map(|id| vec![Value::I64(7), Value::I64(id)]).collect();
    same("rows", &sorted(rows), &expected)?;
    same("rows received", &report.received, &20)?;
    same("rows rejected", &(report.rejected, report.exceeded), &(15, false))
}

pub(crate) async fn goes_on(store: &Store) -> Verdict {
    let (fixture, mut read) = with_residual(store, 15).await?;
    read.pace = sora_core::read::Pace::Page;
    let mut sink = Rows::default();
    store.provider.read(&read, &mut sink).await?;
    same("rows behind those that were rejected", &sink.0.len(), &5)?;
    drop(fixture);
    Ok(())
}

pub(crate) async fn exceeds(store: &Store) -> Verdict {
    let (fixture, mut read) = with_residual(store, 20).await?;
    read.rejected_max = Some(10);
    let (rows, report) = fixture.read(&read).await?;
    same("rows", &rows.len(), &0)?;
    same("rows rejected", &(report.rejected, report.exceeded), &(11, true))
}

pub(crate) async fn count(store: &Store) -> Verdict {
    let (fixture, rows) = numbers(store, 20).await?;
    let mut read = fixture.scan();
    read.output = sora_core::read::Output::Count;
    let mut sink = Rows::default();
    let counted = store.provider.read(&read, &mut sink).await;
    if !store.capability().count {
        return refused("a count", counted);
    }
    same("rows of a count", &(counted?.count, sink.0.len()), &(Some(rows.len() as u64), 0))?;
    let value = Value::I64(5);
    let term = Predicate::Compare { column: ID, comparison: Comparison::LessOrEqual, value };
    let ask = fixture.negotiate(vec![term.clone()], Vec::new());
    if ask.terms().iter().all(|term| term.support() == sora_core::plan::Support::Exact) {
        read.filter = [term].into();
        same("rows that a filter keeps", &fixture.read(&read).await?.1.count, &Some(5))?;
    }
    Ok(())
}

/// Expects that what the store does not claim is refused as such.
pub(crate) fn refused<T: std::fmt::Debug>(what: &str, result: Result<T>) -> Verdict {
    match result {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        other => failed(format!("{what} is not declared and must be refused, it gave {other:?}")),
    }
}
