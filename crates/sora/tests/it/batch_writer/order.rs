//! Rows of one key, rows in the order of their keys, and several chunks at a time.

use std::collections::BTreeSet;

use sora::{BatchMode, BatchOptions, Error, ErrorKind};

use super::scripted::Fate;
use super::{Item, chunks_of, runs, scripted, stored, write};
use crate::stores::{repository, stores};

#[tokio::test]
async fn of_one_key_twice_the_last_in_order_wins_and_every_store_says_the_same() {
    for store in stores().await {
        let items = repository::<Item>(&store).await;
        let rows = [(5, 1), (3, 2), (5, 3), (4, 4), (5, 5), (3, 6)];
        let (words, report) = write(&items, BatchMode::Upsert, chunks_of(4), rows).await;
        let superseded: Vec<bool> = words.iter().map(|word| word == "Superseded").collect();
        assert_eq!(superseded, [true, false, false, false, false, false]);
        assert_eq!(report.counts.superseded, 1);
        assert_eq!(report.counts.written(), 5);
        assert_eq!(stored(&items).await, [(3, 6), (4, 4), (5, 5)].into());
    }
}

#[tokio::test]
async fn every_mode_has_one_answer_to_a_key_that_comes_twice() {
    let rows = [(1, 1), (2, 2), (1, 3), (7, 4), (1, 5)];
    for (mode, expected, left) in [
        (
            BatchMode::Insert,
            "1 failed: Conflict, 1 Inserted, 1 failed: Conflict, 1 Inserted, 1 failed: Conflict",
            vec![(1, 0), (2, 2), (7, 4)],
        ),
        (
            BatchMode::InsertOrIgnore,
            "1 Unchanged, 1 Inserted, 1 Unchanged, 1 Inserted, 1 Unchanged",
            vec![(1, 0), (2, 2), (7, 4)],
        ),
        (
            BatchMode::Update,
            "1 Superseded, 1 Missing, 1 Superseded, 1 Missing, 1 Updated",
            vec![(1, 5)],
        ),
        (BatchMode::Delete, "1 Deleted, 4 Missing", vec![]),
    ] {
        for store in stores().await {
            let items = repository::<Item>(&store).await;
            items.insert(super::item(1, 0)).await.expect("a row");
            let (words, _) = write(&items, mode, BatchOptions::default(), rows).await;
            assert_eq!(runs(&words), expected, "{mode:?} on {store:?}");
            assert_eq!(stored(&items).await, left.iter().copied().collect(), "{mode:?}");
        }
    }
}

#[tokio::test]
async fn if_the_last_row_of_a_key_fails_the_one_before_it_is_written() {
    let (script, items) = scripted(|call| match call.number {
        // Both last rows of a key fail, then one of those before them.
        0 => Fate::Poisoned([1, 2].into(), Error::new(ErrorKind::Constraint, "bad")),
        1 => Fate::Poisoned([1].into(), Error::new(ErrorKind::Constraint, "bad")),
        _ => Fate::Done,
    })
    .await;
    let rows = [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (3, 6)];
    let (words, _) = write(&items, BatchMode::Upsert, BatchOptions::default(), rows).await;
    assert_eq!(
        words,
        [
            "Inserted",
            "failed: Constraint",
            "failed: Constraint",
            "Inserted",
            "failed: Constraint",
            "Inserted"
        ]
    );
    assert_eq!(stored(&items).await, [(1, 1), (2, 4), (3, 6)].into());
    let keys: Vec<Vec<i64>> = script.calls().into_iter().map(|call| call.keys).collect();
    assert_eq!(keys, [vec![1, 2, 3], vec![1, 2], vec![1]]);
}

#[tokio::test]
async fn rows_are_sent_by_key_and_outcomes_come_back_in_the_order_of_the_stream() {
    let poison: BTreeSet<i64> = [4].into();
    let bad = Error::new(ErrorKind::Conflict, "taken");
    let (script, items) = scripted(move |_| Fate::Poisoned(poison.clone(), bad.clone())).await;
    let rows = [(9, 0), (4, 0), (7, 0), (1, 0)];
    let (words, _) = write(&items, BatchMode::Insert, BatchOptions::default(), rows).await;
    assert_eq!(runs(&words), "1 Inserted, 1 failed: Conflict, 2 Inserted");
    assert_eq!(script.calls()[0].keys, [1, 4, 7, 9]);
}

#[tokio::test]
async fn a_row_that_fails_for_want_of_one_before_it_is_sent_again_in_order() {
    // The row 1 refers to the row 9, which comes before it.
    let mut stored_9 = false;
    let (script, items) = scripted(move |call| {
        let place = |key| call.keys.iter().position(|other| *other == key);
        let fails = match (place(9), place(1)) {
            (Some(nine), Some(one)) => one < nine && !stored_9,
            (None, Some(_)) => !stored_9,
            _ => false,
        };
        stored_9 |= place(9).is_some();
        match fails {
            true => Fate::Poisoned([1].into(), Error::new(ErrorKind::Constraint, "no parent")),
            false => Fate::Done,
        }
    })
    .await;
    let (words, report) =
        write(&items, BatchMode::Insert, BatchOptions::default(), [(9, 0), (1, 0), (5, 0)]).await;
    assert_eq!(runs(&words), "3 Inserted");
    assert_eq!(report.retries, 0, "the order is mended, not a failure repeated");
    let keys: Vec<Vec<i64>> = script.calls().into_iter().map(|call| call.keys).collect();
    assert_eq!(keys, [vec![1, 5, 9], vec![1]]);
}

