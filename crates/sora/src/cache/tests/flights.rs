//! Who loads and who waits.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use super::*;
use crate::{CacheMode, ErrorKind, Event, Observer, Operation, RequestId, Source};

#[tokio::test]
async fn a_thousand_callers_of_one_key_make_one_load() {
    let bench = Bench::memory().await;
    bench.held.hold();
    let tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let items = bench.items.clone();
            tokio::spawn(async move { items.get(1).await })
        })
        .collect();
    settle().await;
    bench.held.let_go();
    for task in tasks {
        assert_eq!(task.await.expect("no panic").expect("a row"), Some(Arc::new(item(1))));
    }
    assert_eq!(bench.held.take_reads(), 1);
    let numbers = bench.numbers();
    assert_eq!((numbers.loads, numbers.joined, numbers.misses), (1, 999, 1_000));
}

#[tokio::test]
async fn a_leader_that_goes_away_leaves_its_load_to_the_others() {
    let bench = Bench::memory().await;
    bench.held.hold();
    let get = |id| {
        let items = bench.items.clone();
        tokio::spawn(async move { items.get(id).await })
    };
    let leader = get(1);
    settle().await;
    let follower = get(1);
    settle().await;
    leader.abort();
    assert!(leader.await.is_err());
    bench.held.let_go();
    assert_eq!(follower.await.expect("no panic").expect("a row"), Some(Arc::new(item(1))));
    assert_eq!((bench.held.take_reads(), bench.count(1).await), (1, Some(0)));
    assert_eq!(bench.held.take_reads(), 0, "what nobody waited for is cached as well");
}

#[tokio::test]
async fn a_leader_that_is_not_polled_any_more_keeps_nobody_waiting() {
    let bench = Bench::memory().await;
    bench.held.hold();
    let mut leader = Box::pin(bench.items.get(1));
    let is_ready = poll_fn(|context| Poll::Ready(leader.as_mut().poll(context).is_ready())).await;
    assert!(!is_ready);
    bench.held.let_go();
    assert_eq!(bench.count(1).await, Some(0), "a task of its own ends the load");
    drop(leader);
}

#[tokio::test]
async fn an_error_is_told_to_all_who_wait_and_is_not_kept() {
    let bench = Bench::memory().await;
    bench.held.hold();
    bench.held.fail_reads(Some(ErrorKind::Store));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let items = bench.items.clone();
            tokio::spawn(async move { items.get(1).await })
        })
        .collect();
    settle().await;
    bench.held.let_go();
    for task in tasks {
        assert_eq!(task.await.expect("no panic").expect_err("failed").kind(), ErrorKind::Store);
    }
    assert_eq!(bench.held.take_reads(), 1);
    bench.held.fail_reads(None);
    assert_eq!(bench.count(1).await, Some(0));
    assert_eq!(bench.numbers().loads_failed, 1);
}

