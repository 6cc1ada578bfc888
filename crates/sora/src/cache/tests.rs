//! The cache of one store in one process.

mod flaws;
mod flights;
mod held;
mod modes;
mod races;
mod random;
mod times;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sora_core::provider::BoxFuture;

use self::held::Held;
use super::{Cache, CachePolicy};
use crate::{Clock, Entity, Repository, Sora};

#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "items", unique(name))]
struct Item {
    #[sora(key)]
    id: i64,
    name: String,
    count: i64,
}

fn item(id: i64) -> Item {
    Item { id, name: format!("n{id}"), count: 0 }
}

/// A clock that stands until it is moved.
#[derive(Clone, Debug, Default)]
struct Hand(Arc<Mutex<Duration>>);

impl Hand {
    fn advance_ms(&self, time_ms: u64) {
        *self.0.lock().expect("no panic") += Duration::from_millis(time_ms);
    }
}

impl Clock for Hand {
    fn now(&self) -> Duration {
        *self.0.lock().expect("no panic")
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    /// The longest jitter that there is.
    fn random(&self) -> u64 {
        u64::MAX
    }
}

/// A store with items 0 to 9, and the hands that steer it.
struct Bench {
    store: Sora,
    items: Repository<Item>,
    held: Held,
    hand: Hand,
}

impl Bench {
    async fn new(address: &str, policy: CachePolicy) -> Self {
        let (held, hand) = (Held::default(), Hand::default());
        let cache = Cache::new().entity::<Item>(policy).clock(Arc::new(hand.clone()));
        let builder = Sora::builder().layer(held.clone()).cache(cache);
        let store = builder.open(address).await.expect("a store");
        store.ensure_schema::<Item>().await.expect("a table");
        let items = store.repository::<Item>().await.expect("a repository");
        let rows: Vec<Item> = (0..10).map(item).collect();
        items.insert_many(&rows).await.expect("rows");
        Self { store, items, held, hand }
    }

    async fn memory() -> Self {
        Self::new("memory:", CachePolicy::new().jitter_percent(0)).await
    }

    /// The count of an item as a look-up gives it; none if there is no such item.
    async fn count(&self, id: i64) -> Option<i64> {
        self.items.get(id).await.expect("a look-up").map(|item| item.count)
    }

    fn numbers(&self) -> super::CacheNumbers {
        self.items.cache_numbers().expect("cached")
    }
}

/// Lets every task run until it waits for something that the test holds.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
