//! What single handles do with the cache.

use super::*;
use crate::CacheMode;

#[tokio::test]
async fn each_mode_reads_and_fills_as_it_says() {
    // Mode; what it gives of an entry that is older than the store; reads of two such look-ups; what
    // others find behind.
    let cases = [
        (CacheMode::Use, 0, 0, 0),
        (CacheMode::ReadOnly, 0, 0, 0),
        (CacheMode::Refresh, 7, 2, 7),
        (CacheMode::Bypass, 7, 2, 0),
    ];
    for (mode, expected, reads, behind) in cases {
        let bench = Bench::memory().await;
        assert_eq!(bench.count(1).await, Some(0));
        let beside = Sora::builder().provider(bench.held.inner());
        let beside = beside.repository::<Item>().await.expect("a repository");
        beside.patch(1, [Item::COUNT.set(7)]).await.expect("written by somebody else");
        bench.held.take_reads();
        let items = bench.items.cache_mode(mode);
        for _ in 0..2 {
            let found = items.get(1).await.expect("a look-up").map(|item| item.count);
            assert_eq!(found, Some(expected), "{mode:?}");
        }
        assert_eq!(bench.held.take_reads(), reads, "{mode:?}");
        let many = items.get_many([1]).await.expect("look-ups");
        assert_eq!(many[0].as_ref().map(|item| item.count), Some(expected), "{mode:?}");
        assert_eq!(bench.count(1).await, Some(behind), "{mode:?}");
    }
}

#[tokio::test]
async fn a_handle_that_only_reads_the_cache_fills_nothing() {
    let bench = Bench::memory().await;
    let items = bench.items.cache_mode(CacheMode::ReadOnly);
    for _ in 0..2 {
        items.get(1).await.expect("a row");
        items.get_many([2, 99]).await.expect("rows");
    }
    assert_eq!(bench.held.take_reads(), 4);
    assert_eq!(bench.numbers().entries, 0);
}

#[tokio::test]
async fn handles_of_one_entity_share_its_cache_and_no_policy_means_none() {
    let bench = Bench::memory().await;
    assert_eq!(bench.count(1).await, Some(0));
    let other = bench.store.repository::<Item>().await.expect("a repository");
    bench.held.take_reads();
    other.get(1).await.expect("a row");
    assert_eq!(bench.held.take_reads(), 0);
    other.patch(1, [Item::COUNT.set(7)]).await.expect("written");
    assert_eq!(bench.count(1).await, Some(7));

    let uncached = Sora::builder().provider(bench.held.inner());
    let uncached = uncached.repository::<Item>().await.expect("a repository");
    assert_eq!(uncached.cache_numbers(), None);
    uncached.invalidate(1).await.expect("nothing to do");
}

#[tokio::test]
async fn tables_that_know_no_types_keep_the_cache_true_as_well() {
    let bench = Bench::memory().await;
    assert_eq!(bench.count(1).await, Some(0));
    let table = bench.store.table("items").await.expect("a table");
    let query = crate::Query::new(Item::ID.eq(1).into_predicate().expect("a filter"));
    table.delete_where(&query).await.expect("deleted");
    assert_eq!(bench.count(1).await, None);
}

#[tokio::test]
async fn tables_that_know_no_types_are_cached_as_well() {
    let bench = Bench::memory().await;
    let table = bench.store.table("items").await.expect("a table");
    let counts = async || {
        let mut rows = crate::RowBuffer::new(3);
        let key = |id| table.key(|out| crate::CellSink::cell(out, crate::Cell::I64(id)));
        assert!(table.get(key(1).expect("a key"), &mut rows).await.expect("a look-up"));
        assert!(!table.get(key(77).expect("a key"), &mut rows).await.expect("a look-up"));
        let mut keys = table.key_intake().expect("keys");
        for id in [2, 77, 1] {
            keys.row(|out| out.cell(crate::Cell::I64(id))).expect("a key");
        }
        let mut places = Vec::new();
        let take = |place: usize, row: &dyn crate::Row| {
            places.push(place);
            rows.push(row)
        };
        table.get_many(keys.finish(), take).await.expect("look-ups");
        assert_eq!(places, [0, 2]);
        rows.iter().map(|row| row.get(2).to_value()).collect::<Vec<_>>()
    };
    bench.held.take_reads();
    let zero = crate::Value::I64(0);
    assert_eq!(counts().await, [zero.clone(), zero.clone(), zero.clone()]);
    assert_eq!(bench.held.take_reads(), 3);
    assert_eq!(counts().await.len(), 3);
    assert_eq!(bench.held.take_reads(), 0, "all was in memory");
    bench.items.patch(1, [Item::COUNT.set(7)]).await.expect("written");
    let seven = crate::Value::I64(7);
    assert_eq!(counts().await, [seven.clone(), zero, seven]);
    let tx = bench.store.begin().await.expect("begun");
    bench.items.within(&tx).patch(1, [Item::COUNT.set(8)]).await.expect("written");
    let mut rows = crate::RowBuffer::new(3);
    let key = table.key(|out| out.cell(crate::Cell::I64(1))).expect("a key");
    table.within(&tx).get(key, &mut rows).await.expect("a look-up");
    let inside = rows.row(0).expect("a row").get(2).to_value();
    assert_eq!(inside, crate::Value::I64(8), "inside it its own writes are seen");
}

#[cfg(feature = "sqlite")]
/// Another entity of the same table, by another key.
#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "items")]
struct Named {
    id: i64,
    #[sora(key)]
    name: String,
    count: i64,
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_entity_with_another_key_sees_the_writes_of_the_first() {
    let (held, hand) = (Held::default(), Hand::default());
    let cache = Cache::new().table("items", CachePolicy::new()).clock(Arc::new(hand));
    let builder = Sora::builder().layer(held.clone()).cache(cache);
    let store = builder.open("sqlite::memory:").await.expect("a store");
    store.ensure_schema::<Item>().await.expect("a table");
    let items = store.repository::<Item>().await.expect("a repository");
    let named = store.repository::<Named>().await.expect("a repository");
    items.insert(&item(1)).await.expect("a row");
    let count = async || named.get("n1").await.expect("a look-up").map(|item| item.count);
    assert_eq!((count().await, count().await), (Some(0), Some(0)));
    items.patch(1, [Item::COUNT.set(7)]).await.expect("written");
    assert_eq!(count().await, Some(7));
    items.delete(1).await.expect("deleted");
    assert_eq!(count().await, None);
    items.insert(&item(1)).await.expect("a row");
    assert_eq!(count().await, Some(0));
}
