//! Loads that are under way while their row changes.

use std::pin::Pin;
use std::time::Duration;

use sora::{CacheMode, CachePolicy, Source};
use sora_testbed::{Direction, PushAction, Redis, RedisOptions, RedisProxy};

use super::held::Held;
use super::setup::Setup;
use super::{Item, Node, World};

/// Two nodes, one of which loads what the other writes, and one that looks at what they share.
struct Scene {
    world: World,
    redis: Redis,
    proxy: RedisProxy,
    held: Held,
    reader: Node,
    writer: Node,
    looker: Node,
}

/// Each way by which item `id` changes, and by which that is told, or is not.
type Way = for<'a> fn(&'a Scene, i64) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

const WAYS: &[(&str, Way)] = &[
    ("written by the same node", |scene, id| {
        Box::pin(async move {
            scene.reader.items.patch(id, [Item::COUNT.set(7)]).await.expect("written");
        })
    }),
    ("invalidated by the same node", |scene, id| {
        Box::pin(async move {
            scene.change(id).await;
            scene.reader.items.invalidate(id).await.expect("told");
        })
    }),
    ("all invalidated by the same node", |scene, id| {
        Box::pin(async move {
            scene.change(id).await;
            scene.reader.items.invalidate_all().await;
        })
    }),
    ("written by another node", |scene, id| {
        Box::pin(async move {
            scene.writer.items.patch(id, [Item::COUNT.set(7)]).await.expect("written");
        })
    }),
    ("deleted by another node", |scene, id| {
        Box::pin(async move {
            scene.writer.items.delete(id).await.expect("deleted");
        })
    }),
    ("invalidated by another node", |scene, id| {
        Box::pin(async move {
            scene.change(id).await;
            scene.writer.items.invalidate(id).await.expect("told");
        })
    }),
    ("all invalidated by another node", |scene, id| {
        Box::pin(async move {
            scene.change(id).await;
            scene.writer.items.invalidate_all().await;
        })
    }),
    ("written by filter by another node", |scene, id| {
        Box::pin(async move {
            let filter = Item::ID.eq(id);
            scene.writer.items.patch_where(filter, [Item::COUNT.set(7)]).await.expect("written");
        })
    }),
    ("its tag invalidated by the same node", |scene, id| {
        Box::pin(async move {
            scene.change(id).await;
            scene.reader.items.invalidate_tag(Item::NAME, format!("n{id}")).await.expect("told");
        })
    }),
    ("its tag invalidated by another node", |scene, id| {
        Box::pin(async move {
            scene.change(id).await;
            scene.writer.items.invalidate_tag(Item::NAME, format!("n{id}")).await.expect("told");
        })
    }),
    ("deleted in Redis", |scene, id| {
        Box::pin(async move {
            scene.change(id).await;
            scene.redis.command(&[b"DEL", &*scene.world.key(id)]).expect("deleted");
        })
    }),
    ("set in Redis", |scene, id| {
        Box::pin(async move {
            scene.change(id).await;
            scene.redis.command(&[b"SET", &*scene.world.key(id), b"{}"]).expect("set");
        })
    }),
    ("expired in Redis", |scene, id| {
        Box::pin(async move {
            scene.change(id).await;
            let key = scene.world.key(id);
            scene.redis.command(&[b"PEXPIRE", &*key, b"1"]).expect("set");
            scene.until_gone(&key).await;
        })
    }),
    ("evicted from Redis", |scene, id| {
        Box::pin(async move {
            scene.change(id).await;
            let key = scene.world.key(id);
            let set = |name, value| scene.redis.command(&["CONFIG", "SET", name, value]);
            set("maxmemory-policy", "allkeys-random").expect("set");
            set("maxmemory", "1").expect("set");
            scene.until_gone(&key).await;
            set("maxmemory", "0").expect("set");
        })
    }),
];

/// What becomes of what the server tells the reader.
const MESSAGES: &[(&str, PushAction)] = &[
    ("told", PushAction::Pass),
    ("told twice", PushAction::Duplicate),
    ("told late", PushAction::Delay(Duration::from_millis(100))),
    ("told late and in another order", PushAction::Hold),
    ("not told", PushAction::Drop),
];

impl Scene {
    /// Nodes that are set up so.
    async fn new(setup: fn() -> Setup) -> Self {
        let redis = Redis::start(&RedisOptions::new()).expect("a server");
        let proxy = RedisProxy::start(&redis).expect("a proxy");
        let world = World::at(redis.url()).await;
        let held = Held::default();
        let setup = || setup().policy(CachePolicy::new().tag_by(&["name"]));
        let reader = setup().held(&held).through(&proxy).open(&world).await;
        let (writer, looker) = (setup().open(&world).await, setup().open(&world).await);
        let items: Vec<Item> = (10..100).map(super::item).collect();
        world.beside().await.insert_many(&items).await.expect("rows");
        Self { world, redis, proxy, held, reader, writer, looker }
    }

    /// Changes an item beside all caches.
    async fn change(&self, id: i64) {
        self.reader.beside.patch(id, [Item::COUNT.set(7)]).await.expect("written");
    }

    async fn until_gone(&self, key: &[u8]) {
        let stands = || self.redis.command(&[b"EXISTS", key]).expect("an answer").integer();
        while stands() != Some(0) {
            tokio::task::yield_now().await;
        }
    }

    /// What the shared tier has, or the store if it has nothing.
    async fn shared(&self, id: i64) -> Option<i64> {
        let items = self.looker.items.cache_mode(CacheMode::ReadOnly);
        items.get(id).await.expect("a look-up").map(|item| item.count)
    }

