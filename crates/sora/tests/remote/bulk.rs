//! How many round trips many look-ups take.

use std::sync::Arc;

use sora::Source;
use sora_testbed::{PushAction, Redis, RedisOptions, RedisProxy};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::held::Held;
use super::setup::Setup;
use super::{Item, Node, World, item};

/// A server behind a proxy that counts, and nodes on either side of it.
struct Scene {
    proxy: RedisProxy,
    held: Held,
    /// Reaches the server through the proxy.
    reader: Node,
    other: Node,
    _redis: Redis,
}

impl Scene {
    async fn new() -> Self {
        let redis = Redis::start(&RedisOptions::new()).expect("a server");
        let proxy = RedisProxy::start(&redis).expect("a proxy");
        let world = World::at(redis.url()).await;
        let held = Held::default();
        let items: Vec<Item> = (10..2_000).map(item).collect();
        world.beside().await.insert_many(&items).await.expect("rows");
        let reader = Setup::new().held(&held).through(&proxy).open(&world).await;
        let other = world.node().await;
        // It knows the generation of the table.
        reader.count(-1).await;
        Self { proxy, held, reader, other, _redis: redis }
    }

    /// Reads items; returns the round trips to the server and to the store.
    async fn get_many(&self, ids: impl IntoIterator<Item = i64>) -> (u64, u64) {
        let ids: Vec<i64> = ids.into_iter().collect();
        let (trips, reads) = (self.proxy.round_trips(), self.held.reads());
        let found = self.reader.items.get_many(ids.clone()).await.expect("look-ups");
        let found = found.iter().map(|item| item.as_ref().map(|item| item.id));
        let expected = ids.iter().map(|id| (*id >= 0).then_some(*id));
        assert!(found.eq(expected), "one slot for each, in their order");
        (self.proxy.round_trips() - trips, self.held.reads() - reads)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_take_the_round_trips_that_are_promised() {
    let scene = Scene::new().await;
    scene.other.items.get_many(0..100).await.expect("rows");
    assert_eq!(scene.get_many(0..100).await, (1, 0), "all are shared");
    assert_eq!(scene.get_many(0..100).await, (0, 0), "all are in memory");
    assert_eq!(scene.get_many(100..200).await, (3, 1), "none is anywhere");
    scene.other.items.get_many(200..300).await.expect("rows");
    assert_eq!(scene.get_many(150..250).await, (1, 0), "half are in memory");
    assert_eq!(scene.get_many(250..350).await, (3, 1), "half are shared");
    // Keys that are asked for twice, and one that is not there.
    let before = scene.reader.numbers();
    assert_eq!(scene.get_many((400..450).chain(400..450).chain([-5])).await, (3, 1));
    let numbers = scene.reader.numbers();
    assert_eq!(numbers.remote_misses - before.remote_misses, 51);
    assert_eq!(numbers.remote_fills - before.remote_fills, 51);
    assert_eq!(scene.get_many([-5, 400]).await, (0, 0), "that it is not there is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_takes_the_round_trips_that_are_promised() {
    let scene = Scene::new().await;
    let (trips, reads) = (scene.proxy.round_trips(), scene.held.reads());
    scene.reader.count(500).await;
    assert_eq!((scene.proxy.round_trips() - trips, scene.held.reads() - reads), (3, 1));
    scene.other.count(501).await;
    let trips = scene.proxy.round_trips();
    let found = scene.reader.items.look_up(501).await.expect("a row");
    assert_eq!((found.source, scene.proxy.round_trips() - trips), (Source::Remote, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_look_ups_at_once_take_few_round_trips() {
    let scene = Scene::new().await;
    for (round, is_shared) in [(0, false), (1, true)] {
        let ids = 1_000 * round..1_000 * (round + 1);
        if is_shared {
            scene.other.items.get_many(ids.clone()).await.expect("rows");
        }
        let all = Arc::new(Barrier::new(1_000));
        let mut calls = JoinSet::new();
        let trips = scene.proxy.round_trips();
        for id in ids {
            let (items, all) = (scene.reader.items.clone(), all.clone());
            calls.spawn(async move {
                all.wait().await;
                items.get(id).await.expect("a look-up").expect("a row").id
            });
        }
        calls.join_all().await;
        let trips = scene.proxy.round_trips() - trips;
        assert!(trips <= 32, "{trips} round trips");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_rows_only_the_one_that_was_invalidated_is_refused() {
    for action in [PushAction::Pass, PushAction::Drop] {
        let scene = Scene::new().await;
        scene.proxy.on_push(action);
        scene.held.hold();
        let items = scene.reader.items.clone();
        let held = scene.held.held();
        let load = tokio::spawn(async move { items.get_many(0..10).await });
        scene.held.wait_held(held + 1).await;
        let before = scene.reader.numbers();
        scene.other.items.patch(3, [Item::COUNT.set(7)]).await.expect("written");
        scene.held.let_go();
        load.await.expect("no panic").expect("look-ups");
        let numbers = scene.reader.numbers();
        assert_eq!(numbers.remote_fills_refused - before.remote_fills_refused, 1);
        assert_eq!(numbers.remote_fills - before.remote_fills, 9);
        for id in 0..10 {
            let found = scene.reader.items.look_up(id).await.expect("a look-up");
            let expected = if id == 3 { (Source::Store, 7) } else { (Source::Memory, 0) };
            assert_eq!((found.source, found.entity.expect("a row").count), expected, "{id}");
        }
        assert_eq!(scene.other.count(3).await, Some(7));
    }
}