#[tokio::test]
async fn a_load_that_panics_fails_those_who_wait_and_leaves_no_lock() {
    let bench = Bench::memory().await;
    bench.held.hold();
    bench.held.panic_once();
    let get = || {
        let items = bench.items.clone();
        tokio::spawn(async move { items.get(1).await })
    };
    let (leader, follower) = (get(), get());
    settle().await;
    bench.held.let_go();
    for task in [leader, follower] {
        let error = task.await.expect("the panic is the load's").expect_err("failed");
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert!(error.message().contains("panicked"), "{error}");
    }
    assert_eq!(bench.count(1).await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_never_ends_is_given_up_and_what_it_gives_later_is_not_kept() {
    let bench = Bench::new("memory:", CachePolicy::new().load_timeout_ms(300)).await;
    bench.held.hold();
    let error = bench.items.get(1).await.expect_err("too late");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("load_timeout_ms"), "{error}");
    bench.held.let_go();
    bench.items.patch(1, [Item::COUNT.set(7)]).await.expect("written");
    settle().await;
    assert_eq!(bench.count(1).await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_caller_holds_for_that_caller_alone() {
    let bench = Bench::memory().await;
    bench.held.hold();
    let hurried = crate::with_deadline(Duration::from_millis(50), bench.items.get(1));
    let (hurried, patient) = tokio::join!(hurried, async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let items = bench.items.clone();
        let patient = tokio::spawn(async move { items.get(1).await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.held.let_go();
        patient.await.expect("no panic")
    });
    assert_eq!(hurried.expect_err("too late").kind(), ErrorKind::Timeout);
    assert!(patient.expect("a row").is_some());
    assert_eq!(bench.held.take_reads(), 1);
}

#[tokio::test]
async fn get_many_asks_only_for_what_nobody_has_or_loads() {
    let bench = Bench::memory().await;
    assert_eq!(bench.count(0).await, Some(0));
    bench.held.hold();
    let items = bench.items.clone();
    let single = tokio::spawn(async move { items.get(1).await });
    settle().await;
    bench.held.take_reads();
    let items = bench.items.clone();
    let many = tokio::spawn(async move { items.get_many([2, 1, 0, 2, 88, 3]).await });
    settle().await;
    bench.held.let_go();
    let many = many.await.expect("no panic").expect("rows");
    let ids: Vec<_> = many.iter().map(|item| item.as_ref().map(|item| item.id)).collect();
    assert_eq!(ids, [Some(2), Some(1), Some(0), Some(2), None, Some(3)]);
    assert!(single.await.expect("no panic").expect("a row").is_some());
    assert_eq!(bench.held.take_reads(), 1, "one query for 2, 88 and 3");
    let again = bench.items.get_many([3, 88, 2]).await.expect("rows");
    assert_eq!(again.iter().flatten().count(), 2);
    assert_eq!(bench.held.take_reads(), 0, "each was cached, and that one is missing");
}

#[tokio::test]
async fn of_many_rows_only_the_one_that_was_written_is_not_cached() {
    let bench = Bench::memory().await;
    bench.held.hold();
    let items = bench.items.clone();
    let many = tokio::spawn(async move { items.get_many([1, 2, 3]).await });
    settle().await;
    bench.items.patch(2, [Item::COUNT.set(7)]).await.expect("written");
    bench.held.let_go();
    many.await.expect("no panic").expect("rows");
    bench.held.take_reads();
    assert_eq!((bench.count(1).await, bench.count(3).await), (Some(0), Some(0)));
    assert_eq!(bench.held.take_reads(), 0);
    assert_eq!((bench.count(2).await, bench.held.take_reads()), (Some(7), 1));
    assert_eq!(bench.numbers().fills_refused, 1);
}

#[tokio::test]
async fn loads_beyond_the_bound_go_beside_and_fill_nothing() {
    let bench = Bench::new("memory:", CachePolicy::new().loads_max(1)).await;
    bench.held.hold();
    // One load for each part of the fence.
    let tasks: Vec<_> = (0..2_000)
        .map(|id| {
            let items = bench.items.clone();
            tokio::spawn(async move { items.get(id).await })
        })
        .collect();
    settle().await;
    bench.held.let_go();
    for task in tasks {
        task.await.expect("no panic").expect("answered");
    }
    let numbers = bench.numbers();
    assert_eq!(numbers.loads, 2_000);
    assert!(numbers.bypassed >= 1_900, "{numbers:?}");
}

/// Counts look-ups as observers are to: each event for as many as it stands for.
#[derive(Debug, Default)]
struct Tally {
    hits: AtomicU64,
    loads: AtomicU64,
    requests: AtomicU64,
}

impl Observer for Tally {
    fn observe(&self, event: &Event<'_>) {
        if event.operation != Operation::Get {
            return;
        }
        let by = if event.source == Source::Memory { &self.hits } else { &self.loads };
        by.fetch_add(event.stands_for, Ordering::Relaxed);
        self.requests.fetch_add(u64::from(event.request == Some(RequestId(9))), Ordering::Relaxed);
    }
}

#[tokio::test]
async fn observers_see_every_load_and_one_hit_for_many() {
    let tally = Arc::new(Tally::default());
    let cache = Cache::new().all(CachePolicy::new());
    let builder = Sora::builder().cache(cache).observer(tally.clone());
    let store = builder.open("memory:").await.expect("a store");
    store.ensure_schema::<Item>().await.expect("a table");
    let items = store.repository::<Item>().await.expect("a repository");
    items.insert(&item(1)).await.expect("a row");
    crate::in_request(RequestId(9), items.get(1)).await.expect("a row");
    for _ in 0..10 * super::super::SAMPLE {
        items.get(1).await.expect("a row");
    }
    assert_eq!(tally.loads.load(Ordering::Relaxed), 1);
    assert_eq!(tally.requests.load(Ordering::Relaxed), 1, "the load is part of its request");
    assert_eq!(tally.hits.load(Ordering::Relaxed), 10 * super::super::SAMPLE);
    let bypassing = items.cache_mode(CacheMode::Bypass);
    bypassing.get(1).await.expect("a row");
    assert_eq!(tally.loads.load(Ordering::Relaxed), 2);
}
