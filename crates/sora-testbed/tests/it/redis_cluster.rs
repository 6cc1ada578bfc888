use sora_testbed::{Redis, RedisCluster, RedisOptions, Reply};

use crate::redis::get;

fn set(cluster: &RedisCluster, key: &str, value: &str) -> u16 {
    let slot = cluster.slot_of(key).expect("a slot");
    let master = cluster.master_of(slot).expect("a master");
    master.command(&["SET", key, value]).expect("set");
    slot
}

fn said(redis: &Redis, words: &[&str]) -> String {
    redis.command(words).expect_err("it is refused").to_string()
}

#[test]
fn a_replica_takes_over() {
    let cluster = RedisCluster::start().expect("starts");
    assert_eq!(cluster.nodes().len(), 6);
    let slot = set(&cluster, "a{7}", "v");
    assert_eq!(cluster.slot_of("b{7}").expect("a slot"), slot);
    let (first, replica) =
        (cluster.master_of(slot).expect("one"), cluster.replica_of(slot).expect("one"));
    replica.catch_up(first).expect("caught up");
    let other = cluster.nodes().iter().position(|node| node.port() != first.port());
    let other = &cluster.nodes()[other.expect("another")];
    let moved = said(other, &["GET", "a{7}"]);
    assert_eq!(moved, format!("MOVED {slot} 127.0.0.1:{}", first.port()));

    let second = cluster.fail_over(slot).expect("fails over");
    assert!(!first.is_running() && second.port() == replica.port());
    assert_eq!(get(second, "a{7}").as_deref(), Some("v"));
    second.command(&["SET", "a{7}", "new"]).expect("it serves");
    let error = cluster.replica_of(slot).map(Redis::port).expect_err("it is dead").to_string();
    assert!(error.contains("no replica"), "{error}");

    first.restart().expect("starts again");
    cluster.settle().expect("it follows");
    assert_eq!(cluster.replica_of(slot).expect("one").port(), first.port());
    first.catch_up(second).expect("caught up");
    let mut reader = first.connect().expect("connects");
    reader.command(&["READONLY"]).expect("it may be read");
    assert_eq!(reader.command(&["GET", "a{7}"]).expect("read"), Reply::Bulk("new".into()));
}

#[test]
fn a_replica_that_lags_takes_over() {
    let options = RedisOptions::new().password("secret");
    let cluster = RedisCluster::start_with(&options).expect("starts");
    let slot = set(&cluster, "k", "old");
    let (master, replica) =
        (cluster.master_of(slot).expect("one"), cluster.replica_of(slot).expect("one"));
    replica.catch_up(master).expect("caught up");
    replica.detach().expect("cut off");
    cluster.settle().expect("one that was cut off is not waited for");
    set(&cluster, "k", "lost");
    let master = cluster.fail_over(slot).expect("fails over");
    assert_eq!(get(master, "k").as_deref(), Some("old"));
}

#[test]
fn a_slot_moves() {
    let cluster = RedisCluster::start().expect("starts");
    let slot = set(&cluster, "{s}there", "v");
    let keys: Vec<String> = (0..250).map(|number| format!("{{s}}{number}")).collect();
    for key in &keys {
        set(&cluster, key, "v");
    }
    let from = cluster.master_of(slot).expect("one");
    let to = cluster.nodes()[..3].iter().find(|node| node.port() != from.port()).expect("another");
    let migration = cluster.migrate(slot, to).expect("begins");
    assert_eq!((migration.from().port(), migration.to().port()), (from.port(), to.port()));
    let ask = format!("ASK {slot} 127.0.0.1:{}", to.port());
    assert_eq!(get(from, "{s}there").as_deref(), Some("v"));
    assert_eq!(said(from, &["GET", "{s}missing"]), ask);
    assert!(migration.move_key("{s}there").expect("moved"));
    assert!(!migration.move_key("{s}there").expect("it is not there"));
    assert_eq!(said(from, &["GET", "{s}there"]), ask);
    assert!(said(to, &["GET", "{s}there"]).starts_with("MOVED"));
    let mut asking = to.connect().expect("connects");
    asking.command(&["ASKING"]).expect("asks");
    assert_eq!(asking.command(&["GET", "{s}there"]).expect("read"), Reply::Bulk("v".into()));
    assert_eq!(migration.move_keys().expect("moved"), keys.len());
    migration.finish().expect("finished");

    let moved = format!("MOVED {slot} 127.0.0.1:{}", to.port());
    assert_eq!(said(from, &["GET", "{s}there"]), moved);
    assert_eq!(get(to, &keys[7]).as_deref(), Some("v"));
    cluster.move_slot(slot, from).expect("moves back");
    assert_eq!(get(from, &keys[249]).as_deref(), Some("v"));
    assert!(cluster.migrate(slot, from).is_err(), "it is there already");
}

#[test]
fn clients_come_through_proxies() {
    let cluster = RedisCluster::start().expect("starts");
    let proxies = cluster.proxies().expect("proxies");
    let slot = set(&cluster, "k", "v");
    let master = cluster.master_of(slot).expect("one");
    let at = |redis: &Redis| {
        let same = |node: &Redis| node.port() == redis.port();
        cluster.nodes().iter().position(same).expect("it is one of them")
    };
    let other = cluster.nodes()[..3].iter().find(|node| node.port() != master.port());
    let other = other.expect("another");
    let moved = format!("MOVED {slot} 127.0.0.1:{}", proxies[at(master)].port());
    assert_eq!(said(other, &["GET", "k"]), moved);
    let before = proxies[at(master)].round_trips();
    let through = Redis::given(proxies[at(master)].url()).expect("an address");
    assert_eq!(get(&through, "k").as_deref(), Some("v"));
    assert_eq!(proxies[at(master)].round_trips(), before + 1);
    // What is moved, dead, and comes back is still found through them.
    cluster.move_slot(slot, other).expect("moved");
    let moved = format!("MOVED {slot} 127.0.0.1:{}", proxies[at(other)].port());
    assert_eq!(said(master, &["GET", "k"]), moved);
    let next = cluster.fail_over(slot).expect("fails over");
    let moved = format!("MOVED {slot} 127.0.0.1:{}", proxies[at(next)].port());
    assert_eq!(said(master, &["GET", "k"]), moved);
    other.restart().expect("starts again");
    cluster.settle().expect("it follows");
    assert_eq!(said(other, &["GET", "k"]), moved);
}
