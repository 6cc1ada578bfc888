//! A node sees its own writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::{Item, World, item};

/// How many reads there are, unless `SORA_TEST_OWN_READS` says another number.
const READS: u64 = 20_000;
/// Tasks that write and read at once.
const TASKS: u64 = 16;

/// Every task writes rows of its own and reads each at once; another node reads the same rows, so that
/// both fill what they share, all the time.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_read_at_once() {
    let reads = std::env::var("SORA_TEST_OWN_READS")
        .map_or(READS, |reads| reads.parse().expect("SORA_TEST_OWN_READS is a number of reads"));
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    let items: Vec<Item> = (10..100).map(item).collect();
    world.beside().await.insert_many(&items).await.expect("rows");
    let stale = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (items, others) = (one.items.clone(), other.items.clone());
        let stale = stale.clone();
        tasks.spawn(async move {
            for count in 0..reads.div_ceil(TASKS) {
                let id = i64::try_from(task * 5 + count % 5).expect("a small number");
                let written = i64::try_from(count).expect("a small number");
                items.patch(id, [Item::COUNT.set(written)]).await.expect("written");
                let (own, _) = tokio::join!(items.get(id), others.get(id));
                let own = own.expect("a look-up").expect("a row").count;
                stale.fetch_add(u64::from(own != written), Ordering::Relaxed);
            }
        });
    }
    tasks.join_all().await;
    let numbers = one.numbers();
    assert_eq!(stale.load(Ordering::Relaxed), 0, "stale own reads: {numbers:?}");
    assert!(numbers.remote_fills > 0 && numbers.remote_hits + numbers.lease_waits > 0);
}
