//! What stands in Redis and is no row, or another's.

use sora::{CachePolicy, Entity, RemoteCache, Source};
use sora_testbed::Reply;

use super::setup::Setup;
use super::{Item, World};

/// The same table, with fewer columns.
#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "items")]
struct Name {
    #[sora(key)]
    id: i64,
    name: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_decode_is_a_miss_counted_and_replaced() {
    let world = World::new().await;
    let one = world.node().await;
    one.count(1).await;
    let (redis, key) = (world.redis(), world.key(1));
    let Ok(Reply::Bulk(whole)) = redis.command(&[b"GET", &*key]) else { panic!("a value") };
    let mut flipped = whole.clone();
    let last = flipped.len() - 10;
    flipped[last] ^= 1;
    let cut = whole[..whole.len() - 1].to_vec();
    for bytes in [flipped, cut, b"hello".to_vec(), b"{\"id\":1}".to_vec(), Vec::new()] {
        redis.command(&[b"SET", &*key, &*bytes]).expect("set");
        let node = world.node().await;
        let found = node.items.look_up(1).await.expect("a row");
        assert_eq!((found.source, found.entity.map(|it| it.count)), (Source::Store, Some(0)));
        let numbers = node.numbers();
        assert_eq!((numbers.remote_undecodable, numbers.remote_fills), (1, 1), "{bytes:?}");
        let next = world.node().await;
        assert_eq!(next.items.look_up(1).await.expect("a row").source, Source::Remote);
    }
    // What is no text of Redis at all.
    redis.command(&[b"DEL", &*key]).expect("deleted");
    redis.command(&[&b"RPUSH"[..], &key, b"a"]).expect("a list");
    let node = world.node().await;
    assert_eq!(node.items.look_up(1).await.expect("a row").source, Source::Store);
    let next = world.node().await;
    assert_eq!(next.items.look_up(1).await.expect("a row").source, Source::Remote);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_another_schema_is_left_alone() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    one.count(1).await;
    let names = other.store.repository::<Name>().await.expect("a repository");
    let found = names.look_up(1).await.expect("a row");
    assert_eq!(
        (found.source, found.entity.expect("a row").name.clone()),
        (Source::Store, "n1".into())
    );
    assert_eq!(names.cache_numbers().expect("cached").remote_foreign, 1);
    let third = world.node().await;
    assert_eq!(third.items.look_up(1).await.expect("a row").source, Source::Remote, "it stayed");
    // Both hear of a write by the other.
    assert_eq!(names.look_up(1).await.expect("a row").source, Source::Memory);
    let told = names.cache_numbers().expect("cached").told;
    one.items.patch(1, [Item::NAME.set("new")]).await.expect("written");
    while names.cache_numbers().expect("cached").told == told {
        tokio::task::yield_now().await;
    }
    assert_eq!(names.get(1).await.expect("a row").expect("a row").name, "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_compress_and_nodes_that_do_not_read_each_other() {
    let world = World::new().await;
    let long = "long ".repeat(1_000);
    for id in [1, 2] {
        let name = format!("{long}{id}");
        world.beside().await.patch(id, [Item::NAME.set(&*name)]).await.expect("written");
    }
    let policy = CachePolicy::new();
    let packs = |remote: RemoteCache| remote.compress_bytes_min(0);
    let plain = |remote: RemoteCache| remote.compress_bytes_min(usize::MAX);
    let packs = Setup::new().policy(policy).remote(packs).open(&world).await;
    let plain = Setup::new().policy(policy).remote(plain).open(&world).await;
    packs.count(1).await;
    plain.count(2).await;
    let len = |id| world.redis().command(&[b"STRLEN", &*world.key(id)]).expect("a length");
    assert!(len(1).integer() < Some(1_000) && len(2).integer() > Some(5_000));
    for (node, id) in [(&packs, 2), (&plain, 1)] {
        let found = node.items.look_up(id).await.expect("a row");
        let name = found.entity.expect("a row").name.clone();
        assert_eq!((found.source, name), (Source::Remote, format!("{long}{id}")));
    }
}
