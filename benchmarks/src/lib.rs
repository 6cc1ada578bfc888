//! What the programs of the benchmark share: the table, its rows, the workloads and how they are
//! measured, and the stores that take part in every program.

mod account;
mod measure;
mod peer;
mod postgres_pool;
mod postgres_server;
pub mod rusqlite_loop;
mod sora_peer;
mod task;
mod worker;

pub use account::Account;
pub use peer::{Opened, Peer, Result, Store, opened};
pub use postgres_server::{Flush, PostgresServer};
pub use sora_peer::open_sqlite;
pub use task::{Answer, Durability, Form, Measurement, Order, StoreKind, Task, Workload};
pub use worker::{Opening, Peers, serve};

use sora::Entity;

/// A row of the benchmark table.
#[derive(Clone, Debug, PartialEq, Entity)]
#[sora(table = "item", index(city, population))]
pub struct Item {
    /// The key.
    #[sora(key)]
    pub id: i64,
    /// Some text.
    pub name: String,
    /// One of 1,000.
    pub city: String,
    /// A number to filter and sort by.
    pub population: i64,
    /// A float.
    pub score: f64,
    /// A number that may be missing.
    pub at: Option<i64>,
}

impl Item {
    /// The row of a number, the same on every machine.
    pub fn of(id: i64) -> Self {
        let mixed = mix(id.cast_unsigned());
        Self {
            id,
            name: format!("item {:x}", mixed >> 40),
            city: format!("city {}", mixed % 1_000),
            population: (mixed >> 10 & 0xf_ffff).cast_signed(),
            score: (mixed >> 20 & 0xffff) as f64 / 8.0,
            at: (!mixed.is_multiple_of(10)).then_some((mixed >> 30).cast_signed()),
        }
    }
}

impl Item {
    /// The row of the n-th upsert: one that is there, with other content.
    pub fn changed(nth: u64, rows: u64) -> Self {
        let content = Self::of((nth.wrapping_add(rows) >> 1).cast_signed());
        Self { id: key(nth, rows), ..content }
    }

    /// The rows of a bulk upsert into a table of `table_rows`: every second one is there, and those
    /// are spread over the whole table; the others are new.
    pub fn bulk(rows: u64, table_rows: u64, is_shuffled: bool) -> Vec<Self> {
        let stride = (2 * table_rows / rows).max(1);
        let old = (0..rows / 2).map(|nth| nth * stride % table_rows);
        let new = (0..rows - rows / 2).map(|nth| table_rows + nth);
        let mut keys: Vec<u64> = old.chain(new).collect();
        if is_shuffled {
            keys.sort_by_key(|key| mix(*key));
        }
        let content = |id: u64| Self::of((id + table_rows * 2).cast_signed());
        keys.into_iter().map(|id| Self { id: id.cast_signed(), ..content(id) }).collect()
    }
}

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>): a number for each number.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// The key that the n-th look-up of a table of so many rows asks for.
pub fn key(nth: u64, rows: u64) -> i64 {
    (mix(nth ^ 0x5eed) % rows).cast_signed()
}
