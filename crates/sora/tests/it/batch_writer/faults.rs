//! Failures of rows, of chunks and of stores.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sora::write::Outcome;
use sora::{BatchEnd, BatchMode, BatchOptions, Error, ErrorKind, Retry};

use super::scripted::{Call, Fate, TestClock};
use super::{Item, chunks_of, runs, scripted, stored, write};
use crate::stores::{repository, stores};

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "as the script says")
}

fn rows(count: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..count).map(|id| (id, id))
}

fn with_clock(rows_per_chunk: usize) -> (Arc<TestClock>, BatchOptions) {
    let clock = Arc::new(TestClock::default());
    (
        clock.clone(),
        BatchOptions { rows_per_chunk: Some(rows_per_chunk), clock, ..BatchOptions::default() },
    )
}

#[tokio::test]
async fn a_row_that_is_to_blame_for_its_chunk_is_found_and_fails_alone() {
    for blamed in [0, 3, 9] {
        let (script, items) =
            scripted(move |_| Fate::Spoiled([blamed].into(), error(ErrorKind::Constraint))).await;
        let (words, report) = write(&items, BatchMode::Insert, chunks_of(10), rows(10)).await;
        let failed: Vec<usize> = (0..10).filter(|at| words[*at] == "failed: Constraint").collect();
        assert_eq!(failed, [usize::try_from(blamed).expect("small")]);
        assert_eq!(report.counts.inserted, 9);
        assert_eq!(stored(&items).await.len(), 9);
        assert!(script.calls().len() <= 9, "{} writes", script.calls().len());
    }
}

#[tokio::test]
async fn each_row_has_one_outcome_though_its_chunk_fails_as_a_whole() {
    let (_, items) = scripted(|call| match call.number {
        0 => Fate::Poisoned([1].into(), error(ErrorKind::Conflict)),
        1 => Fate::Refused(error(ErrorKind::Serialization).with_retry(Retry::Never)),
        _ => Fate::Done,
    })
    .await;
    let (words, report) = write(&items, BatchMode::Insert, chunks_of(3), rows(9)).await;
    assert_eq!(
        runs(&words),
        "1 Inserted, 1 failed: Conflict, 1 Inserted, 3 failed: Serialization, 3 Inserted"
    );
    let kinds: Vec<_> = report.errors.iter().map(|errors| (errors.kind, errors.count)).collect();
    assert_eq!(kinds, [(ErrorKind::Conflict, 1), (ErrorKind::Serialization, 3)]);
}

#[tokio::test]
async fn what_wrote_nothing_is_repeated_after_a_pause_that_grows() {
    let (clock, options) = with_clock(5);
    let (script, items) = scripted(|call| match call.number {
        0..3 => Fate::Refused(error(ErrorKind::Serialization)),
        _ => Fate::Done,
    })
    .await;
    let (words, report) = write(&items, BatchMode::Insert, options, rows(5)).await;
    assert_eq!(runs(&words), "5 Inserted");
    assert_eq!((report.retries, report.chunks, script.calls().len()), (3, 1, 4));
    let naps = clock.naps.lock().expect("no panic").clone();
    assert_eq!(naps, [25, 50, 100].map(Duration::from_millis), "half of 50, 100 and 200 ms");
}

#[tokio::test]
async fn single_rows_that_wrote_nothing_are_repeated_alone() {
    let (_, options) = with_clock(5);
    let (script, items) = scripted(|call| match call.number {
        0 => Fate::Poisoned([2, 4].into(), error(ErrorKind::Busy)),
        _ => Fate::Done,
    })
    .await;
    let (words, _) = write(&items, BatchMode::Insert, options, rows(5)).await;
    assert_eq!(runs(&words), "5 Inserted");
    assert_eq!(script.calls()[1].keys, [2, 4]);
}

#[tokio::test]
async fn repetitions_end_after_so_many_and_have_a_budget() {
    let (_, options) = with_clock(1);
    let (script, items) = scripted(|_| Fate::Refused(error(ErrorKind::Busy))).await;
    let (words, report) = write(&items, BatchMode::Insert, options.clone(), rows(1)).await;
    assert_eq!(runs(&words), "1 failed: Busy");
    assert_eq!((report.retries, script.calls().len()), (3, 4));
    // 10, and a fifth of 100 chunks.
    let (script, items) = scripted(|_| Fate::Refused(error(ErrorKind::Busy))).await;
    let (words, report) = write(&items, BatchMode::Insert, options, rows(100)).await;
    assert_eq!(runs(&words), "100 failed: Busy");
    assert_eq!((report.retries, script.calls().len()), (30, 130));
}

