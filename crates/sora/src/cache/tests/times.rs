//! How long rows live, and how many.

use super::super::memory::Lives;
use super::*;
use crate::ErrorKind;

const POLICY: CachePolicy = CachePolicy::new().jitter_percent(0).time_to_live_ms(1_000);

#[tokio::test]
async fn a_row_lives_as_long_as_its_policy_says() {
    // Time to live, time passed, reads of the second look-up.
    for (lives_ms, passed_ms, reads) in
        [(1_000, 999, 0), (1_000, 1_000, 1), (0, 0, 1), (u64::MAX, u64::MAX >> 21, 0)]
    {
        let bench = Bench::new("memory:", POLICY.time_to_live_ms(lives_ms)).await;
        assert_eq!(bench.count(1).await, Some(0));
        bench.held.take_reads();
        bench.hand.advance_ms(passed_ms);
        assert_eq!(bench.count(1).await, Some(0));
        assert_eq!(bench.held.take_reads(), reads, "{lives_ms} {passed_ms}");
    }
}

#[tokio::test]
async fn a_missing_row_lives_as_long_as_its_policy_says() {
    for (lives_ms, passed_ms, reads) in [(500, 499, 0), (500, 500, 1), (0, 0, 1)] {
        let bench = Bench::new("memory:", POLICY.missing_time_to_live_ms(lives_ms)).await;
        assert_eq!(bench.count(77).await, None);
        bench.held.take_reads();
        bench.hand.advance_ms(passed_ms);
        assert_eq!(bench.count(77).await, None);
        assert_eq!(bench.held.take_reads(), reads, "{lives_ms} {passed_ms}");
    }
}

#[test]
fn jitter_shortens_and_never_to_nothing() {
    let policy = CachePolicy::new().time_to_live_ms(1_000).jitter_percent(20);
    let fresh = |chance| Lives::new(&policy, true, 5_000, chance).fresh_ms;
    assert_eq!((fresh(0), fresh(u64::MAX >> 1), fresh(u64::MAX)), (6_000, 5_901, 5_801));
    let whole = policy.jitter_percent(200);
    assert_eq!(Lives::new(&whole, true, 5_000, u64::MAX).fresh_ms, 5_001);
    let last = Lives::new(&policy, true, u64::MAX, 0);
    assert_eq!((last.refresh_ms, last.fresh_ms, last.gone_ms), (u64::MAX, u64::MAX, u64::MAX));
}

#[tokio::test]
async fn a_row_that_ends_soon_is_loaded_again_before_by_one_load() {
    let bench = Bench::new("memory:", POLICY.refresh_early_percent(20)).await;
    assert_eq!(bench.count(1).await, Some(0));
    bench.held.take_reads();
    bench.hand.advance_ms(799);
    assert_eq!((bench.count(1).await, bench.held.take_reads()), (Some(0), 0));
    bench.hand.advance_ms(1);
    bench.held.hold();
    for _ in 0..5 {
        assert_eq!(bench.count(1).await, Some(0), "nobody waits for it");
        settle().await;
    }
    bench.held.let_go();
    settle().await;
    assert_eq!(bench.held.take_reads(), 1);
    bench.hand.advance_ms(799);
    assert_eq!((bench.count(1).await, bench.held.take_reads()), (Some(0), 0), "it lives anew");
    assert_eq!(bench.numbers().stale, 0);
}

#[tokio::test]
async fn a_look_up_behind_its_time_waits_for_the_refresh_that_is_under_way() {
    let bench = Bench::new("memory:", POLICY.refresh_early_percent(20)).await;
    assert_eq!(bench.count(1).await, Some(0));
    bench.hand.advance_ms(900);
    bench.held.take_reads();
    bench.held.hold();
    assert_eq!(bench.count(1).await, Some(0));
    settle().await;
    bench.hand.advance_ms(200);
    let items = bench.items.clone();
    let waits = tokio::spawn(async move { items.get(1).await });
    settle().await;
    bench.held.let_go();
    assert!(waits.await.expect("no panic").expect("a row").is_some());
    assert_eq!(bench.held.take_reads(), 1);
}

#[tokio::test]
async fn a_stale_row_is_handed_out_while_it_is_loaded_again() {
    let bench = Bench::new("memory:", POLICY.stale_while_revalidate_ms(500)).await;
    assert_eq!(bench.count(1).await, Some(0));
    let beside = Sora::builder().provider(bench.held.inner());
    let beside = beside.repository::<Item>().await.expect("a repository");
    beside.patch(1, [Item::COUNT.set(7)]).await.expect("written by somebody else");
    bench.hand.advance_ms(1_400);
    assert_eq!(bench.count(1).await, Some(0));
    settle().await;
    assert_eq!(bench.count(1).await, Some(7));
    assert_eq!(bench.numbers().stale, 1);
    bench.hand.advance_ms(1_500);
    bench.held.take_reads();
    assert_eq!(
        (bench.count(1).await, bench.held.take_reads()),
        (Some(7), 1),
        "too old to hand out"
    );
}

