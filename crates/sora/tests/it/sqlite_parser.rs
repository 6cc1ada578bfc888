//! Filters as text beside SQLite's own parser, which is their reference.
//!
//! Random conditions in the language that both know are read by Sora and asked of a table in SQLite
//! that decides them itself, of one whose cells it cannot trust, and of one in memory. Plain SQLite
//! is asked with the same text, and the rows must be the same.
//!
//! More of them, and others, than CI asks:
//!
//! ```sh
//! SORA_FILTERS=1000000 SORA_SEED=7 cargo test -p sora --test it sqlite_parser
//! ```
//!
//! The n-th condition has the seed `SORA_SEED + n`, and a failure prints it.
//!
//! Left out is what is known to differ:
//!
//! - Numbers that are no 64-bit integer and no float. SQLite reads what has a point or an exponent,
//!   and whole numbers beyond 64 bits, as the nearest float; beside an integer Sora takes each as it
//!   is written, and beside a float a whole one. See `literal.rs`.
//! - Whole numbers that no float is, in a list beside a float: SQLite rounds them first.
//! - What Sora refuses: a number beside a text, a number alone, `active = 1`, a literal beside a
//!   literal, a column beside a column, `IS TRUE` behind anything but a bool column or parentheses,
//!   `IS NULL` behind a condition, an escape character before a character that needs none,
//!   arithmetic, comments, `x ISNULL`.
//! - What SQLite reads otherwise or not: `ILIKE`, parameters, texts beside types that SQLite lacks,
//!   bare names that are words of SQL, white space that is not ASCII.

mod expression;
mod literal;
mod random;
mod rows;

use std::sync::Arc;

use rusqlite::Connection;
use sora::text::{self, Parameters};
use sora::write::{Change, OnConflict};
use sora::{
    BufferedRow, Cell, Fallback, FilterLimits, Predicate, Query, Result, RowBuffer, Sora, Table,
};

use self::expression::expression;

#[tokio::test]
async fn sqlite_parser_keeps_the_same_rows() {
    let filters = setting("SORA_FILTERS", 20_000);
    let start = setting("SORA_SEED", 0);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("filters.db");
    let stores = Stores::new(path.to_str().expect("a path in UTF-8")).await;
    let mut telling = 0;
    for seed in (0..filters).map(|number| start.wrapping_add(number)) {
        let text = expression(seed);
        match stores.check(&text).await {
            Ok(kept) => telling += u64::from(kept > 0 && kept < stores.rows),
            Err(difference) => panic!("SORA_SEED={seed} SORA_FILTERS=1\n{text}\n{difference}"),
        }
    }
    // Conditions that keep all rows or none could be right by chance.
    let expected = filters.saturating_sub(1_000) / 2;
    assert!(telling >= expected, "{telling} of {filters} keep some rows and drop some");
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => default,
    }
}

/// The same rows in tables that answer in different ways.
struct Stores {
    tables: [(&'static str, Table, Fallback); 3],
    sqlite: Connection,
    rows: usize,
}

impl Stores {
    async fn new(path: &str) -> Self {
        let schema = Arc::new(rows::schema());
        let memory = Sora::open("memory:").await.expect("the store opens");
        let file = Sora::open(&format!("sqlite:{path}")).await.expect("the store opens");
        for store in [&memory, &file] {
            store.ensure(&schema).await.expect("the table is made");
            let table = store.table("t").await.expect("the table opens");
            insert(&table).await.expect("the rows are written");
        }
        let sqlite = Connection::open(path).expect("opened");
        sqlite
            .execute_batch(
                "PRAGMA case_sensitive_like = ON;
                 CREATE TABLE loose (id INTEGER PRIMARY KEY, i INT, \"or\" BIGINT, f REAL,
                    größe DOUBLE, s VARCHAR, \"we \"\"ird\" TEXT, active BOOLEAN, b BLOB);
                 INSERT INTO loose SELECT * FROM t;",
            )
            .expect("copied");
        let open = async |store: &Sora, name| store.table(name).await.expect("the table opens");
        let tables = [
            ("memory", open(&memory, "t").await, Fallback::Reject),
            ("SQLite alone", open(&file, "t").await, Fallback::Reject),
            ("SQLite checked in memory", open(&file, "loose").await, Fallback::default()),
        ];
        Self { tables, sqlite, rows: rows::rows().len() }
    }

    /// Returns how many rows a condition keeps, or what differs.
    async fn check(&self, text: &str) -> Result<usize, String> {
        let expected = self.plain(text).map_err(|error| format!("SQLite refuses it: {error}"))?;
        for (name, table, fallback) in &self.tables {
            let parsed =
                text::parse(text, table.schema(), &Parameters::none(), FilterLimits::default())
                    .map_err(|error| format!("{name} refuses it: {error}"))?;
            let shown = parsed.display(table.schema()).to_string();
            let kept = kept(table, parsed, *fallback)
                .await
                .map_err(|error| format!("read as {shown}\n{name} fails: {error}"))?;
            if kept != expected {
                return Err(format!(
                    "read as {shown}\n{name} keeps {kept:?}\nSQLite keeps {expected:?}"
                ));
            }
        }
        Ok(expected.len())
    }

    fn plain(&self, text: &str) -> rusqlite::Result<Vec<i64>> {
        let select = format!("SELECT id FROM t WHERE {text} ORDER BY id");
        self.sqlite.prepare(&select)?.query_map([], |row| row.get(0))?.collect()
    }
}

async fn insert(table: &Table) -> Result<()> {
    let columns: Vec<u16> = (0u16..).take(table.schema().columns().len()).collect();
    let mut intake = table.intake(&columns);
    for row in rows::rows() {
        intake.row(|out| row.iter().try_for_each(|value| out.cell(value.cell())))?;
    }
    let columns = intake.columns().clone();
    let rows = Arc::new(intake.finish());
    let insert = Change::Insert { rows, columns, on_conflict: OnConflict::Fail };
    let report = table.write(insert).await?;
    report.first_error().map_or(Ok(()), |error| Err(error.clone()))
}

/// Returns the keys of the rows that a filter keeps, in order.
async fn kept(table: &Table, filter: Predicate, fallback: Fallback) -> Result<Vec<i64>> {
    let query = Query { columns: Some(vec![0]), fallback, ..Query::new(filter) };
    let mut rows = RowBuffer::new(1);
    table.query(&query, &mut rows).await?;
    let id = |row: BufferedRow<'_>| match row.get(0) {
        Cell::I64(id) => id,
        other => panic!("a key is {other}"),
    };
    let mut ids: Vec<i64> = rows.iter().map(id).collect();
    ids.sort_unstable();
    Ok(ids)
}
