//! Tables: what is there, what is missing, what differs.

use std::sync::Arc;

use super::Tables;
use super::table::Table;
use crate::provider::{Difference, SchemaReport};
use crate::{Column, Index, LiveTable, Name, Result, Schema, find_name};

/// Describes a table, if it is there, or all tables.
pub(super) fn describe(tables: &Tables, name: Option<&str>) -> Vec<LiveTable> {
    let found = match name {
        None => tables.values().collect(),
        Some(name) => Vec::from_iter(find(tables, name).and_then(|name| tables.get(&*name))),
    };
    found.into_iter().map(|table| LiveTable::from(&*table.schema)).collect()
}

/// Creates what is missing of a schema and reports what differs.
///
/// # Errors
///
/// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if a unique index is missing and rows are in
/// its way; nothing is then created.
pub(super) fn ensure(tables: &mut Tables, schema: &Arc<Schema>) -> Result<SchemaReport> {
    let mut report = SchemaReport::default();
    let Some(name) = find(tables, schema.table()) else {
        report.created.push(format!("table {}", Name(schema.table())));
        for index in schema.indexes() {
            report.created.push(index_text(schema, index));
        }
        tables.insert(schema.table().into(), Arc::new(Table::new(schema.clone())));
        return Ok(report);
    };
    let mut table = tables[&name].clone();
    let found = table.schema.clone();
    let mut differs = |what: String| report.differs.push(Difference { what, remedy: None });
    for column in schema.columns() {
        let names = found.columns().iter().map(|column| &*column.name);
        match find_name(names, &column.name) {
            Some(at) => column_differences(&found.columns()[at], column, &mut differs),
            None => differs(format!("column {:?} is missing", column.name)),
        }
    }
    if column_names(&found, found.key()) != column_names(schema, schema.key()) {
        differs(format!("the key is ({})", column_names(&found, found.key()).join(", ")));
    }
    for index in schema.indexes() {
        let there = found.indexes().iter().find(|other| other.name == index.name);
        let same = there.is_some_and(|other| {
            other.unique == index.unique
                && column_names(&found, &other.columns) == column_names(schema, &index.columns)
        });
        match there {
            Some(_) if same => {}
            Some(other) => differs(format!("there is another {}", index_text(&found, other))),
            None => match add_index(&table, schema, index)? {
                Some(wider) => {
                    report.created.push(index_text(schema, index));
                    table = Arc::new(wider);
                }
                None => differs(format!("index {:?} is missing, as its columns are", index.name)),
            },
        }
    }
    tables.insert(name, table);
    Ok(report)
}

fn find(tables: &Tables, name: &str) -> Option<Box<str>> {
    let names = tables.keys().map(|name| &**name);
    find_name(names, name).and_then(|at| tables.keys().nth(at)).cloned()
}

fn column_differences(found: &Column, wanted: &Column, differs: &mut dyn FnMut(String)) {
    let name = &found.name;
    if found.column_type != wanted.column_type {
        differs(format!("column {name:?} is {}, not {}", found.column_type, wanted.column_type));
    }
    if found.nullable != wanted.nullable {
        let can = if found.nullable { "can" } else { "cannot" };
        differs(format!("column {name:?} {can} be null"));
    }
    if found.range != wanted.range {
        let text = |range: Option<(i64, i64)>| match range {
            Some((min, max)) => format!("{min} to {max}"),
            None => "every i64".into(),
        };
        differs(format!("column {name:?} takes {}, not {}", text(found.range), text(wanted.range)));
    }
    if found.assigned != wanted.assigned {
        differs(format!("column {name:?} has another default"));
    }
}

/// Returns the table with an index that it lacks, or `None` if it lacks a column of it too.
fn add_index(table: &Table, schema: &Schema, index: &Index) -> Result<Option<Table>> {
    let found = &table.schema;
    let names = || found.columns().iter().map(|column| &*column.name);
    let columns: Option<Box<[u16]>> = index
        .columns
        .iter()
        .map(|column| {
            let at = find_name(names(), &schema.column(*column).name)?;
            u16::try_from(at).ok()
        })
        .collect();
    let Some(columns) = columns else { return Ok(None) };
    let index = Index { columns, ..index.clone() };
    let mut builder = Schema::builder(found.table());
    for column in found.columns() {
        builder = builder.column(column.clone());
    }
    builder = builder.key(column_names(found, found.key()));
    for index in found.indexes().iter().chain([&index]) {
        let columns = column_names(found, &index.columns);
        builder = builder.named_index(index.name.clone(), columns, index.unique);
    }
    if let Some(version) = found.version() {
        builder = builder.version(&*found.column(version).name);
    }
    table.with_index(Arc::new(builder.build()?), &index).map(Some)
}

fn column_names<'s>(schema: &'s Schema, columns: &[u16]) -> Vec<&'s str> {
    columns.iter().map(|column| &*schema.column(*column).name).collect()
}

fn index_text(schema: &Schema, index: &Index) -> String {
    let unique = if index.unique { "unique index" } else { "index" };
    let columns: Vec<String> = column_names(schema, &index.columns)
        .into_iter()
        .map(|name| Name(name).to_string())
        .collect();
    format!("{unique} {} on {} ({})", Name(&index.name), Name(schema.table()), columns.join(", "))
}
