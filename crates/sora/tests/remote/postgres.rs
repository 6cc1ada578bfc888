//! What the store of nodes that share a cache is asked, by its own statistics.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sora::redis::{RedisConfig, RedisTier};
use sora::{Cache, CachePolicy, Cell, RemoteCache, Repository, Sora, Statement};
use sora_testbed::{Database, Postgres, PostgresOptions, Redis, RedisOptions, RedisProxy};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Item, item};

/// Servers of one's own: one counts statements, the other's proxy counts round trips.
struct Scene {
    items: Repository<Item>,
    /// As somebody uses the store who knows of no cache.
    statistics: Sora,
    proxy: RedisProxy,
    _redis: Redis,
    _database: Database,
    _postgres: Postgres,
}

impl Scene {
    async fn new() -> Self {
        let options = PostgresOptions::new().set("shared_preload_libraries", "pg_stat_statements");
        let postgres = Postgres::start(&options).expect("a server");
        let database = postgres.database().expect("a database");
        database.execute("CREATE EXTENSION pg_stat_statements").expect("an extension");
        let redis = Redis::start(&RedisOptions::new()).expect("a server");
        let proxy = RedisProxy::start(&redis).expect("a proxy");
        let config = RedisConfig::parse(proxy.url()).expect("an address");
        let tier = RedisTier::connect(config.command_timeout_ms(20_000).ping_interval_ms(60_000))
            .expect("a tier");
        tier.ready().await.expect("it answers");
        let remote =
            RemoteCache::new(Arc::new(tier), "counted").lease_time_ms(60_000).wait_max_ms(60_000);
        let cache = Cache::new().all(CachePolicy::new()).remote(remote);
        let store = Sora::builder().cache(cache).open(&database.url()).await.expect("a store");
        store.ensure_schema::<Item>().await.expect("a table");
        let items = store.repository::<Item>().await.expect("a repository");
        let rows: Vec<Item> = (0..3_000).map(item).collect();
        items.insert_many(&rows).await.expect("rows");
        // The generation of the table is known.
        items.get(-1).await.expect("a look-up");
        let statistics = Sora::open(&database.url()).await.expect("a store");
        let scene = Self {
            items,
            statistics,
            proxy,
            _redis: redis,
            _database: database,
            _postgres: postgres,
        };
        scene.filled(1).await;
        scene
    }

    /// Waits until so many rows, or absences, were put into Redis: whoever asked has them before.
    async fn filled(&self, fills: u64) {
        let filled = async {
            while self.items.cache_numbers().expect("cached").remote_fills < fills {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), filled).await.expect("they are put there");
    }

    /// How many statements have read items so far.
    async fn queries(&self) -> i64 {
        let text = "SELECT coalesce(sum(calls), 0)::bigint AS calls FROM pg_stat_statements s \
                    JOIN pg_database d ON d.oid = s.dbid AND d.datname = current_database() \
                    WHERE query LIKE 'SELECT%items%'";
        let rows = self.statistics.native(Statement::new(text)).fetch_rows().await;
        let rows = rows.expect("statistics");
        match rows.row(0).expect("a row").get("calls").expect("a number") {
            Cell::I64(calls) => calls,
            other => panic!("no number: {other:?}"),
        }
    }

    /// Looks all of these up at once; returns the round trips to Redis and the queries to PostgreSQL.
    async fn at_once(&self, ids: Vec<i64>) -> (u64, i64) {
        let (trips, queries) = (self.proxy.round_trips(), self.queries().await);
        let fills = self.items.cache_numbers().expect("cached").remote_fills;
        let distinct = ids.iter().collect::<HashSet<_>>().len() as u64;
        let all = Arc::new(Barrier::new(ids.len()));
        let mut calls = JoinSet::new();
        for id in ids {
            let (items, all) = (self.items.clone(), all.clone());
            calls.spawn(async move {
                all.wait().await;
                items.get(id).await.expect("a look-up").expect("a row").id == id
            });
        }
        assert!(calls.join_all().await.into_iter().all(|is_it| is_it));
        self.filled(fills + distinct).await;
        (self.proxy.round_trips() - trips, self.queries().await - queries)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_misses_ask_the_servers_a_few_times() {
    let scene = Scene::new().await;
    let before = scene.items.cache_numbers().expect("cached");
    let (trips, queries) = scene.at_once(vec![7; 1_000]).await;
    // Its look-up, its lease and its fill; on a busy machine one more was seen now and then.
    assert!(
        (3..=4).contains(&trips) && queries == 1,
        "one key: {trips} round trips, {queries} queries"
    );
    let numbers = scene.items.cache_numbers().expect("cached");
    assert_eq!((numbers.loads - before.loads, numbers.remote_fills - before.remote_fills), (1, 1));
    for round in 1..3 {
        let (trips, queries) = scene.at_once((1_000 * round..1_000 * (round + 1)).collect()).await;
        assert!(trips <= 32, "{trips} round trips to Redis");
        assert!((1..=12).contains(&queries), "{queries} queries to PostgreSQL");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_of_nowhere_are_one_query() {
    let scene = Scene::new().await;
    let (trips, queries) = (scene.proxy.round_trips(), scene.queries().await);
    let found = scene.items.get_many(0..100).await.expect("look-ups");
    assert!(found.iter().all(Option::is_some));
    let asked = (scene.proxy.round_trips() - trips, scene.queries().await - queries);
    assert_eq!(asked, (3, 1));
}
