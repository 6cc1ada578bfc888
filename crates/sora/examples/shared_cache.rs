//! Two processes, one SQLite file, one Redis: a write in one is seen by the other.
//!
//! ```sh
//! cargo run -p sora --features redis --example shared_cache -- redis://localhost:6379
//! ```
//!
//! It starts itself a second time. The first process keeps an account in its memory; the second one
//! writes it, and the first reads what was written, without asking the database in between.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sora::redis::{RedisConfig, RedisTier};
use sora::{Cache, CachePolicy, Entity, RemoteCache, Repository, Sora};

#[derive(Debug, Entity)]
#[sora(table = "accounts")]
struct Account {
    #[sora(key)]
    owner: String,
    balance: i64,
}

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *arguments {
        [redis] => reader(redis).await,
        [redis, store, application] => writer(redis, store, application).await,
        _ => Err("give the address of a Redis: redis://localhost:6379".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Opens the accounts; what is cached of them is shared by all who give this application's name.
async fn accounts(redis: &str, store: &str, application: &str) -> Result<Repository<Account>> {
    let tier = RedisTier::connect(RedisConfig::parse(redis)?)?;
    tier.ready().await?;
    let cache = Cache::new()
        .entity::<Account>(CachePolicy::new().remote_time_to_live_ms(60_000))
        .remote(RemoteCache::new(Arc::new(tier), application));
    let store = Sora::builder().cache(cache).open(store).await?;
    store.ensure_schema::<Account>().await?;
    Ok(store.repository().await?)
}

/// The second process.
async fn writer(redis: &str, store: &str, application: &str) -> Result {
    let accounts = accounts(redis, store, application).await?;
    let ada = accounts.look_up("Ada").await?;
    let balance = ada.entity.map(|ada| ada.balance).unwrap_or_default();
    say(&format!("Ada has {balance}, from {:?}", ada.source));
    accounts.patch("Ada", [Account::BALANCE.add(7)]).await?;
    say("Ada gets 7");
    Ok(())
}

/// The first process.
async fn reader(redis: &str) -> Result {
    let directory = tempfile::tempdir()?;
    let store = format!("sqlite:{}", directory.path().join("accounts.db").display());
    let application = format!("example-{}", std::process::id());
    let accounts = accounts(redis, &store, &application).await?;
    accounts.upsert(&Account { owner: "Ada".into(), balance: 5 }).await?;
    for _ in 0..2 {
        let ada = accounts.look_up("Ada").await?;
        let balance = ada.entity.map(|ada| ada.balance).unwrap_or_default();
        say(&format!("Ada has {balance}, from {:?}", ada.source));
    }

    let other = std::env::current_exe()?;
    let mut other = Command::new(other).args([redis, &store, &application]).spawn()?;
    let started = Instant::now();
    let ada = loop {
        let ada = accounts.look_up("Ada").await?;
        if ada.entity.as_ref().is_some_and(|ada| ada.balance == 12) {
            break ada;
        }
        if started.elapsed() > Duration::from_secs(30) {
            return Err("the write of the other process was not seen within 30 seconds".into());
        }
        tokio::task::yield_now().await;
    };
    say(&format!("Ada has 12, from {:?}", ada.source));
    let numbers = accounts.cache_numbers().unwrap_or_default();
    say(&format!(
        "{} look-ups were answered from memory, {} from Redis, {} from the database",
        numbers.hits,
        numbers.remote_hits,
        numbers.misses - numbers.remote_hits
    ));
    match other.wait()?.success() {
        true => Ok(()),
        false => Err("the other process failed".into()),
    }
}

#[expect(clippy::print_stdout, reason = "it is what the example is for")]
fn say(text: &str) {
    println!("process {}: {text}", std::process::id());
}
