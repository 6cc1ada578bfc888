//! The provider against the contract, beside the server and behind a pooler.

use std::sync::Mutex;

use sora_postgres::{Postgres, PostgresConfig};
use sora_testbed::{Database, PgBouncer, PoolMode, Postgres as Server};

/// Gives an empty database to each store, and removes them all at the end.
struct Databases {
    server: &'static Server,
    /// In front of the server, if there is one.
    pooler: Option<PgBouncer>,
    /// Sorts text as people do instead of by bytes.
    locale: Option<&'static str>,
    made: Mutex<Vec<Database>>,
}

impl Databases {
    fn new() -> Self {
        let server = Server::shared().expect("a server");
        Self { server, pooler: None, locale: None, made: Mutex::default() }
    }

    fn pooled() -> Self {
        let mut databases = Self::new();
        let pooler = PgBouncer::start(databases.server, PoolMode::Transaction);
        databases.pooler = Some(pooler.expect("a pooler"));
        databases
    }

    async fn store(&self) -> Postgres {
        let name = self.next();
        let url = match &self.pooler {
            Some(pooler) => pooler.url(&name),
            None => self.server.url(&name),
        };
        let config = PostgresConfig::parse(&url).expect("an address").connections_max(4);
        Postgres::open(config).await.expect("opened")
    }

    /// Returns the name of an empty database: a new one, or the one whose store is not used any more.
    fn next(&self) -> String {
        let mut made = self.made.lock().expect("no test panics while it makes one");
        if made.len() == DATABASES {
            let oldest = made.remove(0);
            oldest
                .execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
                .expect("an empty database");
            made.push(oldest);
        } else {
            made.push(match self.locale {
                Some(locale) => self.server.icu_database(locale).expect("a database"),
                None => self.server.database().expect("a database"),
            });
        }
        made.last().expect("just made").name().to_owned()
    }
}

/// Databases that are used in turn: to make one costs far more than to empty it.
const DATABASES: usize = 3;

/// A number from the environment, which asks more, and other, questions:
/// `SORA_FILTERS=100000 SORA_SEED=1 cargo test -p sora-postgres --test it random -- --nocapture`.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn conforms(databases: Databases) {
    let report = sora_conformance::suite(|| databases.store()).await;
    report.expect_green();
    assert_eq!(report.skipped(), ["inexact filters leave out no row that belongs"]);
}

async fn compares(databases: Databases, filters: u64) {
    let filters = number("SORA_FILTERS", filters);
    let seed = number("SORA_SEED", 0);
    sora_conformance::differential(|| databases.store(), seed, filters).await.expect_equal();
}

#[tokio::test]
async fn a_server_conforms() {
    conforms(Databases::new()).await;
}

#[tokio::test]
async fn a_database_that_sorts_as_people_do_conforms() {
    conforms(Databases { locale: Some("en-US-x-icu"), ..Databases::new() }).await;
}

#[tokio::test]
async fn a_server_behind_a_pooler_conforms() {
    conforms(Databases::pooled()).await;
}

#[tokio::test]
async fn random_filters_give_the_rows_of_memory() {
    compares(Databases::new(), 5_000).await;
}

#[tokio::test]
async fn random_filters_give_the_rows_of_memory_where_people_sort() {
    compares(Databases { locale: Some("en-US-x-icu"), ..Databases::new() }, 3_000).await;
}

#[tokio::test]
async fn random_filters_give_the_rows_of_memory_behind_a_pooler() {
    compares(Databases::pooled(), 1_000).await;
}

#[tokio::test]
async fn random_writes_do_what_they_do_in_memory() {
    let databases = Databases::new();
    let (seed, writes) = (number("SORA_SEED", 0), number("SORA_WRITES", 3_000));
    sora_conformance::history(|| databases.store(), seed, writes).await.expect_equal();
}
