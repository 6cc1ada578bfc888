//! The end of a node, and what others on the same server have to do with it.

use sora::Source;
use sora_testbed::{Redis, RedisOptions};

use super::held::Held;
use super::setup::Setup;
use super::{World, row_keys};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_leaves_no_connection_and_no_lease() {
    let redis = Redis::start(&RedisOptions::new()).expect("a server");
    let (world, held) = (World::at(redis.url()).await, Held::default());
    let node = Setup::new().held(&held).open(&world).await;
    held.hold();
    let items = node.items.clone();
    let load = tokio::spawn(async move { items.get(1).await });
    held.wait_held(1).await;
    assert_eq!(row_keys(&redis, &world.application).len(), 1, "a lease");
    load.abort();
    drop(node);
    // The load belongs to nobody: it ends by itself.
    held.let_go();
    let clients = || redis.info("clients").expect("info")["connected_clients"].clone();
    while clients() != "1" {
        tokio::task::yield_now().await;
    }
    let other = world.node().await;
    assert_eq!(other.items.look_up(1).await.expect("a row").source, Source::Remote);
    assert_eq!(other.numbers().lease_waits, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_application_on_a_server_has_nothing_to_do_with_another() {
    let (world, others) = (World::new().await, World::new().await);
    let (node, other) = (world.node().await, others.node().await);
    let (fresh, beside) = (others.node().await, world.node().await);
    for node in [&node, &other, &beside] {
        node.count(1).await;
    }
    let told = beside.numbers().told;
    node.items.invalidate_all().await;
    beside.told(told + 1).await;
    assert_eq!(beside.items.look_up(1).await.expect("a row").source, Source::Store);
    assert_eq!(other.items.look_up(1).await.expect("a row").source, Source::Memory);
    assert_eq!(fresh.items.look_up(1).await.expect("a row").source, Source::Remote);
}
