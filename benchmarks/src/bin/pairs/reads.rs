//! Look-ups, pages and streams.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sora::{Filter, Repository, StreamOptions};
use sora_benchmarks::{Item, key};

use crate::Result;
use crate::database::{config, connect, database, item, items, runtime};
use crate::rounds::{Options, Round, compare};

const POINT: &str = "SELECT id, name, city, population, score, at FROM item WHERE id = ?1";
const PAGE: &str = "SELECT id, name, city, population, score, at FROM item \
     WHERE city = ?1 AND population >= ?2 ORDER BY population DESC, id DESC LIMIT 50";
const ALL: &str = "SELECT id, name, city, population, score, at FROM item ORDER BY id";

/// Runs something in so many tasks until the time is over, and counts.
pub(crate) fn in_tasks<F: Future<Output = Result<()>> + Send + 'static>(
    options: &Options,
    runtime: &tokio::runtime::Runtime,
    tasks: u64,
    one: impl Fn(u64) -> F + Send + Sync + 'static,
) -> Result<Round> {
    let one = Arc::new(one);
    let time = Duration::from_secs_f64(options.seconds);
    let mut took = Vec::new();
    let mut round = Round::of(|| {
        runtime.block_on(async {
            let end = Instant::now() + time;
            let spawn = |task| {
                let one = one.clone();
                tokio::spawn(async move {
                    let mut took = Vec::new();
                    let mut start = Instant::now();
                    while start < end {
                        one(took.len() as u64 * tasks + task).await?;
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

/// Runs something in a loop on this thread until the time is over, and counts.
fn in_loop(options: &Options, mut one: impl FnMut(u64) -> Result<()>) -> Result<Round> {
    let time = Duration::from_secs_f64(options.seconds);
    let mut took = Vec::new();
    let mut round = Round::of(|| {
        let mut start = Instant::now();
        let end = start + time;
        while start < end {
            one(took.len() as u64)?;
            let now = Instant::now();
            took.push((now - start).as_micros() as u32);
            start = now;
        }
        Ok(took.len() as u64)
    })?;
    round.took_us = took;
    Ok(round)
}

pub(crate) fn points(options: &Options, tasks: u64) -> Result<()> {
    let path = database(options)?;
    let connection = connect(&path, true, true)?;
    let runtime = runtime(if tasks == 1 { 1 } else { 2 })?;
    let items = runtime.block_on(items(config(&path, true)?))?;
    let rows = options.rows;
    compare(
        options,
        "rusqlite",
        &format!("look-ups by key of {tasks} tasks, {rows} rows"),
        || {
            in_loop(options, |nth| {
                let mut statement = connection.prepare_cached(POINT)?;
                black_box(statement.query_row([key(nth, rows)], item)?);
                Ok(())
            })
        },
        || {
            let items = items.clone();
            in_tasks(options, &runtime, tasks, move |nth| {
                let items = items.clone();
                async move {
                    black_box(items.get(key(nth, rows)).await?.ok_or("the row is there")?);
                    Ok(())
                }
            })
        },
    )
}

fn query(nth: u64) -> (String, i64) {
    (format!("city {}", key(nth, 1_000)), 1_000)
}

async fn page(items: &Repository<Item>, nth: u64) -> Result<()> {
    let (city, population) = query(nth);
    let page = items
        .query(Item::CITY.eq(city) & Item::POPULATION.ge(population))
        .sort(Item::POPULATION.desc())
        .limit(50)
        .fetch()
        .await?;
    assert_eq!(page.len(), 50);
    black_box(page);
    Ok(())
}

pub(crate) fn pages(options: &Options, tasks: u64) -> Result<()> {
    let path = database(options)?;
    let connection = connect(&path, true, true)?;
    let runtime = runtime(if tasks == 1 { 1 } else { 2 })?;
    let items = runtime.block_on(items(config(&path, true)?))?;
    compare(
        options,
        "rusqlite",
        &format!("pages of 50 of {tasks} tasks, {} rows", options.rows),
        || {
            in_loop(options, |nth| {
                let mut statement = connection.prepare_cached(PAGE)?;
                let page: Vec<Item> =
                    statement.query_map(query(nth), item)?.collect::<rusqlite::Result<_>>()?;
                assert_eq!(page.len(), 50);
                black_box(page);
                Ok(())
            })
        },
        || {
            let items = items.clone();
            in_tasks(options, &runtime, tasks, move |nth| {
                let items = items.clone();
                async move { page(&items, nth).await }
            })
        },
    )
}

pub(crate) fn stream(options: &Options, page_rows: u64) -> Result<()> {
    let path = database(options)?;
    // Scans do not map, so that their memory stays small.
    let connection = connect(&path, true, false)?;
    let runtime = runtime(2)?;
    let items = runtime.block_on(items(config(&path, true)?))?;
    let paging = StreamOptions { page_rows };
    compare(
        options,
        "rusqlite",
        &format!("a stream of {} rows in pages of {page_rows}, each counted as one", options.rows),
        || {
            Round::of(|| {
                let mut statement = connection.prepare_cached(ALL)?;
                let mut rows = statement.query([])?;
                let mut count = 0;
                while let Some(row) = rows.next()? {
                    black_box(item(row)?);
                    count += 1;
                }
                Ok(count)
            })
        },
        || {
            Round::of(|| {
                runtime.block_on(async {
                    let mut stream = items.query(Filter::all()).stream_with(paging);
                    let mut count = 0;
                    while let Some(row) = stream.next().await {
                        black_box(row?);
                        count += 1;
                    }
                    Ok(count)
                })
            })
        },
    )
}
