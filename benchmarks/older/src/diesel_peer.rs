//! diesel, with its pool of r2d2, called on tokio's blocking threads.

use std::hint::black_box;

use diesel::connection::{DefaultLoadingMode, SimpleConnection as _};
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Error, Pool};
use diesel::upsert::excluded;
use sora_benchmarks::{Durability, Form, Item, Result, Store, Task, Workload};

use crate::CONNECTIONS_SQLITE;
use crate::diesel_row::{Row, item, page, upsert};

type Connections = Pool<ConnectionManager<SqliteConnection>>;

#[derive(Clone)]
pub(crate) struct DieselPeer {
    reads: Connections,
    writes: Connections,
}

/// What is run on each new connection.
#[derive(Debug)]
struct Pragmas(String);

impl CustomizeConnection<SqliteConnection, Error> for Pragmas {
    fn on_acquire(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        connection.batch_execute(&self.0).map_err(Error::QueryError)
    }
}

impl DieselPeer {
    pub(crate) fn open(task: &Task) -> Result<Self> {
        let is_tuned = task.form == Form::Tuned;
        let synchronous = match task.durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        // Without a time to wait, writers that meet fail at once.
        let mut pragmas =
            format!("PRAGMA busy_timeout = 5000; PRAGMA synchronous = {synchronous};");
        if is_tuned && task.workload != Workload::Scan {
            pragmas += "PRAGMA mmap_size = 1073741824;";
        }
        let pool = |connections| {
            Pool::builder()
                .max_size(connections)
                .test_on_check_out(!is_tuned)
                .connection_customizer(Box::new(Pragmas(pragmas.clone())))
                .build(ConnectionManager::new(&task.place))
        };
        let reads = pool(CONNECTIONS_SQLITE)?;
        let writes = if is_tuned { pool(1)? } else { reads.clone() };
        Ok(Self { reads, writes })
    }
}

/// Runs on a blocking thread, with a connection.
async fn call<T: Send + 'static>(
    pool: &Connections,
    run: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
) -> Result<T> {
    let pool = pool.clone();
    tokio::task::spawn_blocking(move || Ok(run(&mut *pool.get()?)?)).await?
}

impl Store for DieselPeer {
    async fn get(&self, key: i64) -> Result<()> {
        let get = move |connection: &mut _| {
            item::table.find(key).select(Row::as_select()).first(connection).map(black_box)
        };
        call(&self.reads, get).await.map(drop)
    }

    async fn page(&self, city: String) -> Result<usize> {
        let page = move |connection: &mut _| page!(city).load(connection);
        Ok(black_box(call(&self.reads, page).await?).len())
    }

    async fn scan(&self) -> Result<u64> {
        let scan = |connection: &mut _| {
            let query = item::table.select(Row::as_select());
            let mut rows = 0;
            for row in query.load_iter::<Row, DefaultLoadingMode>(connection)? {
                black_box(row?);
                rows += 1;
            }
            Ok(rows)
        };
        call(&self.reads, scan).await
    }

    async fn upsert(&self, row: Item) -> Result<()> {
        let row = Row::from(row);
        call(&self.writes, move |connection| upsert!(&row).execute(connection)).await.map(drop)
    }

    async fn bulk(&self, items: Vec<Item>) -> Result<()> {
        let bulk = |connection: &mut SqliteConnection| {
            connection.immediate_transaction(|connection| {
                for row in items.into_iter().map(Row::from) {
                    upsert!(&row).execute(connection)?;
                }
                Ok(())
            })
        };
        call(&self.writes, bulk).await
    }
}
