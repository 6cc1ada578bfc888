//! Flaws that caches have elsewhere: see `docs/flaws/caching.md`.

mod names;
mod narrow;
mod server;
mod shared;

use sora_core::provider::SharedProvider;

use self::server::{Line, Server};
use super::super::fence::{Entered, Fence, Load};
use super::*;
use crate::{Atomic, BatchOptions, RemoteCache, Source};

/// A store, and what its nodes share.
struct World {
    store: SharedProvider,
    server: Server,
    hand: Hand,
}

struct Node {
    items: Repository<Item>,
    held: Held,
    line: Line,
    store: Sora,
}

const POLICY: CachePolicy = CachePolicy::new().jitter_percent(0);

impl World {
    /// Items 0 to 19.
    async fn new() -> Self {
        let store: SharedProvider = Arc::new(sora_core::memory::Memory::new());
        let world = Self { store, server: Server::default(), hand: Hand::default() };
        let plain = Sora::builder().provider(world.store.clone());
        plain.ensure_schema::<Item>().await.expect("a table");
        let items = plain.repository::<Item>().await.expect("a repository");
        let rows: Vec<Item> = (0..20).map(item).collect();
        items.insert_many(&rows).await.expect("rows");
        world
    }

    async fn node(&self) -> Node {
        self.node_with(POLICY, |remote| remote).await
    }

    async fn node_with(
        &self,
        policy: CachePolicy,
        limits: impl FnOnce(RemoteCache) -> RemoteCache,
    ) -> Node {
        let (held, line) = (Held::default(), self.server.line());
        let remote = limits(RemoteCache::new(Arc::new(line.clone()), "shop"));
        let cache = Cache::new().all(policy).clock(Arc::new(self.hand.clone())).remote(remote);
        let builder = Sora::builder().layer(held.clone()).cache(cache);
        let store = builder.provider(self.store.clone());
        let items = store.repository::<Item>().await.expect("a repository");
        Node { items, held, line, store }
    }

    /// Writes as somebody does who knows of no cache.
    async fn patch(&self, id: i64, count: i64) {
        let store = Sora::builder().provider(self.store.clone());
        let items = store.repository::<Item>().await.expect("a repository");
        items.patch(id, [Item::COUNT.set(count)]).await.expect("written");
    }
}

impl Node {
    /// The count of an item, and where it was found.
    async fn found(&self, id: i64) -> (i64, Source) {
        let found = self.items.look_up(id).await.expect("a look-up");
        (found.entity.expect("a row").count, found.source)
    }

    async fn patch(&self, id: i64, count: i64) {
        self.items.patch(id, [Item::COUNT.set(count)]).await.expect("written");
    }

    fn numbers(&self) -> super::super::CacheNumbers {
        self.items.cache_numbers().expect("cached")
    }

    /// Looks an item up in a task of its own.
    fn asks(&self, id: i64) -> tokio::task::JoinHandle<Option<i64>> {
        let items = self.items.clone();
        let count = async move { items.get(id).await.expect("a look-up").map(|item| item.count) };
        tokio::spawn(count)
    }
}

#[tokio::test]
async fn all_who_wait_for_a_row_that_is_not_there_make_one_load() {
    let bench = Bench::memory().await;
    bench.held.hold();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let items = bench.items.clone();
            tokio::spawn(async move { items.get(77).await })
        })
        .collect();
    settle().await;
    bench.held.let_go();
    for task in tasks {
        assert_eq!(task.await.expect("no panic").expect("a look-up"), None);
    }
    assert_eq!(bench.held.take_reads(), 1);
}

#[tokio::test]
async fn look_ups_of_many_join_those_of_one_and_the_other_way_round() {
    let bench = Bench::memory().await;
    bench.held.hold();
    let one = |id| {
        let items = bench.items.clone();
        tokio::spawn(async move { items.get(id).await })
    };
    let many = || {
        let items = bench.items.clone();
        tokio::spawn(async move { items.get_many([1, 2]).await })
    };
    let first = one(1);
    settle().await;
    let both = [many(), many()];
    settle().await;
    let last = one(2);
    settle().await;
    bench.held.let_go();
    for (id, call) in [(1, first), (2, last)] {
        assert_eq!(call.await.expect("no panic").expect("a row"), Some(Arc::new(item(id))));
    }
    for call in both {
        assert_eq!(call.await.expect("no panic").expect("rows").iter().flatten().count(), 2);
    }
    let numbers = bench.numbers();
    assert_eq!((bench.held.take_reads(), numbers.loads, numbers.joined), (2, 2, 4));
}