    /// Fills that the reader was refused, in either tier.
    fn refused(&self) -> u64 {
        let numbers = self.reader.numbers();
        numbers.fills_refused + numbers.remote_fills_refused
    }

    /// Loads an item while it changes; returns what the shared tier and the reader have then.
    async fn race(&self, id: i64, mode: CacheMode, way: Way) -> [Option<i64>; 2] {
        self.held.hold();
        let items = self.reader.items.cache_mode(mode);
        let count = self.held.held();
        let load = tokio::spawn(async move { items.get(id).await });
        self.held.wait_held(count + 1).await;
        way(self, id).await;
        self.held.let_go();
        let loaded = load.await.expect("no panic").expect("a look-up");
        assert_eq!(loaded.map(|item| item.count), Some(0), "it was loaded before");
        [self.shared(id).await, self.reader.count(id).await]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_began_before_a_change_is_kept_nowhere() {
    for (message, action) in MESSAGES {
        let scene = Scene::new(Setup::new).await;
        scene.proxy.on_push(*action);
        for (id, (name, way)) in (0..).zip(WAYS) {
            let refused = scene.refused();
            let found = scene.race(id, CacheMode::Use, *way).await;
            assert!(!found.contains(&Some(0)), "{name}, {message}: {found:?} is stale");
            assert!(scene.refused() > refused, "{name}, {message}: nothing was refused");
            scene.proxy.release_pushes_reversed();
            let found = [scene.shared(id).await, scene.reader.count(id).await];
            assert!(!found.contains(&Some(0)), "{name}, {message}: {found:?} is stale later");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_began_before_a_change_is_kept_nowhere() {
    let scene = Scene::new(Setup::new).await;
    for (id, (name, way)) in (0..).zip(WAYS) {
        scene.reader.count(id).await;
        let refused = scene.refused();
        let found = scene.race(id, CacheMode::Refresh, *way).await;
        assert!(!found.contains(&Some(0)), "{name}: {found:?} is stale");
        assert!(scene.refused() > refused, "{name}: nothing was refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leases_the_same_loads_are_kept() {
    let scene = Scene::new(|| Setup::new().unfenced()).await;
    for (id, (name, way)) in (0..).zip(WAYS) {
        let found = scene.race(id, CacheMode::Use, *way).await;
        assert!(found.contains(&Some(0)), "{name}: the test sees nothing");
    }
}

/// The first load is overtaken by a second, which began behind the change.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_loads_the_one_that_began_before_the_change_is_refused() {
    for (message, action) in MESSAGES {
        let scene = Scene::new(Setup::new).await;
        scene.proxy.on_push(*action);
        let held = Held::default();
        let other = Setup::new().policy(CachePolicy::new().tag_by(&["name"]));
        let other = other.held(&held).open(&scene.world).await;
        for (id, (name, way)) in (0..).zip(WAYS) {
            scene.held.hold();
            held.hold();
            let (items, count) = (scene.reader.items.clone(), scene.held.held());
            let early = tokio::spawn(async move { items.get(id).await });
            scene.held.wait_held(count + 1).await;
            way(&scene, id).await;
            let (items, count) = (other.items.clone(), held.held());
            let waits = other.numbers().lease_waits;
            let late = tokio::spawn(async move { items.get(id).await });
            // Behind what invalidates all rows it waits for the first.
            while held.held() == count && other.numbers().lease_waits == waits {
                tokio::task::yield_now().await;
            }
            let refused = scene.refused();
            scene.held.let_go();
            early.await.expect("no panic").expect("a look-up");
            held.let_go();
            late.await.expect("no panic").expect("a look-up");
            let found = [scene.shared(id).await, scene.reader.count(id).await];
            let found = [found[0], found[1], other.count(id).await];
            assert!(!found.contains(&Some(0)), "{name}, {message}: {found:?} is stale");
            assert!(scene.refused() > refused, "{name}, {message}: nothing was refused");
        }
    }
}

/// The row is on its way from Redis to memory when it is removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_found_while_it_is_removed_is_not_kept() {
    let scene = Scene::new(Setup::new).await;
    scene.reader.count(-1).await;
    for id in 0..20 {
        assert_eq!(scene.writer.count(id).await, Some(0));
        let gets = || scene.redis.calls().expect("calls").get("get").copied().unwrap_or(0);
        let (before, told) = (gets(), scene.reader.numbers().told);
        scene.proxy.faults().stall(Direction::ToClient);
        let items = scene.reader.items.clone();
        let found = tokio::spawn(async move { items.look_up(id).await });
        while gets() == before {
            tokio::task::yield_now().await;
        }
        scene.writer.items.patch(id, [Item::COUNT.set(7)]).await.expect("written");
        scene.proxy.faults().clear();
        assert_eq!(found.await.expect("no panic").expect("a row").source, Source::Remote);
        scene.reader.told(told + 1).await;
        assert_eq!(scene.reader.count(id).await, Some(7), "it came back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_writes_that_cross_all_nodes_have_what_the_store_has() {
    let scene = Scene::new(Setup::new).await;
    for round in 1..=50 {
        let set = |node: &Node, count| {
            let items = node.items.clone();
            async move { items.patch(1, [Item::COUNT.set(count)]).await.expect("written") }
        };
        let nodes = [&scene.reader, &scene.writer, &scene.looker];
        for node in nodes {
            node.count(1).await;
        }
        tokio::join!(set(&scene.reader, 2 * round), set(&scene.writer, 2 * round + 1));
        let stored = scene.reader.beside.get(1).await.expect("a look-up").expect("a row").count;
        for node in nodes {
            // It may be told yet.
            while node.count(1).await != Some(stored) {
                tokio::task::yield_now().await;
            }
        }
    }
}
