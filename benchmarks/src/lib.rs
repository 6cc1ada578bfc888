//! What the probes share: the table, its rows, and a source of numbers.

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
            at: (mixed % 10 != 0).then_some((mixed >> 30).cast_signed()),
        }
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
