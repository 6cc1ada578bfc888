//! Creates what a schema needs and is missing, and reports what differs.

use rusqlite::{Connection, OptionalExtension as _};
use sora_core::provider::{Difference, SchemaReport};
use sora_core::{
    Assigned, Column, Error, ErrorKind, Index, LiveColumn, LiveTable, Result, Schema, find_name,
};
use sora_sql::{add_column, create_index, create_table, default_literal, quoted};

use crate::connection::Link;
use crate::declared::Logical;
use crate::describe::{MEMORY_TABLE, describe};
use crate::failure::store_error;
use crate::write::{begin, commit, roll_back};

const CREATE_MEMORY: &str = "CREATE TABLE IF NOT EXISTS \"_sora_columns\" \
    (table_name TEXT NOT NULL COLLATE NOCASE, column_name TEXT NOT NULL COLLATE NOCASE, \
    logical_type TEXT NOT NULL, PRIMARY KEY (table_name, column_name)) STRICT, WITHOUT ROWID";

/// Creates the table and indexes of a schema that are missing, in one transaction.
pub(crate) fn ensure(link: &mut Link, schema: &Schema) -> Result<SchemaReport> {
    begin(link)?;
    let report =
        ensure_inside(&link.db, schema).map_err(|error| error.with("table", schema.table()));
    match report {
        Ok(report) => commit(link).map(|()| report),
        Err(error) => {
            roll_back(link);
            Err(error)
        }
    }
}

fn ensure_inside(db: &Connection, schema: &Schema) -> Result<SchemaReport> {
    let mut report = SchemaReport::default();
    let live = match describe(db, Some(schema.table()))?.pop() {
        Some(live) => live,
        None => {
            let statement = create_table::<sora_sql::Sqlite>(schema)?;
            run(db, &statement)?;
            remember_all(db, schema)?;
            report.created.push(statement);
            // Compared all the same: a column that is found to differ at once is a defect here.
            describe(db, Some(schema.table()))?.pop().ok_or_else(|| {
                Error::new(ErrorKind::Internal, "the table is missing after its creation")
            })?
        }
    };
    if live.is_view {
        let message = "a view or virtual table of this name is there; it cannot be a table";
        return Err(Error::new(ErrorKind::Schema, message));
    }
    compare_columns(schema, &live, &mut report)?;
    compare_key(schema, &live, &mut report);
    for index in schema.indexes() {
        ensure_index(db, schema, &live, index, &mut report)?;
    }
    extra_unique(schema, &live, &mut report);
    Ok(report)
}

fn run(db: &Connection, statement: &str) -> Result<()> {
    db.execute_batch(statement).map_err(store_error)
}

/// Writes down the types that SQLite lacks.
fn remember_all(db: &Connection, schema: &Schema) -> Result<()> {
    run(db, CREATE_MEMORY)?;
    // A table of this name that was dropped has left what it was.
    let forget = format!("DELETE FROM {} WHERE table_name = ?1", quoted(MEMORY_TABLE));
    db.execute(&forget, [schema.table()]).map_err(store_error)?;
    for at in schema.visible() {
        let column = schema.column(at);
        if let Some(logical) = Logical::of(column.column_type, column.range) {
            let insert = format!("INSERT INTO {} VALUES (?1, ?2, ?3)", quoted(MEMORY_TABLE));
            db.execute(&insert, [schema.table(), &column.name, &logical.text()])
                .map_err(store_error)?;
        }
    }
    Ok(())
}

fn compare_columns(schema: &Schema, live: &LiveTable, report: &mut SchemaReport) -> Result<()> {
    for column in schema.columns() {
        let names = live.columns.iter().map(|live| &*live.name);
        match find_name(names, &column.name) {
            Some(at) => compare_column(column, &live.columns[at], report),
            None => {
                let statement = add_column::<sora_sql::Sqlite>(&live.name, column)?;
                let what = match &statement {
                    Some(_) => format!("the column {:?} is missing", column.name),
                    None => format!(
                        "the column {:?} is missing, and rows that are there would have no value \
                         for it: give it a constant default or make it nullable",
                        column.name
                    ),
                };
                let remedy = statement.map(|statement| with_memory(statement, live, column));
                report.differs.push(Difference { what, remedy });
            }
        }
    }
    for column in &live.columns {
        let names = schema.columns().iter().map(|column| &*column.name);
        let is_needed = !column.nullable && column.assigned == Assigned::Caller;
        if is_needed && find_name(names, &column.name).is_none() {
            let what = format!(
                "the table has a column {:?} that is never null and has no default: rows cannot be \
                 inserted without it",
                column.name
            );
            // To drop the column would mend it, and lose what it holds.
            report.differs.push(Difference { what, remedy: None });
        }
    }
    Ok(())
}

