//! Nodes that share a tier.

use sora_core::remote::Slot;

use super::*;
use crate::{BreakerState, Entity};

#[tokio::test]
async fn a_fill_takes_nothing_out_of_the_memory_of_others() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    for round in 0..3 {
        for node in [&one, &other] {
            let (count, source) = node.found(1).await;
            assert_eq!((count, source == Source::Memory), (0, round > 0));
        }
    }
    assert_eq!((one.numbers().told, other.numbers().told), (0, 0));
}

#[tokio::test]
async fn a_row_from_the_tier_lives_no_longer_than_there_nor_than_memory_may() {
    // Time to live in memory, and there; its age when the other node finds it; how long it stays.
    for (memory_ms, tier_ms, age_ms, lives_ms) in
        [(60_000, 10_000, 9_000, 1_000), (1_000, 300_000, 5_000, 1_000)]
    {
        let world = World::new().await;
        let policy = POLICY.time_to_live_ms(memory_ms).remote_time_to_live_ms(tier_ms);
        let node = || world.node_with(policy, |remote| remote);
        let (one, other) = (node().await, node().await);
        assert_eq!(one.found(1).await, (0, Source::Store));
        world.hand.advance_ms(age_ms);
        assert_eq!(other.found(1).await, (0, Source::Remote));
        world.hand.advance_ms(lives_ms - 1);
        assert_eq!(other.found(1).await, (0, Source::Memory), "{memory_ms} {tier_ms}");
        world.hand.advance_ms(1);
        assert_ne!(other.found(1).await.1, Source::Memory, "{memory_ms} {tier_ms}");
    }
}

#[tokio::test]
async fn a_row_on_its_way_from_the_tier_is_not_kept_if_it_is_written_meanwhile() {
    for is_own in [true, false] {
        let world = World::new().await;
        let (one, other) = (world.node().await, world.node().await);
        assert_eq!(one.found(1).await, (0, Source::Store));
        other.line.hold(true);
        let early = other.asks(1);
        settle().await;
        let writer = if is_own { &other } else { &one };
        writer.patch(1, 7).await;
        other.line.hold(false);
        assert_eq!(early.await.expect("no panic"), Some(0), "it began before");
        assert_eq!(other.found(1).await.0, 7, "own: {is_own}");
        assert_eq!(other.numbers().fills_refused, 1);
    }
}

