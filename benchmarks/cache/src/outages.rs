//! What a service notices of a Redis that is away, late or has lost its data: two nodes that share it over
//! one PostgreSQL, beside the same load on the same PostgreSQL without a cache.
//!
//! Of each node 32 tasks look up rows, by Zipf's law, and 2 add to rows, each at its pace. A fault lasts for
//! some seconds, and some more are measured until all is well again. Then the load ends, and all rows of
//! both nodes are compared with the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sora::provider::BoxFuture;
use sora::redis::{RedisConfig, RedisTier};
use sora::{Cache, CachePolicy, Entity, RemoteCache, Repository, Sora};
use sora_core::remote::{
    Fill, Filled, Remote, RemoteCapability, RemoteListener, RemoteName, RemoteTraffic, Slot, Token,
};
use sora_testbed::{
    Direction, Postgres, PostgresOptions, Redis, RedisOptions, RedisProxy, RedisSnapshot,
};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::Result;

const ROWS: i64 = 10_000;
const READERS: u64 = 32;
const WRITERS: u64 = 2;
const READ_PACE: Duration = Duration::from_millis(10);
const WRITE_PACE: Duration = Duration::from_millis(20);
const BEFORE: Duration = Duration::from_secs(2);
const HARM: Duration = Duration::from_secs(4);
const BEHIND: Duration = Duration::from_secs(2);
/// How long a node may keep what nobody told it of, and more.
const UNTOLD: Duration = Duration::from_millis(1_200);

#[derive(Clone, Debug, Entity)]
#[sora(table = "visitors")]
struct Visitor {
    #[sora(key)]
    id: i64,
    name: String,
    visits: i64,
}

/// A fault: what is done at its begin, and at its end.
struct Fault {
    name: &'static str,
    harm: fn(&Scene, &RedisSnapshot) -> Result<()>,
    undo: fn(&Scene) -> Result<()>,
}

const FAULTS: &[Fault] = &[
    Fault { name: "none", harm: |_, _| Ok(()), undo: |_| Ok(()) },
    Fault {
        name: "killed",
        harm: |scene, _| Ok(scene.redis.kill()?),
        undo: |scene| Ok(scene.redis.restart()?),
    },
    Fault {
        name: "paused",
        harm: |scene, _| Ok(scene.redis.pause()?),
        undo: |scene| Ok(scene.redis.resume()?),
    },
    Fault {
        name: "2 s late",
        harm: |scene, _| {
            scene.proxy.faults().delay(Direction::ToClient, Duration::from_secs(2));
            Ok(())
        },
        undo: |scene| {
            scene.proxy.faults().clear();
            Ok(())
        },
    },
    Fault {
        name: "restarted empty",
        harm: |scene, _| Ok(scene.redis.restart_empty()?),
        undo: |_| Ok(()),
    },
    Fault {
        name: "restarted with old data",
        harm: |scene, old| Ok(scene.redis.restart_with(old)?),
        undo: |_| Ok(()),
    },
];

struct Scene {
    redis: Redis,
    proxy: RedisProxy,
    nodes: [Node; 2],
    plain: Repository<Visitor>,
    /// The share of look-ups that go to a row or one before it.
    shares: Arc<Vec<f64>>,
}

struct Node {
    store: Sora,
    visitors: Repository<Visitor>,
    longest_us: Arc<AtomicU64>,
}

/// What the requests of some tasks took, in microseconds, and how many failed.
#[derive(Default)]
struct Took {
    us: Vec<u64>,
    failures: u64,
}

/// Prints a table of all faults.
pub fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let postgres = Postgres::start(&PostgresOptions::new())?;
    println!(
        "| fault | requests | failed | p50 µs | p99 ms | max ms | p99 without a cache | longest \
         call to Redis, ms | stale rows afterwards | most in a journal |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for fault in FAULTS {
        runtime.block_on(one(fault, &postgres))?;
    }
    Ok(())
}

