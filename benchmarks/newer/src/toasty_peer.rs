//! toasty.

use std::hint::black_box;

use sora_benchmarks::{Durability, Form, Item, Result, Store, StoreKind, Task};
use toasty::Db;

#[derive(Debug, toasty::Model)]
#[table = "item"]
struct Row {
    #[key]
    id: i64,
    name: String,
    #[index]
    city: String,
    population: i64,
    score: f64,
    at: Option<i64>,
}

#[derive(Clone)]
pub(crate) struct ToastyPeer {
    db: Db,
}

impl ToastyPeer {
    pub(crate) async fn open(task: &Task) -> Result<Self> {
        let (url, connections) = match task.store {
            StoreKind::Postgres => (task.place.clone(), 16),
            StoreKind::Sqlite if task.form == Form::Tuned => (format!("sqlite:{}", task.place), 1),
            StoreKind::Sqlite => (format!("sqlite:{}", task.place), 4),
        };
        let mut builder = Db::builder();
        builder.models(toasty::models!(Row)).max_pool_size(connections);
        let mut db = builder.connect(&url).await?;
        match (task.store, task.form, task.durability) {
            (StoreKind::Postgres, ..) | (_, Form::AsItComes, Durability::Full) => {}
            // Only the one connection of a pool of one can be told.
            (_, Form::Tuned, durability) => {
                let level = if durability == Durability::Full { "FULL" } else { "NORMAL" };
                for pragma in [format!("synchronous = {level}"), "mmap_size = 1073741824".into()] {
                    toasty::sql::query(format!("PRAGMA {pragma}")).exec(&mut db).await?;
                }
            }
            _ => return Err("toasty has no setting for the durability of all connections".into()),
        }
        Ok(Self { db })
    }
}

impl Store for ToastyPeer {
    async fn get(&self, key: i64) -> Result<()> {
        black_box(Row::get_by_id(&mut self.db.clone(), key).await?);
        Ok(())
    }

    async fn page(&self, city: String) -> Result<usize> {
        let fields = Row::fields();
        let page = Row::filter(fields.city().eq(city).and(fields.population().ge(1_000)))
            .order_by((fields.population().desc(), fields.id().desc()))
            .limit(50)
            .exec(&mut self.db.clone())
            .await?;
        Ok(black_box(page).len())
    }

    async fn scan(&self) -> Result<u64> {
        let rows = Row::all().exec(&mut self.db.clone()).await?;
        Ok(black_box(rows).len() as u64)
    }

    async fn upsert(&self, item: Item) -> Result<()> {
        let Item { id, name, city, population, score, at } = item;
        let upsert =
            Row::upsert_by_id(id).name(name).city(city).population(population).score(score).at(at);
        black_box(upsert.exec(&mut self.db.clone()).await?);
        Ok(())
    }

    async fn bulk(&self, items: Vec<Item>) -> Result<()> {
        let mut db = self.db.clone();
        let mut transaction = db.transaction().await?;
        for Item { id, name, city, population, score, at } in items {
            Row::upsert_by_id(id)
                .name(name)
                .city(city)
                .population(population)
                .score(score)
                .at(at)
                .exec(&mut transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }
}
