//! What writes of many rows do otherwise than small ones.

use rusqlite::Connection;
use sora_core::write::{Change, Write};
use sora_core::{BufferedRow, Cell};

use crate::config::SqliteConfig;

/// Rows from which on a write counts as large.
const ROWS_MIN: usize = 1_000;

/// The page cache of the writing connection: large while large writes follow each other, so that no
/// page goes to the log twice in one transaction.
#[derive(Debug)]
pub(crate) struct Cache {
    is_large: bool,
    bytes: u32,
    bulk_bytes: u32,
}

impl Cache {
    pub(crate) fn new(config: &SqliteConfig) -> Self {
        Self { is_large: false, bytes: config.cache_bytes, bulk_bytes: config.bulk_cache_bytes }
    }

    /// Sets the size for what is written next.
    pub(crate) fn suit(&mut self, db: &Connection, rows: usize) {
        let is_large = rows >= ROWS_MIN && self.bulk_bytes > self.bytes;
        if is_large != self.is_large {
            let bytes = if is_large { self.bulk_bytes } else { self.bytes };
            // A negative number is a size in KiB. What fails leaves the size as it was.
            let _ = db.pragma_update(None, "cache_size", -i64::from(bytes.div_ceil(1024)));
            self.is_large = is_large;
        }
    }
}

/// Returns the rows of a write in the order of their keys, if that is another order and nothing but
/// speed depends on it: then each page of the table is visited once.
pub(crate) fn key_order(db: &Connection, write: &Write) -> Option<Vec<usize>> {
    let rows = write.change.len();
    if rows < ROWS_MIN || write.returning.is_some() {
        return None;
    }
    let (positions, rows) = match &write.change {
        Change::Insert { rows, columns, .. } | Change::Update { rows, columns, .. } => {
            let position = |key: &u16| columns.iter().position(|column| column == key);
            let key = write.binding.schema().key();
            (key.iter().map(position).collect::<Option<Vec<usize>>>()?, rows)
        }
        _ => return None,
    };
    let live = write.binding.live();
    // Of two rows that meet in another unique, the first in the caller's order is to win.
    let is_key = |columns: &[u16]| *columns == *live.key;
    if live.indexes.iter().any(|index| index.unique && !is_key(&index.columns)) {
        return None;
    }
    let compare = |left: &usize, right: &usize| {
        let (Some(left), Some(right)) = (rows.row(*left), rows.row(*right)) else {
            return std::cmp::Ordering::Equal;
        };
        let pair = |at: &usize| (cell(&left, *at), cell(&right, *at));
        let ordered = positions.iter().map(pair).map(|(left, right)| left.sort_order(right));
        ordered.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    };
    let mut order: Vec<usize> = (0..rows.len()).collect();
    if positions.is_empty() || order.is_sorted_by(|left, right| compare(left, right).is_le()) {
        return None;
    }
    order.sort_by(compare);
    // Of a key that is there twice, the last is to win.
    let is_distinct = order.is_sorted_by(|left, right| compare(left, right).is_lt());
    (is_distinct && !depends_on_order(db, &live.name)).then_some(order)
}

fn cell<'a>(row: &BufferedRow<'a>, at: usize) -> Cell<'a> {
    row.get(at)
}

/// Whether triggers, or references of a table to itself, may look at the rows written before.
fn depends_on_order(db: &Connection, table: &str) -> bool {
    const TEXT: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' \
         AND tbl_name = ?1 COLLATE NOCASE) OR EXISTS (SELECT 1 FROM pragma_foreign_key_list(?1) \
         WHERE \"table\" = ?1 COLLATE NOCASE)";
    let depends = db
        .prepare_cached(TEXT)
        .and_then(|mut found| found.query_row([table], |row| row.get::<_, bool>(0)));
    // Whoever cannot tell keeps the order.
    depends.unwrap_or(true)
}
