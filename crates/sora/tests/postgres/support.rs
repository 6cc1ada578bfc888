//! Stores on real servers, a client that looks at what Sora does there, and futures that are given up.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use sora::provider::{Administer, Administered, PoolGauges};
use sora::write::Outcome;
use sora::{Entity, Error, Filter, Repository, Result, Sora};
use sora_testbed::{Database, Postgres};
use tokio_postgres::{Client, NoTls};

/// What every condition here is met in, or the test fails.
const DEADLINE: Duration = Duration::from_mins(1);

/// A row with a unique column beside its key.
#[derive(Clone, Debug, PartialEq, Entity)]
#[sora(table = "items")]
pub(crate) struct Item {
    #[sora(key)]
    pub(crate) id: i64,
    pub(crate) name: String,
    #[sora(unique)]
    pub(crate) code: Option<String>,
    pub(crate) amount: i64,
}

/// An account, of which two are paid from one to the other.
#[derive(Clone, Debug, PartialEq, Entity)]
#[sora(table = "accounts")]
pub(crate) struct Account {
    #[sora(key)]
    pub(crate) id: i64,
    pub(crate) balance: i64,
}

/// A database with a store on it, and a client of its own that looks at the server.
pub(crate) struct Place {
    pub(crate) database: Database,
    pub(crate) store: Sora,
    pub(crate) items: Repository<Item>,
    pub(crate) watcher: Watcher,
}

/// Looks at the server beside Sora.
pub(crate) struct Watcher(Client);

/// What became of a row, as its caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    Applied,
    Failed,
    Unknown,
    Skipped,
}

/// The row of a number.
pub(crate) fn item(id: i64) -> Item {
    Item { id, name: "new".into(), code: None, amount: id % 7 }
}

impl Place {
    /// Opens a database of the shared server, with parameters for the store.
    pub(crate) async fn open(parameters: &str) -> Self {
        let server = Postgres::shared().expect("a server");
        let database = server.database().expect("a database");
        let store = open(&database.url(), parameters).await;
        let items = repository(&store).await;
        let watcher = Watcher::connect(&database.url()).await;
        Self { database, store, items, watcher }
    }

    /// Adds rows beside Sora, named `old`.
    pub(crate) async fn put(&self, ids: std::ops::Range<i64>) {
        let sql = format!(
            "INSERT INTO items (id, name, amount) SELECT id, 'old', 0 \
             FROM generate_series({}, {}) AS id",
            ids.start,
            ids.end - 1
        );
        self.watcher.run(&sql).await;
    }

    /// The numbers of all rows.
    pub(crate) async fn ids(&self) -> BTreeSet<i64> {
        self.watcher.numbers("SELECT id FROM items").await.into_iter().collect()
    }

    /// Checks that nothing is left behind: the pool has all its connections, each works, and the
    /// server knows of no lock, transaction or statement.
    pub(crate) async fn check_healthy(&self, connections_max: usize) {
        check_full(&self.store, connections_max).await;
        self.watcher.check_quiet().await;
    }
}

/// Opens a store at an address with parameters behind it.
pub(crate) async fn open(url: &str, parameters: &str) -> Sora {
    let mark = if url.contains('?') { '&' } else { '?' };
    Sora::open(&format!("{url}{mark}{parameters}")).await.expect("the store opens")
}

/// The table of an entity, made if it is missing.
pub(crate) async fn repository<E: Entity>(store: &Sora) -> Repository<E> {
    store.ensure_schema::<E>().await.expect("the table is made");
    store.repository::<E>().await.expect("the table opens")
}

/// The gauges of the pool.
pub(crate) async fn gauges(store: &Sora) -> PoolGauges {
    match store.provider().administer(&Administer::Pools).await.expect("gauges") {
        Administered::Pools(mut pools) => pools.pop().expect("a pool"),
        other => panic!("not gauges: {other:?}"),
    }
}