#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "words")]
struct Word {
    #[sora(key)]
    text: String,
    count: i64,
}

#[tokio::test]
async fn a_long_key_without_a_row_is_not_kept() {
    let builder = Sora::builder().cache(Cache::new().all(POLICY));
    let store = builder.open("memory:").await.expect("a store");
    store.ensure_schema::<Word>().await.expect("a table");
    let words = store.repository::<Word>().await.expect("a repository");
    for len in [1_024, 1_025, 1 << 20] {
        let text = "x".repeat(len);
        for _ in 0..2 {
            assert_eq!(words.get(&text).await.expect("a look-up"), None);
        }
        let numbers = words.cache_numbers().expect("cached");
        assert_eq!(numbers.missing_hits, 1, "{len}");
        assert_eq!(numbers.too_large, u64::from(len > 1_024) * (numbers.loads - 1), "{len}");
    }
}

impl Load for u32 {
    fn is(&self, other: &Self) -> bool {
        self == other
    }
}

#[test]
fn a_load_that_ends_takes_only_itself_out() {
    let fence: Fence<u32> = Fence::new(1, 9);
    let joins =
        |expected| matches!(fence.enter(b"k", 0, || 9), Entered::Joins(it) if it == expected);
    assert!(matches!(fence.enter(b"k", 0, || 1), Entered::Leads(1)));
    assert!(joins(1));
    fence.invalidate(b"k", || {});
    assert!(matches!(fence.enter(b"k", 0, || 2), Entered::Leads(2)));
    // The first ends: who comes now still joins the second, which is kept.
    assert!(!fence.finish(b"k", &1, || {}));
    assert!(joins(2));
    assert!(fence.finish(b"k", &2, || {}));
}

#[tokio::test]
async fn a_batch_that_fails_on_its_way_takes_out_what_it_wrote() {
    for atomic in [Atomic::Row, Atomic::Chunk, Atomic::Stream] {
        let bench = Bench::memory().await;
        for id in 0..10 {
            assert_eq!(bench.count(id).await, Some(0));
        }
        // The name of the sixth row is taken.
        let name = |id| if id == 5 { "n9".to_owned() } else { format!("n{id}") };
        let rows = (0..8).map(|id| Item { id, name: name(id), count: 7 });
        let options = BatchOptions { atomic, rows_per_chunk: Some(2), ..BatchOptions::default() };
        drop(bench.items.write_stream(races::Iter(rows)).options(options).await);
        drop(bench.items.batch().patch(8, [Item::COUNT.set(7)]).insert(item(9)).commit().await);
        let direct = bench.items.cache_mode(crate::CacheMode::Bypass);
        let expected = direct.get_many(0..10).await.expect("look-ups");
        let written = expected.iter().flatten().filter(|item| item.count == 7).count();
        assert_eq!(written > 0, atomic != Atomic::Stream, "{atomic:?}");
        assert_eq!(bench.items.get_many(0..10).await.expect("look-ups"), expected, "{atomic:?}");
    }
}

#[tokio::test]
async fn what_a_store_can_it_can_beneath_a_cache() {
    let bench = Bench::memory().await;
    let (above, beneath) = (bench.store.provider(), bench.held.inner());
    assert_eq!(above.capability(), beneath.capability());
    assert!(above.capability().transactions && above.capability().returning);
    let tx = bench.store.begin().await.expect("begun");
    let inside = bench.items.within(&tx);
    let patched = inside.patch_where(Item::COUNT.eq(0), [Item::COUNT.add(1)]).await;
    assert_eq!(patched.expect("written"), 10, "how many it has written");
    tx.commit().await.expect("committed");
    let error = bench.items.update(&item(77)).await.expect_err("no row");
    assert_eq!(error.kind(), crate::ErrorKind::NotFound, "and what it has not");
}
