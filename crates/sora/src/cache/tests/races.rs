//! Loads that are under way while their row is written.

use std::pin::Pin;
use std::task::{Context, Poll};

use sora_core::provider::BoxFuture;

use super::*;
use crate::{Atomic, BatchOptions, Error, Statement};

/// Each way to write item 1, or to say that something else did.
type Way = for<'a> fn(&'a Bench) -> BoxFuture<'a, Result<(), Error>>;

const WAYS: &[(&str, Way)] = &[
    ("patch", |bench| {
        Box::pin(async { bench.items.patch(1, [Item::COUNT.set(7)]).await.map(drop) })
    }),
    ("upsert", |bench| Box::pin(async { bench.items.upsert(changed()).await.map(drop) })),
    ("update", |bench| Box::pin(async { bench.items.update(&changed()).await.map(drop) })),
    ("upsert_many", |bench| {
        Box::pin(async { bench.items.upsert_many([item(0), changed()]).await.map(drop) })
    }),
    // Its key is the stored row's, which the caller need not know.
    ("upsert_on", |bench| {
        let row = Item { id: 1, name: "n1".into(), count: 7 };
        Box::pin(async { bench.items.upsert_on("items_name_key", row).await.map(drop) })
    }),
    ("patch_where", |bench| {
        let filter = || Item::NAME.eq("n1");
        Box::pin(
            async move { bench.items.patch_where(filter(), [Item::COUNT.set(7)]).await.map(drop) },
        )
    }),
    ("delete", |bench| Box::pin(async { bench.items.delete(1).await.map(drop) })),
    ("delete_many", |bench| Box::pin(async { bench.items.delete_many([1, 2]).await.map(drop) })),
    ("delete_where", |bench| {
        Box::pin(async { bench.items.delete_where(Item::COUNT.eq(0)).await.map(drop) })
    }),
    ("batch", |bench| {
        Box::pin(async {
            bench.items.batch().patch(1, [Item::COUNT.set(7)]).commit().await.map(drop)
        })
    }),
    ("closure", |bench| {
        Box::pin(async {
            let items = &bench.items;
            let write = |tx| async move {
                let items = items.within(&tx);
                items.patch(1, [Item::COUNT.set(7)]).await.map(drop)
            };
            bench.store.transaction(write).await
        })
    }),
    ("guard", |bench| {
        Box::pin(async {
            let tx = bench.store.begin().await?;
            bench.items.within(&tx).upsert(changed()).await?;
            tx.commit().await
        })
    }),
    ("invalidate", |bench| {
        Box::pin(async {
            let beside = bench.beside().await?;
            beside.patch(1, [Item::COUNT.set(7)]).await?;
            bench.items.invalidate(1).await
        })
    }),
    ("invalidate_all", |bench| {
        Box::pin(async {
            let beside = bench.beside().await?;
            beside.patch(1, [Item::COUNT.set(7)]).await?;
            bench.items.invalidate_all().await;
            Ok(())
        })
    }),
];

fn changed() -> Item {
    Item { count: 7, ..item(1) }
}

impl Bench {
    /// The same store, without a cache.
    async fn beside(&self) -> Result<Repository<Item>, Error> {
        Sora::builder().provider(self.held.inner()).repository::<Item>().await
    }
}

/// Loads item 1 while it is written; returns whether what was cached behind is old.
async fn race(bench: &Bench, way: Way) -> bool {
    bench.held.hold();
    let items = bench.items.clone();
    let early = tokio::spawn(async move { items.get(1).await });
    settle().await;
    way(bench).await.expect("written");
    bench.held.hold_no_more();
    // It is asked when the write is done: it must not join the load that began before.
    let late = bench.count(1).await;
    bench.held.let_go();
    let early = early.await.expect("no panic").expect("loaded");
    assert_eq!(early.map(|item| item.count), Some(0), "it began before");
    late == Some(0) || bench.count(1).await == Some(0)
}

#[tokio::test]
async fn a_load_that_began_before_a_write_is_not_cached() {
    for (name, way) in WAYS {
        let bench = Bench::memory().await;
        assert!(!race(&bench, *way).await, "{name}: stale");
        let numbers = bench.numbers();
        assert_eq!(numbers.fills_refused, 1, "{name}: {numbers:?}");
        assert_eq!(bench.held.take_reads(), 2, "{name}: what came behind was cached");
    }
}

