//! Look-ups of single keys in the Redis tier, beside `GET` on a connection of the same client.
//!
//! All share one server of their own, on this machine, and have 10,000 values of 200 bytes. A server
//! that somebody listens to tracks what is read, so the tier is measured without a listener and with
//! one. "entity" is all of it: a repository whose rows are in Redis alone, made entities anew, with a
//! server of its own. A round is all look-ups of one side: each task asks for its next key when it has the last one.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo};
use rustix::time::{ClockId, clock_gettime};
use sora::{Cache, CacheMode, CachePolicy, Entity, RemoteCache, Repository, Sora};
use sora_core::remote::{Fill, Remote as _, RemoteListener, RemoteName, Slot, Token};
use sora_redis::{RedisConfig, RedisTier};
use sora_testbed::{Redis, RedisOptions};
use tokio::runtime::{Builder, Runtime};

use crate::{Result, quartiles};

const NAMES: u64 = 10_000;
const VALUE: [u8; 200] = [7; 200];
const TOKEN: Token = Token(1);
const TIME_MS: u64 = 3_600_000;
const PAIRS: usize = 9;
const ROUND: Duration = Duration::from_millis(1_000);

/// Prints rates and CPU time of all sides, and the ratio of each pair with its quartiles.
pub fn compare(tasks: u64) -> Result<()> {
    let bench = Bench::start(tasks)?;
    // Connections, pages of memory, and the server's table of what it tracks.
    for (_, side) in SIDES {
        bench.round(side, ROUND / 2)?;
    }
    let mut rounds = SIDES.map(|_| Vec::new());
    for pair in 0..PAIRS {
        for at in 0..SIDES.len() {
            // None is always the first.
            let at = if pair % 2 == 0 { at } else { SIDES.len() - 1 - at };
            rounds[at].push(bench.round(SIDES[at].1, ROUND)?);
        }
    }
    println!("{tasks} tasks, {PAIRS} pairs");
    for ((name, _), rounds) in SIDES.iter().zip(&rounds) {
        let facts =
            FACTS.map(|(_, fact)| quartiles(&rounds.iter().map(fact).collect::<Vec<_>>()).1);
        println!("  {name:>6} {}", words(facts));
    }
    for ((side, _), rounds_of_it) in SIDES.iter().zip(&rounds).skip(1) {
        for (name, fact) in &FACTS[..4] {
            let pairs = rounds_of_it.iter().zip(&rounds[0]);
            let ratios: Vec<f64> = pairs.map(|(own, direct)| fact(own) / fact(direct)).collect();
            let (low, middle, high) = quartiles(&ratios);
            println!("  {side:>6} / direct, {name:<12} {middle:.3} ({low:.3} to {high:.3})");
        }
    }
    Ok(())
}

/// Runs one side alone for a number of seconds: what a profile is made of.
pub fn alone(side: &str, tasks: u64, seconds: f64) -> Result<()> {
    let found = SIDES.iter().find(|(name, _)| *name == side);
    let (_, side) = *found.ok_or_else(|| {
        format!(
            "there is no side {side:?}: it is one of {}",
            SIDES.map(|(name, _)| name).join(", ")
        )
    })?;
    let round = Bench::start(tasks)?.round(side, Duration::from_secs_f64(seconds))?;
    println!("{}", words(FACTS.map(|(_, fact)| fact(&round))));
    Ok(())
}

/// What is said of a round.
const FACTS: [(&str, fn(&Round) -> f64); 5] = [
    ("rate", |round| round.count as f64 / round.wall.as_secs_f64()),
    ("client's CPU", |round| round.client_s * 1e6 / round.count as f64),
    ("server's CPU", |round| round.server_s * 1e6 / round.count as f64),
    ("CPU of both", |round| (round.client_s + round.server_s) * 1e6 / round.count as f64),
    ("keys of a command", |round| round.count as f64 / round.commands),
];

fn words([rate, client, server, _, keys]: [f64; 5]) -> String {
    format!(
        "{rate:>9.0}/s  CPU of a key: client {client:.2} us, server {server:.2} us  \
         keys of a command: {keys:.0}"
    )
}

#[derive(Clone, Copy)]
enum Side {
    Direct,
    Tier,
    /// A tier that has a listener.
    Told,
    /// A repository that keeps nothing in memory.
    Entity,
}