#[tokio::test]
async fn repetitions_and_samples_are_as_many_as_the_options_say() {
    let (clock, options) = with_clock(2);
    let options = BatchOptions {
        retries_max: 5,
        retries_percent: 0,
        backoff: Duration::from_millis(10),
        backoff_max: Duration::from_millis(40),
        samples_max: 1,
        ..options
    };
    let (script, items) = scripted(|_| Fate::Refused(error(ErrorKind::Busy))).await;
    let (words, report) = write(&items, BatchMode::Insert, options, rows(100)).await;
    assert_eq!(runs(&words), "100 failed: Busy");
    assert_eq!((report.retries, script.calls().len()), (10, 60));
    let naps = clock.naps.lock().expect("no panic").clone();
    let expected = [5, 10, 20, 20, 20, 5, 10, 20, 20, 20].map(Duration::from_millis);
    assert_eq!(naps, expected);
    assert_eq!(report.errors[0].samples.len(), 1);
}

#[tokio::test]
async fn what_was_never_confirmed_is_unknown_and_not_repeated_unless_that_is_harmless() {
    for (is_done, mode, calls) in [
        (true, BatchMode::Insert, 1),
        (false, BatchMode::Insert, 1),
        (true, BatchMode::Upsert, 2),
        (false, BatchMode::Upsert, 2),
        (true, BatchMode::InsertOrIgnore, 2),
        (true, BatchMode::Delete, 2),
    ] {
        let (_, options) = with_clock(5);
        let (script, items) = scripted(move |call| match call.number {
            0 => Fate::Unanswered { is_done },
            _ => Fate::Done,
        })
        .await;
        let (words, report) = write(&items, mode, options, rows(5)).await;
        assert_eq!(script.calls().len(), calls, "{mode:?}");
        if calls == 1 {
            assert_eq!(runs(&words), "5 unknown: Unavailable");
            assert_eq!((report.counts.unknown, report.counts.failed), (5, 0));
            assert_eq!(stored(&items).await.len(), if is_done { 5 } else { 0 });
        } else {
            assert_eq!(report.counts.applied(), 5, "{mode:?}");
        }
    }
}

#[tokio::test]
async fn an_upsert_that_counts_its_writes_is_not_repeated() {
    #[derive(Clone, Debug, PartialEq, sora::Entity)]
    struct Counted {
        #[sora(key)]
        id: i64,
        #[sora(version)]
        version: i64,
    }

    let (script, _) = scripted(|_| Fate::Unanswered { is_done: true }).await;
    let counted = repository::<Counted>(&script.store()).await;
    let source = super::Iter((0..3).map(|id| Counted { id, version: 1 }));
    let report = counted.write_stream(source).await.expect("a report");
    assert_eq!((report.counts.unknown, script.calls().len()), (3, 1));
}

#[tokio::test]
async fn it_stops_after_so_many_errors_and_skips_the_rest() {
    let bad = |call: &Call| match call.number {
        0 => Fate::Done,
        _ => Fate::Poisoned((0..100).filter(|key| key % 2 == 0).collect(), error(ErrorKind::Data)),
    };
    let (script, items) = scripted(bad).await;
    let options = BatchOptions { errors_max: Some(3), ..chunks_of(4) };
    let (words, report) = write(&items, BatchMode::Insert, options, rows(100)).await;
    assert!(runs(&words).starts_with("4 Inserted, 1 failed: Data, 1 Inserted"), "{words:?}");
    assert_eq!(report.counts.failed, 4, "two of each of two chunks");
    assert!(matches!(report.end, BatchEnd::Stopped));
    assert!(report.rows < 100 && report.counts.skipped <= 8, "{report:?}");
    assert!(script.calls().len() <= 3);
    assert_eq!(stored(&items).await.len() as u64, report.counts.inserted);
}

#[tokio::test]
async fn a_chunk_that_is_divided_stops_after_so_many_errors_too() {
    let (script, items) =
        scripted(|_| Fate::Spoiled((0..100).collect(), error(ErrorKind::Constraint))).await;
    let options = BatchOptions { errors_max: Some(2), ..chunks_of(64) };
    let (words, _) = write(&items, BatchMode::Insert, options, rows(64)).await;
    assert_eq!(runs(&words), "2 failed: Constraint, 62 skipped");
    assert_eq!(script.calls().len(), 8);
}