/// Waits until nobody uses the pool, then uses all of it at once: as many transactions as there may
/// be connections are open beside each other, and each reads.
pub(crate) async fn check_full(store: &Sora, connections_max: usize) {
    let items = store.repository::<Item>().await.expect("the table opens");
    until("the pool to be idle", async || {
        let pool = gauges(store).await;
        pool.idle == pool.connections && pool.waiting == 0
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..connections_max {
        let transaction = store.begin().await.expect("a connection is free");
        items.within(&transaction).query(Filter::all()).limit(1).fetch().await.expect("it reads");
        open.push(transaction);
    }
    let pool = gauges(store).await;
    assert_eq!((pool.connections, pool.idle), (connections_max, 0), "{pool:?}");
    for transaction in open {
        transaction.commit().await.expect("it is committed");
    }
    let pool = gauges(store).await;
    assert_eq!((pool.connections, pool.idle), (connections_max, connections_max), "{pool:?}");
}

impl Watcher {
    pub(crate) async fn connect(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
        tokio::spawn(connection);
        client.batch_execute("SET application_name = 'watcher'").await.expect("it is named");
        Self(client)
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.0.batch_execute(sql).await.expect(sql);
    }

    pub(crate) async fn numbers(&self, sql: &str) -> Vec<i64> {
        let rows = self.0.query(sql, &[]).await.expect(sql);
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.numbers(sql).await[0]
    }

    /// How many connections of the database, but those that watch, meet a condition.
    pub(crate) async fn others(&self, condition: &str) -> i64 {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND backend_type = 'client backend' AND application_name <> 'watcher' AND {condition}"
        );
        self.number(&sql).await
    }

    /// Waits until at least so many statements of others wait for a lock.
    pub(crate) async fn until_blocked(&self, count: i64) {
        until("statements to wait for a lock", async || {
            self.others("state = 'active' AND wait_event_type = 'Lock'").await >= count
        })
        .await;
    }

    /// Waits until others run no statement and have no transaction open, and checks their locks.
    pub(crate) async fn check_quiet(&self) {
        until("the server to be at rest", async || self.others("state <> 'idle'").await == 0).await;
        let locks = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) \
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
        until("all locks to be free", async || self.number(locks).await == 0).await;
    }
}

impl Told {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Applied(_) => Self::Applied,
            Outcome::Failed(_) => Self::Failed,
            Outcome::Unknown(_) => Self::Unknown,
            _ => Self::Skipped,
        }
    }

    pub(crate) fn of_result<T>(result: &Result<T>) -> Self {
        match result {
            Ok(_) => Self::Applied,
            Err(error) => Self::of_error(error),
        }
    }

    pub(crate) fn of_error(error: &Error) -> Self {
        if error.is_unknown() { Self::Unknown } else { Self::Failed }
    }
}

/// Waits until a condition is met, and fails loudly if it never is.
pub(crate) async fn until(what: &str, is_met: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_met().await {
        assert!(began.elapsed() < DEADLINE, "waited for {what} for {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for a future, and fails loudly if it does not end.
pub(crate) fn in_time<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    // Boxed, because futures of whole scenes are large.
    let ended = Box::pin(tokio::time::timeout(DEADLINE, future));
    async move { ended.await.unwrap_or_else(|_| panic!("waited for {what} for {DEADLINE:?}")) }
}

/// Polls a future at most so often, and drops it; returns what it gave if it ended.
pub(crate) async fn polled<T>(future: impl Future<Output = T>, polls_max: u64) -> Option<T> {
    let mut future = Box::pin(future);
    let mut left = polls_max;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A number of an environment variable, for long runs.
pub(crate) fn count_of(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(count) => count.parse().unwrap_or_else(|_| panic!("{variable} is a number")),
        Err(_) => default,
    }
}

/// Numbers that are the same in every run (`SplitMix64`, Steele et al., 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A stream of what an iterator gives.
pub(crate) struct Each<I>(pub(crate) I);

impl<I: Iterator + Unpin> Stream for Each<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}