const SIDES: [(&str, Side); 4] = [
    ("direct", Side::Direct),
    ("tier", Side::Tier),
    ("told", Side::Told),
    ("entity", Side::Entity),
];

/// What the repository has: a row is 200 bytes and its number.
#[derive(Clone, Debug, Entity)]
#[sora(table = "items")]
struct Item {
    #[sora(key)]
    id: i64,
    value: Vec<u8>,
}

/// Hears what happens, and does nothing.
#[derive(Debug)]
struct Listener;

impl RemoteListener for Listener {
    fn changed(&self, _space: &str, _key: &[u8]) {}
    fn changed_all(&self) {}
    fn gap(&self, _up: bool) {}
}

/// How many look-ups a task made.
type Counted = std::result::Result<u64, String>;

/// What one side did in one round.
struct Round {
    count: u64,
    wall: Duration,
    client_s: f64,
    server_s: f64,
    /// How often the server was asked.
    commands: f64,
}

/// All sides, connected to one server.
struct Bench {
    runtime: Runtime,
    tasks: u64,
    tier: Arc<RedisTier>,
    told: Arc<RedisTier>,
    items: Repository<Item>,
    direct: MultiplexedConnection,
    names: Arc<Vec<RemoteName>>,
    keys: Arc<Vec<String>>,
    redis: Redis,
    /// The server of the repository: more keys in one would make each dearer for all.
    redis_of_items: Redis,
}

impl Bench {
    fn start(tasks: u64) -> Result<Self> {
        let redis = Redis::start(&RedisOptions::new())?;
        let runtime = match tasks {
            1 => Builder::new_current_thread().enable_all().build()?,
            _ => Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
        };
        let space: Arc<str> = "bench:item:v1".into();
        let name = |number: u64| RemoteName::new(space.clone(), number.to_be_bytes());
        let names: Vec<_> = (0..NAMES).map(name).collect();
        let keys: Vec<_> = (0..NAMES).map(|number| format!("direct:{number}")).collect();
        let (tier, direct) = runtime.block_on(prepare(&redis, &names, &keys))?;
        let told = runtime.block_on(connect(&redis))?;
        told.listen(Arc::new(Listener));
        let redis_of_items = Redis::start(&RedisOptions::new())?;
        let items = runtime.block_on(items(&redis_of_items))?;
        let (tier, told) = (Arc::new(tier), Arc::new(told));
        let (names, keys) = (Arc::new(names), Arc::new(keys));
        Ok(Self { runtime, tasks, tier, told, items, direct, names, keys, redis, redis_of_items })
    }

    fn round(&self, side: Side, time: Duration) -> Result<Round> {
        let server = if let Side::Entity = side { &self.redis_of_items } else { &self.redis };
        let (commands, server_s, client_s) = (commands(server)?, server_s(server)?, client_s());
        let start = Instant::now();
        let count = match side {
            Side::Direct => self.in_tasks(time, |task, end| self.direct(task, end)),
            Side::Tier => self.in_tasks(time, |task, end| self.fetches(&self.tier, task, end)),
            Side::Told => self.in_tasks(time, |task, end| self.fetches(&self.told, task, end)),
            Side::Entity => self.in_tasks(time, |task, end| self.entities(task, end)),
        }?;
        Ok(Round {
            count,
            wall: start.elapsed(),
            client_s: self::client_s() - client_s,
            server_s: self::server_s(server)? - server_s,
            commands: self::commands(server)? - commands,
        })
    }

    fn in_tasks<F>(&self, time: Duration, run: impl Fn(u64, Instant) -> F) -> Result<u64>
    where
        F: Future<Output = Counted> + Send + 'static,
    {
        self.runtime.block_on(async {
            let end = Instant::now() + time;
            let running: Vec<_> =
                (0..self.tasks).map(|task| tokio::spawn(run(task, end))).collect();
            let mut count = 0;
            for task in running {
                count += task.await??;
            }
            Ok(count)
        })
    }

    fn direct(&self, task: u64, end: Instant) -> impl Future<Output = Counted> + use<> {
        let (mut direct, keys, step) = (self.direct.clone(), self.keys.clone(), self.tasks);
        async move {
            let mut count = 0;
            while Instant::now() < end {
                let key = &keys[((count * step + task) % NAMES) as usize];
                let value: redis::RedisResult<Option<Vec<u8>>> =
                    redis::cmd("GET").arg(key).query_async(&mut direct).await;
                let value = value.map_err(|error| error.to_string())?;
                assert_eq!(black_box(value).map(|value| value.len()), Some(VALUE.len()));
                count += 1;
            }
            Ok(count)
        }
    }

