//! When something may have happened that nobody told, that is told.

use sora_core::remote::{Remote as _, RemoteCapability, Slot, Token};
use sora_core::{ErrorKind, Result};
use sora_redis::RedisTier;
use sora_testbed::{Direction, RedisOptions, RedisProxy};

use crate::listener::{Heard, Listener};
use crate::server::{
    LONG_MS, config, connect, connect_with, fetch, fill, key, lease, name, proxied, put, start,
    start_with, value,
};

#[tokio::test]
async fn a_cut_connection_is_told_and_comes_back() -> Result<()> {
    let (_redis, proxy) = proxied();
    let tier = connect(proxy.url()).await;
    let listener = Listener::on(&tier);
    put(&tier, "k", "v").await;
    assert_eq!(listener.heard(), [Heard::Gap(true)]);
    listener.clear();
    proxy.faults().reset_all();
    listener.wait(&Heard::Gap(true)).await;
    assert_eq!(listener.heard(), [Heard::Gap(false), Heard::Gap(true)]);
    tier.ready().await?;
    // The same server: what it holds is good.
    assert_eq!(fetch(&tier, "k").await?, value("v"));
    Ok(())
}

#[tokio::test]
async fn while_no_server_answers_every_call_fails_at_once() -> Result<()> {
    let redis = start();
    redis.kill().expect("killed");
    // Longer than the test may take.
    let patient = config(&redis.url()).command_timeout_ms(LONG_MS);
    let tier = RedisTier::connect(patient).expect("it need not answer");
    let listener = Listener::on(&tier);
    assert_eq!(listener.heard(), [Heard::Gap(false)]);
    assert_eq!(tier.capability(), RemoteCapability::untracked(1));
    let error = fetch(&tier, "k").await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    redis.restart().expect("restarts");
    listener.wait(&Heard::Gap(true)).await;
    tier.ready().await?;
    put(&tier, "k", "v").await;
    redis.kill().expect("killed");
    listener.clear();
    listener.wait(&Heard::Gap(false)).await;
    let error = tier.remove(&[name("k")]).await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    Ok(())
}

