//! Runs a read on a connection.

use std::ops::ControlFlow;

use sora_core::read::{Access, Output, Read, ReadReport};
use sora_core::{Aggregation, Error, ErrorKind, Result, RowSink};
use sora_sql::{Portion, Postgres, portions, read_shape, render, select};

use crate::aggregate;
use crate::binder::Parameters;
use crate::failure::Stage;
use crate::link::{Link, Rows};
use crate::native::{self, Place};
use crate::row::{Scratch, WireRow};

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
        if push(&mut rows, read, &mut gate, &mut scratch).await?.is_break() {
            while to_the_end && rows.next().await?.is_some() {}
            break;
        }
    }
    Ok(gate.report())
}

async fn push(
    rows: &mut Rows<'_>,
    read: &Read,
    sink: &mut dyn RowSink,
    scratch: &mut Scratch,
) -> Result<ControlFlow<()>> {
    while let Some(row) = rows.next().await? {
        let row = WireRow::new(&row, &read.binding, &read.columns, scratch);
        if sink.row(&row)?.is_break() {
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
    let parameters = Parameters::of(|out| select::<Postgres, _>(read, portion, limit, out))?;
    let mut shape = Vec::with_capacity(64);
    read_shape::<Postgres>(read, portion, &mut shape);
    let text = || render::<Postgres>(|out| select::<Postgres, _>(read, portion, limit, out));
    let values = parameters.iter();
    let rows = link.query(Stage::Reading, &shape, text, parameters.types(), values).await;
    rows.map_err(|error| error.with("table", read.binding.schema().table()))
}