#[tokio::test]
async fn a_row_on_its_way_to_the_tier_is_not_put_there_if_it_is_written_meanwhile() {
    for is_own in [true, false] {
        let world = World::new().await;
        let (one, other) = (world.node().await, world.node().await);
        one.held.hold();
        let early = one.asks(1);
        settle().await;
        let writer = if is_own { &one } else { &other };
        writer.patch(1, 7).await;
        one.held.let_go();
        assert_eq!(early.await.expect("no panic"), Some(0), "it began before");
        let fresh = world.node().await;
        for node in [&one, &other, &fresh] {
            assert_eq!(node.found(1).await.0, 7, "own: {is_own}");
        }
        assert_eq!(one.numbers().remote_fills_refused, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_tier_was_not_told_is_never_read_from_it() {
    let world = World::new().await;
    let one = world.node().await;
    assert_eq!(one.found(1).await, (0, Source::Store));
    one.line.cut(true);
    // The caller is not told that it failed: the row is written.
    one.patch(1, 7).await;
    one.line.cut(false);
    let state = one.store.remote_state().expect("a tier");
    assert_eq!(state.journal, 1);
    assert_eq!(one.found(1).await, (7, Source::Store), "what stands there is old");
    while one.store.remote_state().expect("a tier").journal > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let other = world.node().await;
    assert_eq!(other.found(1).await, (7, Source::Store), "it was told later");
}

#[tokio::test]
async fn without_being_told_memory_is_bounded_by_a_time() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    other.line.track_nothing();
    assert_eq!(other.found(1).await, (0, Source::Store));
    assert_eq!(other.found(1).await, (0, Source::Memory));
    let bound_ms = other.items.cache_staleness_max_ms().expect("cached");
    assert_eq!(bound_ms, 1_000, "untold_time_to_live_ms");
    one.patch(1, 7).await;
    world.hand.advance_ms(bound_ms);
    assert_eq!(other.found(1).await.0, 7);
}

#[tokio::test]
async fn after_a_gap_what_is_in_memory_is_asked_for_again() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    for id in [1, 2] {
        assert_eq!(other.found(id).await, (0, Source::Store));
    }
    other.line.deafen();
    one.patch(1, 7).await;
    assert_eq!(other.found(1).await, (0, Source::Memory), "nobody told");
    other.line.gap();
    assert_eq!(other.found(1).await.0, 7);
    assert_eq!(other.found(2).await, (0, Source::Remote), "it is not lost");
}

#[tokio::test]
async fn a_tier_that_fails_is_asked_no_more() {
    let world = World::new().await;
    let one = world.node_with(POLICY, |remote| remote.breaker(3, 500)).await;
    one.line.cut(true);
    one.line.take_calls();
    for id in 0..20 {
        assert_eq!(one.found(id).await, (0, Source::Store), "none fails for it");
    }
    // Three that fail, each with the question for the generation of the table.
    let (calls, _) = one.line.take_calls();
    assert!(calls <= 6, "{calls}");
    assert_eq!(one.store.remote_state().expect("a tier").breaker, BreakerState::Open);
    one.line.cut(false);
    world.hand.advance_ms(500);
    one.items.invalidate(1).await.expect("told");
    assert_eq!(one.store.remote_state().expect("a tier").breaker, BreakerState::Closed);
}

#[tokio::test]
async fn what_is_no_row_is_counted_and_taken_out() {
    let world = World::new().await;
    assert_eq!(world.node().await.found(1).await, (0, Source::Store));
    let rows = world.server.rows();
    let [name] = &rows[..] else { panic!("one row") };
    for garbage in [&b""[..], b"what somebody else wrote", &[1; 100]] {
        world.server.put(name, garbage);
        let node = world.node().await;
        assert_eq!(node.found(1).await, (0, Source::Store));
        assert_eq!(node.numbers().remote_undecodable, 1);
        assert_eq!(world.node().await.found(1).await, (0, Source::Remote), "it was replaced");
    }
}

/// The same columns in another order.
#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "pairs")]
struct Pair {
    #[sora(key)]
    id: i64,
    left: i64,
    right: i64,
}

#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "pairs")]
struct Mirrored {
    #[sora(key)]
    id: i64,
    right: i64,
    left: i64,
}

#[tokio::test]
async fn two_types_of_one_key_get_each_its_own() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    one.store.ensure_schema::<Pair>().await.expect("a table");
    let pairs = one.store.repository::<Pair>().await.expect("a repository");
    pairs.insert(&Pair { id: 1, left: 5, right: 6 }).await.expect("a row");
    let found = pairs.get(1).await.expect("a look-up").expect("a row");
    assert_eq!((found.left, found.right), (5, 6));
    for node in [&one, &other] {
        let mirrored = node.store.repository::<Mirrored>().await.expect("a repository");
        for _ in 0..2 {
            let found = mirrored.get(1).await.expect("a look-up").expect("a row");
            assert_eq!((found.left, found.right), (5, 6));
        }
        let numbers = mirrored.cache_numbers().expect("cached");
        assert_eq!((numbers.remote_foreign, numbers.remote_undecodable), (1, 0));
    }
    // What stands there stayed for those who can read it.
    let third = world.node().await.store.repository::<Pair>().await.expect("a repository");
    assert_eq!(third.look_up(1).await.expect("a look-up").source, Source::Remote);
    // A write by one is seen by both.
    let mirrored = one.store.repository::<Mirrored>().await.expect("a repository");
    for (left, by_pair) in [(7, true), (8, false)] {
        match by_pair {
            true => drop(pairs.patch(1, [Pair::LEFT.set(left)]).await.expect("written")),
            false => drop(mirrored.patch(1, [Mirrored::LEFT.set(left)]).await.expect("written")),
        }
        let found = pairs.get(1).await.expect("a look-up").expect("a row").left;
        let other = mirrored.get(1).await.expect("a look-up").expect("a row").left;
        assert_eq!((found, other), (left, left));
    }
}

