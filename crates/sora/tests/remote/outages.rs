//! Redis away, late, or back without what it knew: no request fails for it, and nothing stale is left.

mod faults;
mod limits;
mod moody;
mod scene;
mod scripted;
mod traffic;

use std::time::Duration;

use sora::{BreakerState, ErrorKind, Source};
use sora_testbed::{Direction, RedisOptions};

use super::Item;
use scene::{Scene, state};

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        // The others have the machine meanwhile.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_while_it_is_away_is_told_when_it_is_back() {
    let scene = Scene::new().await;
    let (one, other) = (&scene.one, &scene.other);
    assert_eq!((one.count(1).await, other.count(1).await), (Some(0), Some(0)));
    scene.cut().await;
    one.items.patch(1, [Item::COUNT.set(7)]).await.expect("written");
    assert_eq!(state(one).journal, 1);
    assert_eq!(one.count(1).await, Some(7), "its own write");
    assert_eq!(other.count(1).await, Some(0), "nobody could tell it");
    scene.mend();
    scene.recover().await;
    // Nobody has asked: it was told.
    let is_told = || other.numbers().told > 0;
    until(is_told).await;
    assert_eq!((one.count(1).await, other.count(1).await), (Some(7), Some(7)));
    scene.compare("a write while it was away").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_late_does_not_undo_what_came_after() {
    let scene = Scene::new().await;
    let (one, other) = (&scene.one, &scene.other);
    scene.cut().await;
    one.items.patch(1, [Item::COUNT.set(1)]).await.expect("written");
    one.items.patch(1, [Item::COUNT.set(2)]).await.expect("written");
    assert_eq!(state(one).journal, 1, "the last of each row");
    other.items.patch(1, [Item::COUNT.set(3)]).await.expect("written");
    assert_eq!(other.count(1).await, Some(3));
    assert_eq!(one.count(1).await, Some(3), "it reads the store while it has something to tell");
    scene.mend();
    scene.recover().await;
    assert_eq!((one.count(1).await, other.count(1).await), (Some(3), Some(3)));
    scene.compare("a newer value").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_journal_holds_invalidates_the_table() {
    let options = RedisOptions::new();
    let scene = Scene::with(&options, |remote| remote.journal_names_max(3)).await;
    let (one, other) = (&scene.one, &scene.other);
    for id in 0..10 {
        assert_eq!((one.count(id).await, other.count(id).await), (Some(0), Some(0)));
    }
    scene.cut().await;
    for id in 0..8 {
        one.items.patch(id, [Item::COUNT.set(5)]).await.expect("written");
        assert!(state(one).journal <= 4, "{:?}", state(one));
    }
    assert!(state(one).journal_overflowed > 0);
    let cleared = other.numbers().suspected + other.numbers().told;
    scene.mend();
    scene.recover().await;
    until(|| other.numbers().suspected + other.numbers().told > cleared).await;
    scene.compare("an overflow").await;
    // Also what was not written is of an older generation now.
    assert!(other.numbers().remote_hits + other.numbers().remote_outdated > 0);
    assert_eq!(other.count(9).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_a_gap_is_asked_for_again_but_for_a_store_that_is_away() {
    let scene = Scene::new().await;
    let one = &scene.one;
    assert_eq!(one.count(1).await, Some(0));
    assert_eq!(one.items.look_up(1).await.expect("a row").source, Source::Memory);
    assert_eq!(one.count(2).await, Some(0));
    scene.cut().await;
    one.items.patch(2, [Item::COUNT.set(7)]).await.expect("written");
    scene.mood.be_away(true);
    assert_eq!(one.count(1).await, Some(0));
    assert_eq!(one.numbers().stale, 1, "it is what was known");
    let error = one.items.get(2).await.expect_err("it is known to have changed");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    scene.mood.be_away(false);
    assert_eq!(one.items.look_up(1).await.expect("a row").source, Source::Store);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_dead_without_a_word_is_found() {
    let scene = Scene::new().await;
    let (one, other) = (&scene.one, &scene.other);
    assert_eq!(other.count(1).await, Some(0));
    let gaps = state(other).gaps;
    scene.other_proxy.faults().lose(Direction::ToClient);
    one.items.patch(1, [Item::COUNT.set(7)]).await.expect("written");
    // It calls nobody who could notice: it is its ping.
    until(|| state(other).gaps > gaps).await;
    assert_eq!(other.count(1).await, Some(7));
    scene.compare("a half-open connection").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loads_its_data_is_gone_around_and_comes_back() {
    let options =
        RedisOptions::new().persisted().set("loading-process-events-interval-bytes", "1024");
    let scene = Scene::with(&options, |remote| remote.breaker(3, 1_000)).await;
    let one = &scene.one;
    scene.redis.command(&["DEBUG", "POPULATE", "400", "other", "2000"]).expect("made");
    scene.redis.command(&["CONFIG", "SET", "key-load-delay", "5000"]).expect("set");
    let mut loading = scene.redis.connect().expect("connects");
    loading.send(&["DEBUG", "RELOAD"]).expect("sent");
    let mut id = 0;
    while state(one).breaker == BreakerState::Closed {
        assert_eq!(one.count(id % 10).await, Some(0));
        scene.hand.advance_ms(100);
        id += 1;
    }
    // No storm of misses: what the store gave is kept for a while.
    let loads = one.numbers().loads;
    for _ in 0..100 {
        assert_eq!(one.count(1).await, Some(0));
    }
    assert!(one.numbers().loads <= loads + 1);
    one.items.patch(1, [Item::COUNT.set(7)]).await.expect("written");
    assert_eq!(one.count(1).await, Some(7));
    loading.read().expect("loaded");
    scene.hand.advance_ms(1_000);
    scene.compare("LOADING").await;
    assert_eq!(state(one).breaker, BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_is_gone_around_and_comes_back() {
    let options = RedisOptions::new().set("busy-reply-threshold", "1");
    let scene = Scene::with(&options, |remote| remote).await;
    let one = &scene.one;
    assert_eq!((one.count(1).await, scene.other.count(1).await), (Some(0), Some(0)));
    let mut script = scene.redis.connect().expect("connects");
    script.send(&["EVAL", "while true do end", "0"]).expect("sent");
    let failed = state(one).failed;
    while state(one).failed == failed {
        assert_eq!(one.count(2).await, Some(0));
        scene.hand.advance_ms(1_000);
    }
    one.items.patch(1, [Item::COUNT.set(7)]).await.expect("written");
    assert_eq!((one.count(1).await, state(one).journal), (Some(7), 1));
    scene.redis.command(&["SCRIPT", "KILL"]).expect("killed");
    scene.hand.advance_ms(1_000);
    scene.compare("BUSY").await;
}
