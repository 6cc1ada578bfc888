//! All rows of one value are taken out at once.

use sora::{CachePolicy, ErrorKind, Source};
use sora_testbed::Redis;

use super::held::Held;
use super::setup::Setup;
use super::{Item, Node, World};

/// Rows are tagged by their count, which is 0 but for that of row 2.
async fn tagged() -> (World, Node, Node) {
    let world = World::new().await;
    world.beside().await.patch(2, [Item::COUNT.set(1)]).await.expect("written");
    let policy = CachePolicy::new().tag_by(&["count"]);
    let (one, other) = (world.node_with(policy).await, world.node_with(policy).await);
    (world, one, other)
}

impl Node {
    /// The name of an item, and where it was found.
    async fn name(&self, id: i64) -> (String, Source) {
        let found = self.items.look_up(id).await.expect("a look-up");
        (found.entity.expect("a row").name.clone(), found.source)
    }
}

/// Writes rows 1 and 2 in a way that no cache sees.
async fn write_beside(world: &World, name: &str) {
    let beside = world.beside().await;
    for id in [1, 2] {
        let name = format!("{name}{id}");
        beside.patch(id, [Item::NAME.set(name.as_str())]).await.expect("written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_takes_out_its_rows_on_all_nodes_and_no_others() {
    let (world, one, other) = tagged().await;
    for node in [&one, &other] {
        node.items.get_many([1, 2]).await.expect("rows");
    }
    write_beside(&world, "new").await;
    assert_eq!(one.name(1).await, ("n1".into(), Source::Memory), "nobody told");
    let told = other.numbers().told;
    one.items.invalidate_tag(Item::COUNT, 0).await.expect("invalidated");
    assert_eq!(one.name(1).await, ("new1".into(), Source::Store));
    assert_eq!(one.name(2).await, ("n2".into(), Source::Memory), "it has another tag");
    other.told(told + 1).await;
    assert_eq!(other.name(1).await, ("new1".into(), Source::Remote));
    assert_eq!(other.name(2).await, ("n2".into(), Source::Remote), "it has another tag");
    // What was written behind it stays.
    assert_eq!(one.name(1).await.1, Source::Memory);
    let fresh = world.node_with(CachePolicy::new().tag_by(&["count"])).await;
    assert_eq!(fresh.name(1).await, ("new1".into(), Source::Remote));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_not_taken_out_by_a_tag_that_it_had() {
    let (world, one, _) = tagged().await;
    assert_eq!(one.name(2).await.1, Source::Store);
    one.items.patch(2, [Item::COUNT.set(0)]).await.expect("written");
    assert_eq!(one.name(2).await.1, Source::Store);
    write_beside(&world, "new").await;
    one.items.invalidate_tag(Item::COUNT, 1).await.expect("invalidated");
    assert_eq!(one.name(2).await, ("n2".into(), Source::Memory));
    one.items.invalidate_tag(Item::COUNT, 0).await.expect("invalidated");
    assert_eq!(one.name(2).await, ("new2".into(), Source::Store));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_whose_number_was_lost_revives_nothing() {
    let (world, one, _) = tagged().await;
    assert_eq!(one.name(1).await.1, Source::Store);
    write_beside(&world, "new").await;
    let redis = Redis::shared().expect("a server");
    let tags = redis.command(&["KEYS", &format!("*tag:*{}*", &world.application)]);
    let sora_testbed::Reply::Array(tags) = tags.expect("keys") else { panic!("no list") };
    assert!(!tags.is_empty());
    for tag in tags {
        let sora_testbed::Reply::Bulk(tag) = tag else { panic!("no key") };
        redis.command(&[&b"DEL"[..], &tag]).expect("deleted");
    }
    // Told of it, or new: no one takes the row for one of the tag as it is now.
    let fresh = world.node_with(CachePolicy::new().tag_by(&["count"])).await;
    assert_eq!(fresh.name(1).await, ("new1".into(), Source::Store));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_tag_is_refused() {
    let (world, one, _) = tagged().await;
    let error = one.items.invalidate_tag(Item::NAME, "n1").await.expect_err("no tag");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("tag_by"), "{error}");
    let cache = sora::Cache::new().all(CachePolicy::new().tag_by(&["cuont"]));
    let store = sora::Sora::builder().cache(cache).provider(world.store.clone());
    let error = store.repository::<Item>().await.expect_err("no such column");
    assert!(error.to_string().contains("count"), "it names the nearest: {error}");
}

#[tokio::test]
async fn in_memory_alone_a_tag_takes_out_its_rows() {
    let world = World::new().await;
    world.beside().await.patch(2, [Item::COUNT.set(1)]).await.expect("written");
    let cache = sora::Cache::new().all(CachePolicy::new().tag_by(&["count"]));
    let store = sora::Sora::builder().cache(cache).provider(world.store.clone());
    let items = store.repository::<Item>().await.expect("a repository");
    items.get_many([1, 2]).await.expect("rows");
    write_beside(&world, "new").await;
    items.invalidate_tag(Item::COUNT, 0).await.expect("invalidated");
    let name = async |id| items.get(id).await.expect("a look-up").expect("a row").name.clone();
    assert_eq!((name(1).await, name(2).await), ("new1".into(), "n2".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_a_whole_value_and_no_part_of_one() {
    let world = World::new().await;
    world.beside().await.patch(2, [Item::NAME.set("n10")]).await.expect("written");
    let policy = CachePolicy::new().tag_by(&["name"]);
    let (one, other) = (world.node_with(policy).await, world.node_with(policy).await);
    one.items.get_many([1, 2]).await.expect("rows");
    other.items.invalidate_tag(Item::NAME, "n1").await.expect("invalidated");
    assert_eq!(other.name(2).await, ("n10".into(), Source::Remote));
    assert_eq!(other.name(1).await, ("n1".into(), Source::Store));
}

/// The number that another load has learnt meanwhile is no word about the row that was read before.
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_another_load_has_asked_for_meanwhile_makes_no_old_row_good() {
    let (world, other, fresh) = tagged().await;
    let held = Held::default();
    let policy = CachePolicy::new().tag_by(&["count"]);
    let remote = |remote: sora::RemoteCache| remote.wait_max_ms(20_000);
    let node = Setup::new().policy(policy).held(&held).remote(remote).open(&world).await;
    held.hold();
    let items = node.items.clone();
    let early = tokio::spawn(async move { items.get(1).await });
    while held.held() == 0 {
        tokio::task::yield_now().await;
    }
    write_beside(&world, "new").await;
    other.items.invalidate_tag(Item::COUNT, 0).await.expect("invalidated");
    held.hold_no_more();
    assert_eq!(node.name(3).await.1, Source::Store, "it has the same tag");
    held.let_go();
    early.await.expect("no panic").expect("loaded");
    assert_eq!(node.name(1).await.0, "new1");
    assert_eq!(fresh.name(1).await.0, "new1", "the old row is shared");
}
