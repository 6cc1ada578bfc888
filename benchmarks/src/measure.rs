//! The workloads, the same for all who take part.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::{Account, Item, Measurement, Order, Result, Store, Task, Workload, key};

/// Where each task of each round starts to count, so that no two have the same keys.
const ROUND: u64 = 1 << 40;
const TASK: u64 = 1 << 28;

/// The longest latency that is told apart.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// Latencies of one task: two digits, so that 256 of them stay small.
pub(crate) type Latencies = Histogram<u32>;

/// Does a task by as many tasks of the runtime as it says.
pub(crate) async fn measure<S: Store>(
    store: &S,
    task: &Task,
    account: &Account,
) -> Result<Measurement> {
    match task.workload {
        Workload::Bulk(rows, order) => {
            let items = Item::bulk(rows, task.rows, order == Order::Shuffled);
            // Whoever connects with the first use does so now.
            store.get(0).await?;
            let start = account.start();
            store.bulk(items).await?;
            Ok(start.end(rows))
        }
        Workload::Scan => {
            store.get(0).await?;
            let start = account.start();
            let end = start.at() + Duration::from_millis(task.time_ms);
            let mut rows = 0;
            while rows == 0 || Instant::now() < end {
                rows += all_rows(store.scan().await?, task)?;
            }
            Ok(start.end(rows))
        }
        Workload::Get | Workload::Page | Workload::Upsert => timed(store, task, account).await,
    }
}

async fn timed<S: Store>(store: &S, task: &Task, account: &Account) -> Result<Measurement> {
    let mut running = Vec::new();
    let start = account.start();
    let end = start.at() + Duration::from_millis(task.time_ms);
    for place in 0..task.tasks {
        let (store, task) = (store.clone(), task.clone());
        running.push(tokio::spawn(async move {
            let mut latencies = latencies()?;
            let mut nth = first(&task, place);
            let mut now = Instant::now();
            while now < end {
                one(&store, &task, nth).await?;
                nth += 1;
                let before = std::mem::replace(&mut now, Instant::now());
                latencies.saturating_record(nanos(now - before));
            }
            Result::<_>::Ok(latencies)
        }));
    }
    let mut all = latencies()?;
    for task in running {
        all.add(task.await??)?;
    }
    Ok(with_latencies(start.end(all.len()), &all))
}

async fn one<S: Store>(store: &S, task: &Task, nth: u64) -> Result<()> {
    match task.workload {
        Workload::Get => store.get(key(nth, task.rows)).await,
        Workload::Page => full_page(store.page(city(nth)).await?),
        Workload::Upsert => store.upsert(Item::changed(nth, task.rows)).await,
        Workload::Bulk(..) | Workload::Scan => Err("this workload is done once".into()),
    }
}

/// The number of the first operation of a task.
pub(crate) fn first(task: &Task, place: u64) -> u64 {
    task.round * ROUND + place * TASK
}

/// The city of the n-th page.
pub(crate) fn city(nth: u64) -> String {
    format!("city {}", key(nth, 1_000))
}

pub(crate) fn full_page(rows: usize) -> Result<()> {
    if rows == 50 { Ok(()) } else { Err(format!("a page has {rows} rows, not 50").into()) }
}

/// The rows of a scan, if they are all.
pub(crate) fn all_rows(rows: u64, task: &Task) -> Result<u64> {
    let wrong = || format!("a scan has {rows} rows, not {}", task.rows);
    if rows == task.rows { Ok(rows) } else { Err(wrong().into()) }
}

pub(crate) fn latencies() -> Result<Latencies> {
    Ok(Histogram::new_with_bounds(1, LATENCY_NS_MAX, 2)?)
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn with_latencies(measurement: Measurement, latencies: &Latencies) -> Measurement {
    Measurement {
        p50_ns: latencies.value_at_quantile(0.5),
        p99_ns: latencies.value_at_quantile(0.99),
        max_ns: latencies.max(),
        ..measurement
    }
}
