//! Nodes that share a cache on a real Redis.

mod bulk;
mod encoding;
mod held;
mod leases;
mod lifecycle;
mod lifetimes;
mod nodes;
mod outages;
mod own_reads;
#[cfg(feature = "postgres")]
mod postgres;
mod processes;
mod races;
mod setup;
mod tags;
mod unfenced;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use sora::memory::Memory;
use sora::provider::SharedProvider;
use sora::{CacheNumbers, CachePolicy, Entity, Repository, Sora};
use sora_testbed::{Redis, Reply};

use self::setup::Setup;

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

/// A store that several nodes use, and the application that they are.
struct World {
    store: SharedProvider,
    application: String,
    url: String,
}

/// One of them.
struct Node {
    store: Sora,
    items: Repository<Item>,
    /// The store as somebody uses it who knows of no cache.
    beside: Repository<Item>,
}

impl World {
    /// Items 0 to 9 in a store of their own.
    async fn new() -> Self {
        Self::at(Redis::shared().expect("a server").url()).await
    }

    async fn at(url: String) -> Self {
        let world = Self { store: Arc::new(Memory::new()), application: Redis::prefix(), url };
        let store = Sora::builder().provider(world.store.clone());
        store.ensure_schema::<Item>().await.expect("a table");
        let items = store.repository::<Item>().await.expect("a repository");
        let rows: Vec<Item> = (0..10).map(item).collect();
        items.insert_many(&rows).await.expect("rows");
        world
    }

    async fn node(&self) -> Node {
        self.node_with(CachePolicy::new()).await
    }

    async fn node_with(&self, policy: CachePolicy) -> Node {
        Setup::new().policy(policy).open(self).await
    }

    /// The server, for what somebody says to it who knows of no Sora.
    fn redis(&self) -> Redis {
        Redis::given(&self.url).expect("an address")
    }

    /// The key under which the server holds an item.
    fn key(&self, id: i64) -> Vec<u8> {
        let keys = row_keys(&self.redis(), &self.application);
        let mut keys = keys.into_iter().filter(|key| key.ends_with(&id.to_le_bytes()));
        keys.next().unwrap_or_else(|| panic!("the server holds no item {id}"))
    }

    /// Waits until the server holds no item and no lease: these are given back behind the answer, and
    /// long before their time is over.
    async fn until_empty(&self) {
        let emptied = async {
            while !row_keys(&self.redis(), &self.application).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), emptied).await.expect("a lease stays");
    }

    /// The store as somebody uses it who knows of no cache.
    async fn beside(&self) -> Repository<Item> {
        let store = Sora::builder().provider(self.store.clone());
        store.repository::<Item>().await.expect("a repository")
    }
}

impl Node {
    /// The count of an item as a look-up gives it; none if there is no such item.
    async fn count(&self, id: i64) -> Option<i64> {
        self.items.get(id).await.expect("a look-up").map(|item| item.count)
    }

    fn numbers(&self) -> CacheNumbers {
        self.items.cache_numbers().expect("cached")
    }

    /// Waits until it has been told of so many changes.
    async fn told(&self, changes: u64) {
        while self.numbers().told < changes {
            tokio::task::yield_now().await;
        }
    }
}

/// The keys under which a server holds rows of an application.
fn row_keys(redis: &Redis, application: &str) -> Vec<Vec<u8>> {
    let pattern = format!("{{sora:row:{application}:*");
    let reply = redis.command(&["KEYS", &pattern]).expect("keys");
    let bytes = |key: &Reply| match key {
        Reply::Bulk(key) => key.clone(),
        other => panic!("no key: {other:?}"),
    };
    reply.values().expect("a list").iter().map(bytes).collect()
}
