//! Calls that join.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sora_core::Result;
use sora_core::remote::{Remote as _, Slot, Token};
use sora_testbed::Direction;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::server::{LONG_MS, connect, fetch, fill, name, proxied, value};

/// Misses of a thousand names at once: each is looked up, leased and filled by a task of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_make_few_round_trips() -> Result<()> {
    let (redis, proxy) = proxied();
    let tier = Arc::new(connect(proxy.url()).await);
    let before = proxy.round_trips();
    let mut calls = JoinSet::new();
    for number in 0..1_000_u32 {
        let tier = tier.clone();
        calls.spawn(async move {
            let (key, token) = (format!("k{number}"), Token(u128::from(number)));
            assert_eq!(fetch(&tier, &key).await?, Slot::Empty);
            assert_eq!(tier.lease(&[name(&key)], token, LONG_MS).await?, [Slot::Leased(token)]);
            assert_eq!(tier.fill(vec![fill(&key, &key)], token, &[]).await?.filled, [true]);
            Result::Ok(())
        });
    }
    while let Some(call) = calls.join_next().await {
        call.expect("no panic")?;
    }
    let trips = proxy.round_trips() - before;
    // Three each, had nobody joined.
    assert!(trips <= 32, "{trips}");
    let fetched = tier.fetch(&[name("k0"), name("k999")]).await?;
    assert_eq!(fetched, [value("k0"), value("k999")]);
    let scripts = redis.calls().expect("calls")["evalsha"];
    assert!(scripts <= 32, "{scripts}");
    Ok(())
}

#[tokio::test]
async fn a_call_is_one_round_trip_however_many_names_it_has() -> Result<()> {
    let (_redis, proxy) = proxied();
    let tier = connect(proxy.url()).await;
    let names: Vec<_> = (0..1_000).map(|number| name(&format!("k{number}"))).collect();
    let fills = (0..1_000).map(|number| fill(&format!("k{number}"), "v")).collect();
    let mut trips = vec![proxy.round_trips()];
    let mut count = || {
        trips.push(proxy.round_trips());
        trips[trips.len() - 1] - trips[trips.len() - 2]
    };
    tier.fetch(&names[..1]).await?;
    assert_eq!(count(), 1);
    tier.fetch(&names).await?;
    assert_eq!(count(), 1);
    tier.lease(&names, Token(1), LONG_MS).await?;
    assert_eq!(count(), 1);
    tier.fill(fills, Token(1), &[]).await?;
    assert_eq!(count(), 1);
    tier.remove(&names).await?;
    assert_eq!(count(), 1);
    tier.block(&names, LONG_MS).await?;
    assert_eq!(count(), 1);
    tier.release(&names, Token(1)).await?;
    assert_eq!(count(), 1);
    let counters = [name("a"), name("b")];
    tier.counters(&counters).await?;
    assert_eq!(count(), 2);
    tier.counters(&counters).await?;
    assert_eq!(count(), 1);
    tier.bump(&counters).await?;
    assert_eq!(count(), 1);
    tier.fetch(&[]).await?;
    assert_eq!(count(), 0);
    Ok(())
}

/// Calls of a runtime that goes on, on a tier whose own is shut down meanwhile.
#[test]
fn those_who_wait_are_told_that_the_runtime_of_the_tier_is_gone() {
    let runtime = || Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (first, second) = (runtime(), runtime());
    let (_redis, proxy) = proxied();
    let tier = Arc::new(first.block_on(connect(proxy.url())));
    proxy.faults().stall(Direction::ToServer);
    second.block_on(async {
        // The first is out, and others wait for a lane that is to be driven where nothing runs now.
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let tier = tier.clone();
                tokio::spawn(async move { fetch(&tier, "k").await })
            })
            .collect();
        tokio::task::yield_now().await;
        first.shutdown_background();
        for call in calls {
            call.await.expect("no panic").expect_err("the tier is gone");
        }
    });
}

#[tokio::test]
async fn a_dropped_caller_cancels_nothing_of_others() -> Result<()> {
    let (redis, proxy) = proxied();
    let tier = Arc::new(connect(proxy.url()).await);
    proxy.faults().stall(Direction::ToServer);
    let mut calls = JoinSet::new();
    let mut dropped = Vec::new();
    let started = Arc::new(AtomicUsize::new(0));
    for number in 0..100 {
        let tier = tier.clone();
        let started = started.clone();
        let call = async move {
            started.fetch_add(1, Ordering::SeqCst);
            fetch(&tier, &format!("k{number}")).await
        };
        if number % 2 == 0 {
            dropped.push(tokio::spawn(call));
        } else {
            calls.spawn(call);
        }
    }
    // What was asked to be removed is removed, whoever waits for it.
    redis.command(&["SET", &crate::server::key("gone"), "v"]).expect("set");
    let (remover, removing) = (tier.clone(), started.clone());
    dropped.push(tokio::spawn(async move {
        removing.fetch_add(1, Ordering::SeqCst);
        remover.remove(&[name("gone")]).await.map(|()| Slot::Empty)
    }));
    // All of them have been polled once: two are out and the others wait.
    while started.load(Ordering::SeqCst) < 101 {
        tokio::task::yield_now().await;
    }
    for call in &dropped {
        call.abort();
    }
    proxy.faults().clear();
    while let Some(call) = calls.join_next().await {
        assert_eq!(call.expect("no panic")?, Slot::Empty);
    }
    assert_eq!(fetch(&tier, "gone").await?, Slot::Empty);
    Ok(())
}
