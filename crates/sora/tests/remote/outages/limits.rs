//! How long, and how often, a tier that fails or is late is waited for and asked.

use std::sync::Arc;
use std::time::Duration;

use sora::{BreakerState, ErrorKind, RemoteCache};
use tokio::time::Instant;

use super::super::{Item, Node, World};
use super::moody::Moody;
use super::scene::{Hand, connect, join, state};
use super::scripted::Scripted;
use super::until;

async fn node(
    tier: &Scripted,
    hand: &Hand,
    remote: impl FnOnce(RemoteCache) -> RemoteCache,
) -> Node {
    let world = World::at(String::new()).await;
    join(&world, Arc::new(tier.clone()), hand, &Moody::default(), remote).await
}

#[tokio::test]
async fn a_tier_that_fails_is_asked_by_one_call_in_a_time() {
    let (tier, hand) = (Scripted::default(), Hand::default());
    let node = node(&tier, &hand, |remote| remote.breaker(3, 1_000)).await;
    tier.fail(Some(ErrorKind::Unavailable));
    for id in 0..10 {
        assert_eq!(node.count(id).await, Some(0));
    }
    // The first look-ups ask for the generation of the table as well.
    assert_eq!(tier.take_calls().iter().filter(|call| **call == "fetch").count(), 3);
    assert_eq!(state(&node).breaker, BreakerState::Open);
    for _ in 0..2 {
        hand.advance_ms(1_000);
        assert_eq!(state(&node).breaker, BreakerState::HalfOpen);
        for id in 0..10 {
            assert_eq!(node.count(id).await, Some(0));
        }
        assert_eq!(tier.take_calls().iter().filter(|call| **call == "fetch").count(), 1);
    }
    tier.fail(None);
    hand.advance_ms(1_000);
    for id in 0..10 {
        assert_eq!(node.count(id).await, Some(0));
    }
    assert_eq!(state(&node).breaker, BreakerState::Closed);
    assert_eq!(tier.take_calls().iter().filter(|call| **call == "fetch").count(), 10);
}

#[tokio::test]
async fn a_tier_that_is_busy_is_asked_all_the_same() {
    let (tier, hand) = (Scripted::default(), Hand::default());
    let node = node(&tier, &hand, |remote| remote.breaker(3, 1_000)).await;
    tier.fail(Some(ErrorKind::Busy));
    for id in 0..10 {
        assert_eq!(node.count(id).await, Some(0));
    }
    assert_eq!((state(&node).breaker, state(&node).failed), (BreakerState::Closed, 10));
}

/// Each call is answered in its time; all of a look-up, or of a write, are not.
#[tokio::test(start_paused = true)]
async fn all_calls_of_a_look_up_wait_no_longer_than_one_may() {
    // What each call takes, and what a look-up of a cold row and a write of it take.
    for (takes_ms, look_up_ms, write_ms) in
        [(0, 0, 0), (50, 150, 50), (100, 250, 100), (240, 250, 240)]
    {
        let (tier, hand) = (Scripted::default(), Hand::default());
        let node = node(&tier, &hand, |remote| remote.wait_max_ms(250)).await;
        tier.take_ms(takes_ms);
        let started = Instant::now();
        assert_eq!(node.count(1).await, Some(0));
        assert_eq!(started.elapsed(), Duration::from_millis(look_up_ms), "{takes_ms} ms a call");
        let many: Vec<i64> = (2..10).collect();
        let started = Instant::now();
        node.items.get_many(many).await.expect("rows");
        assert_eq!(started.elapsed(), Duration::from_millis(look_up_ms), "many");
        let started = Instant::now();
        node.items.patch(1, [Item::COUNT.set(1)]).await.expect("written");
        assert_eq!(started.elapsed(), Duration::from_millis(write_ms), "a write");
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_of_another_that_never_ends_is_waited_for_as_long_as_its_lease() {
    let (tier, hand) = (Scripted::default(), Hand::default());
    let node = node(&tier, &hand, |remote| remote.lease_time_ms(1_000)).await;
    tier.lease_all();
    let started = Instant::now();
    assert_eq!(node.count(1).await, Some(0));
    let waited = started.elapsed();
    assert!(
        waited >= Duration::from_secs(1) && waited < Duration::from_millis(1_064),
        "{waited:?}"
    );
    assert_eq!((node.numbers().lease_waits, node.numbers().entries), (1, 0));
    // While the tier is late, for less.
    tier.take_ms(100);
    let started = Instant::now();
    assert_eq!(node.count(2).await, Some(0));
    assert!(started.elapsed() < Duration::from_millis(250 + 64), "{:?}", started.elapsed());
}

/// A load that has lost its connection between two calls must be told of what comes: of its table's
/// generation, too.
#[tokio::test]
async fn a_generation_that_was_forgotten_is_read_again_before_the_store_is() {
    let (tier, hand) = (Scripted::default(), Hand::default());
    let node = node(&tier, &hand, |remote| remote).await;
    assert_eq!(node.count(1).await, Some(0));
    assert_eq!(tier.take_calls(), ["fetch", "counters", "lease", "fill"]);
    assert_eq!(node.count(2).await, Some(0));
    assert_eq!(tier.take_calls(), ["fetch", "lease", "fill"], "it is known");
    tier.gap_in("lease");
    assert_eq!(node.count(3).await, Some(0));
    assert_eq!(tier.take_calls(), ["fetch", "lease", "counters", "fill"]);
}

#[tokio::test]
async fn a_journal_is_worked_off_by_whoever_comes_when_its_task_is_gone() {
    let (tier, hand) = (Scripted::default(), Hand::default());
    let node = node(&tier, &hand, |remote| remote).await;
    tier.fail(Some(ErrorKind::Unavailable));
    let node = std::thread::spawn(move || {
        // With its runtime the task ends that works it off.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let write = async {
            node.items.patch(1, [Item::COUNT.set(1)]).await.expect("written");
        };
        runtime.expect("a runtime").block_on(write);
        node
    });
    let node = node.join().expect("no panic");
    assert_eq!(state(&node).journal, 1);
    tier.fail(None);
    hand.advance_ms(1_000);
    node.items.patch(2, [Item::COUNT.set(1)]).await.expect("written");
    assert_eq!(state(&node).journal, 1, "that one was told");
    tier.fail(Some(ErrorKind::Busy));
    node.items.patch(2, [Item::COUNT.set(2)]).await.expect("written");
    tier.fail(None);
    until(|| state(&node).journal == 0).await;
}

#[tokio::test]
async fn nothing_is_left_running_of_a_store_that_is_dropped_while_the_tier_is_away() {
    let redis = sora_testbed::Redis::start(&sora_testbed::RedisOptions::new()).expect("a server");
    let world = World::at(redis.url()).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (hand, mood) = (Hand::default(), Moody::default());
    let node = join(&world, connect(&world.url).await, &hand, &mood, |remote| remote).await;
    assert_eq!(node.count(1).await, Some(0));
    redis.kill().expect("killed");
    until(|| !state(&node).is_up).await;
    node.items.patch(1, [Item::COUNT.set(1)]).await.expect("written");
    assert_eq!((node.count(1).await, state(&node).journal), (Some(1), 1));
    assert!(tasks() > before, "the connection and the journal have theirs");
    drop(node);
    until(|| tasks() == before).await;
}
