//! How long rows, and the knowledge that there is none, are kept.

use sora::{CacheMode, CachePolicy, ErrorKind, Source};

use super::held::Held;
use super::setup::{Hand, Setup};
use super::{World, item};

#[tokio::test(flavor = "multi_thread")]
async fn when_memory_is_old_the_shared_tier_answers() {
    let (world, held, hand) = (World::new().await, Held::default(), Hand::default());
    let policy = CachePolicy::new().jitter_percent(0).time_to_live_ms(1_000);
    let node = Setup::new().policy(policy).held(&held).clock(&hand).open(&world).await;
    let source = async || node.items.look_up(1).await.expect("a row").source;
    assert_eq!((source().await, source().await), (Source::Store, Source::Memory));
    hand.advance_ms(999);
    assert_eq!(source().await, Source::Memory);
    hand.advance_ms(1);
    assert_eq!((source().await, source().await), (Source::Remote, Source::Memory));
    assert_eq!(held.reads(), 1, "the store was asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_no_row_longer_than_the_shared_tier() {
    let (world, hand) = (World::new().await, Hand::default());
    let policy = CachePolicy::new().jitter_percent(0).remote_time_to_live_ms(30_000);
    let one = Setup::new().policy(policy).clock(&hand).open(&world).await;
    let other = Setup::new().policy(policy).clock(&hand).open(&world).await;
    one.count(1).await;
    hand.advance_ms(25_000);
    let source = async || other.items.look_up(1).await.expect("a row").source;
    assert_eq!((source().await, source().await), (Source::Remote, Source::Memory));
    hand.advance_ms(4_999);
    assert_eq!(source().await, Source::Memory);
    hand.advance_ms(1);
    assert_ne!(source().await, Source::Memory, "30 seconds after it was loaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_comes_is_seen_where_its_absence_was_known() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    assert_eq!((one.count(77).await, other.count(77).await), (None, None));
    assert_eq!((other.count(77).await, other.numbers().missing_hits), (None, 1));
    assert_eq!(other.numbers().remote_missing_hits, 1);
    let told = other.numbers().told;
    one.items.insert(&item(77)).await.expect("inserted");
    assert_eq!(one.count(77).await, Some(0));
    other.told(told + 1).await;
    assert_eq!(other.count(77).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn times_of_nothing_and_of_for_ever_are_what_they_say() {
    let world = World::new().await;
    let never = CachePolicy::new().missing_time_to_live_ms(0);
    let node = world.node_with(never).await;
    assert_eq!((node.count(77).await, node.count(77).await), (None, None));
    assert_eq!(node.numbers().loads, 2, "an absence is kept nowhere");
    world.until_empty().await;
    let never = CachePolicy::new().time_to_live_ms(0);
    let node = world.node_with(never).await;
    node.count(1).await;
    assert_eq!(node.items.look_up(1).await.expect("a row").source, Source::Remote);
    let ever = CachePolicy::new().time_to_live_ms(u64::MAX).remote_time_to_live_ms(u64::MAX);
    let node = world.node_with(ever).await;
    node.count(2).await;
    assert_eq!(node.items.look_up(2).await.expect("a row").source, Source::Memory);
    let left = world.redis().command(&[b"PTTL", &*world.key(2)]).expect("a time");
    assert!(left.integer() > Some(300 * 24 * 3_600 * 1_000), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_stands_in_for_each_row_that_the_store_cannot_give() {
    let (world, held, hand) = (World::new().await, Held::default(), Hand::default());
    let policy = CachePolicy::new().time_to_live_ms(1_000).stale_if_error_ms(60_000);
    let node = Setup::new().policy(policy).held(&held).clock(&hand).open(&world).await;
    let items = node.items.cache_mode(CacheMode::SkipRemote);
    items.get_many([1, 2]).await.expect("rows");
    hand.advance_ms(2_000);
    held.fail_reads(Some(ErrorKind::Unavailable));
    let found = items.get_many([1, 2]).await.expect("what was known");
    assert!(found.iter().all(Option::is_some));
    assert_eq!(node.numbers().stale, 2);
    let error = items.get_many([1, 2, 3]).await.expect_err("of the third nothing is known");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
