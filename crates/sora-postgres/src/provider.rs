//! The provider: where each operation of the contract goes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sora_core::plan::Negotiation;
use sora_core::provider::{
    Administer, Administered, Capability, PoolGauges, Provider, Session, SessionOptions,
};
use sora_core::read::{Access, Output, Pace, Read, ReadReport};
use sora_core::write::{Write, WriteReport};
use sora_core::{Error, ErrorKind, LiveTable, Result, RowSink};

use crate::config::PostgresConfig;
use crate::failure::Stage;
use crate::pool::{Lane, Pool};
use crate::session::PostgresSession;
use crate::{describe, ensure, explain, negotiate, read, write};

/// A PostgreSQL database, by a pool of connections. Cheap to clone; all clones share the pool.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    /// Whether a look-up is under way on each of the connections that are kept for them.
    lanes: Box<[Arc<AtomicBool>]>,
}

impl Postgres {
    /// Opens a database. One connection is made, to find out at once what is wrong with the address.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if no host can be reached, [`ErrorKind::InvalidInput`] if the server
    /// refuses the user or the database, or outside a runtime of tokio; [`ErrorKind::Unsupported`] if
    /// the encoding of the database is not UTF-8.
    pub async fn open(config: PostgresConfig) -> Result<Self> {
        let pool = Pool::new(config)?;
        let lanes = (0..pool.lanes()).map(|_| Arc::default()).collect();
        drop(pool.acquire().await?);
        Ok(Self { inner: Arc::new(Inner { pool, lanes }) })
    }

    /// Closes all connections; those in use when they come back. Operations fail from here on.
    pub async fn close(&self) {
        self.inner.pool.close().await;
    }

    /// Takes a connection for look-ups on which nothing is under way, if there is one.
    async fn free_lane(&self) -> Option<Lookup<'_>> {
        let Inner { pool, lanes } = &*self.inner;
        let free = lanes.iter().position(|busy| !busy.swap(true, Ordering::AcqRel))?;
        let mut lookup = Lookup { pool, busy: &lanes[free], lane: None };
        // If it cannot be opened, the pool tells why.
        lookup.lane = Some(pool.lane(free).await.ok()?);
        Some(lookup)
    }
}

/// A look-up that has a connection for look-ups to itself.
struct Lookup<'a> {
    pool: &'a Pool,
    busy: &'a Arc<AtomicBool>,
    /// None until it is open.
    lane: Option<Lane>,
}

impl Drop for Lookup<'_> {
    fn drop(&mut self) {
        match self.lane.take() {
            // It was given up: nobody else waits behind what the server still does.
            Some(lane) if lane.is_usable() && !lane.is_clean() => {
                let busy = self.busy.clone();
                self.pool.mend(lane, move || busy.store(false, Ordering::Release));
            }
            _ => self.busy.store(false, Ordering::Release),
        }
    }
}

impl Provider for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn capability(&self) -> Capability {
        let mut capability = Capability::NONE;
        capability.aggregates = true;
        capability.atomic_writes = true;
        capability.count = true;
        capability.keyset = true;
        capability.keys_max = 10_000;
        capability.lookup_lanes = self.inner.lanes.len();
        capability.native = true;
        capability.residual = true;
        capability.returning = true;
        capability.rows_max = 10_000;
        capability.transactions = true;
        capability.write_lanes = 3;
        capability
    }

    fn negotiate(&self, ask: &mut Negotiation) {
        negotiate::negotiate(ask);
    }

    async fn read(&self, read: &Read, sink: &mut dyn RowSink) -> Result<ReadReport> {
        let is_lookup = read.pace == Pace::Lookup
            && read.output == Output::Rows
            && matches!(read.access, Access::Keys(_));
        if is_lookup
            && let Some(lookup) = self.free_lane().await
            && let Some(lane) = &lookup.lane
        {
            return read::run(lane, read, sink).await;
        }
        let lease = self.inner.pool.acquire().await?;
        let mut report = read::run(&lease, read, sink).await?;
        report.waited = lease.waited();
        Ok(report)
    }

    async fn write(&self, write: &Write, sink: &mut dyn RowSink) -> Result<WriteReport> {
        let lease = self.inner.pool.acquire().await?;
        let mut report = write::run(&lease, write, sink).await?;
        report.waited = lease.waited();
        Ok(report)
    }

    async fn describe(&self, table: Option<&str>) -> Result<Vec<LiveTable>> {
        let lease = self.inner.pool.acquire().await?;
        describe::describe(&lease, table).await
    }

    async fn administer(&self, task: &Administer) -> Result<Administered> {
        if let Administer::Pools = task {
            let gauges = self.inner.pool.gauges();
            let mut pool = PoolGauges::default();
            pool.name = "postgres";
            pool.connections = gauges.connections;
            pool.idle = gauges.idle;
            pool.connections_max = self.inner.pool.config().connections_max;
            pool.waiting = gauges.waiting;
            pool.opened = gauges.opened_total;
            pool.closed = gauges.closed_total + gauges.discarded_total;
            return Ok(Administered::Pools(vec![pool]));
        }
        let lease = self.inner.pool.acquire().await?;
        match task {
            Administer::Ping => {
                lease.batch(Stage::Reading, "").await?;
                Ok(Administered::Answered)
            }
            Administer::Ensure(schema) => {
                ensure::ensure(&lease, schema).await.map(Administered::Ensured)
            }
            Administer::Explain { read, analyze } => {
                explain::explain(&lease, read, *analyze).await.map(Administered::Explained)
            }
            _ => {
                let message = "the PostgreSQL provider does not know this task";
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }

    async fn open(&self, options: SessionOptions) -> Result<Box<dyn Session>> {
        Ok(Box::new(PostgresSession::begin(&self.inner.pool, options).await?))
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("database", &self.inner.pool.config().to_string()).finish()
    }
}
