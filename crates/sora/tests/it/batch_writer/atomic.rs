//! All or nothing: by chunk, and for a whole stream.

use sora::{Atomic, BatchEnd, BatchMode, BatchOptions, Error, ErrorKind};

use super::scripted::Fate;
use super::{Item, chunks_of, runs, scripted, stored, write};
use crate::stores::{repository, stores};

fn atomic(atomic: Atomic, rows_per_chunk: usize) -> BatchOptions {
    BatchOptions { atomic, ..chunks_of(rows_per_chunk) }
}

#[tokio::test]
async fn an_atomic_stream_reports_every_row_it_has_written() {
    for store in stores().await {
        let items = repository::<Item>(&store).await;
        let rows = (0..25).map(|id| (id, id));
        let (words, report) =
            write(&items, BatchMode::Insert, atomic(Atomic::Stream, 4), rows).await;
        assert_eq!(runs(&words), "25 Inserted");
        assert_eq!((report.counts.inserted, report.chunks), (25, 7));
        assert!(report.is_complete());
        assert_eq!(stored(&items).await.len(), 25);
    }
}

#[tokio::test]
async fn a_failure_leaves_nothing_of_an_atomic_stream() {
    for store in stores().await {
        let items = repository::<Item>(&store).await;
        items.insert(super::item(17, 0)).await.expect("a row");
        let rows = (0..25).map(|id| (id, id));
        let (words, report) =
            write(&items, BatchMode::Insert, atomic(Atomic::Stream, 4), rows).await;
        assert_eq!(words[17], "failed: Conflict");
        let skipped = words.iter().filter(|word| *word == "skipped").count();
        assert_eq!(skipped + 1, words.len(), "{words:?}");
        assert_eq!(report.counts.failed, 1);
        assert_eq!(stored(&items).await, [(17, 0)].into());
    }
}

#[tokio::test]
async fn a_row_that_is_refused_undoes_an_atomic_stream() {
    for store in stores().await {
        let items = repository::<Item>(&store).await;
        let mut writer = items
            .table()
            .batch_writer(BatchMode::Upsert, &[0, 1], atomic(Atomic::Stream, 2))
            .expect("a writer");
        for id in 0..5 {
            drop(writer.row(|out| {
                out.cell(sora::Cell::I64(id))?;
                out.cell(if id == 4 { sora::Cell::Null } else { sora::Cell::I64(id) })
            }));
            writer.advance().await;
        }
        assert!(writer.is_stopped());
        let report = writer.finish().await;
        assert_eq!((report.counts.failed, report.counts.skipped), (1, 4));
        assert!(stored(&items).await.is_empty());
    }
}

#[tokio::test]
async fn a_commit_that_fails_fails_every_row_and_one_of_unknown_end_makes_them_unknown() {
    for (fate, expected, left) in [
        (Fate::Refused(Error::new(ErrorKind::Constraint, "deferred")), "10 failed: Constraint", 0),
        (Fate::Unanswered { is_done: true }, "10 unknown: Unavailable", 10),
        (Fate::Unanswered { is_done: false }, "10 unknown: Unavailable", 0),
    ] {
        let (_, items) =
            scripted(move |call| if call.is_commit { fate.clone() } else { Fate::Done }).await;
        let rows = (0..10).map(|id| (id, id));
        let (words, report) =
            write(&items, BatchMode::Upsert, atomic(Atomic::Stream, 4), rows).await;
        assert_eq!(runs(&words), expected);
        assert!(matches!(report.end, BatchEnd::Failed(_)));
        assert_eq!(stored(&items).await.len(), left);
    }
}

#[tokio::test]
async fn nothing_is_repeated_inside_a_transaction() {
    let busy = Error::new(ErrorKind::Serialization, "lost");
    let (script, items) = scripted(move |call| match call.number {
        1 => Fate::Refused(busy.clone()),
        _ => Fate::Done,
    })
    .await;
    let rows = (0..8).map(|id| (id, id));
    let (words, report) = write(&items, BatchMode::Upsert, atomic(Atomic::Stream, 4), rows).await;
    assert_eq!(runs(&words), "4 skipped, 4 failed: Serialization");
    assert_eq!(report.retries, 0);
    assert_eq!(script.calls().len(), 2, "and it is not committed");
    assert!(stored(&items).await.is_empty());
}

#[tokio::test]
async fn a_chunk_is_written_as_a_whole_and_the_first_row_in_order_is_the_one_that_fails() {
    for store in stores().await {
        let items = repository::<Item>(&store).await;
        items.insert_many([super::item(6, 0), super::item(2, 0)]).await.expect("rows");
        // Both are taken; by key the 2 would be met first.
        let rows = [9, 8, 7, 1, 6, 2, 0, 3, 4, 5].map(|id| (id, id));
        let (words, report) =
            write(&items, BatchMode::Insert, atomic(Atomic::Chunk, 4), rows).await;
        assert_eq!(runs(&words), "4 Inserted, 1 failed: Conflict, 3 skipped, 2 Inserted");
        assert_eq!(report.counts.failed, 1);
    }
}

#[tokio::test]
async fn a_store_that_cannot_refuses_before_anything_is_written() {
    let (mut script, _) = scripted(|_| Fate::Done).await;
    script.capability.atomic_writes = false;
    script.capability.transactions = false;
    let items = repository::<Item>(&script.store()).await;
    for options in [atomic(Atomic::Chunk, 4), atomic(Atomic::Stream, 4)] {
        let refused = items.table().batch_writer(BatchMode::Upsert, &[0, 1], options);
        assert_eq!(refused.expect_err("refused").kind(), ErrorKind::Unsupported);
    }
    for (mode, columns) in [
        (BatchMode::Upsert, vec![1]),
        (BatchMode::Update, vec![1]),
        (BatchMode::Insert, vec![0, 0]),
        (BatchMode::Insert, vec![0, 9]),
        (BatchMode::Insert, vec![0]),
        (BatchMode::Delete, vec![0, 1]),
    ] {
        let refused = items.table().batch_writer(mode, &columns, BatchOptions::default());
        assert_eq!(refused.expect_err("refused").kind(), ErrorKind::InvalidInput, "{mode:?}");
    }
    assert!(script.calls().is_empty());
}
