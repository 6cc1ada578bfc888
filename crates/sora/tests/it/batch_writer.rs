//! Streams of rows: one outcome for each row, whatever happens.

mod atomic;
mod faults;
mod order;
mod progress;
mod random;
mod scripted;
mod sources;
mod surroundings;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use sora::write::Outcome;
use sora::{BatchMode, BatchOptions, BatchReport, BatchWriter, Cell, Entity, Filter, Repository};

use self::scripted::{Fate, Scripted};
use crate::stores::repository;

/// A row that only its key tells apart.
#[derive(Clone, Debug, PartialEq, Entity)]
pub(crate) struct Item {
    #[sora(key)]
    pub(crate) id: i64,
    pub(crate) n: i64,
}

pub(crate) fn item(id: i64, n: i64) -> Item {
    Item { id, n }
}

/// A stream of what an iterator gives.
pub(crate) struct Iter<I>(pub(crate) I);

impl<I: Iterator + Unpin> Stream for Iter<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

/// Writes items through a batch writer, and returns the word for each outcome beside the report.
pub(crate) async fn write(
    items: &Repository<Item>,
    mode: BatchMode,
    options: BatchOptions,
    rows: impl IntoIterator<Item = (i64, i64)>,
) -> (Vec<String>, BatchReport) {
    let columns: &[u16] = if mode == BatchMode::Delete { &[0] } else { &[0, 1] };
    let mut writer = items.table().batch_writer(mode, columns, options).expect("a writer");
    let mut words = Vec::new();
    for (id, n) in rows {
        let cells = [Cell::I64(id), Cell::I64(n)];
        let cells = &cells[..columns.len()];
        // What is refused stands in the report.
        drop(writer.row(|out| cells.iter().try_for_each(|cell| out.cell(*cell))));
        writer.advance().await;
        take(&mut writer, &mut words);
        if writer.is_stopped() {
            break;
        }
    }
    let report = writer.finish().await;
    take(&mut writer, &mut words);
    assert_eq!(report.counts.sum(), report.rows, "{report:?}");
    assert_eq!(report.rows, words.len() as u64);
    (words, report)
}

fn take(writer: &mut BatchWriter<'_>, words: &mut Vec<String>) {
    while let Some(settled) = writer.settled() {
        assert_eq!(settled.indexes().start, words.len() as u64, "in order, without gaps");
        words.extend(settled.outcomes().iter().map(word));
    }
}

/// The word for an outcome.
pub(crate) fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied(effect) => format!("{effect:?}"),
        Outcome::Failed(error) => format!("failed: {:?}", error.kind()),
        Outcome::Unknown(error) => format!("unknown: {:?}", error.kind()),
        _ => "skipped".into(),
    }
}

/// Outcomes as `3 Inserted, 1 skipped, 2 Inserted`.
pub(crate) fn runs(words: &[String]) -> String {
    let runs = words.chunk_by(|left, right| left == right);
    runs.map(|run| format!("{} {}", run.len(), run[0])).collect::<Vec<_>>().join(", ")
}

/// What is stored, by key.
pub(crate) async fn stored(items: &Repository<Item>) -> BTreeMap<i64, i64> {
    let rows = items.query(Filter::all()).fetch().await.expect("a query");
    rows.iter().map(|item| (item.id, item.n)).collect()
}

pub(crate) fn chunks_of(rows_per_chunk: usize) -> BatchOptions {
    BatchOptions { rows_per_chunk: Some(rows_per_chunk), ..BatchOptions::default() }
}

/// Returns a scripted store with an empty table.
pub(crate) async fn scripted(
    script: impl FnMut(&scripted::Call) -> Fate + Send + 'static,
) -> (Scripted, Repository<Item>) {
    let scripted = Scripted::new(script);
    let items = repository::<Item>(&scripted.store()).await;
    (scripted, items)
}
