//! The peers that need an older SQLite, because sqlx does, beside Sora and the floor.

mod diesel_async_peer;
mod diesel_peer;
mod diesel_row;
mod sea_orm_peer;
mod sqlx_peer;

use sora_benchmarks::{Opening, Result, StoreKind, Task, opened, serve};

use diesel_async_peer::DieselAsyncPeer;
use diesel_peer::DieselPeer;
use sea_orm_peer::SeaOrmPeer;
use sqlx_peer::{SqlxPostgres, SqlxSqlite};

fn main() -> Result<()> {
    serve(|task: &Task| -> Opening<'_> {
        match (&*task.peer, task.store) {
            ("diesel", StoreKind::Sqlite) => {
                Some(Box::pin(async { opened(DieselPeer::open(task)) }))
            }
            ("diesel-async", StoreKind::Postgres) => {
                Some(Box::pin(async { opened(DieselAsyncPeer::open(task)) }))
            }
            ("sea-orm", _) => Some(Box::pin(async { opened(SeaOrmPeer::open(task).await) })),
            ("sqlx", StoreKind::Postgres) => {
                Some(Box::pin(async { opened(SqlxPostgres::open(task).await) }))
            }
            ("sqlx", StoreKind::Sqlite) => {
                Some(Box::pin(async { opened(SqlxSqlite::open(task).await) }))
            }
            _ => None,
        }
    })
}

/// The connections of a pool: those of servers answer, those of files compete for the writer's lock.
const CONNECTIONS_POSTGRES: u32 = 16;
const CONNECTIONS_SQLITE: u32 = 4;

/// Rows in a statement of a bulk upsert; each has six values, of which a statement of SQLite takes
/// 32,766, and one of PostgreSQL 65,535.
const CHUNK_POSTGRES: usize = 5_000;
const CHUNK_SQLITE: usize = 500;
