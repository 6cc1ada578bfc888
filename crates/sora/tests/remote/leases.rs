//! Who loads a row for all nodes, and who does if that one does not.

use sora::{CachePolicy, ErrorKind, RemoteCache, Source};

use super::held::Held;
use super::setup::Setup;
use super::{Item, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_too_long_keeps_no_other_waiting_beyond_its_lease() {
    let (world, held) = (World::new().await, Held::default());
    let one = Setup::new().lease_time_ms(50).held(&held).open(&world).await;
    let other = Setup::new().lease_time_ms(50).open(&world).await;
    held.hold();
    let items = one.items.clone();
    let load = tokio::spawn(async move { items.get(1).await });
    held.wait_held(1).await;
    assert_eq!(other.count(1).await, Some(0));
    assert_eq!((other.numbers().lease_waits, other.numbers().loads), (1, 1));
    // What it gives after that is its caller's alone.
    world.beside().await.patch(1, [Item::COUNT.set(7)]).await.expect("written");
    other.items.invalidate(1).await.expect("told");
    assert_eq!(other.count(1).await, Some(7));
    held.let_go();
    assert_eq!(load.await.expect("no panic").expect("a row").map(|item| item.count), Some(0));
    assert_eq!(one.numbers().remote_fills_refused, 1);
    let found = one.items.look_up(1).await.expect("a row");
    assert_eq!((found.source, found.entity.map(|item| item.count)), (Source::Remote, Some(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_its_load_to_the_other_node() {
    let (world, held) = (World::new().await, Held::default());
    let one = Setup::new().held(&held).open(&world).await;
    let other = world.node().await;
    held.hold();
    let items = one.items.clone();
    let load = tokio::spawn(async move { items.get(1).await });
    held.wait_held(1).await;
    load.abort();
    assert!(load.await.expect_err("gone").is_cancelled());
    let items = other.items.clone();
    let waits = tokio::spawn(async move { items.look_up(1).await });
    while other.numbers().lease_waits == 0 {
        tokio::task::yield_now().await;
    }
    held.let_go();
    assert_eq!(waits.await.expect("no panic").expect("a row").source, Source::Remote);
    assert_eq!((one.numbers().loads, other.numbers().loads), (1, 0));
}

/// However a load ends without a row, its lease is given back: no other node waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_fails_gives_its_lease_back() {
    type Fail = fn(&Held);
    let ways: [(&str, ErrorKind, Fail); 3] = [
        ("fails", ErrorKind::Unavailable, |held| held.fail_reads(Some(ErrorKind::Unavailable))),
        ("takes too long", ErrorKind::Timeout, Held::hold),
        ("panics", ErrorKind::Cancelled, Held::panic_once),
    ];
    for (name, kind, fail) in ways {
        let (world, held) = (World::new().await, Held::default());
        let policy = CachePolicy::new().load_timeout_ms(100);
        let one = Setup::new().policy(policy).held(&held).open(&world).await;
        let other = world.node().await;
        fail(&held);
        let items = one.items.clone();
        let load = tokio::spawn(async move { items.get(1).await });
        let error = load.await.expect("the caller does not panic").expect_err(name);
        assert_eq!(error.kind(), kind, "{name}: {error}");
        let found = other.items.look_up(1).await.expect("a row");
        assert_eq!(found.source, Source::Store, "{name}");
        let numbers = other.numbers();
        assert_eq!((numbers.remote_fills, numbers.loads), (1, 1), "{name}");
        held.fail_reads(None);
        held.let_go();
        assert_eq!(one.items.look_up(1).await.expect("a row").source, Source::Remote, "{name}");
        assert_eq!(one.numbers().loads_failed, 1, "{name}: it was told once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_not_to_be_shared_gives_its_lease_back() {
    let world = World::new().await;
    let small = |remote: RemoteCache| remote.value_bytes_max(1);
    let one = Setup::new().remote(small).open(&world).await;
    assert_eq!(one.items.look_up(1).await.expect("a row").source, Source::Store);
    assert_eq!((one.numbers().remote_too_large, one.numbers().remote_fills), (1, 0));
    world.until_empty().await;
    let other = world.node().await;
    assert_eq!(other.items.look_up(1).await.expect("a row").source, Source::Store);
    assert_eq!(other.numbers().lease_waits, 0);
}

/// An unknown outcome blocks its row for all nodes.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_unknown_outcome_is_filled_by_nobody() {
    let (world, held) = (World::new().await, Held::default());
    let one = Setup::new().held(&held).open(&world).await;
    let other = world.node().await;
    assert_eq!(other.count(1).await, Some(0));
    let told = other.numbers().told;
    held.forget_outcomes(true);
    one.items.patch(1, [Item::COUNT.set(7)]).await.expect_err("unknown");
    other.told(told + 1).await;
    for _ in 0..3 {
        let found = other.items.look_up(1).await.expect("a row");
        assert_eq!((found.source, found.entity.map(|it| it.count)), (Source::Store, Some(7)));
    }
    assert_eq!(other.numbers().remote_fills, 1, "the first alone");
}
