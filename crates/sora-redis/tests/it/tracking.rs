//! What happens to names that were read is told, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sora_core::Result;
use sora_core::remote::{Remote as _, RemoteCapability, RemoteListener, Slot, Token};
use sora_testbed::{PushAction, RedisOptions};

use crate::listener::{Heard, Listener};
use crate::server::{
    LONG_MS, config, connect, connect_with, fetch, fill, key, lease, name, proxied, put, start,
    start_with, value,
};

#[tokio::test]
async fn a_foreign_write_is_told() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    let listener = Listener::on(&tier);
    let foreign = |words: &[&str]| redis.command(words).expect("an answer");
    for case in ["read", "missing", "leased by me", "leased by another", "filled", "counted"] {
        for how in ["SET", "DEL", "EXPIRE", "another tier"] {
            let key_name = &*format!("{case} {how}");
            let key = &*key(key_name);
            match case {
                "read" => {
                    foreign(&["SET", key, "v"]);
                    fetch(&tier, key_name).await?;
                }
                "missing" => assert_eq!(fetch(&tier, key_name).await?, Slot::Empty),
                "leased by me" => lease(&tier, key_name, Token(1)).await,
                "leased by another" => {
                    let other = connect(&redis.url()).await;
                    lease(&other, key_name, Token(1)).await;
                    let slots = tier.lease(&[name(key_name)], Token(2), LONG_MS).await?;
                    assert_eq!(slots, [Slot::Leased(Token(1))]);
                }
                "filled" => put(&tier, key_name, "v").await,
                _ => _ = tier.counters(&[name(key_name)]).await?,
            }
            match how {
                "SET" => _ = foreign(&["SET", key, "new"]),
                _ if case == "missing" => _ = foreign(&["SET", key, "new"]),
                "DEL" => _ = foreign(&["DEL", key]),
                "EXPIRE" => _ = foreign(&["PEXPIRE", key, "1"]),
                _ => connect(&redis.url()).await.remove(&[name(key_name)]).await?,
            }
            listener.wait_changed(key_name).await;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_server_tracks_once_somebody_listens() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    let tracked = || redis.info("stats").expect("info")["tracking_total_keys"].clone();
    redis.command(&["SET", &key("k"), "old"]).expect("set");
    assert_eq!(fetch(&tier, "k").await?, value("old"));
    assert_eq!((&*tracked(), tier.capability().tracks), ("0", true));

    let listener = Listener::on(&tier);
    assert_eq!(fetch(&tier, "k").await?, value("old"));
    assert_eq!((&*tracked(), tier.capability().tracks), ("1", true));
    redis.command(&["SET", &key("k"), "new"]).expect("set");
    listener.wait_changed("k").await;
    Ok(())
}

/// All of them are sent before the server has said that it tracks.
#[tokio::test]
async fn calls_that_are_under_way_at_once_are_all_tracked() -> Result<()> {
    let redis = start();
    let tier = Arc::new(connect(&redis.url()).await);
    let listener = Listener::on(&tier);
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..20 {
        let tier = tier.clone();
        calls.spawn(async move { fetch(&tier, &format!("k{number}")).await });
    }
    while let Some(call) = calls.join_next().await {
        assert_eq!(call.expect("no panic")?, Slot::Empty);
    }
    for number in 0..20 {
        redis.command(&["SET", &key(&format!("k{number}")), "v"]).expect("set");
        listener.wait_changed(&format!("k{number}")).await;
    }
    Ok(())
}

#[tokio::test]
async fn who_may_no_longer_track_says_so_before_it_answers() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    redis.command(&["ACL", "SETUSER", "default", "-client|tracking"]).expect("set");
    let listener = Listener::on(&tier);
    listener.clear();
    assert!(tier.capability().tracks);
    fetch(&tier, "k").await?;
    assert_eq!(listener.heard(), [Heard::Gap(true)]);
    assert_eq!(tier.capability(), RemoteCapability::untracked(1));
    Ok(())
}

#[tokio::test]
async fn expiry_eviction_and_a_flush_are_told() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    let listener = Listener::on(&tier);
    lease(&tier, "short", Token(1)).await;
    let mut short = fill("short", "v");
    short.time_to_live_ms = 1;
    assert_eq!(tier.fill(vec![short], Token(1), &[]).await?.filled, [true]);
    listener.wait_changed("short").await;

    put(&tier, "evicted", "v").await;
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]).expect("set");
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).expect("set");
    listener.wait_changed("evicted").await;
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).expect("set");

    put(&tier, "flushed", "v").await;
    redis.command(&["FLUSHALL"]).expect("flushed");
    listener.wait(&Heard::ChangedAll).await;
    Ok(())
}

/// A server leaves keys out of a full table, and does not tell of them whoever filled it.
#[tokio::test]
async fn a_table_that_fills_is_not_relied_on() -> Result<()> {
    let redis = start_with(&RedisOptions::new().set("tracking-table-max-keys", "100"));
    let tier = connect_with(config(&redis.url()).ping_interval_ms(5)).await;
    let listener = Listener::on(&tier);
    let names = |count: u32| -> Vec<_> { (0..count).map(|at| name(&format!("k{at}"))).collect() };
    tier.fetch(&names(30)).await?;
    assert!(tier.capability().tracks);
    listener.clear();
    tier.fetch(&names(200)).await?;
    listener.wait(&Heard::Gap(true)).await;
    assert_eq!(tier.capability(), RemoteCapability::untracked(1));
    listener.clear();
    redis.command(&["FLUSHALL"]).expect("flushed");
    listener.wait(&Heard::Gap(true)).await;
    assert!(tier.capability().tracks);
    Ok(())
}

