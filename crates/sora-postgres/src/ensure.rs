//! Creates what a schema needs and is missing, and reports what differs.

mod comparison;
#[cfg(test)]
mod tests;

use postgres_types::Type as ServerType;
use sora_core::provider::{Difference, SchemaReport};
use sora_core::{Error, ErrorKind, Index, LiveTable, Result, Retry, Schema, find_name};
use sora_sql::{Postgres, create_index, create_table, quoted};

use self::comparison::compare;
use crate::describe::describe;
use crate::failure::Stage;
use crate::link::Link;

/// Callers that create the same at the same time wait for this lock, one for each database: `sora_ddl`
/// in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(8317992799314404460)";

/// Those who create without the lock can be in the way, each once.
const ATTEMPTS_MAX: u32 = 3;

/// What another one's creation of the same looks like: a table, an index, a column.
const CREATED_BY_ANOTHER: [&str; 3] = ["42P07", "42710", "42701"];

/// Creates the table and indexes of a schema that are missing, in one transaction, and reports what
/// differs with the statement that would mend it. Never drops or alters anything.
///
/// One round trip if nothing is missing. Building an index locks out the writers of its table: where
/// that takes too long, create it before by `CREATE INDEX CONCURRENTLY`.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] if a unique index is missing and rows are in its way;
/// [`ErrorKind::Schema`] if a view has the table's name; [`ErrorKind::Unsupported`] if PostgreSQL
/// cannot assign a column's value as the schema says. Then nothing was created.
pub(crate) async fn ensure(link: &Link, schema: &Schema) -> Result<SchemaReport> {
    ensure_table(link, schema).await.map_err(|error| error.with("table", schema.table()))
}

async fn ensure_table(link: &Link, schema: &Schema) -> Result<SchemaReport> {
    // Most often all is there: then nobody waits, and a replica does too.
    if let Some(live) = found(link, schema).await?
        && missing(schema, &live).next().is_none()
    {
        return finished(link, schema, &live, SchemaReport::default()).await;
    }
    let mut lock = true;
    let mut attempts = 1;
    loop {
        link.begin("begin isolation level read committed").await?;
        let error = match create(link, schema, lock).await {
            Ok(report) => {
                link.commit().await?;
                return Ok(report);
            }
            Err(error) => error,
        };
        if link.rollback().await.is_err() {
            return Err(error);
        }
        // Engines that speak the protocol may have no such locks; none of this is worth failing for.
        let lacks_lock = lock && context(&error, "step") == Some("lock");
        if lacks_lock && error.retry() == Retry::Never {
            lock = false;
        } else if attempts == ATTEMPTS_MAX || !is_created_by_another(&error) {
            return Err(error);
        }
        attempts += 1;
    }
}

/// Creates what is missing, inside a transaction.
async fn create(link: &Link, schema: &Schema, lock: bool) -> Result<SchemaReport> {
    if lock {
        let locked = link.batch(Stage::Reading, LOCK).await;
        locked.map_err(|error| error.with("step", "lock"))?;
    }
    let mut report = SchemaReport::default();
    let live = match found(link, schema).await? {
        Some(live) => live,
        None => {
            let statement = create_table::<Postgres>(schema)?;
            link.batch(Stage::Reading, &statement).await?;
            report.created.push(statement);
            // Compared all the same: a column that is found to differ at once is a defect here.
            found(link, schema).await?.ok_or_else(not_visible)?
        }
    };
    let named = named_as(schema, &live)?;
    let indexes: Vec<&Index> = missing(schema, &live).collect();
    for index in indexes {
        match taken(link, &live, index).await? {
            // By an index that is what is wanted, if another one has just made it.
            Some(_) if !is_missing(link, schema, index).await? => {}
            Some(table) => report.differs.push(name_is_taken(schema, index, &table)),
            None => {
                let statement = create_index::<Postgres>(&named, index);
                let created = link.batch(Stage::Reading, &statement).await;
                created.map_err(|error| in_the_way(schema, index, error))?;
                report.created.push(statement);
            }
        }
    }
    finished(link, schema, &live, report).await
}

/// Returns the table of a schema, if it is there.
async fn found(link: &Link, schema: &Schema) -> Result<Option<LiveTable>> {
    let live = describe(link, Some(schema.table())).await?.pop();
    if live.as_ref().is_some_and(|live| live.is_view) {
        let message = "a view or foreign table of this name is there; it cannot be a table";
        return Err(Error::new(ErrorKind::Schema, message));
    }
    Ok(live)
}

/// Adds what differs to a report.
async fn finished(
    link: &Link,
    schema: &Schema,
    live: &LiveTable,
    mut report: SchemaReport,
) -> Result<SchemaReport> {
    // What belongs to a constraint is dropped with it only.
    let is_unique = live.indexes.iter().any(|index| index.unique);
    let constraints = if is_unique { constraints(link, live).await? } else { Vec::new() };
    // The order is: columns, key, names that are taken, what is unique.
    let taken = std::mem::take(&mut report.differs);
    compare(schema, live, &constraints, taken, &mut report.differs)?;
    Ok(report)
}

