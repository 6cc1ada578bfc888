//! Sora: a data layer for Rust services that is fast by default and shows why.
//!
//! An entity is a struct. A store is opened by its address. A repository joins them:
//!
//! ```
//! # #[cfg(feature = "derive")]
//! # mod example {
//! use sora::{Entity, Sora};
//!
//! #[derive(Debug, Entity)]
//! #[sora(table = "cities", index(population))]
//! struct City {
//!     #[sora(key)]
//!     name: String,
//!     population: Option<i64>,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> sora::Result<()> {
//! let store = Sora::open("memory:").await?; // or sqlite:cities.db
//! store.ensure_schema::<City>().await?;
//! let cities = store.repository::<City>().await?;
//!
//! cities.insert(&City { name: "Oslo".into(), population: Some(717_710) }).await?;
//! cities.insert(&City { name: "Bergen".into(), population: None }).await?;
//!
//! assert!(cities.get("Oslo").await?.is_some());
//! let rows = cities
//!     .query(City::POPULATION.gt(500_000) | City::NAME.starts_with("B"))
//!     .sort(City::POPULATION.desc())
//!     .limit(10)
//!     .fetch()
//!     .await?;
//! assert_eq!(rows.len(), 2);
//! # Ok(())
//! # }
//! # }
//! # #[cfg(feature = "derive")]
//! # example::main().unwrap();
//! ```
//!
//! # What happened
//!
//! Every result says who did what: [`Rows::outcome`] names the conditions that the store decided and
//! those that were checked in memory, the rows that the store handed out and those that the caller
//! got. [`Select::explain`] says it before running. What a store cannot do is done in memory only
//! within a bound, 10,000 rows unless [`Select::fallback`] says otherwise; beyond it the query fails
//! with an error that names the condition and the remedy.
//!
//! # Writes
//!
//! [`Repository::insert`] returns the row as it is stored, with the keys and defaults that the store
//! gave it. Writes of many rows report one [`Outcome`](write::Outcome) for each.
//! [`Repository::batch`] does several writes together or not at all. An acknowledged write is durable
//! as the store is configured; SQLite runs with `synchronous=FULL` by default.
//!
//! # Transactions
//!
//! [`Sora::transaction`] runs a closure whose writes happen together or not at all, over all entities
//! of the store; [`Sora::begin`] gives a guard to commit. [`Repository::within`] takes part in either.
//!
//! ```
//! # #[cfg(feature = "derive")]
//! # mod example {
//! # use sora::{Entity, ErrorKind, Isolation, Sora, TransactionOptions};
//! # #[derive(Debug, Entity)]
//! # #[sora(table = "accounts")]
//! # struct Account { #[sora(key)] owner: String, balance: i64 }
//! # #[derive(Debug, Entity)]
//! # #[sora(table = "payments")]
//! # struct Payment { #[sora(key)] id: i64, amount: i64 }
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> sora::Result<()> {
//! # let store = Sora::open("memory:").await?;
//! # store.ensure_schema::<Account>().await?;
//! # store.ensure_schema::<Payment>().await?;
//! let accounts = &store.repository::<Account>().await?;
//! let payments = &store.repository::<Payment>().await?;
//! # accounts.insert(&Account { owner: "Ada".into(), balance: 5 }).await?;
//!
//! let options = TransactionOptions::new().isolation(Isolation::Serializable).retries_max(5);
//! let balance = store
//!     .transaction_with(options, |tx| async move {
//!         payments.within(&tx).insert(&Payment { id: 1, amount: 7 }).await?;
//!         accounts.within(&tx).patch("Ada", [Account::BALANCE.add(7)]).await?;
//!         let ada = accounts.within(&tx).get("Ada").await?;
//!         Ok::<_, sora::Error>(ada.map(|ada| ada.balance))
//!     })
//!     .await?;
//! assert_eq!(balance, Some(12));
//!
//! let tx = store.begin().await?;
//! payments.within(&tx).delete(1).await?;
//! let nested = tx.transaction(|inner| async move {
//!     accounts.within(&inner).patch("Ada", [Account::BALANCE.add(-7)]).await?;
//!     accounts.within(&inner).insert(&Account { owner: "Ada".into(), balance: 0 }).await
//! });
//! assert_eq!(nested.await.unwrap_err().kind(), ErrorKind::Conflict); // undone alone
//! tx.commit().await?;
//! assert_eq!(accounts.get("Ada").await?.unwrap().balance, 12);
//! assert!(payments.get(1).await?.is_none());
//! # Ok(())
//! # }
//! # }
//! # #[cfg(feature = "derive")]
//! # example::main().unwrap();
//! ```
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `derive` | `#[derive(Entity)]` and its companions | yes |
//! | `postgres` | PostgreSQL, with TLS by rustls | no |
//! | `redis` | Redis as the cache that processes share | no |
//! | `sqlite` | the embedded store, compiled in | yes |
//! | `uuid` | `uuid::Uuid` columns and UUIDv7 keys | yes |
//! | `chrono`, `jiff`, `time` | the timestamps and dates of these crates | no |
//! | `rust_decimal` | its decimals | no |
//!
//! [`Timestamp`], [`Date`] and [`Decimal`] are column types without any feature.

// What is derived names the crate.
#[cfg(test)]
extern crate self as sora;

pub mod aggregate;
mod backoff;
mod batch;
mod batch_writer;
mod cache;
mod children;
mod client;
mod clock;
mod collect;
mod deadline;
mod entity_stream;
mod key_bytes;
mod lane;
pub mod layers;
mod native;
mod outcome;
mod repository;
mod request;
mod select;
mod table;
mod transaction;
mod watch;
mod writer;

pub use backoff::Backoff;
pub use batch::EntityBatch;
pub use batch_writer::{
    Atomic, BatchCounts, BatchEnd, BatchErrors, BatchMode, BatchOptions, BatchProgress,
    BatchReport, BatchWriter, DeadLetter, Settled, WriteStream,
};
pub use cache::{
    BreakerState, Cache, CacheMode, CacheNumbers, CachePolicy, RemoteCache, RemoteState,
};
pub use children::LoadMany;
pub use client::{Sora, SoraBuilder};
pub use clock::{Clock, SystemClock};
pub use deadline::with_deadline;
pub use entity_stream::EntityStream;
pub use native::{Native, NativeRow, NativeRows};
pub use outcome::{ReadOutcome, Rows};
pub use repository::{Expect, LookUp, Repository};
pub use request::in_request;
pub use select::Select;
pub use sora_core::provider::Isolation;
pub use sora_core::*;
#[cfg(feature = "derive")]
pub use sora_macros::{ColumnType, Entity, Insert, Projection};
#[cfg(feature = "postgres")]
pub use sora_postgres as postgres;
#[cfg(feature = "redis")]
pub use sora_redis as redis;
#[cfg(feature = "sqlite")]
pub use sora_sqlite as sqlite;
pub use table::{Batch, Explanation, LoadOptions, Page, RowStream, StreamOptions, Table};
pub use transaction::{Transaction, TransactionGuard, TransactionOptions};

#[doc(hidden)]
pub mod derive {
    pub use sora_core::*;
}

/// The example of the README, which must run.
#[cfg(all(doctest, feature = "derive", feature = "sqlite"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
