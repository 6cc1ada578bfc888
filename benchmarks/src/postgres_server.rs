//! The servers of the benchmark, started as they are needed.

use std::fmt::Write as _;
use std::pin::pin;

use sora_testbed::{Postgres, PostgresOptions};
use tokio_postgres::NoTls;

use crate::{Item, Result};

/// What it costs to make a commit durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// The log is on the disk as it is.
    Disk,
    /// The log is in memory, and each flush waits for 1 ms first: what a good disk takes, and always
    /// the same.
    Millisecond,
}

/// A server with tables of certain sizes.
#[derive(Debug)]
pub struct PostgresServer {
    server: Postgres,
    tables: Vec<u64>,
    /// As it names itself.
    pub version: String,
}

const SETTINGS: [(&str, &str); 8] = [
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "256MB"),
    ("max_connections", "300"),
    // Neither a checkpoint nor a vacuum falls upon one of the peers: both are done between rounds.
    ("autovacuum", "off"),
    ("checkpoint_timeout", "1h"),
    ("max_wal_size", "4GB"),
    ("log_checkpoints", "off"),
];

const TABLE: &str = "CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL, \
     city text NOT NULL, population bigint NOT NULL, score double precision NOT NULL, at bigint)";
const INDEX: &str = "CREATE INDEX item_city_population ON item (city, population)";
const COPY: &str = "COPY item (id, name, city, population, score, at) FROM STDIN (FORMAT csv)";

impl PostgresServer {
    /// Starts a server. It ends when it is dropped.
    ///
    /// # Errors
    ///
    /// If PostgreSQL is not installed, or does not start.
    pub fn start(flush: Flush) -> Result<Self> {
        let mut options = PostgresOptions::new();
        for (name, value) in SETTINGS {
            options = options.set(name, value);
        }
        if flush == Flush::Millisecond {
            options =
                options.wal_in_memory().set("commit_delay", "1000").set("commit_siblings", "0");
        }
        let server = Postgres::start(&options)?;
        let version = version(&server.url("postgres"))?;
        Ok(Self { server, tables: Vec::new(), version })
    }

    /// Returns the address of a database with a table of so many rows, made if it is not there.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn table(&mut self, rows: u64) -> Result<String> {
        let name = format!("table_{rows}");
        let url = self.server.url(&name);
        if !self.tables.contains(&rows) {
            eprintln!("  makes a table of {rows} rows in a server of PostgreSQL");
            self.server.execute("postgres", &format!("CREATE DATABASE {name}"))?;
            self.server.execute(&name, TABLE)?;
            load(&url, rows)?;
            for statement in [INDEX, "VACUUM (ANALYZE) item", "CHECKPOINT"] {
                self.server.execute(&name, statement)?;
            }
            self.tables.push(rows);
        }
        Ok(url)
    }

    /// Returns the address of a fresh copy of the table, that may be written.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn copy(&mut self, rows: u64) -> Result<String> {
        self.table(rows)?;
        self.server.execute("postgres", "DROP DATABASE IF EXISTS written WITH (FORCE)")?;
        self.server
            .execute("postgres", &format!("CREATE DATABASE written TEMPLATE table_{rows}"))?;
        self.server.execute("postgres", "CHECKPOINT")?;
        Ok(self.server.url("written"))
    }

    /// Removes what writes have left in the copy: between rounds, so that all find the same.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn clean(&self) -> Result<()> {
        self.server.execute("written", "VACUUM item")?;
        Ok(self.server.execute("postgres", "CHECKPOINT")?)
    }
}

fn version(url: &str) -> Result<String> {
    with_client(url, async |client| {
        Ok(client.query_one("SHOW server_version", &[]).await?.try_get(0)?)
    })
}

fn load(url: &str, rows: u64) -> Result<()> {
    with_client(url, async |client| {
        let mut sink = pin!(client.copy_in::<_, bytes::Bytes>(COPY).await?);
        let mut text = String::new();
        for id in 0..rows {
            let Item { id, name, city, population, score, at } = Item::of(id.cast_signed());
            let at = at.map(|at| at.to_string()).unwrap_or_default();
            writeln!(text, "{id},{name},{city},{population},{score},{at}")?;
            if text.len() > 1 << 16 || id + 1 == rows.cast_signed() {
                let piece = std::mem::take(&mut text).into();
                futures_util::SinkExt::send(&mut sink, piece).await?;
            }
        }
        let loaded = sink.finish().await?;
        if loaded == rows { Ok(()) } else { Err(format!("{loaded} rows were loaded").into()) }
    })
}

fn with_client<T>(
    url: &str,
    run: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T>,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let connection = tokio::spawn(connection);
        let result = run(&client).await;
        drop(client);
        connection.await??;
        result
    })
}
