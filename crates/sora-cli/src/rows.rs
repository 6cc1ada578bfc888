//! All rows of a query, one after another, in flat memory.

use std::ops::ControlFlow;

use sora::{Query, Row, RowSink, StreamOptions, Table};

use crate::failure::{Failure, Outcome};
use crate::selection::failure_of;

/// Rows in a page. Two are in memory, and each asks the store once.
const PAGE_ROWS: u64 = 2_000;

/// Hands out every row of a query.
///
/// In the order of the key they come in pages, which hold nothing open in the store between them.
/// Another order would be made anew for each page unless an index serves it, so it is made once and
/// read by one cursor.
pub(crate) async fn each_row(
    table: &Table,
    query: &Query,
    take: &mut (dyn FnMut(&dyn Row) -> Outcome + Send),
) -> Outcome {
    let key = table.schema().key();
    let by_key = query.sort.iter().zip(key).all(|(by, key)| by.column == *key);
    if !by_key || query.sort.len() > key.len() {
        let mut taker = Taker { take, rows: 0, failure: None };
        let read = table.query(query, &mut taker).await;
        return match taker.failure {
            Some(failure) => Err(failure),
            None => read.map(drop).map_err(|error| failure_of(&error)),
        };
    }
    let mut stream = table.stream(query, StreamOptions { page_rows: PAGE_ROWS });
    while let Some(page) = stream.next().await {
        for row in page.map_err(|error| failure_of(&error))?.iter() {
            take(&row)?;
        }
    }
    Ok(())
}

/// Hands out rows as they come, and keeps why that ended.
struct Taker<'a> {
    take: &'a mut (dyn FnMut(&dyn Row) -> Outcome + Send),
    rows: u64,
    failure: Option<Failure>,
}

impl RowSink for Taker<'_> {
    fn row(&mut self, row: &dyn Row) -> sora::Result<ControlFlow<()>> {
        self.rows += 1;
        if self.failure.is_none() {
            self.failure = (self.take)(row).err();
        }
        Ok(match self.failure {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        })
    }

    /// What was handed out cannot be taken back.
    fn reset(&mut self) {
        if self.rows > 0 && self.failure.is_none() {
            let message = "the store started over while the rows were read; run it again";
            self.failure = Some(Failure::failed(message));
        }
    }
}