#[tokio::test]
async fn own_writes_are_not_told() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    let listener = Listener::on(&tier);
    put(&tier, "k", "v").await;
    tier.remove(&[name("k")]).await?;
    tier.bump(&[name("c")]).await?;
    tier.block(&[name("b")], LONG_MS).await?;
    fetch(&tier, "last").await?;
    redis.command(&["SET", &key("last"), "v"]).expect("set");
    listener.wait_changed("last").await;
    assert_eq!(listener.heard(), [Heard::Gap(true), Heard::Changed("last".into())]);
    Ok(())
}

/// Knows whether a reply was handed to its caller before the write behind it was told.
#[derive(Debug, Default)]
struct Order {
    seen: AtomicBool,
    late: AtomicBool,
    told: tokio::sync::Notify,
}

impl RemoteListener for Order {
    fn changed(&self, _space: &str, _key: &[u8]) {
        self.late.fetch_or(self.seen.load(Ordering::SeqCst), Ordering::SeqCst);
        self.told.notify_one();
    }

    fn changed_all(&self) {}

    fn gap(&self, _up: bool) {}
}

/// The reply has come, its caller has not been polled yet, and the invalidation comes: the listener
/// hears it before the caller sees the reply.
#[tokio::test]
async fn a_push_is_heard_before_a_reply_that_waits_to_be_seen() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    let order = Arc::new(Order::default());
    tier.listen(order.clone());
    for round in 0..50 {
        let text = format!("k{round}");
        order.seen.store(false, Ordering::SeqCst);
        redis.command(&["SET", &key(&text), "old"]).expect("set");
        let names = [name(&text)];
        let mut reading = std::pin::pin!(tier.fetch(&names));
        // It is sent, and polled no more before the write was told.
        let is_ready = std::future::poll_fn(|cx| reading.as_mut().poll(cx).is_ready().into()).await;
        assert!(!is_ready);
        let read = || redis.info("commandstats").expect("info").contains_key("cmdstat_get");
        let calls = || redis.calls().expect("calls").get("get").copied().unwrap_or_default();
        while !read() || calls() <= round {
            tokio::task::yield_now().await;
        }
        redis.command(&["SET", &key(&text), "new"]).expect("set");
        order.told.notified().await;
        let slots = reading.await?;
        order.seen.store(true, Ordering::SeqCst);
        assert_eq!(slots, [value("old")], "{text}");
        assert!(!order.late.load(Ordering::SeqCst), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn overlapping_fetches_are_all_told() -> Result<()> {
    let (redis, proxy) = proxied();
    let tier = connect(proxy.url()).await;
    let listener = Listener::on(&tier);
    redis.command(&["SET", &key("k"), "old"]).expect("set");
    proxy.on_push(PushAction::Hold);
    assert_eq!(fetch(&tier, "k").await?, value("old"));
    redis.command(&["SET", &key("k"), "new"]).expect("set");
    proxy.wait_pushes(1).await;
    // It was read again before the first change was told: both are.
    assert_eq!(fetch(&tier, "k").await?, value("new"));
    redis.command(&["DEL", &key("k")]).expect("deleted");
    proxy.wait_pushes(2).await;
    assert_eq!(listener.heard(), [Heard::Gap(true)]);
    proxy.release_pushes();
    let both = [Heard::Gap(true), Heard::Changed("k".into()), Heard::Changed("k".into())];
    let mut reads = 0;
    while listener.heard() != both {
        fetch(&tier, "other").await?;
        reads += 1;
        assert!(reads < 100_000, "{:?}", listener.heard());
    }
    Ok(())
}

#[tokio::test]
async fn a_user_who_may_not_track_is_served_and_told_nothing() -> Result<()> {
    let options = RedisOptions::new().user("plain", "secret", "~* &* +@all -client|tracking");
    let redis = start_with(&options);
    let tracked = connect_with(config(&redis.url()).ping_interval_ms(700)).await;
    let bound = 700 + 20_000;
    assert_eq!(tracked.capability(), RemoteCapability::tracked(bound, 1));
    let tier = connect(&redis.url_as("plain", "secret")).await;
    assert_eq!(tier.capability(), RemoteCapability::untracked(1));
    put(&tier, "k", "v").await;
    assert_eq!(fetch(&tier, "k").await?, value("v"));
    Ok(())
}

#[tokio::test]
async fn a_user_who_may_do_what_is_documented_is_enough() -> Result<()> {
    let rules = "~{tests:* +@read +@write +@scripting +info +client|setname +client|tracking \
                 +select +time +config|get";
    let redis = start_with(&RedisOptions::new().user("small", "secret", rules));
    let tier = connect(&redis.url_as("small", "secret")).await;
    put(&tier, "k", "v").await;
    tier.remove(&[name("k")]).await?;
    tier.bump(&[name("c")]).await?;
    assert!(tier.capability().tracks);
    Ok(())
}

#[tokio::test]
async fn a_server_without_resp3_is_used_and_tells_nothing() -> Result<()> {
    let options = RedisOptions::new().set("rename-command HELLO", "").password("secret");
    let redis = start_with(&options);
    let tier = connect(&redis.url()).await;
    assert_eq!(tier.capability(), RemoteCapability::untracked(1));
    put(&tier, "k", "v").await;
    assert_eq!(fetch(&tier, "k").await?, value("v"));
    tier.bump(&[name("c")]).await?;
    Ok(())
}