async fn one(fault: &Fault, postgres: &Postgres) -> Result<()> {
    let scene = Scene::new(&postgres.url("postgres")).await?;
    let warm = Load::start(&scene, scene.cached());
    tokio::time::sleep(BEFORE).await;
    let old = scene.redis.snapshot()?;
    warm.end().await;
    for node in &scene.nodes {
        node.longest_us.store(0, Ordering::Relaxed);
    }
    let load = Load::start(&scene, scene.cached());
    (fault.harm)(&scene, &old)?;
    let mut journal = scene.watch(HARM).await;
    (fault.undo)(&scene)?;
    journal = journal.max(scene.watch(BEHIND).await);
    let cached = load.end().await;
    let longest_us =
        scene.nodes.iter().map(|node| node.longest_us.load(Ordering::Relaxed)).max().unwrap_or(0);
    let stale = scene.stale().await?;
    let load = Load::start(&scene, [scene.plain.clone(), scene.plain.clone()]);
    tokio::time::sleep(HARM).await;
    let plain = load.end().await;
    println!(
        "| {} | {} | {} | {:.1} | {:.1} | {:.0} | {:.1} | {:.0} | {stale} | {journal} |",
        fault.name,
        cached.us.len(),
        cached.failures + plain.failures,
        cached.quantile_ms(0.5) * 1e3,
        cached.quantile_ms(0.99),
        cached.quantile_ms(1.0),
        plain.quantile_ms(0.99),
        longest_us as f64 / 1e3,
    );
    Ok(())
}

impl Scene {
    async fn new(url: &str) -> Result<Self> {
        let redis = Redis::start(&RedisOptions::new().persisted())?;
        let proxy = RedisProxy::start(&redis)?;
        let plain = Sora::builder().open(url).await?;
        plain.ensure_schema::<Visitor>().await?;
        let plain = plain.repository::<Visitor>().await?;
        for from in (0..ROWS).step_by(1_000) {
            let rows: Vec<Visitor> = (from..from + 1_000).map(visitor).collect();
            plain.upsert_many(rows).await?;
        }
        let nodes = [Node::new(url, &proxy).await?, Node::new(url, &proxy).await?];
        let mut sum = 0.0;
        let weights = (1..=ROWS).map(|rank| {
            sum += (rank as f64).powf(-0.99);
            sum
        });
        let mut shares: Vec<f64> = weights.collect();
        shares.iter_mut().for_each(|share| *share /= sum);
        Ok(Self { redis, proxy, nodes, plain, shares: Arc::new(shares) })
    }

    fn cached(&self) -> [Repository<Visitor>; 2] {
        [self.nodes[0].visitors.clone(), self.nodes[1].visitors.clone()]
    }

    /// Lets time pass, and returns how much a node had to tell at most.
    async fn watch(&self, time: Duration) -> u64 {
        let end = Instant::now() + time;
        let mut most = 0;
        while Instant::now() < end {
            most = self.journals().fold(most, u64::max);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        most
    }

    fn journals(&self) -> impl Iterator<Item = u64> {
        let states = self.nodes.iter().filter_map(|node| node.store.remote_state());
        states.map(|state| state.journal)
    }

    /// Counts the rows that a node gives otherwise than the store, when all is told.
    async fn stale(&self) -> Result<usize> {
        let is_up = |node: &Node| node.store.remote_state().is_some_and(|state| state.is_up);
        while !self.nodes.iter().all(is_up) || self.journals().any(|journal| journal > 0) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(UNTOLD).await;
        let mut stale = 0;
        for from in (0..ROWS).step_by(500) {
            let stored = self.plain.get_many(from..from + 500).await?;
            for node in &self.nodes {
                let given = node.visitors.get_many(from..from + 500).await?;
                let pairs = stored.iter().flatten().zip(given.iter().flatten());
                stale += 500 - pairs.filter(|(one, other)| one.visits == other.visits).count();
            }
        }
        Ok(stale)
    }
}

fn visitor(id: i64) -> Visitor {
    Visitor { id, name: format!("visitor number {id}"), visits: 0 }
}

impl Node {
    async fn new(url: &str, proxy: &RedisProxy) -> Result<Self> {
        let tier = RedisTier::connect(RedisConfig::parse(proxy.url())?)?;
        tier.ready().await?;
        let longest_us = Arc::new(AtomicU64::new(0));
        let tier = Clocked { tier, longest_us: longest_us.clone() };
        let remote = RemoteCache::new(Arc::new(tier), "outages");
        let cache = Cache::new().all(CachePolicy::new()).remote(remote);
        let store = Sora::builder().cache(cache).open(url).await?;
        let visitors = store.repository::<Visitor>().await?;
        Ok(Self { store, visitors, longest_us })
    }
}

/// Requests without end.
struct Load {
    tasks: JoinSet<Took>,
    ends: Arc<AtomicBool>,
}

impl Load {
    fn start(scene: &Scene, nodes: [Repository<Visitor>; 2]) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (node, visitors) in nodes.into_iter().enumerate() {
            for task in 0..READERS + WRITERS {
                let seed = 1 + task + (READERS + WRITERS) * node as u64;
                let chance = Chance { state: seed, shares: scene.shares.clone() };
                tasks.spawn(requests(visitors.clone(), chance, task < WRITERS, ends.clone()));
            }
        }
        Self { tasks, ends }
    }