#[tokio::test]
async fn calls_to_a_paused_server_end_in_their_time_and_it_is_told() -> Result<()> {
    let redis = start();
    let quick = config(&redis.url()).command_timeout_ms(300).ping_interval_ms(LONG_MS);
    let tier = std::sync::Arc::new(connect_with(quick).await);
    let listener = Listener::on(&tier);
    listener.clear();
    redis.pause().expect("paused");
    // Some go alone, the others wait for them.
    let calls: Vec<_> = (0..100)
        .map(|number| {
            let tier = tier.clone();
            tokio::spawn(async move { fetch(&tier, &format!("k{number}")).await })
        })
        .collect();
    for call in calls {
        let error = call.await.expect("no panic").expect_err("nobody answers");
        let kinds = [ErrorKind::Timeout, ErrorKind::Unavailable];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
    listener.wait(&Heard::Gap(false)).await;
    redis.resume().expect("resumed");
    listener.wait(&Heard::Gap(true)).await;
    Ok(())
}

#[tokio::test]
async fn a_half_open_connection_is_found() -> Result<()> {
    let (redis, proxy) = proxied();
    let quick = config(proxy.url()).command_timeout_ms(2_000).ping_interval_ms(20);
    let tier = connect_with(quick).await;
    let listener = Listener::on(&tier);
    put(&tier, "k", "v").await;
    listener.clear();
    // Nobody says anything from now on: no call is made that could notice.
    proxy.faults().lose(Direction::ToClient);
    redis.command(&["DEL", &key("k")]).expect("deleted");
    listener.wait(&Heard::Gap(false)).await;
    listener.wait(&Heard::Gap(true)).await;
    tier.ready().await?;
    assert_eq!(fetch(&tier, "k").await?, Slot::Empty);
    Ok(())
}

/// What another run of a server left counts as nothing, whatever it is, and can be taken over.
#[tokio::test]
async fn a_server_that_comes_back_with_old_data_is_cold() -> Result<()> {
    let redis = start_with(&RedisOptions::new().persisted());
    let tier = connect(&redis.url()).await;
    let listener = Listener::on(&tier);
    put(&tier, "value", "old").await;
    lease(&tier, "lease", Token(1)).await;
    tier.block(&[name("block")], LONG_MS).await?;
    let old = redis.snapshot().expect("a snapshot");
    tier.remove(&[name("value"), name("lease")]).await?;
    listener.clear();
    redis.restart_with(&old).expect("restarts");
    listener.wait(&Heard::Gap(true)).await;
    tier.ready().await?;
    assert_eq!(redis.command(&["EXISTS", &key("value")]).expect("there").integer(), Some(1));
    let names = [name("value"), name("lease"), name("block")];
    assert_eq!(tier.fetch(&names).await?, [Slot::Empty, Slot::Empty, Slot::Blocked]);
    // Its load began before the data was lost.
    assert_eq!(tier.fill(vec![fill("lease", "late")], Token(1), &[]).await?.filled, [false]);
    let leased = Slot::Leased(Token(2));
    let slots = tier.lease(&names, Token(2), LONG_MS).await?;
    assert_eq!(slots, [leased.clone(), leased, Slot::Blocked]);
    assert_eq!(tier.fill(vec![fill("value", "new")], Token(2), &[]).await?.filled, [true]);
    assert_eq!(fetch(&tier, "value").await?, value("new"));
    listener.clear();
    redis.command(&["DEL", &key("lease")]).expect("deleted");
    listener.wait_changed("lease").await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_comes_back_empty_is_cold() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    let listener = Listener::on(&tier);
    put(&tier, "k", "old").await;
    listener.clear();
    redis.restart_empty().expect("restarts");
    listener.wait(&Heard::Gap(true)).await;
    tier.ready().await?;
    assert_eq!(fetch(&tier, "k").await?, Slot::Empty);
    put(&tier, "k", "new").await;
    Ok(())
}

/// The address leads to a replica that has what its master has removed.
#[tokio::test]
async fn a_failover_to_a_replica_that_lags_is_cold() -> Result<()> {
    let redis = start();
    let replica = redis.replica().expect("a replica");
    let proxy = RedisProxy::start(&redis).expect("a proxy");
    let tier = connect(proxy.url()).await;
    let listener = Listener::on(&tier);
    put(&tier, "k", "old").await;
    replica.catch_up(&redis).expect("caught up");
    replica.detach().expect("cut off");
    tier.remove(&[name("k")]).await?;
    listener.clear();
    redis.kill().expect("killed");
    replica.promote().expect("promoted");
    proxy.redirect(&replica).expect("led there");
    listener.wait(&Heard::Gap(true)).await;
    tier.ready().await?;
    assert_eq!(replica.command(&["EXISTS", &key("k")]).expect("there").integer(), Some(1));
    assert_eq!(fetch(&tier, "k").await?, Slot::Empty);
    put(&tier, "k", "new").await;
    assert_eq!(fetch(&tier, "k").await?, value("new"));
    Ok(())
}

#[tokio::test]
async fn a_server_that_becomes_a_replica_is_given_up() -> Result<()> {
    let (redis, other) = (start(), start());
    // Nothing but the refused write can notice.
    let tier = connect_with(config(&redis.url()).ping_interval_ms(LONG_MS)).await;
    let listener = Listener::on(&tier);
    put(&tier, "k", "v").await;
    redis.follow(&other).expect("follows");
    let error = tier.block(&[name("k")], LONG_MS).await.expect_err("it takes no writes");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    listener.wait(&Heard::Gap(false)).await;
    let error = fetch(&tier, "k").await.expect_err("it is a replica");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    Ok(())
}
