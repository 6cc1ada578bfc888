//! Single upserts and bulk upserts.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sora_benchmarks::{Item, key, mix};

use crate::Result;
use crate::database::{UPSERT, config, connect, database, items, remove, runtime};
use crate::rounds::{Options, Round, compare};

/// The row of the n-th write: one that is there, with other content.
pub(crate) fn changed(nth: u64, rows: u64) -> Item {
    let content = Item::of((nth + rows).cast_signed());
    Item { id: key(nth, rows), ..content }
}

fn upsert(connection: &rusqlite::Connection, item: &Item) -> Result<()> {
    let mut statement = connection.prepare_cached(UPSERT)?;
    statement.execute((item.id, &item.name, &item.city, item.population, item.score, item.at))?;
    Ok(())
}

fn copy(options: &Options, name: &str) -> Result<std::path::PathBuf> {
    let path = options.folder.join(format!("{name}.db"));
    remove(&path);
    std::fs::copy(database(options)?, &path)?;
    std::fs::File::open(&path)?.sync_all()?;
    Ok(path)
}

pub(crate) fn singles(options: &Options, tasks: u64, full: bool) -> Result<()> {
    let (floor_path, sora_path) = (copy(options, "floor")?, copy(options, "sora")?);
    let rows = options.rows;
    let time = Duration::from_secs_f64(options.seconds);
    let mut seed = 0;
    let mut next_seed = || {
        seed += 1 << 32;
        seed
    };
    let floor_seed = std::cell::Cell::new(0);
    compare(
        options,
        "rusqlite",
        &format!(
            "single upserts of {tasks} tasks, synchronous={}, {rows} rows",
            if full { "FULL" } else { "NORMAL" }
        ),
        || {
            let connection = connect(&floor_path, full, true)?;
            let seed = floor_seed.get() + (1 << 32);
            floor_seed.set(seed);
            let mut took = Vec::new();
            let mut round = Round::of(|| {
                let mut start = Instant::now();
                let end = start + time;
                while start < end {
                    upsert(&connection, &changed(seed + took.len() as u64, rows))?;
                    let now = Instant::now();
                    took.push((now - start).as_micros() as u32);
                    start = now;
                }
                Ok(took.len() as u64)
            })?;
            round.took_us = took;
            Ok(round)
        },
        || sora_singles(&sora_path, (tasks, full, rows, time), next_seed()),
    )
}

fn sora_singles(
    path: &Path,
    (tasks, full, rows, time): (u64, bool, u64, Duration),
    seed: u64,
) -> Result<Round> {
    let runtime = runtime(if tasks == 1 { 1 } else { 2 })?;
    let items = Arc::new(runtime.block_on(items(config(path, full)?))?);
    let mut took = Vec::new();
    let mut round = Round::of(|| {
        runtime.block_on(async {
            let end = Instant::now() + time;
            let spawn = |task| {
                let items = items.clone();
                tokio::spawn(async move {
                    let mut took = Vec::new();
                    let mut start = Instant::now();
                    while start < end {
                        let nth = seed + took.len() as u64 * tasks + task;
                        items.upsert(&changed(nth, rows)).await?;
                        let now = Instant::now();
                        took.push((now - start).as_micros() as u32);
                        start = now;
                    }
                    Result::Ok(took)
                })
            };
            let running: Vec<_> = (0..tasks).map(spawn).collect();
            for task in running {
                took.extend(task.await??);
            }
            Result::Ok(took.len() as u64)
        })
    })?;
    round.took_us = took;
    Ok(round)
}

/// The keys of a bulk upsert: half of them are there.
fn keys(rows: u64, shuffled: bool) -> Vec<i64> {
    let mut keys: Vec<i64> = (0..rows).map(|nth| (nth + rows / 2).cast_signed()).collect();
    if shuffled {
        keys.sort_by_key(|key| mix(key.cast_unsigned()));
    }
    keys
}

pub(crate) fn bulk(options: &Options, shuffled: bool) -> Result<()> {
    let keys = keys(options.rows, shuffled);
    let rows: Vec<Item> = keys.iter().map(|id| Item { id: *id, ..Item::of(id + 7) }).collect();
    let order = if shuffled { "in random order" } else { "in the order of their keys" };
    compare(
        options,
        "rusqlite",
        &format!(
            "a bulk upsert of {} rows {order}, half of them there, each counted as one",
            options.rows
        ),
        || {
            let path = copy(options, "floor")?;
            let mut connection = connect(&path, true, true)?;
            Round::of(|| {
                let transaction = connection
                    .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                for item in &rows {
                    upsert(&transaction, item)?;
                }
                transaction.commit()?;
                Ok(rows.len() as u64)
            })
        },
        || {
            let path = copy(options, "sora")?;
            let runtime = runtime(1)?;
            let items = runtime.block_on(items(config(&path, true)?))?;
            Round::of(|| {
                let report = runtime.block_on(items.upsert_many(&rows))?;
                assert!(report.first_error().is_none());
                Ok(rows.len() as u64)
            })
        },
    )
}
