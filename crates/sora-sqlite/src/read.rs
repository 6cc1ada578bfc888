//! Runs a read on a connection.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, Statement};
use sora_core::read::{Access, Gate, Output, Pace, Read, ReadReport};
use sora_core::{Error, Result, RowSink};
use sora_sql::{Portion, portions, read_shape, render, select};

use crate::aggregate;
use crate::binder::Binder;
use crate::failure::store_error;
use crate::native;
use crate::row::SteppedRow;
use crate::scan;
use crate::statements::Statements;

/// Pushes the rows of a read that meet its residual conditions into a sink. `pulled` counts the rows
/// that SQLite gave, before the sink sees each.
pub(crate) fn run(
    db: &Connection,
    statements: &mut Statements,
    read: &Read,
    pulled: &AtomicU64,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    let at = |error: Error| error.with("table", read.binding.schema().table());
    if let Access::Native(statement) = &read.access {
        return native::read(db, statement, read, pulled, sink);
    }
    if read.output == Output::Count {
        return count(db, statements, read).map_err(at);
    }
    if let Output::Aggregate(aggregation) = &read.output {
        let mut statement = prepare(db, statements, read, Portion::All, read.limit).map_err(at)?;
        return aggregate::step(&mut statement, read, aggregation, pulled, sink).map_err(at);
    }
    let mut gate = read.gate(sink);
    for portion in portions(read) {
        let left = read.limit.map(|limit| limit.saturating_sub(gate.report().received));
        if left == Some(0) {
            break;
        }
        let mut statement = prepare(db, statements, read, *portion, left).map_err(at)?;
        let flow = match read.pace == Pace::Scan && read.residual.is_empty() {
            true => scan::step(&mut statement, read, left, &mut gate)?,
            false => step(&mut statement, read, pulled, &mut gate)?,
        };
        if flow.is_break() {
            break;
        }
    }
    Ok(gate.report())
}

/// Pushes the rows of a statement whose values are bound; `Break` if no more are wanted.
pub(crate) fn step(
    statement: &mut Statement<'_>,
    read: &Read,
    pulled: &AtomicU64,
    gate: &mut Gate<'_>,
) -> Result<ControlFlow<()>> {
    // A key has one row: there is nothing to look for behind it.
    let is_one = matches!(&read.access, Access::Keys(keys) if keys.len() == 1);
    let at = |error: Error| error.with("table", read.binding.schema().table());
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(store_error).map_err(at)? {
        pulled.fetch_add(1, Ordering::Relaxed);
        let row = SteppedRow { row, binding: &read.binding, columns: &read.columns };
        if gate.row(&row)?.is_break() || is_one {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Returns the statement of a portion with its values bound.
fn prepare<'a>(
    db: &'a Connection,
    statements: &mut Statements,
    read: &Read,
    portion: Portion,
    limit: Option<u64>,
) -> Result<rusqlite::CachedStatement<'a>> {
    let text = statements.text(
        |shape| read_shape::<sora_sql::Sqlite>(read, portion, shape),
        || {
            render::<sora_sql::Sqlite>(|out| {
                select::<sora_sql::Sqlite, _>(read, portion, limit, out);
            })
        },
    );
    let mut statement = db.prepare_cached(&text).map_err(store_error)?;
    let mut binder = Binder::new(&mut statement);
    select::<sora_sql::Sqlite, _>(read, portion, limit, &mut binder);
    binder.finish()?;
    Ok(statement)
}

fn count(db: &Connection, statements: &mut Statements, read: &Read) -> Result<ReadReport> {
    let mut statement = prepare(db, statements, read, Portion::All, read.limit)?;
    let mut rows = statement.raw_query();
    let row = rows.next().map_err(store_error)?;
    let count: i64 = row.map_or(Ok(0), |row| row.get(0)).map_err(store_error)?;
    Ok(ReadReport::counted(u64::try_from(count).unwrap_or(0)))
}