    async fn end(self) -> Took {
        self.ends.store(true, Ordering::Relaxed);
        let mut all = Took::default();
        for took in self.tasks.join_all().await {
            all.us.extend(took.us);
            all.failures += took.failures;
        }
        all.us.sort_unstable();
        all
    }
}

async fn requests(
    visitors: Repository<Visitor>,
    mut chance: Chance,
    writes: bool,
    ends: Arc<AtomicBool>,
) -> Took {
    let mut took = Took::default();
    let mut pace = tokio::time::interval(if writes { WRITE_PACE } else { READ_PACE });
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !ends.load(Ordering::Relaxed) {
        pace.tick().await;
        let id = chance.id();
        let started = Instant::now();
        let is_well = match writes {
            true => visitors.patch(id, [Visitor::VISITS.add(1)]).await.is_ok(),
            false => matches!(visitors.get(id).await, Ok(Some(_))),
        };
        // Writes wait for the disk: they are asked whether they fail, and no more.
        if !writes {
            took.us.push(started.elapsed().as_micros() as u64);
        }
        took.failures += u64::from(!is_well);
    }
    took
}

impl Took {
    fn quantile_ms(&self, share: f64) -> f64 {
        let at = (self.us.len().saturating_sub(1) as f64 * share) as usize;
        self.us.get(at).map_or(0.0, |us| *us as f64 / 1e3)
    }
}

/// Keys by Zipf's law.
struct Chance {
    state: u64,
    shares: Arc<Vec<f64>>,
}

impl Chance {
    fn id(&mut self) -> i64 {
        // Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        self.shares.partition_point(|until| *until < share).min(ROWS as usize - 1) as i64
    }
}

/// A tier whose longest call is known.
#[derive(Debug)]
struct Clocked {
    tier: RedisTier,
    longest_us: Arc<AtomicU64>,
}

impl Clocked {
    fn clock<'a, T: 'a>(
        &'a self,
        call: BoxFuture<'a, sora::Result<T>>,
    ) -> BoxFuture<'a, sora::Result<T>> {
        Box::pin(async {
            let started = Instant::now();
            let called = call.await;
            self.longest_us.fetch_max(started.elapsed().as_micros() as u64, Ordering::Relaxed);
            called
        })
    }
}

impl Remote for Clocked {
    fn name(&self) -> &'static str {
        self.tier.name()
    }

    fn capability(&self) -> RemoteCapability {
        self.tier.capability()
    }

    fn traffic(&self) -> RemoteTraffic {
        self.tier.traffic()
    }

    fn fetch<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, sora::Result<Vec<Slot>>> {
        self.clock(self.tier.fetch(names))
    }

    fn lease<'a>(
        &'a self,
        names: &'a [RemoteName],
        token: Token,
        time_ms: u64,
    ) -> BoxFuture<'a, sora::Result<Vec<Slot>>> {
        self.clock(self.tier.lease(names, token, time_ms))
    }

    fn fill<'a>(
        &'a self,
        fills: Vec<Fill>,
        token: Token,
        counters: &'a [RemoteName],
    ) -> BoxFuture<'a, sora::Result<Filled>> {
        self.clock(self.tier.fill(fills, token, counters))
    }

    fn release<'a>(
        &'a self,
        names: &'a [RemoteName],
        token: Token,
    ) -> BoxFuture<'a, sora::Result<()>> {
        self.clock(self.tier.release(names, token))
    }

    fn remove<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, sora::Result<()>> {
        self.clock(self.tier.remove(names))
    }

    fn block<'a>(
        &'a self,
        names: &'a [RemoteName],
        time_ms: u64,
    ) -> BoxFuture<'a, sora::Result<()>> {
        self.clock(self.tier.block(names, time_ms))
    }

    fn counters<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, sora::Result<Vec<u64>>> {
        self.clock(self.tier.counters(names))
    }

    fn bump<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, sora::Result<Vec<u64>>> {
        self.clock(self.tier.bump(names))
    }

    fn listen(&self, listener: Arc<dyn RemoteListener>) {
        self.tier.listen(listener);
    }
}
