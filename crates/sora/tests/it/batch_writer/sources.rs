//! Streams of entities, keys and results.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sora::{Atomic, BatchEnd, BatchMode, Error, ErrorKind, Filter};

use super::scripted::Fate;
use super::{Iter, chunks_of, item, runs, scripted, stored, word};
use crate::stores::{City, cities, city, repository, stores};

#[tokio::test]
async fn streams_of_entities_and_keys_are_written_in_every_mode() {
    for store in stores().await {
        let cities = cities(&store).await;
        let renamed = |number| City { name: "New".into(), ..city(number) };
        let upserts = Iter((200..300).map(renamed));
        let report = cities.write_stream(upserts).options(chunks_of(30)).await.expect("a report");
        assert_eq!((report.rows, report.counts.written(), report.chunks), (100, 100, 4));
        let updates = Iter((290..310).map(|number| City { name: "Newer".into(), ..city(number) }));
        let report = cities.update_stream(updates).await.expect("a report");
        assert_eq!((report.counts.updated, report.counts.missing), (10, 10));
        let inserts = Iter((299..302).map(renamed));
        let report =
            cities.write_stream(inserts).mode(BatchMode::InsertOrIgnore).await.expect("a report");
        assert_eq!((report.counts.inserted, report.counts.unchanged), (2, 1));
        let keys = Iter((0..100).map(|number| (city(number).state, number)));
        let report = cities.delete_stream(keys).await.expect("a report");
        assert_eq!(report.counts.deleted, 100);
        let rows = Iter((50..150).map(city));
        let report = cities.write_stream(rows).mode(BatchMode::Delete).await.expect("a report");
        assert_eq!((report.counts.deleted, report.counts.missing), (50, 50));
        assert_eq!(cities.query(Filter::all()).count().await.expect("a count"), 152);
        assert_eq!(cities.query(City::NAME.eq("New")).count().await.expect("a count"), 92);
    }
}

#[tokio::test]
async fn a_query_of_one_store_is_written_into_another() {
    let stores = stores().await;
    let from = cities(&stores[0]).await;
    for store in &stores[1..] {
        let to = repository::<City>(store).await;
        let source = from.query(City::STATE.ne("NY")).stream();
        let report = to.write_try_stream(source).await.expect("a report");
        assert!(report.is_complete() && report.rows == 200, "{report}");
        assert_eq!(to.query(Filter::all()).count().await.expect("a count"), 200);
    }
}

#[tokio::test]
async fn a_source_that_fails_ends_the_batch_and_what_came_before_is_written() {
    let source = || {
        let lost = || Error::new(ErrorKind::Unavailable, "the source is gone");
        Iter((0..10).map(move |id| if id == 7 { Err(lost()) } else { Ok(item(id, id)) }))
    };
    for (atomic, left) in [(Atomic::Row, 7), (Atomic::Stream, 0)] {
        let (_, items) = scripted(|_| Fate::Done).await;
        let report = items.write_try_stream(source()).options(chunks_of(3)).atomic(atomic).await;
        let report = report.expect("a report");
        assert!(
            matches!(&report.end, BatchEnd::Failed(error) if error.to_string().contains("source"))
        );
        assert_eq!((report.rows, report.counts.sum()), (7, 7));
        assert_eq!(stored(&items).await.len(), left, "{atomic:?}");
    }
}

#[tokio::test]
async fn it_can_be_told_to_stop_and_reports_what_it_has_done() {
    let (_, items) = scripted(|_| Fate::Done).await;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let mut stop = Some(stop);
    // Without an end: only the stop ends it.
    let source = Iter((0..).map(|id| {
        if id == 25 {
            stop.take().expect("once").send(()).expect("somebody waits");
        }
        item(id, id)
    }));
    let report = items
        .write_stream(source)
        .options(chunks_of(10))
        .stop_when(async { stopped.await.expect("sent") })
        .await
        .expect("a report");
    assert!(matches!(report.end, BatchEnd::Stopped));
    assert_eq!(report.counts.applied(), report.rows);
    assert_eq!(report.rows, 26);
    assert_eq!(stored(&items).await.len(), 26);
}

#[tokio::test]
async fn the_source_is_not_read_further_than_the_chunks_in_flight() {
    let answered = AtomicU64::new(0);
    let ahead = AtomicU64::new(0);
    let (_, items) = scripted(|_| Fate::Slow).await;
    let source = Iter((0..1_000u64).map(|at| {
        ahead.fetch_max(at - answered.load(Ordering::SeqCst), Ordering::SeqCst);
        let id = i64::try_from(at).expect("small");
        item(id, id)
    }));
    let words = Mutex::new(Vec::new());
    let report = items
        .write_stream(source)
        .options(chunks_of(10))
        .on_settled(|settled| {
            answered.store(settled.indexes().end, Ordering::SeqCst);
            words.lock().expect("no panic").extend(settled.outcomes().iter().map(word));
        })
        .await
        .expect("a report");
    assert_eq!(report.chunks, 100);
    assert_eq!(runs(&words.into_inner().expect("no panic")), "1000 Inserted");
    // One chunk in flight, one that waits for it.
    assert!(ahead.into_inner() <= 20);
}

#[tokio::test]
async fn rows_without_a_key_of_their_own_are_added() {
    use crate::stores::{Account, NewAccount};

    for store in stores().await {
        let accounts = repository::<Account>(&store).await;
        let source = Iter((0..20).map(|n| NewAccount { owner: format!("Owner {n}") }));
        let report = accounts.write_stream(source).mode(BatchMode::Insert).await.expect("a report");
        assert_eq!(report.counts.inserted, 20);
        let refused =
            accounts.write_stream(Iter(std::iter::once(NewAccount { owner: "x".into() })));
        assert_eq!(refused.await.expect_err("no key").kind(), ErrorKind::InvalidInput);
        let all = accounts.query(Filter::all()).fetch().await.expect("a query");
        let touched = all.iter().map(|account| Account { balance: 5, ..account.clone() });
        let touched: Vec<Account> = touched.chain(all.iter().take(1).cloned()).collect();
        // The version that was read is checked, so the second change of the first row is refused.
        let report = accounts.update_stream(Iter(touched.into_iter())).await.expect("a report");
        assert_eq!((report.counts.updated, report.counts.failed), (20, 1), "{report}");
        assert_eq!(report.errors[0].kind, ErrorKind::Version);
    }
}

#[tokio::test]
async fn a_batch_that_is_dropped_leaves_whole_chunks() {
    let (_, items) = scripted(|call| if call.number < 2 { Fate::Done } else { Fate::Slow }).await;
    let source = Iter((0..100).map(|id| item(id, id)));
    let mut batch = Box::pin(items.write_stream(source).options(chunks_of(10)).into_future());
    let mut polls = 0;
    std::future::poll_fn(|context| {
        polls += 1;
        assert!(batch.as_mut().poll(context).is_pending());
        if polls < 4 { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    drop(batch);
    let left = stored(&items).await.len();
    assert!(left.is_multiple_of(10) && left < 100, "{left} rows");
}
