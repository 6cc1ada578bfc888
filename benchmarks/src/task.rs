//! What the driver asks of a program, and what it answers: a line of JSON each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One run of one peer.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Task {
    /// Who runs, such as `sqlx`.
    pub peer: String,
    /// How it is set up.
    pub form: Form,
    /// What it talks to.
    pub store: StoreKind,
    /// The path of the file, or the address of the server.
    pub place: String,
    /// When a commit counts as done; only SQLite is told, a server is set up so.
    pub durability: Durability,
    /// What is done.
    pub workload: Workload,
    /// How many tasks do it at the same time.
    pub tasks: u64,
    /// How many rows the table holds.
    pub rows: u64,
    /// Which run this is: each has other keys.
    pub round: u64,
    /// How long it runs; a scan is done again until then, a bulk upsert once.
    pub time_ms: u64,
}

/// How a peer is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// With its own defaults; only the size of the pool and the durability are the same for all.
    AsItComes,
    /// Several connections may write one bulk, which then is not atomic.
    SeveralConnections,
    /// No ping, no log of statements, SQLite with Sora's own pragmas, and one connection for writes.
    Tuned,
}

/// What a peer talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// A server.
    Postgres,
    /// A file.
    Sqlite,
}

/// When a commit on SQLite counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// When it is on the disk.
    Full,
    /// When the operating system has it.
    Normal,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// An upsert of so many rows as one, half of them there.
    Bulk(u64, Order),
    /// Look-ups by key.
    Get,
    /// Pages of 50 rows, filtered and sorted by the index.
    Page,
    /// All rows of the table, decoded, again and again.
    Scan,
    /// Upserts of single rows, each durable before the next of its task.
    Upsert,
}

/// In which order the rows of a bulk upsert come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// At random.
    Shuffled,
    /// By key.
    Sorted,
}

/// What a program prints: the first line is the greeting, then an answer to each task.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The run is over.
    Done(Measurement),
    /// The run failed, and why.
    Failed(String),
    /// The program is ready; the version of the SQLite in it.
    Ready(String),
}

/// What a run did and took.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Measurement {
    /// Look-ups, pages or rows.
    pub operations: u64,
    /// Time by the clock.
    pub wall_ns: u64,
    /// CPU time of the program.
    pub cpu_ns: u64,
    /// CPU time of all processes of the server.
    pub server_cpu_ns: u64,
    /// Latencies of single operations; none for a scan and a bulk upsert.
    pub p50_ns: u64,
    /// The same.
    pub p99_ns: u64,
    /// The same.
    pub max_ns: u64,
    /// The most memory that was resident, above that of the start.
    pub peak_bytes: u64,
}

impl Measurement {
    /// Operations in a second.
    pub fn rate(&self) -> f64 {
        self.operations as f64 / (self.wall_ns.max(1) as f64 / 1e9)
    }

    /// Nanoseconds of CPU for each operation, of client and server.
    pub fn cpu_each_ns(&self) -> f64 {
        (self.cpu_ns + self.server_cpu_ns) as f64 / self.operations.max(1) as f64
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsItComes => "as it comes",
            Self::SeveralConnections => "several connections",
            Self::Tuned => "tuned",
        })
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        })
    }
}
