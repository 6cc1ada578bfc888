//! Writing without an end, with readers beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sora_benchmarks::{Item, key};

use crate::Result;
use crate::database::{config, database, items, remove, runtime};
use crate::rounds::{Options, percentiles};
use crate::writes::changed;

const TASKS: u64 = 64;
const READERS: u64 = 2;

pub(crate) fn run(options: &Options, full: bool) -> Result<()> {
    let path = options.folder.join("sustained.db");
    remove(&path);
    std::fs::copy(database(options)?, &path)?;
    let log = format!("{}-wal", path.display());
    let rows = options.rows;
    let runtime = runtime(2)?;
    let items = Arc::new(runtime.block_on(items(config(&path, full)?))?);
    let end = Instant::now() + Duration::from_secs_f64(options.seconds);
    let (mut took, mut most, reads) = (Vec::new(), 0, Arc::new(AtomicU64::new(0)));
    runtime.block_on(async {
        let write = |task| {
            let items = items.clone();
            tokio::spawn(async move {
                let mut took = Vec::new();
                let mut start = Instant::now();
                while start < end {
                    items.upsert(&changed(took.len() as u64 * TASKS + task, rows)).await?;
                    let now = Instant::now();
                    took.push((now - start).as_micros() as u32);
                    start = now;
                }
                Result::Ok(took)
            })
        };
        let read = |reader| {
            let (items, reads) = (items.clone(), reads.clone());
            tokio::spawn(async move {
                for nth in 0.. {
                    if Instant::now() >= end {
                        break;
                    }
                    let city = format!("city {}", key(nth * READERS + reader, 1_000));
                    let page = items.query(Item::CITY.eq(city)).sort(Item::POPULATION.desc());
                    page.limit(50).fetch().await?;
                    reads.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Result::Ok(())
            })
        };
        let writers: Vec<_> = (0..TASKS).map(write).collect();
        let readers: Vec<_> = (0..READERS).map(read).collect();
        while Instant::now() < end {
            most = most.max(std::fs::metadata(&log).map_or(0, |log| log.len()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for task in writers {
            took.extend(task.await??);
        }
        for task in readers {
            task.await??;
        }
        Result::Ok(())
    })?;
    println!(
        "{TASKS} tasks write for {} s, synchronous={}, {READERS} tasks read pages ({} in all)",
        options.seconds,
        if full { "FULL" } else { "NORMAL" },
        reads.load(Ordering::Relaxed),
    );
    println!("  {:.0} writes/s{}", took.len() as f64 / options.seconds, percentiles(&mut took));
    println!("  the log was {:.1} MiB at most", most as f64 / 1_048_576.0);
    Ok(())
}
