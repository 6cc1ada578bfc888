//! Those who are asked.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use sora::{Cache, CachePolicy, Entity, Event, Observer, Repository, Sora};
use tokio::runtime::{Builder, Runtime};

use crate::Result;

/// One who is asked for rows.
pub struct Side {
    pub name: &'static str,
    run: fn(&Runtime, usize, u64) -> Result<f64>,
}

pub const SIDES: &[Side] = &[
    Side { name: "quick_cache", run: bare },
    Side { name: "sora", run: repository },
    Side { name: "moka sync", run: moka_sync },
    Side { name: "moka future", run: moka_future },
    Side { name: "amalgam", run: amalgam_try_get },
    Side { name: "amalgam set", run: amalgam_get_or_set },
];

pub fn find(name: &str) -> Result<&'static Side> {
    let found = SIDES.iter().find(|side| side.name == name);
    found.ok_or_else(|| format!("there is no side {name:?}").into())
}

impl Side {
    /// Looks up as often as told, on one thread.
    pub fn probe(&self, count: u64) -> Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        (self.run)(&runtime, 1, count).map(drop)
    }

    /// Returns the time of all look-ups, shared by tasks on as many threads, in nanoseconds.
    pub fn timed(&self, tasks: usize, count: u64) -> Result<f64> {
        let runtime = Builder::new_multi_thread().worker_threads(tasks).enable_all().build()?;
        (self.run)(&runtime, tasks, count)
    }
}

const ROWS: u64 = 50_000;
const CAPACITY: usize = 100_000;

#[derive(Clone, Debug, Entity)]
#[sora(table = "people")]
struct Person {
    #[sora(key)]
    email: String,
    name: String,
    visits: i64,
}

fn key(id: u64) -> String {
    format!("user{id:07}@example.org")
}

fn person(id: u64) -> Person {
    Person { email: key(id), name: format!("name {id}"), visits: id.cast_signed() }
}

/// The keys of a round, at random, made before it.
fn keys(seed: u64) -> Vec<String> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    };
    (0..4_096).map(|_| key(next() % ROWS)).collect()
}

/// Runs a look-up that may wait, in as many tasks, and returns the time from the first to the last.
fn each<F, Fut>(runtime: &Runtime, tasks: usize, count: u64, look_up: F) -> f64
where
    F: Fn(Vec<String>, u64) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let rounds: Vec<_> =
        (1..=tasks as u64).map(|seed| look_up(keys(seed), count / tasks as u64)).collect();
    driven(runtime, rounds)
}

/// The function that holds a loop of look-ups, as callgrind is told it.
pub const LOOP: &str = "sides::driven";

/// A function of its own, so that it has that name.
#[inline(never)]
fn driven<Fut>(runtime: &Runtime, rounds: Vec<Fut>) -> f64
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let started = Instant::now();
    runtime.block_on(async {
        let rounds: Vec<_> = rounds.into_iter().map(tokio::spawn).collect();
        for round in rounds {
            round.await.expect("no panic");
        }
    });
    started.elapsed().as_nanos() as f64
}

fn bare(runtime: &Runtime, tasks: usize, count: u64) -> Result<f64> {
    let cache = Arc::new(quick_cache::sync::Cache::<String, Arc<Person>>::new(CAPACITY));
    for id in 0..ROWS {
        cache.insert(key(id), Arc::new(person(id)));
    }
    Ok(each(runtime, tasks, count, |keys, count| {
        let cache = cache.clone();
        async move {
            for key in keys.iter().cycle().take(count as usize) {
                black_box(cache.get(key.as_str()).expect("a row"));
            }
        }
    }))
}

struct Watching;

impl Observer for Watching {
    fn observe(&self, event: &Event<'_>) {
        black_box(event.duration);
    }
}

async fn people() -> Result<Repository<Person>> {
    let cache = Cache::new().entity::<Person>(CachePolicy::new().time_to_live_ms(3_600_000));
    let builder = Sora::builder().cache(cache).observer(Arc::new(Watching));
    let store = builder.open("memory:").await?;
    store.ensure_schema::<Person>().await?;
    let people = store.repository::<Person>().await?;
    let rows: Vec<Person> = (0..ROWS).map(person).collect();
    people.insert_many(&rows).await?;
    for row in &rows {
        people.get(row.email.as_str()).await?;
    }
    Ok(people)
}

fn repository(runtime: &Runtime, tasks: usize, count: u64) -> Result<f64> {
    let people = runtime.block_on(people())?;
    Ok(each(runtime, tasks, count, |keys, count| {
        let people = people.clone();
        async move {
            for key in keys.iter().cycle().take(count as usize) {
                black_box(people.get(key.as_str()).await.expect("answered").expect("a row"));
            }
        }
    }))
}

fn moka_sync(runtime: &Runtime, tasks: usize, count: u64) -> Result<f64> {
    let cache = moka::sync::Cache::<String, Arc<Person>>::new(CAPACITY as u64);
    for id in 0..ROWS {
        cache.insert(key(id), Arc::new(person(id)));
    }
    cache.run_pending_tasks();
    Ok(each(runtime, tasks, count, |keys, count| {
        let cache = cache.clone();
        async move {
            for key in keys.iter().cycle().take(count as usize) {
                black_box(cache.get(key.as_str()).expect("a row"));
            }
        }
    }))
}

fn moka_future(runtime: &Runtime, tasks: usize, count: u64) -> Result<f64> {
    let cache = moka::future::Cache::<String, Arc<Person>>::new(CAPACITY as u64);
    runtime.block_on(async {
        for id in 0..ROWS {
            cache.insert(key(id), Arc::new(person(id))).await;
        }
        cache.run_pending_tasks().await;
    });
    Ok(each(runtime, tasks, count, |keys, count| {
        let cache = cache.clone();
        async move {
            for key in keys.iter().cycle().take(count as usize) {
                black_box(cache.get(key.as_str()).await.expect("a row"));
            }
        }
    }))
}

fn filled_amalgam(runtime: &Runtime) -> Result<amalgam::Cache<Arc<Person>>> {
    let cache: amalgam::Cache<Arc<Person>> = amalgam::Cache::builder().try_build()?;
    runtime.block_on(async {
        for id in 0..ROWS {
            cache.set(key(id).as_str(), Arc::new(person(id))).await?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    Ok(cache)
}

fn amalgam_try_get(runtime: &Runtime, tasks: usize, count: u64) -> Result<f64> {
    let cache = filled_amalgam(runtime)?;
    Ok(each(runtime, tasks, count, |keys, count| {
        let cache = cache.clone();
        async move {
            for key in keys.iter().cycle().take(count as usize) {
                black_box(cache.try_get(key.as_str()).await.expect("answered").expect("a row"));
            }
        }
    }))
}

fn amalgam_get_or_set(runtime: &Runtime, tasks: usize, count: u64) -> Result<f64> {
    let cache = filled_amalgam(runtime)?;
    Ok(each(runtime, tasks, count, |keys, count| {
        let cache = cache.clone();
        async move {
            for key in keys.iter().cycle().take(count as usize) {
                let load = |_| async { Ok::<_, Infallible>(Arc::new(person(0))) };
                black_box(cache.get_or_set(key.as_str(), load).await.expect("answered"));
            }
        }
    }))
}
