//! The tier on a cluster of six nodes.

use std::collections::BTreeSet;

use sora_core::Result;
use sora_core::remote::{Fill, Remote as _, RemoteName, Slot, Token};
use sora_redis::{RedisConfig, RedisTier};
use sora_testbed::{RedisCluster, RedisOptions, RedisProxy};

use crate::listener::{Heard, Listener};
use crate::server::{LONG_MS, config, connect_with, fetch, fill, key, name, put, value};

fn cluster_config(urls: &[String]) -> RedisConfig {
    let hosts: Vec<&str> = urls.iter().map(|url| url_host(url)).collect();
    let login = urls[0].strip_prefix("redis://").and_then(|rest| rest.rsplit_once('@'));
    let login = login.map(|(login, _)| format!("{login}@")).unwrap_or_default();
    config(&format!("redis+cluster://{login}{}", hosts.join(",")))
}

fn url_host(url: &str) -> &str {
    let host = url.strip_prefix("redis://").unwrap_or(url);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    host.split('/').next().unwrap_or(host)
}

async fn connect(cluster: &RedisCluster) -> RedisTier {
    connect_with(cluster_config(&cluster.urls()[..2])).await
}

fn all() -> Vec<RemoteName> {
    (0..200).map(|number| name(&format!("k{number}"))).collect()
}

fn fills() -> Vec<Fill> {
    (0..200).map(|number| fill(&format!("k{number}"), &format!("v{number}"))).collect()
}

async fn fill_all(tier: &RedisTier) -> Result<()> {
    let leased = tier.lease(&all(), Token(1), LONG_MS).await?;
    assert_eq!(leased, vec![Slot::Leased(Token(1)); 200]);
    assert_eq!(tier.fill(fills(), Token(1), &[]).await?.filled, vec![true; 200]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_spread_and_found() -> Result<()> {
    let options = RedisOptions::new().password("secret");
    let cluster = RedisCluster::start_with(&options).expect("starts");
    let proxies: Vec<RedisProxy> = cluster.proxies().expect("proxies");
    let urls: Vec<String> = proxies.iter().map(|proxy| proxy.url().to_owned()).collect();
    let tier = connect_with(cluster_config(&urls[..1])).await;
    assert_eq!(tier.capability().shards, 3);
    assert!(tier.capability().tracks);
    let listener = Listener::on(&tier);
    fill_all(&tier).await?;
    let masters: BTreeSet<u16> = (0..200)
        .map(|number| cluster.slot_of(&key(&format!("k{number}"))).expect("a slot"))
        .map(|slot| cluster.master_of(slot).expect("a master").port())
        .collect();
    assert_eq!(masters.len(), 3);

    // One round trip to each shard, whatever is asked.
    let trips = || -> Vec<u64> { proxies[..3].iter().map(RedisProxy::round_trips).collect() };
    let before = trips();
    let expected: Vec<Slot> = (0..200).map(|number| value(&format!("v{number}"))).collect();
    assert_eq!(tier.fetch(&all()).await?, expected);
    let spent: Vec<u64> = trips().iter().zip(before).map(|(now, before)| now - before).collect();
    // A ping may be among them.
    assert!(spent.iter().all(|spent| *spent <= 2), "{spent:?}");

    for number in [0, 7, 99] {
        let text = format!("k{number}");
        let slot = cluster.slot_of(&key(&text)).expect("a slot");
        cluster.master_of(slot).expect("one").command(&["DEL", &key(&text)]).expect("deleted");
        listener.wait_changed(&text).await;
    }
    let counters: Vec<RemoteName> = (0..20).map(|number| name(&format!("c{number}"))).collect();
    let first = tier.counters(&counters).await?;
    assert_eq!(tier.counters(&counters).await?, first);
    let second = tier.bump(&counters).await?;
    assert!(first.iter().zip(&second).all(|(first, second)| first < second));
    tier.block(&all()[..3], LONG_MS).await?;
    tier.remove(&all()).await?;
    let left = tier.fetch(&all()).await?;
    assert_eq!(left[..3], vec![Slot::Blocked; 3]);
    assert_eq!(left[3..], vec![Slot::Empty; 197]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_dies_and_its_names_are_cold() -> Result<()> {
    let cluster = RedisCluster::start().expect("starts");
    let tier = connect(&cluster).await;
    let listener = Listener::on(&tier);
    fill_all(&tier).await?;
    let slot = cluster.slot_of(&key("k0")).expect("a slot");
    let (master, replica) =
        (cluster.master_of(slot).expect("one"), cluster.replica_of(slot).expect("one"));
    replica.catch_up(master).expect("caught up");
    let port = master.port();
    // What is removed now is not removed at the replica, which takes over.
    replica.detach().expect("cut off");
    tier.remove(&[name("k0")]).await?;
    listener.clear();
    let others: Vec<String> = (1..200)
        .map(|number| format!("k{number}"))
        .filter(|text| {
            let slot = cluster.slot_of(&key(text)).expect("a slot");
            cluster.master_of(slot).expect("one").port() != port
        })
        .collect();
    cluster.fail_over(slot).expect("fails over");
    listener.wait(&Heard::Gap(true)).await;
    while tier.ready().await.is_err() {}
    // The first call may be the one that is sent on.
    assert_eq!(fetch(&tier, "k0").await?, Slot::Empty);
    put(&tier, "k0", "new").await;
    assert_eq!(fetch(&tier, "k0").await?, value("new"));
    for text in others {
        assert_eq!(fetch(&tier, &text).await?, value(&text.replace('k', "v")));
    }
    let replica_slot = tier.fetch(&all()).await?;
    assert_eq!(replica_slot.len(), 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_moves_and_comes_back() -> Result<()> {
    let cluster = RedisCluster::start().expect("starts");
    let tier = connect(&cluster).await;
    fill_all(&tier).await?;
    let slot = cluster.slot_of(&key("k0")).expect("a slot");
    let from = cluster.master_of(slot).expect("one");
    let to = cluster.nodes()[..3].iter().find(|node| node.port() != from.port()).expect("another");

    // On its way: what is there is served there, the rest by the new node.
    let migration = cluster.migrate(slot, to).expect("begins");
    assert_eq!(fetch(&tier, "k0").await?, value("v0"));
    assert!(migration.move_key(&key("k0")).expect("moved"));
    // Its new node cannot know that nothing was lost on the way.
    assert_eq!(fetch(&tier, "k0").await?, Slot::Empty);
    put(&tier, "k0", "new").await;
    assert_eq!(tier.fetch(&all()).await?[0], value("new"));
    tier.remove(&[name("k0")]).await?;
    assert_eq!(fetch(&tier, "k0").await?, Slot::Empty);
    put(&tier, "k0", "newer").await;
    migration.move_keys().expect("moved");
    migration.finish().expect("finishes");

    assert_eq!(fetch(&tier, "k0").await?, value("newer"));
    // And back, with what was removed meanwhile still removed.
    tier.remove(&[name("k0")]).await?;
    cluster.move_slot(slot, from).expect("moves");
    assert_eq!(fetch(&tier, "k0").await?, Slot::Empty);
    put(&tier, "k0", "newest").await;
    assert_eq!(fetch(&tier, "k0").await?, value("newest"));
    Ok(())
}
