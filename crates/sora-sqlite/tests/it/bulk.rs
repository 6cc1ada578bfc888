//! Writes of many rows, which are done in the order of their keys where nobody can tell.

use std::sync::Arc;

use sora_core::provider::DynProvider;
use sora_core::write::{OnConflict, Outcome, WriteReport};
use sora_core::{Binding, ErrorKind, RowBuffer, Value};

use crate::support::{Store, found, insert, text};

const ROWS: usize = 2_000;

/// Row numbers so that neighbours are far from each other.
fn shuffled() -> impl Iterator<Item = usize> {
    (0..ROWS).map(|place| place * 777 % ROWS)
}

async fn store(sql: &str) -> (Store, Arc<Binding>) {
    let store = Store::new().await;
    store.sql(sql);
    let binding = found(&store.sqlite, "t").await;
    (store, binding)
}

async fn write(
    store: &Store,
    binding: &Arc<Binding>,
    rows: &[[Value; 2]],
    (on_conflict, atomic): (OnConflict, bool),
) -> WriteReport {
    let rows: Vec<&[Value]> = rows.iter().map(|row| &row[..]).collect();
    let mut one = insert(binding, &rows, on_conflict);
    one.atomic = atomic;
    let provider: &dyn DynProvider = &store.sqlite;
    provider.write(&one, &mut RowBuffer::new(0)).await.expect("written")
}

/// The keys in the order in which the rows came into the table.
fn arrival(store: &Store) -> Vec<String> {
    store.rows("SELECT k FROM t ORDER BY rowid")
}

fn key(number: usize) -> String {
    format!("{number:05}")
}

#[tokio::test]
async fn keys_come_in_order_and_outcomes_stay_where_they_were() {
    let (store, binding) = store(
        "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, n INTEGER CHECK (n <> 5));
         INSERT INTO t VALUES ('00007', 0)",
    )
    .await;
    let rows: Vec<[Value; 2]> =
        shuffled().map(|n| [text(&key(n)), Value::I64(n.try_into().expect("small"))]).collect();
    let report = write(&store, &binding, &rows, (OnConflict::Fail, false)).await;
    for (number, outcome) in shuffled().zip(&report.outcomes) {
        let expected = match number {
            5 => Some(ErrorKind::Constraint),
            7 => Some(ErrorKind::Conflict),
            _ => None,
        };
        assert_eq!(outcome.error().map(sora_core::Error::kind), expected, "{number}");
    }
    assert_eq!(report.affected, ROWS as u64 - 2);
    let arrival = arrival(&store);
    assert!(arrival[1..].is_sorted(), "not in the order of the keys");
    assert_eq!(arrival.len(), ROWS - 1);
    // All or none: the row that failed is named, wherever it stands.
    let rows: Vec<[Value; 2]> =
        shuffled().map(|n| [text(&key(n + ROWS)), Value::I64(i64::from(n == 900) * 5)]).collect();
    let report = write(&store, &binding, &rows, (OnConflict::Fail, true)).await;
    let failed: Vec<usize> = shuffled()
        .zip(&report.outcomes)
        .filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
        .map(|(number, _)| number)
        .collect();
    assert_eq!((failed, report.affected), (vec![900], 0));
    assert_eq!(store.rows("SELECT count(*) FROM t"), [(ROWS - 1).to_string()]);
}

#[tokio::test]
async fn where_the_order_tells_it_is_kept() {
    let by_key = || OnConflict::Update(Arc::from([0u16]));
    let plain = "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, n INTEGER)";
    let unique = "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, n INTEGER UNIQUE)";
    let itself = "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, n TEXT REFERENCES t(k))";
    let trigger = "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, n INTEGER);
        CREATE TRIGGER a AFTER INSERT ON T BEGIN SELECT 1; END";
    for (sql, twice) in [(plain, true), (unique, false), (itself, false), (trigger, false)] {
        let (store, binding) = store(sql).await;
        let mut rows: Vec<[Value; 2]> = shuffled().map(|n| [text(&key(n)), Value::Null]).collect();
        if twice {
            // The last one wins.
            rows.push([rows[9][0].clone(), Value::I64(9)]);
        }
        let report = write(&store, &binding, &rows, (by_key(), false)).await;
        assert!(report.first_error().is_none(), "{:?}", report.first_error());
        let expected: Vec<String> = shuffled().map(key).collect();
        assert!(arrival(&store) == expected, "another order: {sql}");
        if twice {
            let nine = format!("SELECT n FROM t WHERE k = '{}'", expected[9]);
            assert_eq!(store.rows(&nine), ["9"]);
        }
    }
}

#[tokio::test]
async fn a_parent_that_comes_before_its_child_is_there() {
    let (store, binding) =
        store("CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, n TEXT REFERENCES t(k))").await;
    // Each refers to the one before it, whose key is larger.
    let rows: Vec<[Value; 2]> = (0..ROWS)
        .rev()
        .map(|n| [text(&key(n)), if n + 1 == ROWS { Value::Null } else { text(&key(n + 1)) }])
        .collect();
    let report = write(&store, &binding, &rows, (OnConflict::Fail, false)).await;
    assert!(report.first_error().is_none(), "{:?}", report.first_error());
}
