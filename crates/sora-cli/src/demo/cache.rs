//! Rows that are kept in memory, and in a Redis that two nodes share.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sora::redis::{RedisConfig, RedisTier};
use sora::{Cache, CachePolicy, RemoteCache, Repository, Sora, Type, Value};

use super::data::Zip;
use super::screen::{Screen, grouped};
use super::watcher::Watcher;
use crate::failure::{Failure, Outcome};

/// A Redis that nodes share.
#[derive(Debug)]
pub(super) struct SharedCache {
    config: RedisConfig,
    /// What the nodes of this run have in common, and nobody else.
    application: String,
}

/// One who reads and writes, with a memory of its own.
#[derive(Debug)]
struct Node {
    store: Sora,
    zips: Repository<Zip>,
}

/// Rows that are read, and how often all of them are.
const ROWS: u64 = 1_000;
const ROUNDS: u32 = 20;

/// How long what a node puts in Redis stays there.
const TIME_TO_LIVE_MS: u64 = 60_000;

/// How long a node waits to be told of a write.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

impl SharedCache {
    /// Connects once, to see that the server answers.
    ///
    /// # Errors
    ///
    /// If the address is malformed, or nobody answers there.
    pub(super) async fn connect(url: &str) -> Outcome<Self> {
        let config = RedisConfig::parse(url).map_err(|error| Failure::argument(&error))?;
        let tier = RedisTier::connect(config.clone())?;
        tier.ready().await.map_err(|error| {
            Failure::failed(format!("the cache of --cache cannot be used: {error}"))
        })?;
        let started = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let application = format!("sora-demo-{}-{started}", std::process::id());
        Ok(Self { config, application })
    }
}

impl Node {
    async fn new(
        store: &Sora,
        watcher: Arc<Watcher>,
        shared: Option<&SharedCache>,
    ) -> Outcome<Self> {
        let policy = CachePolicy::new().remote_time_to_live_ms(TIME_TO_LIVE_MS);
        let mut cache = Cache::new().entity::<Zip>(policy);
        if let Some(shared) = shared {
            let tier = RedisTier::connect(shared.config.clone())?;
            tier.ready().await?;
            cache = cache.remote(RemoteCache::new(Arc::new(tier), &shared.application));
        }
        let store =
            Sora::builder().observer(watcher).cache(cache).provider(store.provider().clone());
        let zips = store.repository::<Zip>().await?;
        Ok(Self { store, zips })
    }

    /// Reads all rows, round by round; returns how long one read took in the first round, and in those
    /// behind it.
    async fn read(&self, codes: &[String]) -> Outcome<[Duration; 2]> {
        let first = self.round(codes).await?;
        let mut again = Duration::ZERO;
        for _ in 1..ROUNDS {
            again += self.round(codes).await?;
        }
        let rows = u32::try_from(codes.len().max(1)).unwrap_or(u32::MAX);
        Ok([first / rows, again / rows / (ROUNDS - 1)])
    }

    async fn round(&self, codes: &[String]) -> Outcome<Duration> {
        let started = Instant::now();
        for code in codes {
            black_box(self.zips.get(code.as_str()).await?);
        }
        Ok(started.elapsed())
    }

    async fn latitude(&self, code: &str) -> Outcome<Option<f64>> {
        Ok(self.zips.get(code).await?.map(|zip| zip.latitude))
    }
}

/// Reads rows again and again, writes one, and shows who answered.
pub(super) async fn show(
    store: &Sora,
    watcher: Arc<Watcher>,
    shared: Option<SharedCache>,
    screen: &mut Screen<'_>,
) -> Outcome {
    screen.heading("Cache", "rows by key in memory, never older than a write through Sora")?;
    let zips = store.repository::<Zip>().await?;
    let some = zips.query(Zip::STATE.eq("NY")).limit(ROWS).fetch().await?.into_vec();
    let codes: Vec<String> = some.into_iter().map(|zip| zip.code).collect();
    let Some(code) = codes.first() else { return Ok(()) };

    let uncached = Node { store: store.clone(), zips };
    let plain = uncached.read(&codes).await?;
    let mut rows = vec![row("no cache", [u64::from(ROUNDS) * codes.len() as u64, 0, 0], plain)];
    let names = if shared.is_some() { &["node A", "node B"][..] } else { &["cached"][..] };
    let mut nodes = Vec::new();
    for name in names {
        let node = Node::new(store, watcher.clone(), shared.as_ref()).await?;
        let times = node.read(&codes).await?;
        let numbers = node.zips.cache_numbers().unwrap_or_default();
        let from_store = numbers.misses - numbers.remote_hits;
        rows.push(row(name, [from_store, numbers.remote_hits, numbers.hits], times));
        nodes.push(node);
    }
    let number = Type::I64;
    screen.table(
        &[
            ("", Type::Text),
            ("from the store", number),
            ("from Redis", number),
            ("from memory", number),
            ("first read", number),
            ("again", number),
        ],
        &rows,
    )?;
    if let [node] = &*nodes {
        write_alone(node, code, screen).await?;
    }
    if let [one, other] = &*nodes {
        write_told(one, other, code, screen).await?;
    }
    Ok(())
}

/// Shows that a write is seen by the reads behind it.
async fn write_alone(node: &Node, code: &str, screen: &mut Screen<'_>) -> Outcome {
    let before = node.latitude(code).await?.unwrap_or_default();
    node.zips.patch(code, [Zip::LATITUDE.set(before + 1.0)]).await?;
    let after = node.latitude(code).await?.unwrap_or_default();
    node.zips.patch(code, [Zip::LATITUDE.set(before)]).await?;
    screen.lines(format_args!(
        "Zip {code} was moved from latitude {before:.2}; the next read gives {after:.2}."
    ))
}

/// Shows that a write of one node is seen by the other, and how soon.
async fn write_told(one: &Node, other: &Node, code: &str, screen: &mut Screen<'_>) -> Outcome {
    let before = other.latitude(code).await?.unwrap_or_default();
    one.zips.patch(code, [Zip::LATITUDE.set(before + 1.0)]).await?;
    let written = Instant::now();
    let after = loop {
        let after = other.latitude(code).await?.unwrap_or_default();
        let is_seen = (after - before).abs() > 0.5;
        if is_seen || written.elapsed() > TOLD_WITHIN {
            break after;
        }
        tokio::task::yield_now().await;
    };
    let told = written.elapsed();
    one.zips.patch(code, [Zip::LATITUDE.set(before)]).await?;
    screen.lines(format_args!(
        "Zip {code} was moved by node A from latitude {before:.2}; node B reads {after:.2}, {} after \
         the write had returned.",
        short(told)
    ))?;
    match one.store.remote_state() {
        Some(state) => screen.lines(format_args!(
            "Were Redis silent, a node would notice within {} ms and ask again.",
            state.capability.staleness_max_ms.unwrap_or_default()
        )),
        None => Ok(()),
    }
}

fn row(name: &str, counts: [u64; 3], times: [Duration; 2]) -> Vec<Value> {
    let text = |text: String| Value::Text(text.into());
    let [store, redis, memory] = counts.map(grouped);
    let [first, again] = times.map(short);
    [name.into(), store, redis, memory, first, again].into_iter().map(text).collect()
}

/// Returns a time of which microseconds are too many.
fn short(duration: Duration) -> String {
    match duration.as_nanos() {
        nanos @ 0..10_000 => format!("{nanos} ns"),
        nanos @ 10_000..10_000_000 => format!("{} µs", nanos / 1_000),
        nanos => format!("{} ms", nanos / 1_000_000),
    }
}