/// Adds what must be written down for a column whose type SQLite lacks.
fn with_memory(statement: String, live: &LiveTable, column: &Column) -> String {
    let Some(logical) = Logical::of(column.column_type, column.range) else { return statement };
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    format!(
        "{statement}; {CREATE_MEMORY}; INSERT OR REPLACE INTO {} VALUES ({}, {}, {})",
        quoted(MEMORY_TABLE),
        text(&live.name),
        text(&column.name),
        text(&logical.text())
    )
}

fn compare_column(column: &Column, live: &LiveColumn, report: &mut SchemaReport) {
    let mut differs = |what: String| {
        report.differs.push(Difference { what, remedy: None });
    };
    let name = &column.name;
    let same = live.column_type == column.column_type;
    let readable = live
        .readable_as
        .iter()
        .any(|other| std::mem::discriminant(other) == std::mem::discriminant(&column.column_type));
    if !same && !readable {
        differs(format!(
            "the column {name:?} is {} ({:?} in SQLite), not {}",
            live.column_type, live.declared, column.column_type
        ));
        return;
    }
    if live.nullable && !column.nullable && !column.hidden {
        differs(format!("the column {name:?} can be null in the store, but not in the schema"));
    }
    if !live.nullable && column.nullable {
        differs(format!("the column {name:?} can be null in the schema, but not in the store"));
    }
    if same && live.range != column.range {
        let range = |range: Option<(i64, i64)>| match range {
            Some((min, max)) => format!("{min} to {max}"),
            None => "every i64".into(),
        };
        differs(format!(
            "the column {name:?} takes {} in the store, and {} in the schema",
            range(live.range),
            range(column.range)
        ));
    }
    if let Some(what) = assignment_difference(column, live) {
        differs(what);
    }
}

fn assignment_difference(column: &Column, live: &LiveColumn) -> Option<String> {
    let name = &column.name;
    match (&column.assigned, &live.assigned) {
        (Assigned::Identity, Assigned::Identity)
        | (Assigned::Now, Assigned::Now | Assigned::Store(_)) => None,
        (Assigned::Identity, Assigned::Store(_)) => Some(format!(
            "the column {name:?} has no AUTOINCREMENT in the store: the number of a removed row can \
             be given again"
        )),
        (Assigned::Identity, _) => {
            Some(format!("the column {name:?} does not count up in the store"))
        }
        (Assigned::Now, _) => Some(format!("the column {name:?} has no default time in the store")),
        (Assigned::Default(wanted), Assigned::Default(found)) if wanted == found => None,
        (Assigned::Default(wanted), found) => {
            let found = match found {
                Assigned::Default(found) => {
                    default_literal::<sora_sql::Sqlite>(found, column.column_type)
                }
                Assigned::Store(text) => text.to_string(),
                _ => "none".into(),
            };
            Some(format!(
                "the default of the column {name:?} is {found} in the store, and {} in the schema",
                default_literal::<sora_sql::Sqlite>(wanted, column.column_type)
            ))
        }
        _ => None,
    }
}