#[tokio::test]
async fn without_the_fence_the_same_loads_are_cached_stale() {
    for (name, way) in WAYS {
        let bench = Bench::memory().await;
        bench.items.fence_is_removed(true);
        assert!(race(&bench, *way).await, "{name}: the test sees nothing");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn native_statements_take_out_the_tables_that_they_name() {
    for text in ["items", "ITEMS", "main.items", "\"items\""] {
        let bench = Bench::new("sqlite::memory:", CachePolicy::new()).await;
        assert_eq!(bench.count(1).await, Some(0));
        let statement = Statement::new("UPDATE items SET count = 7 WHERE id = 1").writing(text);
        bench.store.native(statement).execute().await.expect("written");
        assert_eq!(bench.count(1).await, Some(7), "{text}");
    }
}

#[tokio::test]
async fn a_row_that_was_missed_is_found_when_it_is_there() {
    let bench = Bench::memory().await;
    assert_eq!((bench.count(77).await, bench.count(77).await), (None, None));
    assert_eq!(bench.numbers().missing_hits, 1);
    bench.items.insert(&item(77)).await.expect("inserted");
    assert_eq!(bench.count(77).await, Some(0));
}

#[tokio::test]
async fn an_unknown_outcome_keeps_its_row_out_until_it_can_happen_no_more() {
    let bench = Bench::new("memory:", CachePolicy::new().unknown_time_ms(500)).await;
    bench.held.forget_outcomes(true);
    assert_eq!(bench.count(1).await, Some(0));
    bench.items.patch(1, [Item::COUNT.set(7)]).await.expect_err("unknown");
    bench.held.take_reads();
    for _ in 0..3 {
        assert_eq!(bench.count(1).await, Some(7));
    }
    assert_eq!(bench.held.take_reads(), 3, "nothing was cached");
    bench.hand.advance_ms(500);
    assert_eq!((bench.count(1).await, bench.count(1).await), (Some(7), Some(7)));
    assert_eq!(bench.held.take_reads(), 1);
}

#[tokio::test]
async fn a_write_that_was_dropped_keeps_its_row_out_likewise() {
    let bench = Bench::new("memory:", CachePolicy::new().unknown_time_ms(500)).await;
    assert_eq!(bench.count(1).await, Some(0));
    bench.held.hold_writes();
    let items = bench.items.clone();
    let write = tokio::spawn(async move { items.patch(1, [Item::COUNT.set(7)]).await });
    settle().await;
    write.abort();
    assert!(write.await.is_err());
    bench.held.take_reads();
    assert_eq!((bench.count(1).await, bench.count(1).await), (Some(7), Some(7)));
    assert_eq!(bench.held.take_reads(), 2, "nothing was cached");
    bench.hand.advance_ms(500);
    assert_eq!((bench.count(1).await, bench.count(1).await), (Some(7), Some(7)));
    assert_eq!(bench.held.take_reads(), 1);
}

#[tokio::test]
async fn a_transaction_reaches_the_cache_when_it_is_committed() {
    let bench = Bench::memory().await;
    assert_eq!(bench.count(1).await, Some(0));
    let tx = bench.store.begin().await.expect("begun");
    let inside = bench.items.within(&tx);
    inside.patch(1, [Item::COUNT.set(7)]).await.expect("written");
    let seen = inside.get(1).await.expect("a look-up").map(|item| item.count);
    assert_eq!(seen, Some(7), "inside it its own writes are seen");
    assert_eq!(bench.count(1).await, Some(0));
    tx.rollback().await.expect("undone");
    bench.held.take_reads();
    assert_eq!(bench.count(1).await, Some(0));
    assert_eq!(bench.held.take_reads(), 0, "what was undone has not changed anything");
}

#[tokio::test]
async fn the_batch_writer_takes_out_what_it_writes() {
    let bench = Bench::memory().await;
    for (count, atomic) in (1..).zip([Atomic::Row, Atomic::Chunk, Atomic::Stream]) {
        assert!(bench.counts().await.iter().all(|known| *known == Some(count - 1)));
        let rows = (0..10).map(|id| Item { count, ..item(id) });
        let options = BatchOptions { atomic, ..BatchOptions::default() };
        let report = bench.items.write_stream(Iter(rows)).options(options).await;
        assert_eq!(report.expect("written").counts.written(), 10);
        assert!(bench.counts().await.iter().all(|known| *known == Some(count)), "{atomic:?}");
    }
}

impl Bench {
    async fn counts(&self) -> Vec<Option<i64>> {
        let found = self.items.get_many(0..10).await.expect("look-ups");
        found.into_iter().map(|item| item.map(|item| item.count)).collect()
    }
}

/// What an iterator gives, as a stream.
pub(super) struct Iter<I>(pub(super) I);

impl<I: Iterator + Unpin> futures_core::Stream for Iter<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}