#[tokio::test]
async fn a_row_too_large_is_not_shared_and_keeps_nobody_waiting() {
    let world = World::new().await;
    let limits = |remote: RemoteCache| remote.value_bytes_max(100);
    let (one, other) =
        (world.node_with(POLICY, limits).await, world.node_with(POLICY, limits).await);
    let large = Item { name: "x".repeat(200), ..item(1) };
    one.items.update(&large).await.expect("written");
    for node in [&one, &other] {
        assert_eq!(node.found(1).await, (0, Source::Store));
        assert_eq!((node.numbers().remote_too_large, node.numbers().lease_waits), (1, 0));
    }
    assert!(world.server.rows().is_empty());
}

#[tokio::test]
async fn many_keys_are_one_call_each_way_and_one_that_comes_twice_is_asked_for_once() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    // The generation of the table is known from here on.
    for node in [&one, &other] {
        node.found(0).await;
        node.line.take_calls();
        node.held.take_reads();
    }
    let keys = || [5, 3, 5, 99, 4, 5, 3];
    let expected = [Some(5), Some(3), Some(5), None, Some(4), Some(5), Some(3)];
    for (node, calls, reads) in [(&one, (3, 12), 1), (&other, (1, 4), 0), (&other, (0, 0), 0)] {
        let found = node.items.get_many(keys()).await.expect("look-ups");
        let found: Vec<_> = found.iter().map(|item| item.as_ref().map(|item| item.id)).collect();
        assert_eq!(found, expected);
        assert_eq!((node.line.take_calls(), node.held.take_reads()), (calls, reads));
    }
    assert_eq!((one.numbers().misses, other.numbers().remote_hits), (5, 4));
}

#[tokio::test]
async fn a_tag_is_its_whole_value_and_takes_two_calls_however_many_rows_it_has() {
    let world = World::new().await;
    let node = || world.node_with(POLICY.tag_by(&["name", "count"]), |remote| remote);
    let (one, other) = (node().await, node().await);
    for node in [&one, &other] {
        node.items.get_many(0..20).await.expect("rows");
    }
    for id in [1, 10, 11] {
        world.patch(id, 7).await;
    }
    one.line.take_calls();
    // Neither "n10", nor what begins or ends with it.
    one.items.invalidate_tag(Item::NAME, "n1").await.expect("invalidated");
    for node in [&one, &other] {
        let counts = [node.found(1).await.0, node.found(10).await.0, node.found(11).await.0];
        assert_eq!(counts, [7, 0, 0]);
    }
    assert_eq!((one.numbers().hits, one.numbers().misses), (2, 21), "they stayed in memory");
    one.line.take_calls();
    one.items.invalidate_tag(Item::COUNT, 0).await.expect("invalidated");
    assert_eq!(one.line.take_calls(), (2, 2), "19 rows");
    assert_eq!((one.found(10).await.0, other.found(10).await.0), (7, 7));
}

#[tokio::test]
async fn no_tag_is_left_out_however_few_are_remembered() {
    let world = World::new().await;
    let node = || world.node_with(POLICY.tag_by(&["name"]), |remote| remote.tags_max(2));
    let (one, other) = (node().await, node().await);
    for id in 0..20 {
        assert_eq!(one.found(id).await, (0, Source::Store));
        assert_eq!(other.found(id).await, (0, Source::Remote));
        world.patch(id, 7).await;
    }
    for id in 0..20 {
        one.items.invalidate_tag(Item::NAME, &format!("n{id}")).await.expect("invalidated");
        for node in [&one, &other] {
            assert_eq!(node.found(id).await.0, 7, "{id}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_node_loads_the_other_waits_for() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    one.held.hold();
    let calls = [one.asks(1), one.asks(77)];
    settle().await;
    let others = [other.asks(1), other.asks(77)];
    settle().await;
    one.held.let_go();
    for calls in [calls, others] {
        for (call, expected) in calls.into_iter().zip([Some(0), None]) {
            assert_eq!(call.await.expect("no panic"), expected);
        }
    }
    assert_eq!((one.held.take_reads(), other.held.take_reads()), (2, 0));
    assert_eq!(other.numbers().lease_waits, 2);
}

#[tokio::test]
async fn a_lease_that_was_given_back_leaves_nothing() {
    let world = World::new().await;
    let one = world.node().await;
    one.held.fail_reads(Some(crate::ErrorKind::Unavailable));
    one.items.get(1).await.expect_err("the store is away");
    assert!(world.server.rows().iter().all(|name| world.server.slot(name) == Slot::Empty));
    one.held.fail_reads(None);
    assert_eq!(world.node().await.found(1).await, (0, Source::Store));
}
