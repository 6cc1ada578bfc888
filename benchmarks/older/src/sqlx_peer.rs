//! sqlx.

use std::hint::black_box;

use futures_util::TryStreamExt as _;
use sora_benchmarks::{Durability, Form, Item, Result, Store, Task, Workload};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres};
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::{CHUNK_POSTGRES, CHUNK_SQLITE, CONNECTIONS_POSTGRES, CONNECTIONS_SQLITE};

// SQLite takes `$1` as well.
const GET: &str = "SELECT id, name, city, population, score, at FROM item WHERE id = $1";
const PAGE: &str = "SELECT id, name, city, population, score, at FROM item \
     WHERE city = $1 AND population >= $2 ORDER BY population DESC, id DESC LIMIT 50";
const SCAN: &str = "SELECT id, name, city, population, score, at FROM item";
const UPSERT: &str = "INSERT INTO item (id, name, city, population, score, at) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, city = excluded.city, \
     population = excluded.population, score = excluded.score, at = excluded.at";
const INSERT: &str = "INSERT INTO item (id, name, city, population, score, at) ";
const ON_CONFLICT: &str = " ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
     city = excluded.city, population = excluded.population, score = excluded.score, \
     at = excluded.at";

#[derive(sqlx::FromRow)]
#[expect(dead_code, reason = "what is read is only passed on")]
struct Row {
    id: i64,
    name: String,
    city: String,
    population: i64,
    score: f64,
    at: Option<i64>,
}

#[derive(Clone)]
pub(crate) struct SqlxPostgres {
    reads: PgPool,
    writes: PgPool,
}

#[derive(Clone)]
pub(crate) struct SqlxSqlite {
    reads: SqlitePool,
    writes: SqlitePool,
}

impl SqlxPostgres {
    pub(crate) async fn open(task: &Task) -> Result<Self> {
        let mut options: PgConnectOptions = task.place.parse()?;
        let mut pool = PgPoolOptions::new().max_connections(CONNECTIONS_POSTGRES);
        if task.form == Form::Tuned {
            options = options.disable_statement_logging();
            pool = pool.test_before_acquire(false);
        }
        let pool = pool.connect_with(options).await?;
        Ok(Self { reads: pool.clone(), writes: pool })
    }
}

impl SqlxSqlite {
    pub(crate) async fn open(task: &Task) -> Result<Self> {
        let options = sqlite_options(task, SqliteConnectOptions::new().filename(&task.place));
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_SQLITE);
        if task.form == Form::AsItComes {
            let pool = pool.connect_with(options).await?;
            return Ok(Self { reads: pool.clone(), writes: pool });
        }
        let options = options.disable_statement_logging();
        let pool = pool.test_before_acquire(false);
        let writes = pool.clone().max_connections(1).connect_with(options.clone()).await?;
        Ok(Self { reads: pool.connect_with(options).await?, writes })
    }
}

/// The durability that is asked for; if tuned, Sora's own settings.
pub(crate) fn sqlite_options(task: &Task, options: SqliteConnectOptions) -> SqliteConnectOptions {
    let options = options.synchronous(match task.durability {
        Durability::Full => SqliteSynchronous::Full,
        Durability::Normal => SqliteSynchronous::Normal,
    });
    match task.form == Form::Tuned && task.workload != Workload::Scan {
        true => options.pragma("mmap_size", "1073741824"),
        false => options,
    }
}

macro_rules! store {
    ($name:ident, $database:ident, $chunk:ident) => {
        impl Store for $name {
            async fn get(&self, key: i64) -> Result<()> {
                let row: Row = sqlx::query_as(GET).bind(key).fetch_one(&self.reads).await?;
                black_box(row);
                Ok(())
            }

            async fn page(&self, city: String) -> Result<usize> {
                let query = sqlx::query_as(PAGE).bind(city).bind(1_000_i64);
                let page: Vec<Row> = query.fetch_all(&self.reads).await?;
                Ok(black_box(page).len())
            }

            async fn scan(&self) -> Result<u64> {
                let mut stream = sqlx::query_as::<_, Row>(SCAN).fetch(&self.reads);
                let mut rows = 0;
                while let Some(row) = stream.try_next().await? {
                    black_box(row);
                    rows += 1;
                }
                Ok(rows)
            }

            async fn upsert(&self, item: Item) -> Result<()> {
                sqlx::query(UPSERT)
                    .bind(item.id)
                    .bind(item.name)
                    .bind(item.city)
                    .bind(item.population)
                    .bind(item.score)
                    .bind(item.at)
                    .execute(&self.writes)
                    .await?;
                Ok(())
            }

            async fn bulk(&self, items: Vec<Item>) -> Result<()> {
                let mut transaction = self.writes.begin().await?;
                for chunk in items.chunks($chunk) {
                    let mut query = sqlx::QueryBuilder::<$database>::new(INSERT);
                    query.push_values(chunk, |mut row, item| {
                        row.push_bind(item.id)
                            .push_bind(&item.name)
                            .push_bind(&item.city)
                            .push_bind(item.population)
                            .push_bind(item.score)
                            .push_bind(item.at);
                    });
                    query.push(ON_CONFLICT);
                    query.build().execute(&mut *transaction).await?;
                }
                Ok(transaction.commit().await?)
            }
        }
    };
}

store!(SqlxPostgres, Postgres, CHUNK_POSTGRES);
store!(SqlxSqlite, Sqlite, CHUNK_SQLITE);
