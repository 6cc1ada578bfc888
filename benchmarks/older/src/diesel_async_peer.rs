//! diesel-async, with its pool of deadpool.

use std::hint::black_box;

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, TransactionManager};
use futures_util::TryStreamExt as _;
use sora_benchmarks::{Form, Item, Result, Store, Task};

use crate::diesel_row::{Row, item, page, upsert};
use crate::{CHUNK_POSTGRES, CONNECTIONS_POSTGRES};

#[derive(Clone)]
pub(crate) struct DieselAsyncPeer {
    pool: Pool<AsyncPgConnection>,
}

impl DieselAsyncPeer {
    pub(crate) fn open(task: &Task) -> Result<Self> {
        let mut config = ManagerConfig::default();
        if task.form == Form::Tuned {
            config.recycling_method = RecyclingMethod::Fast;
        }
        let manager = AsyncDieselConnectionManager::new_with_config(&task.place, config);
        let pool = Pool::builder(manager).max_size(CONNECTIONS_POSTGRES as usize).build()?;
        Ok(Self { pool })
    }
}

impl Store for DieselAsyncPeer {
    async fn get(&self, key: i64) -> Result<()> {
        let mut connection = self.pool.get().await?;
        let query = item::table.find(key).select(Row::as_select());
        black_box(query.first::<Row>(&mut connection).await?);
        Ok(())
    }

    async fn page(&self, city: String) -> Result<usize> {
        let mut connection = self.pool.get().await?;
        let page: Vec<Row> = page!(city).load(&mut connection).await?;
        Ok(black_box(page).len())
    }

    async fn scan(&self) -> Result<u64> {
        let mut connection = self.pool.get().await?;
        let query = item::table.select(Row::as_select());
        let mut stream = query.load_stream::<Row>(&mut connection).await?;
        let mut rows = 0;
        while let Some(row) = stream.try_next().await? {
            black_box(row);
            rows += 1;
        }
        Ok(rows)
    }

    async fn upsert(&self, row: Item) -> Result<()> {
        let mut connection = self.pool.get().await?;
        upsert!(&Row::from(row)).execute(&mut connection).await?;
        Ok(())
    }

    async fn bulk(&self, items: Vec<Item>) -> Result<()> {
        let mut connection = self.pool.get().await?;
        let rows: Vec<Row> = items.into_iter().map(Row::from).collect();
        AnsiTransactionManager::begin_transaction(&mut *connection).await?;
        for chunk in rows.chunks(CHUNK_POSTGRES) {
            upsert!(chunk).execute(&mut connection).await?;
        }
        Ok(AnsiTransactionManager::commit_transaction(&mut *connection).await?)
    }
}