#[tokio::test]
async fn a_table_with_another_unique_column_keeps_the_order_of_the_stream() {
    use crate::stores::{City, city};

    for store in stores().await {
        let cities = repository::<City>(&store).await;
        let coded = |number| City { code: Some("X".into()), ..city(number) };
        let report = cities
            .write_stream(super::Iter([coded(9), coded(1)].into_iter()))
            .mode(BatchMode::Insert)
            .await
            .expect("a report");
        assert_eq!((report.counts.inserted, report.counts.failed), (1, 1));
        assert_eq!(report.errors[0].samples[0].0, 1, "the second of the stream is refused");
    }
}

fn lanes(chunks_in_flight: usize) -> BatchOptions {
    BatchOptions { rows_per_chunk: Some(2), chunks_in_flight, ..BatchOptions::default() }
}

#[tokio::test]
async fn several_chunks_are_in_flight_where_the_store_takes_them_and_never_more() {
    for (write_lanes, asked, most) in [(0, 4, 1), (3, 1, 1), (3, 8, 3), (8, 2, 2)] {
        let (mut script, _) = scripted(|_| Fate::Slow).await;
        script.capability.write_lanes = write_lanes;
        let items = repository::<Item>(&script.store()).await;
        let (words, report) =
            write(&items, BatchMode::Upsert, lanes(asked), (0..40).map(|id| (id, id))).await;
        assert_eq!(runs(&words), "40 Inserted");
        assert_eq!((script.most(), report.chunks), (most, 20), "{write_lanes} lanes");
    }
}

#[tokio::test]
async fn rows_of_one_key_never_run_at_the_same_time() {
    // The first chunk is slow: what has its keys waits for it, the others overtake it.
    let (mut script, _) =
        scripted(|call| if call.number == 0 { Fate::Slow } else { Fate::Done }).await;
    script.capability.write_lanes = 4;
    let items = repository::<Item>(&script.store()).await;
    let rows = [(1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (5, 1), (2, 3), (6, 1)];
    let (words, _) = write(&items, BatchMode::Upsert, lanes(4), rows).await;
    assert_eq!(runs(&words), "4 Inserted, 1 Updated, 1 Inserted, 1 Updated, 1 Inserted");
    assert_eq!(stored(&items).await, [(1, 1), (2, 3), (3, 1), (4, 1), (5, 1), (6, 1)].into());
    assert!(script.most() >= 2, "disjoint chunks run side by side");
}

#[tokio::test]
async fn a_slow_chunk_does_not_keep_the_other_lane_waiting() {
    // The first ends only when three others were begun, two of them in the other lane one after
    // the other.
    let (mut script, _) =
        scripted(|call| if call.number == 0 { Fate::After(4) } else { Fate::Done }).await;
    script.capability.write_lanes = 2;
    let items = repository::<Item>(&script.store()).await;
    let (words, _) = write(&items, BatchMode::Upsert, lanes(2), (0..10).map(|id| (id, id))).await;
    assert_eq!(runs(&words), "10 Inserted");
    assert_eq!(script.most(), 2);
}

#[tokio::test]
async fn few_rows_go_in_one_write_and_many_in_as_few_as_the_store_permits() {
    for (rows, rows_max, expected) in
        [(3, 100, vec![3]), (10, 4, vec![4, 4, 2]), (2, 1, vec![1, 1])]
    {
        let (mut script, _) = scripted(|_| Fate::Done).await;
        script.capability.rows_max = rows_max;
        script.capability.keys_max = rows_max;
        let items = repository::<Item>(&script.store()).await;
        for mode in [BatchMode::Upsert, BatchMode::Delete] {
            let before = script.calls().len();
            let options = BatchOptions::default();
            let (words, report) = write(&items, mode, options, (0..rows).map(|id| (id, id))).await;
            assert_eq!(words.len() as u64, report.counts.applied());
            let sizes: Vec<usize> =
                script.calls()[before..].iter().map(|call| call.keys.len()).collect();
            assert_eq!(sizes, expected, "{mode:?}");
        }
    }
}

#[tokio::test]
async fn a_chunk_ends_when_its_rows_are_large() {
    let (script, items) = scripted(|_| Fate::Done).await;
    // Two cells of 16 bytes each.
    let options = BatchOptions { bytes_per_chunk: 100, ..BatchOptions::default() };
    write(&items, BatchMode::Upsert, options, (0..10).map(|id| (id, id))).await;
    let sizes: Vec<usize> = script.calls().iter().map(|call| call.keys.len()).collect();
    assert_eq!(sizes, [4, 4, 2]);
}
