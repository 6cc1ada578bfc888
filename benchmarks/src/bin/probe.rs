//! One loop, to be measured from outside: `probe WHAT COUNT FILE`.

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;
use sora::sqlite::{Sqlite, SqliteConfig};
use sora::{Repository, Sora};
use sora_benchmarks::{Item, key, rusqlite_loop};
use tokio::runtime::Runtime;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: probe WHAT COUNT FILE
  make ROWS DB           a database of so many rows
  csv ROWS FILE          the same rows as a CSV file
  floor-get N DB         N look-ups by key, hand-written on rusqlite
  sora-get N DB          the same through a repository
  floor-page N DB        N pages of 50 rows by filter and sort
  sora-page N DB         the same through a repository
  floor-upsert N DB      N upserts of single rows in a copy of it, hand-written on rusqlite
  sora-upsert N DB       the same through a repository
  floor-import CHUNK CSV the file into CSV.floor.db, in chunks of so many rows";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, count, file] = &arguments[..] else { return Err(USAGE.into()) };
    let count: u64 = count.parse()?;
    let started = Instant::now();
    match what.as_str() {
        "make" => make(count, file)?,
        "csv" => write_csv(count, file)?,
        "floor-get" => floor_get(count, file)?,
        "sora-get" => sora_get(count, file)?,
        "floor-page" => floor_page(count, file)?,
        "sora-page" => sora_page(count, file)?,
        "floor-upsert" => floor_upsert(count, file)?,
        "sora-upsert" => sora_upsert(count, file)?,
        "floor-import" => floor_import(count, file)?,
        _ => return Err(USAGE.into()),
    }
    println!("{}", started.elapsed().as_nanos());
    Ok(())
}

fn make(rows: u64, file: &str) -> Result<()> {
    runtime()?.block_on(async {
        let store = Sora::open(&format!("sqlite:{file}")).await?;
        store.ensure_schema::<Item>().await?;
        let items = store.repository::<Item>().await?;
        for start in (0..rows).step_by(10_000) {
            let end = rows.min(start + 10_000);
            items.insert_many((start..end).map(|id| Item::of(id.cast_signed()))).await?;
        }
        Ok(())
    })
}

fn write_csv(rows: u64, file: &str) -> Result<()> {
    let mut csv = csv::Writer::from_path(file)?;
    csv.write_record(["id", "name", "city", "population", "score", "at"])?;
    for id in 0..rows {
        let item = Item::of(id.cast_signed());
        csv.write_record([
            item.id.to_string(),
            item.name,
            item.city,
            item.population.to_string(),
            item.score.to_string(),
            item.at.map(|at| at.to_string()).unwrap_or_default(),
        ])?;
    }
    csv.flush()?;
    Ok(())
}

/// The settings that Sora uses by default for its readers.
fn open(file: &str) -> Result<Connection> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "mmap_size", 1i64 << 30)?;
    Ok(connection)
}

fn rows_of(connection: &Connection) -> Result<u64> {
    let rows: i64 = connection.query_row("SELECT max(id) + 1 FROM item", [], |row| row.get(0))?;
    Ok(rows.cast_unsigned())
}

fn item(row: &rusqlite::Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item {
        id: row.get(0)?,
        name: row.get(1)?,
        city: row.get(2)?,
        population: row.get(3)?,
        score: row.get(4)?,
        at: row.get(5)?,
    })
}

fn floor_get(count: u64, file: &str) -> Result<()> {
    const SQL: &str = "SELECT id, name, city, population, score, at FROM item WHERE id = ?1";
    let connection = open(file)?;
    let rows = rows_of(&connection)?;
    for nth in 0..count {
        let mut statement = connection.prepare_cached(SQL)?;
        black_box(statement.query_row([key(nth, rows)], item)?);
    }
    Ok(())
}

