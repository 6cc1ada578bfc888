//! Progress and events.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sora::{
    Atomic, BatchMode, BatchOptions, BatchProgress, End, Error, ErrorKind, Event, Observer,
    Operation, Sora,
};

use super::scripted::{Call, Fate, Scripted, TestClock};
use super::{Item, Iter, chunks_of, item, scripted};
use crate::stores::repository;

/// Writes so many rows and returns what was told.
async fn told(script: fn(&Call) -> Fate, options: BatchOptions, rows: i64) -> Vec<BatchProgress> {
    let (_, items) = scripted(script).await;
    let told = Mutex::new(Vec::new());
    let report = items
        .write_stream(Iter((0..rows).map(|id| item(id, id))))
        .mode(BatchMode::Insert)
        .options(options)
        .on_progress(|progress| told.lock().expect("no panic").push(*progress))
        .await
        .expect("a report");
    let told = told.into_inner().expect("no panic");
    check(&told);
    let last = told.last().expect("the last is told");
    assert_eq!((last.taken, last.counts), (report.rows, report.counts));
    told
}

/// Whether it only grows, and ends once.
fn check(told: &[BatchProgress]) {
    for pair in told.windows(2) {
        assert!(pair[0].answered < pair[1].answered || pair[1].is_final, "{pair:?}");
        assert!(pair[0].answered <= pair[1].answered && pair[0].taken <= pair[1].taken, "{pair:?}");
        assert!(pair[0].counts.sum() <= pair[1].counts.sum() && !pair[0].is_final, "{pair:?}");
        assert!(pair[0].elapsed <= pair[1].elapsed);
    }
    let last = told.last().expect("the last is told");
    assert!(last.is_final);
    assert_eq!((last.answered, last.counts.sum()), (last.taken, last.taken), "{last:?}");
}

fn by_rows(progress_rows: u64) -> BatchOptions {
    BatchOptions { progress_rows, clock: Arc::new(TestClock::default()), ..chunks_of(10) }
}

#[tokio::test]
async fn it_is_told_by_rows_whatever_fails_and_the_rest_is_told_at_the_end() {
    let answered = |told: &[BatchProgress]| told.iter().map(|one| one.answered).collect::<Vec<_>>();
    assert_eq!(answered(&told(|_| Fate::Done, by_rows(20), 55).await), [20, 40, 55]);
    // A row that fails does not put it out of step.
    let failing: fn(&_) -> _ = |_| Fate::Poisoned([3].into(), Error::new(ErrorKind::Data, "bad"));
    assert_eq!(answered(&told(failing, by_rows(20), 55).await), [20, 40, 55]);
    assert_eq!(answered(&told(|_| Fate::Done, by_rows(1_000), 55).await), [55]);
    assert_eq!(answered(&told(|_| Fate::Done, by_rows(20), 0).await), [0]);
    // An atomic stream moves too, though nothing of it is final.
    let atomic = BatchOptions { atomic: Atomic::Stream, ..by_rows(20) };
    let told = told(|_| Fate::Done, atomic, 55).await;
    assert_eq!(answered(&told), [20, 40, 55]);
    assert_eq!(told.iter().map(|one| one.counts.inserted).collect::<Vec<_>>(), [0, 0, 55]);
}

#[tokio::test]
async fn it_ends_after_failures_too() {
    let gone: fn(&_) -> _ = |_| Fate::Refused(Error::new(ErrorKind::ReadOnly, "gone"));
    let last = *told(gone, by_rows(20), 55).await.last().expect("the last");
    assert_eq!(last.counts.failed, 10);
    assert_eq!(last.counts.failed + last.counts.skipped, last.taken);
}

#[tokio::test]
async fn it_is_told_by_time() {
    let clock = Arc::new(TestClock::default());
    let (_, items) = scripted(|_| Fate::Done).await;
    let told = Mutex::new(Vec::new());
    let passing = clock.clone();
    let source = Iter((0..50).map(|id| {
        passing.pass(Duration::from_millis(60));
        item(id, id)
    }));
    items
        .write_stream(source)
        .options(BatchOptions { clock, ..chunks_of(10) })
        .on_progress(|progress| told.lock().expect("no panic").push(*progress))
        .await
        .expect("a report");
    let told = told.into_inner().expect("no panic");
    check(&told);
    // 600 ms a chunk: at least a second lies between two.
    assert!((2..=4).contains(&told.len()), "{told:?}");
}

#[tokio::test]
async fn a_writer_that_is_dropped_tells_the_last_progress() {
    let (script, items) = scripted(|call| match call.number {
        0 => Fate::Done,
        _ => Fate::Slow,
    })
    .await;
    let mut told = Vec::new();
    {
        let mut writer =
            items.table().batch_writer(BatchMode::Insert, &[0, 1], chunks_of(4)).expect("a writer");
        writer.on_progress(|progress| told.push(*progress));
        for id in 0..11 {
            let cells = [sora::Cell::I64(id), sora::Cell::I64(id)];
            writer.row(|out| cells.iter().try_for_each(|cell| out.cell(*cell))).expect("a row");
            writer.advance().await;
        }
    }
    check(&told);
    let last = told.last().expect("the last");
    assert_eq!(last.taken, 11);
    assert_eq!((last.counts.inserted, last.counts.unknown, last.counts.skipped), (4, 4, 3));
    assert_eq!(script.calls().len(), 1, "the second was cut off before it was begun");
}

#[derive(Default)]
struct Seen(Mutex<Vec<Short>>);

/// Operation, rows received, rows returned, end, line of the call.
type Short = (Operation, u64, u64, End, u32);

impl Observer for Seen {
    fn observe(&self, event: &Event<'_>) {
        let Event { operation, received, returned, end, location, .. } = event;
        self.0.lock().expect("no panic").push((
            *operation,
            *received,
            *returned,
            *end,
            location.line(),
        ));
    }
}

#[tokio::test]
async fn a_batch_is_one_event_however_many_chunks_it_has() {
    let seen = Arc::new(Seen::default());
    let script = Scripted::new(|_| Fate::Poisoned([3].into(), Error::new(ErrorKind::Data, "bad")));
    let store = Sora::builder().observer(seen.clone()).provider(Arc::new(script));
    let items = repository::<Item>(&store).await;
    seen.0.lock().expect("no panic").clear();
    let rows = || Iter((0..55).map(|id| item(id, id)));
    let line = line!();
    items.write_stream(rows()).options(chunks_of(10)).await.expect("a report");
    items.write_stream(Iter((5..55).map(|id| item(id, id)))).await.expect("a report");
    let seen = seen.0.lock().expect("no panic").clone();
    assert_eq!(
        seen,
        [
            (Operation::BatchWrite, 55, 54, End::Failed(ErrorKind::Data), line + 1),
            (Operation::BatchWrite, 50, 50, End::Done, line + 2),
        ]
    );
}
