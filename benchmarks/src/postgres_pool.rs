//! The floor on PostgreSQL: a pool of 16 connections of tokio-postgres with cached statements.

use std::hint::black_box;
use std::pin::pin;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use futures_util::StreamExt as _;
use tokio_postgres::{NoTls, Row};

use crate::{Item, Result, Store, Task};

/// The connections of every pool of the benchmark.
pub const CONNECTIONS: usize = 16;

const GET: &str = "SELECT id, name, city, population, score, at FROM item WHERE id = $1";
const PAGE: &str = "SELECT id, name, city, population, score, at FROM item \
     WHERE city = $1 AND population >= $2 ORDER BY population DESC, id DESC LIMIT 50";
const SCAN: &str = "SELECT id, name, city, population, score, at FROM item";
const UPSERT: &str = "INSERT INTO item (id, name, city, population, score, at) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, city = excluded.city, \
     population = excluded.population, score = excluded.score, at = excluded.at";
const UPSERT_MANY: &str = "INSERT INTO item (id, name, city, population, score, at) SELECT * FROM \
     unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::double precision[], $6::bigint[]) \
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, city = excluded.city, \
     population = excluded.population, score = excluded.score, at = excluded.at";
const CHUNK: usize = 5_000;

#[derive(Clone)]
pub(crate) struct PostgresPool {
    pool: Pool,
}

impl PostgresPool {
    pub(crate) fn open(task: &Task) -> Result<Self> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(task.place.parse()?, NoTls, config);
        Ok(Self { pool: Pool::builder(manager).max_size(CONNECTIONS).build()? })
    }
}

impl Store for PostgresPool {
    async fn get(&self, key: i64) -> Result<()> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(GET).await?;
        black_box(item(&client.query_one(&statement, &[&key]).await?)?);
        Ok(())
    }

    async fn page(&self, city: String) -> Result<usize> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(PAGE).await?;
        let rows = client.query(&statement, &[&city, &1_000_i64]).await?;
        let page: Vec<Item> = rows.iter().map(item).collect::<Result<_>>()?;
        Ok(black_box(page).len())
    }

    async fn scan(&self) -> Result<u64> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(SCAN).await?;
        let mut stream = pin!(client.query_raw(&statement, [0_i64; 0]).await?);
        let mut rows = 0;
        while let Some(row) = stream.next().await {
            black_box(item(&row?)?);
            rows += 1;
        }
        Ok(rows)
    }

    async fn upsert(&self, row: Item) -> Result<()> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(UPSERT).await?;
        let Item { id, name, city, population, score, at } = &row;
        client.execute(&statement, &[id, name, city, population, score, at]).await?;
        Ok(())
    }

    async fn bulk(&self, items: Vec<Item>) -> Result<()> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        let statement = transaction.prepare_cached(UPSERT_MANY).await?;
        for chunk in items.chunks(CHUNK) {
            let ids: Vec<i64> = chunk.iter().map(|item| item.id).collect();
            let names: Vec<&str> = chunk.iter().map(|item| &*item.name).collect();
            let cities: Vec<&str> = chunk.iter().map(|item| &*item.city).collect();
            let populations: Vec<i64> = chunk.iter().map(|item| item.population).collect();
            let scores: Vec<f64> = chunk.iter().map(|item| item.score).collect();
            let ats: Vec<Option<i64>> = chunk.iter().map(|item| item.at).collect();
            transaction
                .execute(&statement, &[&ids, &names, &cities, &populations, &scores, &ats])
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn item(row: &Row) -> Result<Item> {
    Ok(Item {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        city: row.try_get(2)?,
        population: row.try_get(3)?,
        score: row.try_get(4)?,
        at: row.try_get(5)?,
    })
}
