//! SeaORM.

mod item;

use std::hint::black_box;

use futures_util::TryStreamExt as _;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectOptions, Database, DatabaseConnection, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Set, TransactionTrait,
};
use sora_benchmarks::{Form, Item, Result, Store, StoreKind, Task};

use crate::sqlx_peer::sqlite_options;
use crate::{CHUNK_POSTGRES, CHUNK_SQLITE, CONNECTIONS_POSTGRES, CONNECTIONS_SQLITE};
use item::{ActiveModel, Column, Entity};

#[derive(Clone)]
pub(crate) struct SeaOrmPeer {
    reads: DatabaseConnection,
    writes: DatabaseConnection,
    chunk: usize,
}

impl SeaOrmPeer {
    pub(crate) async fn open(task: &Task) -> Result<Self> {
        let (options, chunk) = match task.store {
            StoreKind::Postgres => {
                let mut options = ConnectOptions::new(&task.place);
                options.max_connections(CONNECTIONS_POSTGRES);
                (options, CHUNK_POSTGRES)
            }
            StoreKind::Sqlite => {
                let mut options = ConnectOptions::new(format!("sqlite:{}", task.place));
                let task = task.clone();
                options
                    .max_connections(CONNECTIONS_SQLITE)
                    .map_sqlx_sqlite_opts(move |options| sqlite_options(&task, options));
                (options, CHUNK_SQLITE)
            }
        };
        Self::connect(task, options, chunk).await
    }

    async fn connect(task: &Task, mut options: ConnectOptions, chunk: usize) -> Result<Self> {
        if task.form == Form::Tuned {
            options.sqlx_logging(false).test_before_acquire(false);
        }
        let reads = Database::connect(options.clone()).await?;
        let is_apart = task.form == Form::Tuned && task.store == StoreKind::Sqlite;
        let writes = match is_apart {
            true => Database::connect(options.max_connections(1).clone()).await?,
            false => reads.clone(),
        };
        Ok(Self { reads, writes, chunk })
    }
}

impl Store for SeaOrmPeer {
    async fn get(&self, key: i64) -> Result<()> {
        let row = Entity::find_by_id(key).one(&self.reads).await?;
        black_box(row.ok_or("a row is missing")?);
        Ok(())
    }

    async fn page(&self, city: String) -> Result<usize> {
        let page = Entity::find()
            .filter(Column::City.eq(city))
            .filter(Column::Population.gte(1_000))
            .order_by_desc(Column::Population)
            .order_by_desc(Column::Id)
            .limit(50)
            .all(&self.reads)
            .await?;
        Ok(black_box(page).len())
    }

    async fn scan(&self) -> Result<u64> {
        let mut stream = Entity::find().stream(&self.reads).await?;
        let mut rows = 0;
        while let Some(row) = stream.try_next().await? {
            black_box(row);
            rows += 1;
        }
        Ok(rows)
    }

    async fn upsert(&self, item: Item) -> Result<()> {
        let insert = Entity::insert(model(item)).on_conflict(on_conflict());
        insert.exec_without_returning(&self.writes).await?;
        Ok(())
    }

    async fn bulk(&self, items: Vec<Item>) -> Result<()> {
        let transaction = self.writes.begin().await?;
        let mut items = items.into_iter().map(model);
        loop {
            let chunk: Vec<ActiveModel> = items.by_ref().take(self.chunk).collect();
            if chunk.is_empty() {
                break;
            }
            let insert = Entity::insert_many(chunk).on_conflict(on_conflict());
            insert.exec_without_returning(&transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}

fn model(item: Item) -> ActiveModel {
    ActiveModel {
        id: Set(item.id),
        name: Set(item.name),
        city: Set(item.city),
        population: Set(item.population),
        score: Set(item.score),
        at: Set(item.at),
    }
}

fn on_conflict() -> OnConflict {
    OnConflict::column(Column::Id)
        .update_columns([Column::Name, Column::City, Column::Population, Column::Score, Column::At])
        .to_owned()
}
