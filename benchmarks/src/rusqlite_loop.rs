//! The floor on SQLite: one thread on rusqlite, with cached statements and Sora's own pragmas.

use std::hint::black_box;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Row, TransactionBehavior};

use crate::measure::{all_rows, city, first, full_page, latencies, nanos, with_latencies};
use crate::peer::Measuring;
use crate::{
    Account, Durability, Item, Measurement, Opened, Order, Peer, Result, Task, Workload, key,
};

const GET: &str = "SELECT id, name, city, population, score, at FROM item WHERE id = ?1";
const PAGE: &str = "SELECT id, name, city, population, score, at FROM item \
     WHERE city = ?1 AND population >= ?2 ORDER BY population DESC, id DESC LIMIT 50";
const SCAN: &str = "SELECT id, name, city, population, score, at FROM item";

/// A new row, or the new content of one that is there.
pub const UPSERT: &str = "INSERT INTO item (id, name, city, population, score, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, city = excluded.city, \
     population = excluded.population, score = excluded.score, at = excluded.at";

/// One connection, whatever the number of tasks: what a loop without any runtime does.
struct Loop {
    connection: Mutex<Connection>,
}

/// Opens the loop.
pub(crate) fn open(task: &Task) -> Opened {
    // Mapped pages count as memory of the process: Sora's scans do without, and so does this.
    let is_mapped = task.workload != Workload::Scan;
    let connection = connect(Path::new(&task.place), task.durability, is_mapped)?;
    Ok(Box::new(Loop { connection: Mutex::new(connection) }))
}

/// Opens a file with the settings that Sora uses by default.
///
/// # Errors
///
/// What SQLite says.
pub fn connect(path: &Path, durability: Durability, is_mapped: bool) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "mmap_size", if is_mapped { 1i64 << 30 } else { 0 })?;
    Ok(connection)
}

/// Decodes a row.
///
/// # Errors
///
/// If a cell is of another type.
pub fn item_of(row: &Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item {
        id: row.get(0)?,
        name: row.get(1)?,
        city: row.get(2)?,
        population: row.get(3)?,
        score: row.get(4)?,
        at: row.get(5)?,
    })
}

/// Reads the row with a key.
///
/// # Errors
///
/// What SQLite says.
pub fn get(connection: &Connection, key: i64) -> Result<(), rusqlite::Error> {
    black_box(connection.prepare_cached(GET)?.query_row([key], item_of)?);
    Ok(())
}

/// Reads the page of a city and returns how many rows it has.
///
/// # Errors
///
/// What SQLite says.
pub fn page(connection: &Connection, city: &str) -> Result<usize, rusqlite::Error> {
    let mut statement = connection.prepare_cached(PAGE)?;
    let page: Vec<Item> =
        statement.query_map((city, 1_000), item_of)?.collect::<rusqlite::Result<_>>()?;
    Ok(black_box(page).len())
}

/// Reads all rows and returns how many there are.
///
/// # Errors
///
/// What SQLite says.
pub fn scan(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let mut statement = connection.prepare_cached(SCAN)?;
    let mut rows = 0;
    for item in statement.query_map((), item_of)? {
        black_box(item?);
        rows += 1;
    }
    Ok(rows)
}

/// Writes a row.
///
/// # Errors
///
/// What SQLite says.
pub fn upsert(connection: &Connection, item: &Item) -> Result<(), rusqlite::Error> {
    let Item { id, name, city, population, score, at } = item;
    connection.prepare_cached(UPSERT)?.execute((id, name, city, population, score, at))?;
    Ok(())
}

/// Writes all rows in one transaction.
///
/// # Errors
///
/// What SQLite says.
pub fn bulk(connection: &mut Connection, items: &[Item]) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    items.iter().try_for_each(|item| upsert(&transaction, item))?;
    transaction.commit()
}

impl Peer for Loop {
    fn run<'a>(&'a self, task: &'a Task, account: &'a Account) -> Measuring<'a> {
        Box::pin(async move {
            let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
            run(&mut connection, task, account)
        })
    }
}

fn run(connection: &mut Connection, task: &Task, account: &Account) -> Result<Measurement> {
    match task.workload {
        Workload::Bulk(rows, order) => {
            let items = Item::bulk(rows, task.rows, order == Order::Shuffled);
            let start = account.start();
            bulk(connection, &items)?;
            drop(items);
            Ok(start.end(rows))
        }
        Workload::Scan => {
            let start = account.start();
            let end = start.at() + Duration::from_millis(task.time_ms);
            let mut rows = 0;
            while rows == 0 || Instant::now() < end {
                rows += all_rows(scan(connection)?, task)?;
            }
            Ok(start.end(rows))
        }
        Workload::Get | Workload::Page | Workload::Upsert => {
            let mut latencies = latencies()?;
            let mut nth = first(task, 0);
            let start = account.start();
            let end = start.at() + Duration::from_millis(task.time_ms);
            let mut now = start.at();
            while now < end {
                match task.workload {
                    Workload::Get => get(connection, key(nth, task.rows))?,
                    Workload::Page => full_page(page(connection, &city(nth))?)?,
                    _ => upsert(connection, &Item::changed(nth, task.rows))?,
                }
                nth += 1;
                let before = std::mem::replace(&mut now, Instant::now());
                latencies.saturating_record(nanos(now - before));
            }
            Ok(with_latencies(start.end(latencies.len()), &latencies))
        }
    }
}