#[tokio::test]
async fn a_store_that_fails_for_good_is_asked_no_more() {
    for (kind, expected) in [
        (ErrorKind::Unavailable, "4 failed: Unavailable, 4 skipped"),
        (ErrorKind::ReadOnly, "4 failed: ReadOnly, 4 skipped"),
        (ErrorKind::NotFound, "4 failed: NotFound, 4 skipped"),
    ] {
        let (_, options) = with_clock(4);
        let (script, items) = scripted(move |_| Fate::Refused(error(kind))).await;
        let (words, report) = write(&items, BatchMode::Insert, options, rows(8)).await;
        // The second chunk was being filled, and the third was not begun.
        assert!(expected.starts_with(&runs(&words[..4])), "{words:?}");
        assert!(words[4..].iter().all(|word| word == "skipped"), "{words:?}");
        assert!(matches!(&report.end, BatchEnd::Failed(error) if error.kind() == kind));
        assert!(script.calls().len() <= 4);
    }
}

#[tokio::test]
async fn a_store_that_refuses_every_row_without_a_reason_is_asked_no_more() {
    let (script, items) = scripted(|_| Fate::Refused(error(ErrorKind::Store))).await;
    let (words, report) = write(&items, BatchMode::Insert, chunks_of(64), rows(128)).await;
    assert_eq!(runs(&words[..64]), "16 failed: Store, 48 skipped");
    assert!(matches!(report.end, BatchEnd::Failed(_)));
    assert!(script.calls().len() < 64);
}

#[tokio::test]
async fn outcomes_that_are_missing_or_lost_are_unknown() {
    for fate in [Fate::Miscounted, Fate::Panics] {
        let (_, items) = scripted(move |_| fate.clone()).await;
        let (words, report) = write(&items, BatchMode::Insert, chunks_of(4), rows(4)).await;
        assert!(words.iter().all(|word| word.starts_with("unknown: ")), "{words:?}");
        assert_eq!(report.counts.unknown, 4);
    }
}

#[tokio::test]
async fn errors_are_counted_by_kind_and_few_of_them_are_kept() {
    let (_, items) =
        scripted(|_| Fate::Poisoned((0..1_000).collect(), error(ErrorKind::Constraint))).await;
    let letters = Mutex::new(Vec::new());
    let source = super::Iter((0..100).map(|id| super::item(id, id)));
    let report = items
        .write_stream(source)
        .mode(BatchMode::Insert)
        .options(chunks_of(10))
        .on_dead_letter(|letter| {
            let id = letter.row.map(|row| row.get(0).to_value());
            letters.lock().expect("no panic").push((letter.index, id, letter.error.kind()));
        })
        .await
        .expect("a report");
    assert_eq!(report.errors.len(), 1);
    assert_eq!(report.errors[0].count, 100);
    let indexes: Vec<u64> = report.errors[0].samples.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [0, 1, 2, 3, 4]);
    let letters = letters.into_inner().expect("no panic");
    assert_eq!(letters.len(), 100);
    assert_eq!(letters[99], (99, Some(sora::Value::I64(99)), ErrorKind::Constraint));
}

#[tokio::test]
async fn rows_that_are_refused_stand_between_the_others() {
    for store in stores().await {
        let items = repository::<Item>(&store).await;
        let mut writer =
            items.table().batch_writer(BatchMode::Upsert, &[0, 1], chunks_of(3)).expect("a writer");
        let mut words = Vec::new();
        for id in 0..5 {
            let row = writer.row(|out| {
                out.cell(sora::Cell::I64(id))?;
                out.cell(if id % 2 == 1 { sora::Cell::Null } else { sora::Cell::I64(id) })
            });
            assert_eq!(row.is_err(), id % 2 == 1);
            writer.advance().await;
            super::take(&mut writer, &mut words);
        }
        let report = writer.finish().await;
        while let Some(settled) = writer.settled() {
            for ((row, outcome), index) in settled.iter().zip(settled.indexes()) {
                assert_eq!(row.is_none(), index % 2 == 1);
                assert_eq!(matches!(outcome, Outcome::Failed(_)), index % 2 == 1);
                if let Some(row) = row {
                    assert_eq!(row.get(0), sora::Cell::I64(i64::try_from(index).expect("small")));
                }
            }
        }
        assert_eq!((report.rows, report.counts.written(), report.counts.failed), (5, 3, 2));
        assert_eq!(report.errors[0].kind, ErrorKind::InvalidInput);
        assert_eq!(stored(&items).await.len(), 3);
    }
}