fn compare_key(schema: &Schema, live: &LiveTable, report: &mut SchemaReport) {
    let wanted: Vec<&str> = schema.key().iter().map(|at| &*schema.column(*at).name).collect();
    let found: Vec<&str> = live.key.iter().map(|at| &*live.column(*at).name).collect();
    let same = wanted.len() == found.len()
        && wanted.iter().zip(&found).all(|(wanted, found)| wanted.eq_ignore_ascii_case(found));
    // A unique index over columns that are never null does what a key does.
    let is_unique = live.indexes.iter().any(|index| {
        let names: Vec<&str> = index.columns.iter().map(|at| &*live.column(*at).name).collect();
        index.unique
            && index.is_complete
            && names.len() == wanted.len()
            && wanted
                .iter()
                .all(|wanted| names.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
    });
    if !same && !is_unique && !wanted.is_empty() {
        let what = format!(
            "the key is ({}) in the store, and ({}) in the schema",
            found.join(", "),
            wanted.join(", ")
        );
        let columns: Vec<String> = wanted.iter().map(|name| quoted(name)).collect();
        let is_there =
            |name: &&str| live.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        let remedy = wanted.iter().all(is_there).then(|| {
            format!(
                "CREATE UNIQUE INDEX {} ON {} ({})",
                quoted(&format!("{}_{}_key", live.name, wanted.join("_"))),
                quoted(&live.name),
                columns.join(", ")
            )
        });
        report.differs.push(Difference { what, remedy });
    }
}

fn ensure_index(
    db: &Connection,
    schema: &Schema,
    live: &LiveTable,
    index: &Index,
    report: &mut SchemaReport,
) -> Result<()> {
    let position = |at: &u16| {
        let names = live.columns.iter().map(|live| &*live.name);
        find_name(names, &schema.column(*at).name).and_then(|at| u16::try_from(at).ok())
    };
    // A column that is missing was reported.
    let Some(columns) = index.columns.iter().map(position).collect::<Option<Vec<u16>>>() else {
        return Ok(());
    };
    let serves = |live: &&sora_core::LiveIndex| {
        let leads = if index.unique {
            *live.columns == *columns
        } else {
            live.columns.starts_with(&columns)
        };
        live.is_complete && leads && (live.unique || !index.unique)
    };
    if live.indexes.iter().any(|live| serves(&live)) || (index.unique && *live.key == *columns) {
        return Ok(());
    }
    let taken: Option<String> = db
        .query_row(
            "SELECT tbl_name FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE",
            [&index.name],
            |row| row.get(0),
        )
        .optional()
        .map_err(store_error)?;
    let statement = create_index::<sora_sql::Sqlite>(schema, index);
    if let Some(table) = taken {
        let what = format!(
            "the index {:?} on ({}) is missing, and its name is taken by something of {table:?}",
            index.name,
            names(schema, &index.columns).join(", ")
        );
        report.differs.push(Difference { what, remedy: None });
        return Ok(());
    }
    match run(db, &statement) {
        Ok(()) => report.created.push(statement),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let message = format!(
                "the unique index {:?} cannot be created: rows that are there have the same ({})",
                index.name,
                names(schema, &index.columns).join(", ")
            );
            return Err(Error::new(ErrorKind::Conflict, message)
                .with_constraint(index.name.clone())
                .with_source(error));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Reports what is unique in the store alone: it refuses rows that the schema allows.
fn extra_unique(schema: &Schema, live: &LiveTable, report: &mut SchemaReport) {
    for index in live.indexes.iter().filter(|index| index.unique) {
        let found: Vec<&str> = index.columns.iter().map(|at| &*live.column(*at).name).collect();
        let same = |columns: &[u16]| {
            let wanted = names(schema, columns);
            wanted.len() == found.len()
                && wanted
                    .iter()
                    .zip(&found)
                    .all(|(wanted, found)| wanted.eq_ignore_ascii_case(found))
        };
        let known = schema.indexes().iter().any(|index| index.unique && same(&index.columns));
        if known || same(schema.key()) {
            continue;
        }
        let what =
            format!("the store has a unique index {:?} on ({})", index.name, found.join(", "));
        // What belongs to a constraint of the table cannot be dropped.
        let remedy = (!index.name.starts_with("sqlite_autoindex_"))
            .then(|| format!("DROP INDEX {}", quoted(&index.name)));
        report.differs.push(Difference { what, remedy });
    }
}

fn names<'a>(schema: &'a Schema, columns: &[u16]) -> Vec<&'a str> {
    columns.iter().map(|at| &*schema.column(*at).name).collect()
}
