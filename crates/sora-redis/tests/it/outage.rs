//! What a server says when it cannot, and what is said of it.

use sora_core::remote::Remote as _;
use sora_core::{ErrorKind, Result, Retry};
use sora_redis::{RedisConfig, RedisTier};
use sora_testbed::RedisOptions;

use crate::listener::Listener;
use crate::server::{LONG_MS, config, connect, connect_with, fetch, name, start, start_with};

#[tokio::test]
async fn a_busy_server_is_busy_for_a_while() -> Result<()> {
    let redis = start_with(&RedisOptions::new().set("busy-reply-threshold", "1"));
    let tier = connect(&redis.url()).await;
    let mut script = redis.connect().expect("connects");
    script.send(&["EVAL", "while true do end", "0"]).expect("sent");
    let error = loop {
        if let Err(error) = fetch(&tier, "k").await {
            break error;
        }
    };
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Busy, Retry::Safe), "{error}");
    redis.command(&["SCRIPT", "KILL"]).expect("killed");
    while fetch(&tier, "k").await.is_err() {}
    Ok(())
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_unavailable_for_a_while() -> Result<()> {
    let options =
        RedisOptions::new().persisted().set("loading-process-events-interval-bytes", "1024");
    let redis = start_with(&options);
    let tier = connect(&redis.url()).await;
    redis.command(&["DEBUG", "POPULATE", "200", "other", "2000"]).expect("made");
    redis.command(&["CONFIG", "SET", "key-load-delay", "10000"]).expect("set");
    let mut loading = redis.connect().expect("connects");
    loading.send(&["DEBUG", "RELOAD"]).expect("sent");
    let error = loop {
        if let Err(error) = fetch(&tier, "k").await {
            break error;
        }
    };
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Safe), "{error}");
    assert!(error.to_string().contains("loads"), "{error}");
    loading.read().expect("loaded");
    fetch(&tier, "k").await?;
    Ok(())
}

#[tokio::test]
async fn a_full_server_refuses_leases_and_takes_removals() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).expect("set");
    let lease = tier.lease(&[name("k")], sora_core::remote::Token(1), 1_000).await;
    let error = lease.expect_err("it is full");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Safe), "{error}");
    tier.remove(&[name("k")]).await?;
    Ok(())
}

#[tokio::test]
async fn a_password_is_never_shown() {
    let redis = start_with(&RedisOptions::new().password("secret"));
    for url in
        [redis.url_as("default", "wrong-secret"), redis.url().replace("secret@", "sec%72et@")]
    {
        let config: RedisConfig = config(&url).connect_timeout_ms(3_000);
        let shown = format!("{config:?}");
        assert!(!shown.contains("sec"), "{shown}");
        let tier = RedisTier::connect(config).expect("in a runtime");
        let listener = Listener::on(&tier);
        let text = match tier.ready().await {
            Ok(()) => String::new(),
            Err(error) => format!("{error} {error:?} {listener:?}"),
        };
        assert!(!text.contains("sec") && !format!("{tier:?}").contains("sec"), "{text}");
        assert_eq!(text.is_empty(), !url.contains("wrong"), "{text}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let redis = start();
    let address = format!("redis://{}:{}/99", redis.host(), redis.port());
    let tier = RedisTier::connect(config(&address));
    let error = tier.expect("an address").ready().await.expect_err("there are 16");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("refused the database"), "{error}");
    assert!(error.to_string().contains("99"), "{error}");
}

#[tokio::test]
async fn a_user_without_info_is_told_what_to_do() {
    let options = RedisOptions::new().user("blind", "secret", "~* &* +@all -info");
    let redis = start_with(&options);
    let config = config(&redis.url_as("blind", "secret")).connect_timeout_ms(3_000);
    let tier = RedisTier::connect(config).expect("in a runtime");
    let error = tier.ready().await.expect_err("it does not tell its run_id");
    assert!(error.to_string().contains("let the user run INFO"), "{error}");
}

#[tokio::test]
async fn more_than_may_wait_is_refused() -> Result<()> {
    let redis = start();
    let small = config(&redis.url()).waiting_max(10);
    let tier = std::sync::Arc::new(connect_with(small).await);
    redis.pause().expect("paused");
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..17 {
        let tier = tier.clone();
        calls.spawn(async move { fetch(&tier, &format!("k{number}")).await });
    }
    // Six are out, ten wait.
    let first = calls.join_next().await.expect("one").expect("no panic");
    assert_eq!(first.expect_err("too many").kind(), ErrorKind::Busy);
    redis.resume().expect("resumed");
    while let Some(call) = calls.join_next().await {
        call.expect("no panic")?;
    }
    Ok(())
}

/// It need not wait until a connection must have been made.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_is_ready_at_once() {
    let redis = start();
    let all = async {
        for _ in 0..20 {
            connect_with(config(&redis.url()).connect_timeout_ms(LONG_MS)).await;
        }
    };
    // So that a test that would never end fails.
    let is_ready = tokio::time::timeout(std::time::Duration::from_mins(1), all).await.is_ok();
    assert!(is_ready, "its connections are there, and it waits");
}
