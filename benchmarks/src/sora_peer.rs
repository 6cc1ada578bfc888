//! Sora, as its users call it.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream;
use sora::sqlite::{Sqlite, SqliteConfig, Synchronous};
use sora::{Atomic, BatchOptions, Repository, Sora};

use crate::{Durability, Form, Item, Result, Store, StoreKind, Task};

/// Chunks on their way at the same time, if several connections may write.
const CHUNKS_IN_FLIGHT: usize = 4;

#[derive(Clone)]
pub(crate) struct SoraPeer {
    items: Repository<Item>,
    form: Form,
}

impl SoraPeer {
    pub(crate) async fn open(task: &Task) -> Result<Self> {
        let store = match task.store {
            StoreKind::Postgres => Sora::open(&task.place).await?,
            StoreKind::Sqlite => open_sqlite(Path::new(&task.place), task.durability).await?,
        };
        Ok(Self { items: store.repository::<Item>().await?, form: task.form })
    }
}

/// Opens a file as [`Sora::open`] does, but for what a commit means.
///
/// # Errors
///
/// What Sora says.
pub async fn open_sqlite(path: &Path, durability: Durability) -> Result<Sora> {
    let synchronous = match durability {
        Durability::Full => Synchronous::Full,
        Durability::Normal => Synchronous::Normal,
    };
    let config = SqliteConfig::file(path)?.synchronous(synchronous);
    Ok(Sora::builder().provider(Arc::new(Sqlite::open(config).await?)))
}

impl Store for SoraPeer {
    async fn get(&self, key: i64) -> Result<()> {
        let item = self.items.get(key).await?;
        black_box(item.ok_or("a row is missing")?);
        Ok(())
    }

    async fn page(&self, city: String) -> Result<usize> {
        let page = self
            .items
            .query(Item::CITY.eq(city) & Item::POPULATION.ge(1_000))
            .sort(Item::POPULATION.desc())
            .limit(50)
            .fetch()
            .await?;
        Ok(black_box(page).len())
    }

    async fn scan(&self) -> Result<u64> {
        let mut items = self.items.query(sora::Filter::all()).stream();
        let mut rows = 0;
        while let Some(item) = items.next().await {
            black_box(item?);
            rows += 1;
        }
        Ok(rows)
    }

    async fn upsert(&self, item: Item) -> Result<()> {
        self.items.upsert(&item).await?;
        Ok(())
    }

    async fn bulk(&self, items: Vec<Item>) -> Result<()> {
        let mut options = BatchOptions::default();
        match self.form {
            Form::SeveralConnections => options.chunks_in_flight = CHUNKS_IN_FLIGHT,
            Form::AsItComes | Form::Tuned => options.atomic = Atomic::Stream,
        }
        let report = self.items.write_stream(stream::iter(items)).options(options).await?;
        match report.first_error() {
            None if report.is_complete() => Ok(()),
            None => Err(format!("not all rows are written: {:?}", report.counts).into()),
            Some(error) => Err(error.clone().into()),
        }
    }
}
