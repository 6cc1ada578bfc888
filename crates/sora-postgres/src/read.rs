//! Runs a read on a connection.

use std::ops::ControlFlow;

use sora_core::read::{Access, Gate, Output, Pace, Read, ReadReport};
use sora_core::{Aggregation, Error, ErrorKind, Result, RowBuffer, RowSink};
use sora_sql::{Portion, Postgres, portions, read_shape, render, select};

use crate::aggregate;
use crate::binder::Parameters;
use crate::failure::Stage;
use crate::index_page;
use crate::link::{Link, Rows};
use crate::native::{self, Place};
use crate::row::{Formed, FormedRow, Scratch, WireRow};

/// Pushes the rows of a read into the sink. One round trip, two for a page among nulls.
pub(crate) async fn run(link: &Link, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
    if let Access::Native(statement) = &read.access {
        return Box::pin(native::read(link, statement, read, Place::Alone, sink)).await;
    }
    // What is left of a page is on its way: to read it is cheaper than to stop it. A scan is stopped
    // by whoever takes the connection back.
    run_to(link, read, sink, read.limit.is_some()).await
}

/// The same inside a transaction, whose connection must be free for the next statement.
pub(crate) async fn run_inside(
    link: &Link,
    read: &Read,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    if let Access::Native(statement) = &read.access {
        return Box::pin(native::read(link, statement, read, Place::Session, sink)).await;
    }
    run_to(link, read, sink, true).await
}

async fn run_to(
    link: &Link,
    read: &Read,
    sink: &mut dyn RowSink,
    to_the_end: bool,
) -> Result<ReadReport> {
    // What is computed is apart, so that the future of a look-up is small.
    match &read.output {
        Output::Count => return Box::pin(count(link, read)).await,
        Output::Aggregate(aggregation) => {
            return Box::pin(aggregated(link, read, aggregation, sink)).await;
        }
        _ => {}
    }
    let mut gate = read.gate(sink);
    let mut scratch = Scratch::new(&read.binding, &read.columns);
    for portion in portions(read) {
        let limit = read.limit.map(|limit| limit.saturating_sub(gate.report().received));
        if limit == Some(0) {
            break;
        }
        let mut rows = query(link, read, *portion, limit).await?;
        // A page of a stream goes to whoever decodes it as it is.
        let is_whole = read.pace == Pace::Scan && read.residual.is_empty() && limit.is_some();
        let flow = match is_whole {
            true => push_many(&mut rows, read, limit, &mut gate, &mut scratch).await?,
            false => push(&mut rows, read, &mut gate, &mut scratch).await?,
        };
        if flow.is_break() {
            while to_the_end && rows.next().await?.is_some() {}
            break;
        }
    }
    Ok(gate.report())
}

async fn push(
    rows: &mut Rows<'_>,
    read: &Read,
    gate: &mut Gate<'_>,
    scratch: &mut Scratch,
) -> Result<ControlFlow<()>> {
    // Of one row it does not pay to know the forms of its cells before.
    let is_lookup = read.pace == Pace::Lookup;
    let mut columns = Vec::new();
    while let Some(row) = rows.next().await? {
        if columns.is_empty() && !is_lookup {
            columns = Formed::of(&row, &read.binding, &read.columns);
        }
        let row = WireRow::new(&row, &read.binding, &read.columns, scratch);
        let flow = match is_lookup {
            true => gate.row(&row)?,
            false => gate.row(&FormedRow { row, columns: &columns })?,
        };
        if flow.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

async fn aggregated(
    link: &Link,
    read: &Read,
    aggregation: &Aggregation,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    let mut rows = query(link, read, Portion::All, read.limit).await?;
    let report = aggregate::push(&mut rows, read, aggregation, sink).await?;
    // Groups are few: to read what is left is cheaper than to stop it.
    while rows.next().await?.is_some() {}
    Ok(report)
}

/// The same by buffers of many rows, between which no row is looked at.
async fn push_many(
    rows: &mut Rows<'_>,
    read: &Read,
    limit: Option<u64>,
    gate: &mut Gate<'_>,
    scratch: &mut Scratch,
) -> Result<ControlFlow<()>> {
    let width = read.columns.len();
    let mut columns = Vec::new();
    let mut many = RowBuffer::new(width);
    let failed = loop {
        let row = match rows.next().await {
            Ok(Some(row)) => row,
            Ok(None) => break None,
            Err(error) => break Some(error),
        };
        if many.is_empty() {
            columns = Formed::of(&row, &read.binding, &read.columns);
            many = RowBuffer::for_page(width, limit);
        }
        let row = WireRow::new(&row, &read.binding, &read.columns, scratch);
        if let Err(error) = many.push(&FormedRow { row, columns: &columns }) {
            break Some(error);
        }
        if many.size() >= MANY_BYTES && many.hand_out(gate)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    };
    // What came before an error is handed out before it.
    let flow = many.hand_out(gate)?;
    failed.map_or(Ok(flow), Err)
}

/// The most that a page takes before it is handed out in parts.
const MANY_BYTES: usize = 1 << 20;

async fn count(link: &Link, read: &Read) -> Result<ReadReport> {
    let mut count = None;
    let mut rows = query(link, read, Portion::All, read.limit).await?;
    while let Some(row) = rows.next().await? {
        count = row.try_get::<_, i64>(0).ok();
    }
    let count = count.and_then(|count| u64::try_from(count).ok()).ok_or_else(|| {
        Error::new(ErrorKind::Internal, "the server answered a count without a number")
    })?;
    Ok(ReadReport::counted(count))
}

async fn query<'a>(
    link: &'a Link,
    read: &Read,
    portion: Portion,
    limit: Option<u64>,
) -> Result<Rows<'a>> {
    let mut shape = Vec::with_capacity(64);
    read_shape::<Postgres>(read, portion, &mut shape);
    let page = index_page::chosen(link, read, portion, &shape).await;
    let parameters = Parameters::of(|out| match &page {
        Some(page) => page.write(out),
        None => select::<Postgres, _>(read, portion, limit, out),
    })?;
    let text = || match &page {
        Some(page) => render::<Postgres>(|out| page.write(out)),
        None => render::<Postgres>(|out| select::<Postgres, _>(read, portion, limit, out)),
    };
    // Two statements of one read are two shapes.
    shape.push(page.is_some().into());
    let values = parameters.iter();
    let rows = link.query(Stage::Reading, &shape, text, parameters.types(), values).await;
    rows.map_err(|error| error.with("table", read.binding.schema().table()))
}
