//! The nodes, their Redis and their store.

use std::sync::Arc;

use sora::redis::{RedisConfig, RedisTier};
use sora::{CachePolicy, Error, ErrorKind, RemoteCache, Result, Sora};
use sora_conformance::coherence::{Bounds, SlowStore, TierWatch, Workload};
use sora_core::memory::Memory;
use sora_core::provider::SharedProvider;
use sora_testbed::{Redis, RedisOptions, RedisProxy};

use crate::Run;

/// How long a call waits for Redis.
const COMMAND_TIMEOUT_MS: u64 = 100;
/// How often Redis is asked whether it answers.
const PING_INTERVAL_MS: u64 = 200;
/// How long a value may stay in Redis.
const REMOTE_TIME_TO_LIVE_MS: u64 = 2_000;
/// How long a row is fresh in memory while nobody tells of its changes.
const UNTOLD_MS: u64 = 300;
/// How long a write of unknown outcome may still happen.
const UNKNOWN_MS: u64 = 150;
/// How long a task may wait for a processor: the clock goes on meanwhile.
const SCHEDULE_MS: u64 = 250;

/// Clients of one store, each with a connection to Redis of its own.
pub(crate) struct Nodes {
    pub(crate) redis: Arc<Redis>,
    pub(crate) proxies: Arc<[RedisProxy]>,
    pub(crate) clients: Vec<Sora>,
    pub(crate) watch: Arc<TierWatch>,
}

impl Nodes {
    pub(crate) async fn open(run: &Run) -> Result<Self> {
        let redis =
            Redis::start(&RedisOptions::new().persisted()).map_err(|error| of_redis(&error))?;
        let watch = TierWatch::new();
        let store = open_store(&run.store).await?;
        let mut proxies = Vec::with_capacity(run.nodes);
        let mut clients = Vec::with_capacity(run.nodes);
        for at in 0..run.nodes {
            let proxy = RedisProxy::start(&redis).map_err(|error| of_redis(&error))?;
            let config = RedisConfig::parse(proxy.url())?
                .command_timeout_ms(COMMAND_TIMEOUT_MS)
                .ping_interval_ms(PING_INTERVAL_MS)
                .reconnect_ms(20, 200);
            let tier = RedisTier::connect(config)?;
            tier.ready().await?;
            let remote = RemoteCache::new(Arc::new(tier), "history");
            let policy = CachePolicy::new()
                .remote_time_to_live_ms(REMOTE_TIME_TO_LIVE_MS)
                .unknown_time_ms(UNKNOWN_MS);
            let remote = remote.untold_time_to_live_ms(UNTOLD_MS);
            let cache = Workload::cache(policy).remote(remote);
            let seed = run.seed.wrapping_mul(1_000).wrapping_add(at as u64);
            let slow =
                SlowStore { seed, delay_us_max: 2_000, lose_percent: 1, late_us_max: 20_000 };
            let builder = Sora::builder().layer(slow).observer(watch.clone()).cache(cache);
            clients.push(builder.provider(store.clone()));
            proxies.push(proxy);
        }
        Ok(Self { redis: Arc::new(redis), proxies: proxies.into(), clients, watch })
    }

    /// What the tier states: its own bound while it is up. A writer that is cut off can't say what it has
    /// written; its values end with their time to live.
    pub(crate) fn bounds(run: &Run) -> Bounds {
        let told_ms = (PING_INTERVAL_MS + COMMAND_TIMEOUT_MS).max(UNTOLD_MS) + SCHEDULE_MS;
        if !run.cuts && !run.restarts {
            return run.bounds.or(told_ms, 0);
        }
        let others_ms = REMOTE_TIME_TO_LIVE_MS + UNTOLD_MS + told_ms;
        run.bounds.or(others_ms, others_ms)
    }
}

async fn open_store(address: &str) -> Result<SharedProvider> {
    if address == "memory:" {
        return Ok(Arc::new(Memory::new()));
    }
    if !address.starts_with("sqlite:") {
        let message = "the store of a history is memory: or sqlite:PATH";
        return Err(Error::new(ErrorKind::InvalidInput, message).with("store", address));
    }
    let config = sora::sqlite::SqliteConfig::parse(address)?;
    Ok(Arc::new(sora::sqlite::Sqlite::open(config).await?))
}

fn of_redis(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, error.to_string())
}
