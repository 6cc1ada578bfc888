//! Real servers for tests: started on free ports as an unprivileged user, and removed.
//!
//! [`Postgres::shared`] is the server that the tests of one process share, or the one that
//! `SORA_TEST_POSTGRES_URL` names; [`Postgres::start`] is a server of one's own, that can be killed,
//! paused, restarted and replicated. [`PgBouncer`] stands between, and [`FaultProxy`] cuts, delays
//! and stalls what passes it.
//!
//! [`Redis::shared`] and [`Redis::start`] are the same for Redis, `SORA_TEST_REDIS_URL` names the shared
//! one; it can come back with its data, without or with older data, and have replicas that lag.
//! [`RedisCluster`] is six nodes that fail over and move slots. [`RedisProxy`] counts round trips, and
//! loses, delays, holds and repeats invalidations.
//!
//! Whatever is started is stopped, and its directory removed, when its handle is dropped and when the
//! test process ends, however it ends: a guard process waits for the end of a pipe that only the test
//! process holds open. What is missing on the machine fails the test with a line that says how to get
//! it; no test is skipped.
//!
//! The servers run on Linux: the guard finds their processes by `/proc`. As root they are run as
//! `nobody`, because PostgreSQL refuses root.

mod binary;
mod bouncer;
mod daemon;
#[cfg(feature = "client")]
mod database;
mod guard;
mod options;
mod port;
mod postgres;
#[cfg(feature = "client")]
mod proxy;
mod redis;
mod url;

pub use binary::{Missing, missing};
pub use bouncer::{PgBouncer, PoolMode};
#[cfg(feature = "client")]
pub use database::Database;
pub use options::PostgresOptions;
pub use postgres::Postgres;
#[cfg(feature = "client")]
pub use proxy::{Direction, Fault, FaultAction, FaultProxy, PushAction, RedisProxy};
pub use redis::{
    Redis, RedisCluster, RedisConnection, RedisOptions, RedisSnapshot, Reply, SlotMigration,
};

/// The variable that names a server for [`Postgres::shared`], as `postgres://user@host:port/database`.
pub const POSTGRES_URL: &str = "SORA_TEST_POSTGRES_URL";

/// The variable that names a server for [`Redis::shared`], as `redis://user:password@host:port/0`. Tests
/// on it work beside others. Those that stop, pause, flush, configure or count what it does, those of
/// clusters and replicas, and those that need a proxy's faults start their own.
pub const REDIS_URL: &str = "SORA_TEST_REDIS_URL";