    fn fetches(
        &self,
        tier: &Arc<RedisTier>,
        task: u64,
        end: Instant,
    ) -> impl Future<Output = Counted> + use<> {
        let (tier, names, step) = (tier.clone(), self.names.clone(), self.tasks);
        async move {
            let mut count = 0;
            while Instant::now() < end {
                let at = ((count * step + task) % NAMES) as usize;
                let slots = tier.fetch(&names[at..=at]).await;
                let slots = slots.map_err(|error| error.to_string())?;
                assert!(
                    matches!(black_box(&*slots), [Slot::Value(value)] if value.len() == VALUE.len())
                );
                count += 1;
            }
            Ok(count)
        }
    }

    fn entities(&self, task: u64, end: Instant) -> impl Future<Output = Counted> + use<> {
        let (items, step) = (self.items.clone(), self.tasks);
        async move {
            let mut count = 0;
            while Instant::now() < end {
                let id = ((count * step + task) % NAMES) as i64;
                let item = items.get(&id).await.map_err(|error| error.to_string())?;
                let len = black_box(item).map(|item| (item.id, item.value.len()));
                assert_eq!(len, Some((id, VALUE.len())));
                count += 1;
            }
            Ok(count)
        }
    }
}

/// How often a server was asked for values so far.
fn commands(redis: &Redis) -> Result<f64> {
    let calls = redis.calls()?;
    Ok(["get", "mget"].iter().filter_map(|name| calls.get(*name)).sum::<u64>() as f64)
}

/// The CPU time of a server so far.
fn server_s(redis: &Redis) -> Result<f64> {
    let info = redis.info("cpu")?;
    let field = |name: &str| -> Result<f64> {
        Ok(info.get(name).ok_or("the server does not tell its CPU time")?.trim().parse()?)
    };
    Ok(field("used_cpu_user")? + field("used_cpu_sys")?)
}

/// Connects both sides, and gives each the same values.
async fn prepare(
    redis: &Redis,
    names: &[RemoteName],
    keys: &[String],
) -> Result<(RedisTier, MultiplexedConnection)> {
    let tier = connect(redis).await?;
    let stream = tokio::net::TcpStream::connect((redis.host(), redis.port())).await?;
    stream.set_nodelay(true)?;
    let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
    let (mut direct, driver) =
        MultiplexedConnection::new_with_config(&info, stream, AsyncConnectionConfig::new()).await?;
    tokio::spawn(driver);
    for (names, keys) in names.chunks(1_000).zip(keys.chunks(1_000)) {
        tier.lease(names, TOKEN, TIME_MS).await?;
        let fill = |name: &RemoteName| Fill {
            name: name.clone(),
            value: VALUE.to_vec(),
            time_to_live_ms: TIME_MS,
        };
        tier.fill(names.iter().map(fill).collect(), TOKEN, &[]).await?;
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.cmd("SET").arg(key).arg(&VALUE[..]).ignore();
        }
        pipeline.exec_async(&mut direct).await?;
    }
    Ok((tier, direct))
}

/// Opens a repository whose rows are all in Redis, where every look-up asks for them.
async fn items(redis: &Redis) -> Result<Repository<Item>> {
    let remote = RemoteCache::new(Arc::new(connect(redis).await?), "bench");
    let cache = Cache::new().entity::<Item>(CachePolicy::new()).remote(remote);
    let store = Sora::builder().cache(cache).open("memory:").await?;
    store.ensure_schema::<Item>().await?;
    let items: Repository<Item> = store.repository().await?;
    let items = items.cache_mode(CacheMode::SkipMemory);
    let ids: Vec<i64> = (0..NAMES as i64).collect();
    for ids in ids.chunks(1_000) {
        let rows: Vec<Item> =
            ids.iter().map(|id| Item { id: *id, value: VALUE.to_vec() }).collect();
        items.upsert_many(&rows).await?;
        // Those are the misses that fill Redis.
        items.get_many(ids).await?;
    }
    Ok(items)
}

async fn connect(redis: &Redis) -> Result<RedisTier> {
    let tier = RedisTier::connect(RedisConfig::parse(&redis.url())?.command_timeout_ms(10_000))?;
    tier.ready().await?;
    Ok(tier)
}

/// The CPU time of this process so far.
fn client_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
