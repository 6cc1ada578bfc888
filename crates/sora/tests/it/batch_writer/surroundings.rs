//! Batches under a deadline, and inside and beside transactions.

use std::time::Duration;

use sora::{Atomic, BatchEnd, BatchMode, Error, ErrorKind, with_deadline};

use super::scripted::Fate;
use super::{Item, Iter, chunks_of, item, scripted, stored};
use crate::stores::repository;
use crate::transactions::apart;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_deadline_cuts_off_what_is_on_its_way_and_the_rest_is_reported() {
    for (atomic, unknown, failed) in [(Atomic::Row, 4, 0), (Atomic::Stream, 0, 4)] {
        let (_, items) =
            scripted(|call| if call.number == 1 { Fate::Never } else { Fate::Done }).await;
        let source = Iter((0..100).map(|id| item(id, id)));
        let batch = items.write_stream(source).options(chunks_of(4)).atomic(atomic);
        let report = with_deadline(SECOND, batch.into_future()).await.expect("a report");
        assert_eq!((report.counts.unknown, report.counts.failed), (unknown, failed), "{report:?}");
        let applied = if atomic == Atomic::Row { 4 } else { 0 };
        assert_eq!(report.counts.applied(), applied);
        assert_eq!(report.counts.sum(), report.rows);
        assert!(
            matches!(report.end, BatchEnd::Failed(error) if error.kind() == ErrorKind::Timeout)
        );
        assert_eq!(stored(&items).await.len() as u64, applied);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_a_deadline_cuts_off_is_unknown() {
    let (_, items) = scripted(|call| if call.is_commit { Fate::Never } else { Fate::Done }).await;
    let source = Iter((0..10).map(|id| item(id, id)));
    let batch = items.write_stream(source).options(chunks_of(4)).atomic(Atomic::Stream);
    let report = with_deadline(SECOND, batch.into_future()).await.expect("a report");
    assert_eq!((report.counts.unknown, report.rows), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_goes_on_is_left_at_the_deadline() {
    /// Gives one row and then waits for ever.
    struct Stuck(bool);
    impl futures_core::Stream for Stuck {
        type Item = Item;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Item>> {
            match std::mem::replace(&mut self.0, true) {
                false => std::task::Poll::Ready(Some(item(1, 1))),
                true => std::task::Poll::Pending,
            }
        }
    }
    let (_, items) = scripted(|_| Fate::Done).await;
    let report = with_deadline(SECOND, items.write_stream(Stuck(false)).into_future()).await;
    let report = report.expect("a report");
    assert_eq!((report.rows, report.counts.skipped), (1, 1));
    assert!(stored(&items).await.is_empty());
}

#[tokio::test]
async fn a_batch_that_would_wait_for_its_own_transaction_is_refused_at_once() {
    for (store, _place) in apart().await {
        let items = &repository::<Item>(&store).await;
        let rows = || Iter((0..10).map(|id| item(id, id)));
        // Begun before the transaction, and used inside of it.
        let options = chunks_of(4);
        let early = items.table().batch_writer(BatchMode::Upsert, &[0, 1], options);
        let mut early = Some(early.expect("a writer"));
        let done = store.transaction(|tx| {
            let early = early.take();
            async move {
                let mut early = early.expect("it is run once");
                for id in 0..2 {
                    let cells = [sora::Cell::I64(id), sora::Cell::I64(id)];
                    early
                        .row(|out| cells.iter().try_for_each(|cell| out.cell(*cell)))
                        .expect("a row");
                }
                let report = early.finish().await;
                assert_eq!(report.counts.skipped, 2);
                let error = report.first_error().expect("why it was refused");
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                let beside = items.write_stream(rows()).await;
                assert_eq!(beside.expect_err("refused").kind(), ErrorKind::InvalidInput);
                let whole = items.within(&tx).write_stream(rows()).atomic(Atomic::Stream).await;
                assert_eq!(whole.expect_err("refused").kind(), ErrorKind::Unsupported);
                let inside = items.within(&tx);
                let report = inside.write_stream(rows()).options(chunks_of(3)).await?;
                assert_eq!((report.counts.written(), report.chunks), (10, 4));
                assert!(stored(items).await.is_empty(), "nobody else sees them");
                Err::<(), _>(Error::new(ErrorKind::Cancelled, "undone"))
            }
        });
        done.await.expect_err("undone");
        assert!(stored(items).await.is_empty());
    }
}

#[tokio::test]
async fn nothing_is_repeated_inside_a_transaction_of_the_caller() {
    let (script, items) = scripted(|call| match call.number {
        0 => Fate::Refused(Error::new(ErrorKind::Serialization, "lost")),
        _ => Fate::Done,
    })
    .await;
    let store = script.store();
    let inside = &store.repository::<Item>().await.expect("the table opens");
    let done = store.transaction(|tx| async move {
        let inside = inside.within(&tx);
        let report = inside.write_stream(Iter((0..3).map(|id| item(id, id)))).await?;
        assert_eq!((report.counts.failed, report.retries), (3, 0));
        Ok::<_, Error>(())
    });
    // What lost is lost as a whole.
    assert_eq!(done.await.expect_err("lost").kind(), ErrorKind::Serialization);
    assert_eq!(script.calls().len(), 1);
    assert!(stored(&items).await.is_empty());
}
