//! Look-ups of single keys in the Redis tier, beside `GET` on a connection of the same client.
//!
//! Both share one server of their own, on this machine, and have 10,000 values of 200 bytes each. The
//! tier tracks what it reads; the connection does not. A round is all look-ups of one side: each task
//! asks for its next key when it has the last one.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo};
use rustix::time::{ClockId, clock_gettime};
use sora_core::remote::{Fill, Remote as _, RemoteName, Slot, Token};
use sora_redis::{RedisConfig, RedisTier};
use sora_testbed::{Redis, RedisOptions};
use tokio::runtime::{Builder, Runtime};

use crate::{Result, quartiles};

const NAMES: u64 = 10_000;
const VALUE: [u8; 200] = [7; 200];
const TOKEN: Token = Token(1);
const TIME_MS: u64 = 3_600_000;
const PAIRS: usize = 9;
const TASKS: [u64; 3] = [1, 16, 256];
const ROUND: Duration = Duration::from_millis(1_000);

/// Prints rates and CPU time of both sides, and the ratio of each pair with its quartiles.
pub fn compare() -> Result<()> {
    for tasks in TASKS {
        let bench = Bench::start(tasks)?;
        // Connections, pages of memory, and the server's table of what it tracks.
        bench.round(Side::Direct, ROUND / 2)?;
        bench.round(Side::Tier, ROUND / 2)?;
        let (mut directs, mut tiers) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            // Neither is always the first.
            if pair % 2 == 0 {
                directs.push(bench.round(Side::Direct, ROUND)?);
                tiers.push(bench.round(Side::Tier, ROUND)?);
            } else {
                tiers.push(bench.round(Side::Tier, ROUND)?);
                directs.push(bench.round(Side::Direct, ROUND)?);
            }
        }
        println!("{tasks} tasks, {PAIRS} pairs");
        for (name, rounds) in [("direct", &directs), ("tier", &tiers)] {
            let [rate, client, server] =
                FACTS.map(|(_, fact)| middle(rounds.iter().map(fact).collect()));
            println!(
                "  {name:>6} {rate:>9.0}/s  CPU each: client {client:.2} us, server {server:.2} us"
            );
        }
        for (name, fact) in FACTS {
            let ratios: Vec<f64> =
                tiers.iter().zip(&directs).map(|(tier, direct)| fact(tier) / fact(direct)).collect();
            let (low, middle, high) = quartiles(&ratios);
            println!("  ratio of {name:<13} {middle:.3} (quartiles {low:.3} to {high:.3})");
        }
    }
    Ok(())
}

/// Runs one side alone for a number of seconds: what a profile is made of.
pub fn alone(side: &str, tasks: u64, seconds: f64) -> Result<()> {
    let side = match side {
        "direct" => Side::Direct,
        "tier" => Side::Tier,
        _ => return Err(format!("there is no side {side:?}").into()),
    };
    let round = Bench::start(tasks)?.round(side, Duration::from_secs_f64(seconds))?;
    let [rate, client, server] = FACTS.map(|(_, fact)| fact(&round));
    println!("{rate:.0}/s  CPU each: client {client:.2} us, server {server:.2} us");
    Ok(())
}

/// What is said of a round.
const FACTS: [(&str, fn(&Round) -> f64); 3] = [
    ("rates", |round| round.count as f64 / round.wall.as_secs_f64()),
    ("client's CPU", |round| round.client_s * 1e6 / round.count as f64),
    ("server's CPU", |round| round.server_s * 1e6 / round.count as f64),
];

fn middle(values: Vec<f64>) -> f64 {
    quartiles(&values).1
}

#[derive(Clone, Copy)]
enum Side {
    Direct,
    Tier,
}

/// How many look-ups a task made.
type Counted = std::result::Result<u64, String>;

/// What one side did in one round.
struct Round {
    count: u64,
    wall: Duration,
    client_s: f64,
    server_s: f64,
}

/// Both sides, connected to one server.
struct Bench {
    runtime: Runtime,
    tasks: u64,
    tier: Arc<RedisTier>,
    direct: MultiplexedConnection,
    names: Arc<Vec<RemoteName>>,
    keys: Arc<Vec<String>>,
    redis: Redis,
}

impl Bench {
    fn start(tasks: u64) -> Result<Self> {
        let redis = Redis::start(&RedisOptions::new())?;
        let runtime = match tasks {
            1 => Builder::new_current_thread().enable_all().build()?,
            _ => Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
        };
        let name = |number: u64| RemoteName::new("bench:item:v1", number.to_be_bytes());
        let names: Vec<_> = (0..NAMES).map(name).collect();
        let keys: Vec<_> = (0..NAMES).map(|number| format!("direct:{number}")).collect();
        let (tier, direct) = runtime.block_on(prepare(&redis, &names, &keys))?;
        let (names, keys) = (Arc::new(names), Arc::new(keys));
        Ok(Self { runtime, tasks, tier: Arc::new(tier), direct, names, keys, redis })
    }

    fn round(&self, side: Side, time: Duration) -> Result<Round> {
        let (server_s, client_s) = (self.server_s()?, client_s());
        let start = Instant::now();
        let count = match side {
            Side::Direct => self.in_tasks(time, |task, end| self.direct(task, end)),
            Side::Tier => self.in_tasks(time, |task, end| self.tier(task, end)),
        }?;
        Ok(Round {
            count,
            wall: start.elapsed(),
            client_s: self::client_s() - client_s,
            server_s: self.server_s()? - server_s,
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

    fn tier(&self, task: u64, end: Instant) -> impl Future<Output = Counted> + use<> {
        let (tier, names, step) = (self.tier.clone(), self.names.clone(), self.tasks);
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

    /// The CPU time of the server so far.
    fn server_s(&self) -> Result<f64> {
        let info = self.redis.info("cpu")?;
        let field = |name: &str| -> Result<f64> {
            Ok(info.get(name).ok_or("the server does not tell its CPU time")?.trim().parse()?)
        };
        Ok(field("used_cpu_user")? + field("used_cpu_sys")?)
    }
}

/// Connects both sides, and gives each the same values.
async fn prepare(
    redis: &Redis,
    names: &[RemoteName],
    keys: &[String],
) -> Result<(RedisTier, MultiplexedConnection)> {
    let tier = RedisTier::connect(RedisConfig::parse(&redis.url())?.command_timeout_ms(10_000))?;
    tier.ready().await?;
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
        tier.fill(names.iter().map(fill).collect(), TOKEN).await?;
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.cmd("SET").arg(key).arg(&VALUE[..]).ignore();
        }
        pipeline.exec_async(&mut direct).await?;
    }
    Ok((tier, direct))
}

/// The CPU time of this process so far.
fn client_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
