//! Look-ups in a cache that processes share.

use std::hint::black_box;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo};
use sora_core::remote::{Fill, Remote as _, RemoteName, Slot, Token};
use sora_redis::{RedisConfig, RedisTier};
use sora_testbed::{Redis, RedisOptions};

use crate::Result;
use crate::database::runtime;
use crate::reads::in_tasks;
use crate::rounds::{Options, compare};

const NAMES: u64 = 10_000;
const VALUE: [u8; 200] = [7; 200];
const TOKEN: Token = Token(1);
const TIME_MS: u64 = 3_600_000;

/// Single look-ups by the tier, beside the same client's connection used directly with `GET`.
pub(crate) fn fetches(options: &Options, tasks: u64) -> Result<()> {
    let redis = Redis::start(&RedisOptions::new())?;
    let runtime = runtime(if tasks == 1 { 1 } else { 2 })?;
    let names: Arc<Vec<RemoteName>> = Arc::new(
        (0..NAMES).map(|number| RemoteName::new("bench:item:v1", number.to_be_bytes())).collect(),
    );
    let keys: Arc<Vec<String>> =
        Arc::new((0..NAMES).map(|number| format!("direct:{number}")).collect());
    let (tier, direct) = runtime.block_on(prepare(&redis, &names, &keys))?;
    compare(
        options,
        "direct",
        &format!("fetch of {tasks} tasks"),
        || {
            let (direct, keys) = (direct.clone(), keys.clone());
            in_tasks(options, &runtime, tasks, move |number| {
                let (mut direct, keys) = (direct.clone(), keys.clone());
                async move {
                    let key = &keys[(number % NAMES) as usize];
                    let value: Option<Vec<u8>> =
                        redis::cmd("GET").arg(key).query_async(&mut direct).await?;
                    assert_eq!(value.map(|value| value.len()), Some(VALUE.len()));
                    Ok(())
                }
            })
        },
        || {
            let (tier, names) = (tier.clone(), names.clone());
            in_tasks(options, &runtime, tasks, move |number| {
                let (tier, names) = (tier.clone(), names.clone());
                async move {
                    let at = (number % NAMES) as usize;
                    let slots = tier.fetch(&names[at..=at]).await?;
                    assert!(
                        matches!(black_box(&*slots), [Slot::Value(value)] if value.len() == VALUE.len())
                    );
                    Ok(())
                }
            })
        },
    )
}

/// Connects both sides, and gives each the same values.
async fn prepare(
    redis: &Redis,
    names: &[RemoteName],
    keys: &[String],
) -> Result<(Arc<RedisTier>, MultiplexedConnection)> {
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
    Ok((Arc::new(tier), direct))
}
