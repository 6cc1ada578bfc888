//! tokio-rusqlite: rusqlite on a thread of its own, called by messages.

use sora_benchmarks::{Durability, Form, Item, Result, Store, Task, Workload, rusqlite_loop};
use tokio_rusqlite::Connection;

#[derive(Clone)]
pub(crate) struct RusqliteThread {
    connection: Connection,
}

impl RusqliteThread {
    pub(crate) async fn open(task: &Task) -> Result<Self> {
        let connection = Connection::open(&task.place).await?;
        let synchronous = match task.durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        let is_mapped = task.form == Form::Tuned && task.workload != Workload::Scan;
        connection
            .call(move |connection| {
                connection.pragma_update(None, "synchronous", synchronous)?;
                if is_mapped {
                    connection.pragma_update(None, "mmap_size", 1i64 << 30)?;
                }
                Ok::<_, tokio_rusqlite::rusqlite::Error>(())
            })
            .await?;
        Ok(Self { connection })
    }
}

impl Store for RusqliteThread {
    async fn get(&self, key: i64) -> Result<()> {
        Ok(self.connection.call(move |connection| rusqlite_loop::get(connection, key)).await?)
    }

    async fn page(&self, city: String) -> Result<usize> {
        Ok(self.connection.call(move |connection| rusqlite_loop::page(connection, &city)).await?)
    }

    async fn scan(&self) -> Result<u64> {
        Ok(self.connection.call(|connection| rusqlite_loop::scan(connection)).await?)
    }

    async fn upsert(&self, item: Item) -> Result<()> {
        Ok(self.connection.call(move |connection| rusqlite_loop::upsert(connection, &item)).await?)
    }

    async fn bulk(&self, items: Vec<Item>) -> Result<()> {
        Ok(self.connection.call(move |connection| rusqlite_loop::bulk(connection, &items)).await?)
    }
}
