//! Two nodes on a server of their own, each behind a proxy.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sora::provider::BoxFuture;
use sora::redis::{RedisConfig, RedisTier};
use sora::remote::Remote;
use sora::{Cache, CachePolicy, Clock, RemoteCache, RemoteState, Sora};
use sora_testbed::{Redis, RedisOptions, RedisProxy};

use super::super::{Item, Node, World};
use super::moody::Moody;
use super::until;

pub(super) struct Scene {
    pub(super) redis: Redis,
    pub(super) proxy: RedisProxy,
    pub(super) other_proxy: RedisProxy,
    pub(super) world: World,
    pub(super) hand: Hand,
    pub(super) mood: Moody,
    pub(super) one: Node,
    pub(super) other: Node,
}

/// A clock that stands until it is moved: so nothing in memory is old before a test says so.
#[derive(Clone, Debug, Default)]
pub(super) struct Hand(Arc<Mutex<Duration>>);

/// What is told is kept for ever: nothing that is stale becomes true by itself.
const POLICY: CachePolicy = CachePolicy::new()
    .time_to_live_ms(u64::MAX)
    .remote_time_to_live_ms(u64::MAX)
    .stale_if_error_ms(600_000);

/// How long memory keeps, in these tests, what nobody tells the changes of.
const UNTOLD_MS: u64 = 1_000;

impl Scene {
    pub(super) async fn new() -> Self {
        Self::with(&RedisOptions::new(), |remote| remote).await
    }

    pub(super) async fn with(
        options: &RedisOptions,
        remote: fn(RemoteCache) -> RemoteCache,
    ) -> Self {
        let redis = Redis::start(options).expect("a server");
        let proxy = RedisProxy::start(&redis).expect("a proxy");
        let other_proxy = RedisProxy::start(&redis).expect("a proxy");
        let world = World::at(redis.url()).await;
        let (hand, mood) = (Hand::default(), Moody::default());
        let one = join(&world, connect(proxy.url()).await, &hand, &mood, remote).await;
        let other = join(&world, connect(other_proxy.url()).await, &hand, &mood, remote).await;
        Self { redis, proxy, other_proxy, world, hand, mood, one, other }
    }

    pub(super) fn nodes(&self) -> [&Node; 2] {
        [&self.one, &self.other]
    }

    /// Cuts the one node off.
    pub(super) async fn cut(&self) {
        self.proxy.faults().refuse(true);
        self.proxy.faults().reset_all();
        until(|| !state(&self.one).is_up).await;
    }

    pub(super) fn mend(&self) {
        self.proxy.faults().refuse(false);
    }

    /// Waits until both nodes are connected, and nothing is left to be told.
    pub(super) async fn recover(&self) {
        until(|| self.nodes().iter().all(|node| state(node).is_up && state(node).journal == 0))
            .await;
    }

    /// Waits until each node has heard of all that the other has done, by a write that comes last.
    async fn hear(&self) {
        for (writer, reader) in [(&self.one, &self.other), (&self.other, &self.one)] {
            reader.count(0).await;
            writer.items.patch(0, [Item::COUNT.add(1)]).await.expect("written");
            let last = writer.beside.get(0).await.expect("a look-up").map(|row| row.count);
            while reader.count(0).await != last {
                self.hand.advance_ms(UNTOLD_MS);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Compares what both nodes give of each row with the store, when what nobody told is old.
    pub(super) async fn compare(&self, case: &str) {
        self.recover().await;
        self.hand.advance_ms(UNTOLD_MS);
        self.hear().await;
        let tier = connect(&self.world.url).await;
        let fresh = join(&self.world, tier, &self.hand, &self.mood, |remote| remote).await;
        for id in 0..10 {
            let stored = self.one.beside.get(id).await.expect("a look-up").map(|row| row.count);
            for (name, node) in [("one", &self.one), ("other", &self.other), ("new", &fresh)] {
                assert_eq!(node.count(id).await, stored, "{case}: row {id} of the {name} node");
            }
        }
    }
}

/// A tier of a real server. It gives up early, and comes back early.
pub(super) async fn connect(url: &str) -> Arc<dyn Remote> {
    let config = RedisConfig::parse(url).expect("an address");
    let config = config.command_timeout_ms(250).ping_interval_ms(100).reconnect_ms(5, 50);
    let tier = RedisTier::connect(config.connect_timeout_ms(20_000)).expect("a tier");
    tier.ready().await.expect("it answers");
    Arc::new(tier)
}

/// A node of a world on a tier.
pub(super) async fn join(
    world: &World,
    tier: Arc<dyn Remote>,
    hand: &Hand,
    mood: &Moody,
    remote: impl FnOnce(RemoteCache) -> RemoteCache,
) -> Node {
    let shared = RemoteCache::new(tier, &world.application).untold_time_to_live_ms(UNTOLD_MS);
    let cache = Cache::new().all(POLICY).clock(Arc::new(hand.clone())).remote(remote(shared));
    let builder = Sora::builder().layer(mood.clone()).cache(cache);
    let store = builder.provider(world.store.clone());
    let items = store.repository().await.expect("a repository");
    Node { store, items, beside: world.beside().await }
}

pub(super) fn state(node: &Node) -> RemoteState {
    node.store.remote_state().expect("a tier")
}

impl Hand {
    pub(super) fn advance_ms(&self, time_ms: u64) {
        *self.0.lock().expect("no panic") += Duration::from_millis(time_ms);
    }
}

impl Clock for Hand {
    fn now(&self) -> Duration {
        *self.0.lock().expect("no panic")
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    /// The longest jitter that there is.
    fn random(&self) -> u64 {
        u64::MAX
    }
}
