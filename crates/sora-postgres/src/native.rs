//! Statements in PostgreSQL's own SQL, beside Sora's.

mod row;
mod text;
mod value;

use sora_core::read::{Output, Read, ReadReport};
use sora_core::write::Write;
use sora_core::{
    Error, ErrorKind, Result, Retry, RowBuffer, RowSink, Statement, find_columns, hand_out_columns,
};
use tokio_postgres::{Column, Statement as Prepared};

use self::row::{NativeRow, check_readable};
use self::text::{Kind, check_text};
use self::value::Bound;
use crate::describe;
use crate::failure::Stage;
use crate::link::{Link, Rows};
use crate::row::Scratch;

/// How often a statement is prepared anew whose name or plan the server has lost.
const ATTEMPTS_MAX: usize = 3;

/// The savepoint of a statement that reads, above those of writes.
const SAVEPOINT: u32 = 200_000;

/// Where a statement is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a connection on which nothing else is under way.
    Alone,
    /// In the transaction of a session, which a failure leaves as it was.
    Session,
}

/// Pushes the rows of a statement that reads into a sink. The server itself keeps it from writing,
/// whatever it calls: it runs in a transaction, or a part of one, that is read-only. Four round trips,
/// three if it was run before.
pub(crate) async fn read(
    link: &Link,
    statement: &Statement,
    read: &Read,
    place: Place,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    let is_asked = read.output == Output::Columns;
    check_text(statement.text(), if is_asked { Kind::Write } else { Kind::Read })?;
    for _ in 1..ATTEMPTS_MAX {
        match attempt(link, statement, read, place, sink).await {
            Err(error) if is_lost(&error) => {}
            other => return other,
        }
    }
    attempt(link, statement, read, place, sink).await
}

/// Whether a statement must be a part of a transaction that Sora ends, even if it is one by itself.
pub(crate) fn needs_transaction(link: &Link, write: &Write) -> bool {
    // What it returns may not be what was asked for: then it is undone.
    let returns = write.returning.as_ref().is_some_and(|columns| !columns.is_empty());
    link.shares_names() || returns
}

/// Runs a statement that writes, and returns its rows and how many it touched.
pub(crate) async fn write(
    link: &Link,
    statement: &Statement,
    write: &Write,
    stage: Stage,
) -> Result<(RowBuffer, u64)> {
    check_text(statement.text(), Kind::Write)?;
    let columns = write.returning.as_deref().unwrap_or_default();
    // What is prepared has written nothing.
    let prepared = link.prepare(Stage::Reading, statement.text()).await?;
    let positions = positions(&prepared, &write.binding, columns)?;
    let mut returned = RowBuffer::new(columns.len());
    let mut scratch = Scratch::new(&write.binding, columns);
    let mut rows = run(link, statement, &prepared, stage).await?;
    let mut failed = None;
    // To the end even if a row cannot be read: only then is the statement done.
    while let Some(row) = rows.next().await? {
        let row = NativeRow::new(&row, &write.binding, columns, &positions, &mut scratch);
        if failed.is_none() && !columns.is_empty() {
            failed = returned.push(&row).err();
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok((returned, rows.affected().unwrap_or(0))),
    }
}

/// Whether the server has lost the name or plan of a statement, which is prepared anew.
pub(crate) fn is_lost(error: &Error) -> bool {
    error.kind() == ErrorKind::Schema && error.retry() == Retry::Safe
}

async fn attempt(
    link: &Link,
    statement: &Statement,
    read: &Read,
    place: Place,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    match place {
        Place::Alone => link.begin("begin read only").await?,
        Place::Session => {
            let sql = format!("savepoint sora_{SAVEPOINT}; set transaction read only");
            link.batch(Stage::Reading, &sql).await?;
        }
    }
    let done = match read.output {
        Output::Columns => columns(link, statement, sink).await,
        _ => rows(link, statement, read, place, sink).await,
    };
    let ended = match (place, &done) {
        // The statement is stopped, and the transaction ended, before anybody else gets the
        // connection.
        (Place::Alone, _) if !link.is_idle() => Ok(()),
        (Place::Alone, _) => link.rollback().await,
        (Place::Session, Ok(_)) => link.release(SAVEPOINT).await,
        (Place::Session, Err(_)) => match link.rollback_to(SAVEPOINT).await {
            Ok(()) => link.release(SAVEPOINT).await,
            Err(error) => Err(error),
        },
    };
    match (done, ended) {
        (Ok(report), Ok(())) => Ok(report),
        (Err(error), _) if error.kind() == ErrorKind::ReadOnly => Err(writes(error)),
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
    }
}

/// Pushes the rows. Alone, it may leave the statement before its end.
async fn rows(
    link: &Link,
    statement: &Statement,
    read: &Read,
    place: Place,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    let prepared = link.prepare(Stage::Reading, statement.text()).await?;
    let positions = positions(&prepared, &read.binding, &read.columns)?;
    let mut gate = read.gate(sink);
    let mut scratch = Scratch::new(&read.binding, &read.columns);
    let mut rows = run(link, statement, &prepared, Stage::Reading).await?;
    while let Some(row) = rows.next().await? {
        let flow = {
            let columns = &read.columns;
            let row = NativeRow::new(&row, &read.binding, columns, &positions, &mut scratch);
            gate.row(&row)?
        };
        if flow.is_break() {
            if place == Place::Alone {
                return Ok(gate.report());
            }
            // The connection must be free for the next statement of the session.
            while rows.next().await?.is_some() {}
            break;
        }
    }
    Ok(gate.report())
}

/// Hands out what columns a statement has.
async fn columns(link: &Link, statement: &Statement, sink: &mut dyn RowSink) -> Result<ReadReport> {
    let prepared = link.prepare(Stage::Reading, statement.text()).await?;
    let logical =
        |column: &Column| describe::logical(column.type_().oid(), column.type_modifier()).0;
    let columns = prepared.columns().iter();
    hand_out_columns(
        columns.map(|column| (column.name(), column.type_().name(), logical(column))),
        sink,
    )
}

async fn run<'a>(
    link: &'a Link,
    statement: &Statement,
    prepared: &Prepared,
    stage: Stage,
) -> Result<Rows<'a>> {
    let parameters = statement.parameters()?;
    if prepared.params().len() != parameters.len() {
        let message = format!(
            "the statement has {} placeholders, and {} values are bound",
            prepared.params().len(),
            parameters.len()
        );
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    let bound: Vec<Bound<'_>> =
        (1..).zip(parameters).map(|(number, value)| Bound { number, cell: value.cell() }).collect();
    link.query_prepared(stage, statement.text(), prepared, &bound).await
}

/// Returns where the columns of a schema are among those of a statement.
fn positions(
    prepared: &Prepared,
    binding: &sora_core::Binding,
    columns: &[u16],
) -> Result<Vec<usize>> {
    let names = prepared.columns().iter().map(Column::name);
    let positions = find_columns(binding.schema(), columns, names)?;
    positions.iter().try_for_each(|at| check_readable(&prepared.columns()[*at]))?;
    Ok(positions)
}

fn writes(error: Error) -> Error {
    let message = "the statement writes, or locks rows; name the tables that it writes by \
                   `Statement::writing`, and run it beside or inside a transaction";
    Error::new(ErrorKind::InvalidInput, message).with_source(error)
}
