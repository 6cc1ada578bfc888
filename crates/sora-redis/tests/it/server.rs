//! Servers, tiers on them, and what the tests say to them.

use sora_core::Result;
use sora_core::remote::{Fill, Remote as _, RemoteName, Slot, Token};
use sora_redis::{RedisConfig, RedisTier};
use sora_testbed::{Redis, RedisOptions, RedisProxy};

pub(crate) const SPACE: &str = "tests:things:v1";
/// Longer than any test.
pub(crate) const LONG_MS: u64 = 600_000;

pub(crate) fn start() -> Redis {
    start_with(&RedisOptions::new())
}

pub(crate) fn start_with(options: &RedisOptions) -> Redis {
    Redis::start(options).expect("starts")
}

pub(crate) fn proxied() -> (Redis, RedisProxy) {
    let redis = start();
    let proxy = RedisProxy::start(&redis).expect("a proxy");
    (redis, proxy)
}

/// Patient, because the machine may be busy.
pub(crate) fn config(url: &str) -> RedisConfig {
    RedisConfig::parse(url)
        .expect("an address")
        .command_timeout_ms(20_000)
        .connect_timeout_ms(20_000)
        .reconnect_ms(5, 20)
}

pub(crate) async fn connect(url: &str) -> RedisTier {
    connect_with(config(url)).await
}

pub(crate) async fn connect_with(config: RedisConfig) -> RedisTier {
    let tier = RedisTier::connect(config).expect("in a runtime");
    tier.ready().await.expect("it answers");
    tier
}

pub(crate) fn name(key: &str) -> RemoteName {
    RemoteName::new(SPACE, key.as_bytes())
}

/// The key of a name, as another language would build it.
pub(crate) fn key(key: &str) -> String {
    let step = |sum: u16, byte: u8| {
        (0..8).fold(sum ^ (u16::from(byte) << 8), |sum, _| match sum & 0x8000 {
            0 => sum << 1,
            _ => (sum << 1) ^ 0x1021,
        })
    };
    let bucket = key.bytes().fold(0, step) % 256;
    format!("{{{SPACE}:{bucket:02x}}}{key}")
}

pub(crate) fn value(text: &str) -> Slot {
    Slot::Value(text.into())
}

pub(crate) fn fill(key: &str, value: &str) -> Fill {
    Fill { name: name(key), value: value.into(), time_to_live_ms: LONG_MS }
}

pub(crate) async fn fetch(tier: &RedisTier, key: &str) -> Result<Slot> {
    Ok(tier.fetch(&[name(key)]).await?.remove(0))
}

/// Takes the lease of an empty name.
pub(crate) async fn lease(tier: &RedisTier, key: &str, token: Token) {
    let slots = tier.lease(&[name(key)], token, LONG_MS).await.expect("an answer");
    assert_eq!(slots, [Slot::Leased(token)], "{key}");
}

/// Fills an empty name.
pub(crate) async fn put(tier: &RedisTier, key: &str, value: &str) {
    lease(tier, key, Token(1)).await;
    let filled = tier.fill(vec![fill(key, value)], Token(1), &[]).await.expect("an answer").filled;
    assert_eq!(filled, [true], "{key}");
}