#[tokio::test]
async fn what_was_known_stands_in_for_a_store_that_is_away() {
    let policy = POLICY.stale_if_error_ms(500);
    let bench = Bench::new("memory:", policy).await;
    assert_eq!(bench.count(1).await, Some(0));
    bench.hand.advance_ms(1_200);
    bench.held.fail_reads(Some(ErrorKind::Unavailable));
    assert_eq!(bench.count(1).await, Some(0));
    let many = bench.items.get_many([1]).await.expect("what was known");
    assert!(many[0].is_some());
    assert_eq!(bench.numbers().stale, 2);
    bench.items.get_many([1, 2]).await.expect_err("nothing is known of 2");
    bench.held.fail_reads(Some(ErrorKind::Data));
    assert_eq!(bench.items.get(1).await.expect_err("no outage").kind(), ErrorKind::Data);
    bench.held.fail_reads(Some(ErrorKind::Unavailable));
    bench.hand.advance_ms(300);
    bench.items.get(1).await.expect_err("too old");
}

#[tokio::test]
async fn what_was_written_stands_in_only_where_the_policy_allows_it() {
    for allowed in [false, true] {
        let policy = POLICY.stale_if_error_ms(500).stale_after_write(allowed);
        let bench = Bench::new("memory:", policy).await;
        for clear in [false, true] {
            assert!(bench.count(1).await.is_some());
            match clear {
                true => drop(bench.items.patch_where(Item::ID.eq(1), [Item::COUNT.add(1)]).await),
                false => drop(bench.items.patch(1, [Item::COUNT.add(1)]).await),
            }
            bench.held.fail_reads(Some(ErrorKind::Unavailable));
            assert_eq!(bench.items.get(1).await.is_ok(), allowed, "clear: {clear}");
            bench.held.fail_reads(None);
            bench.held.take_reads();
            assert!(bench.count(1).await.is_some());
            assert_eq!(bench.held.take_reads(), 1, "it is never taken for fresh");
        }
    }
}

#[tokio::test]
async fn memory_is_bounded_by_rows_and_by_bytes() {
    for policy in [POLICY.entries_max(100), POLICY.bytes_max(100 * 300)] {
        let bench = Bench::new("memory:", policy).await;
        let rows: Vec<Item> = (100..3_000).map(item).collect();
        bench.items.upsert_many(&rows).await.expect("rows");
        for id in 100..3_000 {
            assert!(bench.count(id).await.is_some());
        }
        let numbers = bench.numbers();
        assert!(numbers.entries <= 200 && numbers.entries > 0, "{numbers:?}");
        assert!(numbers.bytes <= policy.bytes_max, "{numbers:?}");
    }
    let bench = Bench::new("memory:", POLICY.missing_entries_max(100)).await;
    for id in 0..3_000 {
        bench.count(id + 10_000).await;
    }
    bench.held.take_reads();
    let known = futures_of(&bench, 10_000..13_000).await;
    assert!(known <= 200, "{known} keys are known to be missing");
}

async fn futures_of(bench: &Bench, ids: std::ops::Range<i64>) -> u64 {
    let before = bench.numbers().missing_hits;
    for id in ids {
        bench.count(id).await;
    }
    bench.numbers().missing_hits - before
}

#[tokio::test]
async fn a_row_too_large_for_its_part_is_counted_and_handed_out() {
    let bench = Bench::new("memory:", POLICY.bytes_max(4_096)).await;
    let large = Item { name: "x".repeat(10_000), ..item(1) };
    bench.items.upsert(&large).await.expect("written");
    for _ in 0..2 {
        let found = bench.items.get(1).await.expect("a look-up").expect("a row");
        assert_eq!(found.name.len(), 10_000);
    }
    let numbers = bench.numbers();
    assert_eq!((numbers.too_large, numbers.entries), (2, 0), "{numbers:?}");
}

#[tokio::test]
async fn queries_and_streams_leave_the_cache_alone() {
    let bench = Bench::memory().await;
    let before = bench.numbers();
    let mut rows = bench.items.query(crate::Filter::all()).stream();
    bench.items.query(crate::Filter::all()).fetch().await.expect("rows");
    while let Some(row) = rows.next().await {
        row.expect("a row");
    }
    assert_eq!(bench.numbers(), before);
    assert_eq!((before.entries, before.misses, before.loads), (0, 0, 0));
}
