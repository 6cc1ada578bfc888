//! Statements in a store's own language.

use sora_core::read::{Access, Output, Read};
use sora_core::write::{Change, Write};
use sora_core::{
    Binding, Column, ErrorKind, RowBuffer, Schema, Statement, Type, Value, take_columns,
};

use super::scan::{numbers, refused};
use crate::report::{Verdict, failed, same};
use crate::store::{Cells, Store};

/// What every SQL takes.
const ROWS: &str = "SELECT 'x' AS \"name\", 2 AS \"number\" UNION ALL SELECT 'y', 3 ORDER BY 2";

pub(crate) async fn statements(store: &Store) -> Verdict {
    let (fixture, stored) = numbers(store, 20).await?;
    let schema = Schema::builder("statement")
        .column(Column::new("number", Type::I64))
        .column(Column::new("name", Type::Text))
        .column(Column::new("other", Type::Text))
        .build()?;
    let binding = std::sync::Arc::new(Binding::of_statement(std::sync::Arc::new(schema))?);
    let mut read = Read::new(binding.clone(), [0, 1].into());
    read.access = Access::Native(Statement::new(ROWS));
    let found = fixture.read(&read).await;
    let delete =
        || Statement::from_trusted_text(format!("DELETE FROM {:?}", fixture.schema().table()));
    let write = Write::new(binding.clone(), Change::Native(delete().writing("t")));
    if !store.capability().native {
        refused("a native statement", found)?;
        return refused("a native write", fixture.write(&write).await.map(drop));
    }
    let row =
        |number: i64, name: &str| -> Cells { vec![Value::I64(number), Value::Text(name.into())] };
    same("rows by the names of their columns", &found?.0, &vec![row(2, "x"), row(3, "y")])?;
    let mut columns = read.clone();
    columns.output = Output::Columns;
    let mut found = RowBuffer::new(columns.width());
    store.provider.read(&columns, &mut found).await?;
    let names: Vec<String> =
        take_columns(&found)?.into_iter().map(|column| column.name.into()).collect();
    same("columns", &names, &vec!["name".into(), "number".into()])?;

    read.columns = [0, 2].into();
    match fixture.read(&read).await {
        Err(error)
            if error.kind() == ErrorKind::Schema && error.message().contains("\"other\"") => {}
        other => return failed(format!("a column that is not there gave {other:?}")),
    }
    read.columns = [0].into();
    read.access = Access::Native(delete());
    match fixture.read(&read).await {
        Err(error) if error.kind() == ErrorKind::InvalidInput => {}
        other => return failed(format!("a read by a statement that writes gave {other:?}")),
    }
    same("rows behind it", &fixture.stored().await?.len(), &stored.len())?;
    let report = fixture.write(&write).await?;
    same("rows written", &report.affected, &(stored.len() as u64))?;
    same("outcomes", &report.outcomes.len(), &1)?;
    same("rows behind a native delete", &fixture.stored().await?.len(), &0)
}