/// The indexes of a schema that no index of a table, nor its key, does for.
fn missing<'a>(schema: &'a Schema, live: &'a LiveTable) -> impl Iterator<Item = &'a Index> {
    schema.indexes().iter().filter(move |index| {
        // A column that is missing is reported.
        let Some(columns) = positions(schema, live, &index.columns) else { return false };
        let is_served = live.indexes.iter().any(|live| {
            let leads = match index.unique {
                true => live.unique && *live.columns == *columns,
                false => live.columns.starts_with(&columns),
            };
            live.is_complete && leads
        });
        let is_key = index.unique && *live.key == *columns;
        !is_served && !is_key
    })
}

/// Whether an index is missing by now.
async fn is_missing(link: &Link, schema: &Schema, index: &Index) -> Result<bool> {
    let live = found(link, schema).await?;
    Ok(live.is_some_and(|live| missing(schema, &live).any(|missing| missing == index)))
}

/// Returns the places in a table of columns of a schema, if all are there.
fn positions(schema: &Schema, live: &LiveTable, columns: &[u16]) -> Option<Vec<u16>> {
    let position = |at: &u16| {
        let names = live.columns.iter().map(|live| &*live.name);
        find_name(names, &schema.column(*at).name).and_then(|at| u16::try_from(at).ok())
    };
    columns.iter().map(position).collect()
}

/// Returns the schema with the names that the table has, which may differ in case, and without its
/// indexes; columns stand where they stood.
fn named_as(schema: &Schema, live: &LiveTable) -> Result<Schema> {
    let mut builder = Schema::builder(live.name.clone());
    let mut names = Vec::with_capacity(schema.columns().len());
    for (at, column) in (0u16..).zip(schema.columns()) {
        let mut column = column.clone();
        let found = find_name(live.columns.iter().map(|live| &*live.name), &column.name);
        if let Some(found) = found.map(|at| &live.columns[at]) {
            column.name.clone_from(&found.name);
            column.nullable = found.nullable && !schema.key().contains(&at);
        }
        names.push(column.name.clone());
        builder = builder.column(column);
    }
    builder.key(schema.key().iter().map(|at| names[usize::from(*at)].clone())).build()
}

/// Returns the table of which the name of an index is taken, if it is.
async fn taken(link: &Link, live: &LiveTable, index: &Index) -> Result<Option<String>> {
    const QUESTION: &str = "SELECT coalesce(t.relname, c.relname)::text \
        FROM pg_catalog.pg_class c \
        LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid \
        LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid \
        WHERE c.relname::text = $1 AND c.relnamespace = \
        (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = to_regclass($2))";
    let names = [index.name.to_string(), quoted(&live.name)];
    Ok(texts(link, QUESTION, &names).await?.pop())
}

/// Returns the names of the indexes of a table that belong to its constraints.
async fn constraints(link: &Link, live: &LiveTable) -> Result<Vec<String>> {
    const QUESTION: &str = "SELECT conname::text FROM pg_catalog.pg_constraint \
        WHERE conrelid = to_regclass($1) AND contype IN ('p', 'u', 'x')";
    texts(link, QUESTION, &[quoted(&live.name)]).await
}

async fn texts(link: &Link, question: &str, parameters: &[String]) -> Result<Vec<String>> {
    let types = vec![ServerType::TEXT; parameters.len()];
    let mut rows = link.query_once(Stage::Reading, question, &types, parameters).await?;
    let mut texts = Vec::new();
    while let Some(row) = rows.next().await? {
        texts.push(row.try_get(0).map_err(|error| {
            let message = "the answer of the catalogue was not understood";
            Error::new(ErrorKind::Store, message).with_source(error)
        })?);
    }
    Ok(texts)
}

fn name_is_taken(schema: &Schema, index: &Index, table: &str) -> Difference {
    let what = format!(
        "the index {:?} on ({}) is missing, and its name is taken by something of {table:?}",
        index.name,
        column_names(schema, &index.columns).join(", ")
    );
    Difference { what, remedy: None }
}

/// Says that rows are in the way of a unique index.
fn in_the_way(schema: &Schema, index: &Index, error: Error) -> Error {
    if error.kind() != ErrorKind::Conflict || is_created_by_another(&error) {
        return error;
    }
    let message = format!(
        "the unique index {:?} cannot be created: rows that are there have the same ({})",
        index.name,
        column_names(schema, &index.columns).join(", ")
    );
    Error::new(ErrorKind::Conflict, message).with_constraint(index.name.clone()).with_source(error)
}

/// Whether what was missing was created meanwhile by another one. The catalogue itself may be what
/// finds the conflict, in an index of its own.
fn is_created_by_another(error: &Error) -> bool {
    let of_catalogue = error.constraint().is_some_and(|name| name.starts_with("pg_"));
    let state = context(error, "sqlstate");
    state.is_some_and(|state| CREATED_BY_ANOTHER.contains(&state))
        || (error.kind() == ErrorKind::Conflict && of_catalogue)
}

fn context<'a>(error: &'a Error, name: &str) -> Option<&'a str> {
    error.context().find(|(found, _)| *found == name).map(|(_, value)| value)
}

fn not_visible() -> Error {
    let message = "the table was created and is not found: its schema is not in the search path, or \
                   is that of a temporary table";
    Error::new(ErrorKind::Schema, message)
}

fn column_names<'a>(schema: &'a Schema, columns: &[u16]) -> Vec<&'a str> {
    columns.iter().map(|at| &*schema.column(*at).name).collect()
}
