//! What one node reads of another.

use sora::{CacheMode, CachePolicy, Source};

use super::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_loaded_by_one_node_for_all() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    assert_eq!(one.items.look_up(1).await.expect("a row").source, Source::Store);
    assert_eq!(one.items.look_up(1).await.expect("a row").source, Source::Memory);
    let found = other.items.look_up(1).await.expect("a row");
    assert_eq!((found.source, found.entity.expect("a row").count), (Source::Remote, 0));
    assert_eq!(other.items.look_up(1).await.expect("a row").source, Source::Memory);
    assert_eq!((one.numbers().loads, other.numbers().loads), (1, 0));
    assert_eq!((one.numbers().remote_fills, other.numbers().remote_hits), (1, 1));
    // That there is none is shared as well.
    assert_eq!((one.count(99).await, other.count(99).await), (None, None));
    assert_eq!((other.numbers().loads, other.numbers().remote_missing_hits), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_one_node_is_seen_by_the_other() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    for round in 1..=20 {
        assert_eq!(one.count(1).await, Some(round - 1));
        assert_eq!(other.count(1).await, Some(round - 1));
        let told = other.numbers().told;
        one.items.patch(1, [super::Item::COUNT.add(1)]).await.expect("written");
        assert_eq!(one.count(1).await, Some(round), "its own write");
        other.told(told + 1).await;
        assert_eq!(other.count(1).await, Some(round), "the other's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_come_from_where_they_are() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    one.items.get_many([0, 1, 2, 3]).await.expect("rows");
    other.count(0).await;
    let found = other.items.get_many([0, 1, 2, 3, 4, 5, 77, 4]).await.expect("rows");
    let found: Vec<_> = found.iter().map(|row| row.as_ref().map(|row| row.id)).collect();
    let expected = [Some(0), Some(1), Some(2), Some(3), Some(4), Some(5), None, Some(4)];
    assert_eq!(found, expected);
    let numbers = other.numbers();
    assert_eq!((numbers.hits, numbers.remote_hits, numbers.remote_misses), (1, 4, 3));
    assert_eq!((numbers.loads, numbers.remote_fills), (1, 3), "one read for the rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_leaves_its_tier_untouched() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    let by = |mode| one.items.cache_mode(mode);
    let source = async |mode| by(mode).look_up(1).await.expect("a row").source;
    assert_eq!(source(CacheMode::Bypass).await, Source::Store);
    assert_eq!(source(CacheMode::ReadOnly).await, Source::Store, "nothing was filled");
    assert_eq!(source(CacheMode::SkipRemote).await, Source::Store);
    assert_eq!(source(CacheMode::SkipRemote).await, Source::Memory);
    assert_eq!(other.items.look_up(1).await.expect("a row").source, Source::Store, "not shared");
    assert_eq!(source(CacheMode::SkipMemory).await, Source::Remote);
    assert_eq!(source(CacheMode::SkipMemory).await, Source::Remote, "memory was not filled");
    assert_eq!(
        one.items.cache_mode(CacheMode::SkipMemory).look_up(2).await.expect("a row").source,
        Source::Store
    );
    assert_eq!(by(CacheMode::ReadOnly).look_up(2).await.expect("a row").source, Source::Remote);
    assert_eq!(
        other.items.look_up(2).await.expect("a row").source,
        Source::Remote,
        "it was shared"
    );
    // What stands there is replaced.
    world.beside().await.patch(2, [super::Item::COUNT.set(5)]).await.expect("written");
    assert_eq!(other.count(2).await, Some(0), "nobody told");
    assert_eq!(source(CacheMode::Refresh).await, Source::Store);
    by(CacheMode::Refresh).get(2).await.expect("a row");
    let third = world.node().await;
    let found = third.items.look_up(2).await.expect("a row");
    assert_eq!((found.source, found.entity.expect("a row").count), (Source::Remote, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_on_two_nodes_make_one_load() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    let mut calls = tokio::task::JoinSet::new();
    for caller in 0..1_000 {
        let items = if caller % 2 == 0 { one.items.clone() } else { other.items.clone() };
        calls.spawn(async move { items.get(3).await.expect("a look-up").expect("a row").count });
    }
    assert!(calls.join_all().await.into_iter().all(|count| count == 0));
    assert_eq!(one.numbers().loads + other.numbers().loads, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_no_time_there_is_in_memory_alone() {
    let world = World::new().await;
    let policy = CachePolicy::new().remote_time_to_live_ms(0);
    let (one, other) = (world.node_with(policy).await, world.node().await);
    one.count(1).await;
    assert_eq!(other.items.look_up(1).await.expect("a row").source, Source::Store);
    assert_eq!(one.numbers().remote_fills, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_types_finds_what_an_entity_has_shared() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    one.count(1).await;
    let table = other.store.table("items").await.expect("a table");
    let mut rows = sora::RowBuffer::new(3);
    let key = table.key(|out| out.cell(sora::Cell::I64(1))).expect("a key");
    assert!(table.get(key, &mut rows).await.expect("a look-up"));
    assert_eq!(rows.row(0).expect("a row").get(1), sora::Cell::Text("n1"));
    assert_eq!(one.numbers().loads, 1);
    // What a table without types has loaded is there for the entity.
    let key = table.key(|out| out.cell(sora::Cell::I64(2))).expect("a key");
    assert!(table.get(key, &mut rows).await.expect("a look-up"));
    assert_eq!(one.items.look_up(2).await.expect("a row").source, Source::Remote);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_many_names_share_a_round_trip_is_told() {
    let world = World::new().await;
    let node = world.node().await;
    let traffic = || node.store.remote_state().expect("a shared cache").traffic;
    node.items.get_many(0..10).await.expect("rows");
    let before = traffic();
    let items = node.items.cache_mode(CacheMode::SkipMemory);
    items.get_many(0..10).await.expect("rows");
    let after = traffic();
    assert_eq!((after.round_trips - before.round_trips, after.names - before.names), (1, 10));
}