fn floor_page(count: u64, file: &str) -> Result<()> {
    const SQL: &str = "SELECT id, name, city, population, score, at FROM item \
         WHERE city = ?1 AND population >= ?2 ORDER BY population DESC, id DESC LIMIT 50";
    let connection = open(file)?;
    for nth in 0..count {
        let mut statement = connection.prepare_cached(SQL)?;
        let city = format!("city {}", key(nth, 1_000));
        let page = statement.query_map((city, 1_000), item)?;
        let page: Vec<Item> = page.collect::<rusqlite::Result<_>>()?;
        assert_eq!(page.len(), 50);
        black_box(page);
    }
    Ok(())
}

fn sora_get(count: u64, file: &str) -> Result<()> {
    let rows = rows_of(&open(file)?)?;
    runtime()?.block_on(async {
        let items = items(file).await?;
        for nth in 0..count {
            black_box(items.get(key(nth, rows)).await?.expect("the row is there"));
        }
        Ok(())
    })
}

fn sora_page(count: u64, file: &str) -> Result<()> {
    runtime()?.block_on(async {
        let items = items(file).await?;
        for nth in 0..count {
            let city = format!("city {}", key(nth, 1_000));
            let page = items
                .query(Item::CITY.eq(city) & Item::POPULATION.ge(1_000))
                .sort(Item::POPULATION.desc())
                .limit(50)
                .fetch()
                .await?;
            assert_eq!(page.len(), 50);
            black_box(page);
        }
        Ok(())
    })
}

/// Returns a fresh copy of a database that can be written, and how many rows it has.
fn copy(file: &str) -> Result<(String, u64)> {
    let copy = format!("{file}.upsert.db");
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{copy}{ending}"));
    }
    std::fs::copy(file, &copy)?;
    let rows = rows_of(&open(&copy)?)?;
    Ok((copy, rows))
}

fn floor_upsert(count: u64, file: &str) -> Result<()> {
    let (file, rows) = copy(file)?;
    let connection = open(&file)?;
    for nth in 0..count {
        rusqlite_loop::upsert(&connection, &Item::changed(nth, rows))?;
    }
    Ok(())
}

fn sora_upsert(count: u64, file: &str) -> Result<()> {
    let (file, rows) = copy(file)?;
    runtime()?.block_on(async {
        let items = items(&file).await?;
        for nth in 0..count {
            items.upsert(&Item::changed(nth, rows)).await?;
        }
        Ok(())
    })
}

/// Under an instruction counter every look-up is slow by the clock, and would leave the inline path
/// that is to be counted: hence no bound.
async fn items(file: &str) -> Result<Repository<Item>> {
    let config = SqliteConfig::file(file)?.inline_us_max(u64::MAX);
    let store = Sora::builder().provider(Arc::new(Sqlite::open(config).await?));
    Ok(store.repository::<Item>().await?)
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// What someone writes by hand who knows rusqlite: one prepared statement, chunks that are durable.
fn floor_import(chunk: u64, file: &str) -> Result<()> {
    let mut connection = open(&format!("{file}.floor.db"))?;
    connection.execute_batch(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, \
         population INTEGER NOT NULL, score REAL NOT NULL, at INTEGER) STRICT",
    )?;
    let mut csv = csv::Reader::from_reader(File::open(file)?);
    let mut record = csv::StringRecord::new();
    loop {
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut rows = 0;
        {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO item (id, name, city, population, score, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, city = excluded.city, \
                 population = excluded.population, score = excluded.score, at = excluded.at",
            )?;
            while rows < chunk && csv.read_record(&mut record)? {
                let at = match &record[5] {
                    "" => None,
                    at => Some(at.parse::<i64>()?),
                };
                statement.execute((
                    record[0].parse::<i64>()?,
                    &record[1],
                    &record[2],
                    record[3].parse::<i64>()?,
                    record[4].parse::<f64>()?,
                    at,
                ))?;
                rows += 1;
            }
        }
        transaction.commit()?;
        if rows < chunk {
            return Ok(());
        }
    }
}
