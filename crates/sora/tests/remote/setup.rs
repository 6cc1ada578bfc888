//! How a node of a test is set up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sora::provider::BoxFuture;
use sora::redis::{RedisConfig, RedisTier};
use sora::remote::Remote;
use sora::{Cache, CachePolicy, Clock, RemoteCache, Sora};
use sora_testbed::RedisProxy;

use super::held::Held;
use super::unfenced::Unfenced;
use super::{Item, Node, World};

/// The set-up of a node; as it comes, patient, because the machine may be busy.
pub(crate) struct Setup {
    policy: CachePolicy,
    url: Option<String>,
    held: Held,
    hand: Option<Hand>,
    is_fenced: bool,
    lease_time_ms: u64,
    remote: fn(RemoteCache) -> RemoteCache,
}

/// A clock that stands until it is moved.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hand(Arc<Mutex<Duration>>);

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            policy: CachePolicy::new(),
            url: None,
            held: Held::default(),
            hand: None,
            is_fenced: true,
            lease_time_ms: 60_000,
            remote: |remote| remote,
        }
    }

    pub(crate) fn policy(mut self, policy: CachePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Reaches Redis through a proxy.
    pub(crate) fn through(mut self, proxy: &RedisProxy) -> Self {
        self.url = Some(proxy.url().to_owned());
        self
    }

    /// Reads the store through a layer.
    pub(crate) fn held(mut self, held: &Held) -> Self {
        self.held = held.clone();
        self
    }

    pub(crate) fn clock(mut self, hand: &Hand) -> Self {
        self.hand = Some(hand.clone());
        self
    }

    pub(crate) fn lease_time_ms(mut self, time_ms: u64) -> Self {
        self.lease_time_ms = time_ms;
        self
    }

    /// Says how the shared tier is used.
    pub(crate) fn remote(mut self, remote: fn(RemoteCache) -> RemoteCache) -> Self {
        self.remote = remote;
        self
    }

    /// Fills the shared tier whatever has happened since the load began.
    pub(crate) fn unfenced(mut self) -> Self {
        self.is_fenced = false;
        self
    }

    pub(crate) async fn open(self, world: &World) -> Node {
        let config = RedisConfig::parse(self.url.as_ref().unwrap_or(&world.url));
        let config = config.expect("an address").command_timeout_ms(20_000);
        let tier = RedisTier::connect(config.connect_timeout_ms(20_000)).expect("a tier");
        tier.ready().await.expect("it answers");
        let application = world.application.clone();
        let tier: Arc<dyn Remote> = match self.is_fenced {
            true => Arc::new(tier),
            false => Arc::new(Unfenced { tier, url: world.url.clone(), application }),
        };
        let remote = RemoteCache::new(tier, &world.application).lease_time_ms(self.lease_time_ms);
        let mut cache = Cache::new().all(self.policy).remote((self.remote)(remote));
        if let Some(hand) = self.hand {
            cache = cache.clock(Arc::new(hand));
        }
        let builder = Sora::builder().layer(self.held).cache(cache);
        let store = builder.provider(world.store.clone());
        let items = store.repository::<Item>().await.expect("a repository");
        Node { store, items, beside: world.beside().await }
    }
}

impl Hand {
    pub(crate) fn advance_ms(&self, time_ms: u64) {
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
