//! A fill whose lease was touched is refused.

use sora_core::remote::{Remote as _, Slot, Token};
use sora_core::{ErrorKind, Result};
use sora_testbed::Reply;

use crate::server::{LONG_MS, connect, fetch, fill, key, lease, name, put, start, value};

const MINE: Token = Token(7);
const OTHERS: Token = Token(8);

#[tokio::test]
async fn a_fill_takes_the_place_of_its_lease() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    assert_eq!(fetch(&tier, "k").await?, Slot::Empty);
    lease(&tier, "k", MINE).await;
    assert_eq!(fetch(&tier, "k").await?, Slot::Leased(MINE));
    let others = tier.lease(&[name("k")], OTHERS, LONG_MS).await?;
    assert_eq!(others, [Slot::Leased(MINE)]);
    assert_eq!(tier.fill(vec![fill("k", "no")], OTHERS, &[]).await?.filled, [false]);
    assert_eq!(tier.fill(vec![fill("k", "v")], MINE, &[]).await?.filled, [true]);
    assert_eq!(fetch(&tier, "k").await?, value("v"));
    assert_eq!(tier.lease(&[name("k")], OTHERS, LONG_MS).await?, [value("v")]);
    // The lease is spent.
    assert_eq!(tier.fill(vec![fill("k", "again")], MINE, &[]).await?.filled, [false]);
    let left = redis.command(&["PTTL", &key("k")]).expect("an answer").integer();
    assert!(left.is_some_and(|left| left > 0), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn whatever_touches_a_lease_refuses_its_fill() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    let foreign = |words: &[&str]| redis.command(words).expect("an answer");
    for (case, expected) in [
        ("untouched", value("loaded")),
        ("DEL", Slot::Empty),
        ("SET", value("newer")),
        ("DEL and the lease of another", Slot::Leased(OTHERS)),
        ("SET of a longer one", Slot::Value(Vec::new())),
        ("removed", Slot::Empty),
        ("released", Slot::Empty),
        ("blocked", Slot::Blocked),
        ("a list", Slot::Empty),
    ] {
        let key = &*key(case);
        lease(&tier, case, MINE).await;
        match case {
            "DEL" => _ = foreign(&["DEL", key]),
            "SET" => _ = foreign(&["SET", key, "newer"]),
            "DEL and the lease of another" => {
                foreign(&["DEL", key]);
                lease(&tier, case, OTHERS).await;
            }
            "SET of a longer one" => _ = foreign(&["APPEND", key, "longer"]),
            "removed" => tier.remove(&[name(case)]).await?,
            "released" => tier.release(&[name(case)], MINE).await?,
            "blocked" => tier.block(&[name(case)], LONG_MS).await?,
            "a list" => {
                foreign(&["DEL", key]);
                foreign(&["LPUSH", key, "a"]);
            }
            _ => {}
        }
        let filled = tier.fill(vec![fill(case, "loaded")], MINE, &[]).await?.filled;
        assert_eq!(filled, [case == "untouched"], "{case}");
        match fetch(&tier, case).await? {
            Slot::Value(found) if case == "SET of a longer one" => {
                assert!(found.ends_with(b"longer"), "{found:?}");
            }
            found => assert_eq!(found, expected, "{case}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_lease_ends_by_itself_and_its_holder_comes_too_late() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    tier.lease(&[name("k")], MINE, 1).await?;
    while redis.command(&["EXISTS", &key("k")]).expect("an answer") != Reply::Integer(0) {}
    lease(&tier, "k", OTHERS).await;
    assert_eq!(tier.fill(vec![fill("k", "late")], MINE, &[]).await?.filled, [false]);
    assert_eq!(tier.fill(vec![fill("k", "v")], OTHERS, &[]).await?.filled, [true]);
    assert_eq!(fetch(&tier, "k").await?, value("v"));
    Ok(())
}

#[tokio::test]
async fn a_block_is_lifted_by_time_or_by_hand_alone() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    put(&tier, "k", "v").await;
    tier.block(&[name("k")], LONG_MS).await?;
    tier.remove(&[name("k")]).await?;
    tier.release(&[name("k")], Token(1)).await?;
    assert_eq!(fetch(&tier, "k").await?, Slot::Blocked);
    assert_eq!(tier.lease(&[name("k")], MINE, LONG_MS).await?, [Slot::Blocked]);
    redis.command(&["DEL", &key("k")]).expect("an answer");
    lease(&tier, "k", MINE).await;
    tier.block(&[name("k")], 1).await?;
    while redis.command(&["EXISTS", &key("k")]).expect("an answer") != Reply::Integer(0) {}
    lease(&tier, "k", OTHERS).await;
    Ok(())
}

#[tokio::test]
async fn what_somebody_else_wrote_is_handed_out_and_removed() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    for foreign in ["hello", "", "SB and more", "SB0123456789ab", "SV", "SLxxxxxxxxxx"] {
        redis.command(&["SET", &key("k"), foreign]).expect("an answer");
        assert_eq!(fetch(&tier, "k").await?, value(foreign));
        tier.remove(&[name("k")]).await?;
        assert_eq!(fetch(&tier, "k").await?, Slot::Empty, "{foreign}");
    }
    redis.command(&["LPUSH", &key("k"), "a"]).expect("an answer");
    tier.remove(&[name("k")]).await?;
    lease(&tier, "k", MINE).await;
    Ok(())
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_names() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    let keys: Vec<String> = (0..300).map(|number| format!("k{}", number % 290)).collect();
    let names: Vec<_> = keys.iter().map(|key| name(key)).collect();
    let leased = tier.lease(&names, MINE, LONG_MS).await?;
    assert_eq!(leased, vec![Slot::Leased(MINE); 300]);
    let fills = keys.iter().step_by(2).map(|key| fill(key, key)).collect();
    let filled = tier.fill(fills, MINE, &[]).await?.filled;
    // The last ten are there a second time.
    assert_eq!(filled.iter().filter(|filled| **filled).count(), 145);
    let slots = tier.fetch(&names).await?;
    for (at, (slot, key)) in slots.iter().zip(&keys).enumerate() {
        let expected = if at % 2 == 0 { value(key) } else { Slot::Leased(MINE) };
        assert_eq!(*slot, expected, "{at}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_forgot_its_scripts_is_told_them_again() -> Result<()> {
    let redis = start();
    let tier = connect(&redis.url()).await;
    lease(&tier, "k", MINE).await;
    redis.command(&["SCRIPT", "FLUSH"]).expect("an answer");
    assert_eq!(tier.fill(vec![fill("k", "v")], MINE, &[]).await?.filled, [true]);
    redis.command(&["SCRIPT", "FLUSH"]).expect("an answer");
    tier.remove(&[name("k")]).await?;
    assert_eq!(fetch(&tier, "k").await?, Slot::Empty);
    Ok(())
}

#[tokio::test]
async fn a_space_with_braces_is_refused() {
    let redis = start();
    let tier = connect(&redis.url()).await;
    let name = sora_core::remote::RemoteName::new("a}b", *b"k");
    let error = tier.fetch(&[name]).await.expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
