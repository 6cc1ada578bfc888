//! The rules of values, each seen through a repository on every store that needs no server.
//!
//! What a type can hold, how it is written, compared and sorted, what is refused, and what tables
//! that Sora did not make are read as. Every edge of every operator is the business of the
//! conformance suite; here each rule is met once from above.

mod decimals;
#[cfg(feature = "sqlite")]
mod found;
mod names;
mod numbers;
mod opaque;
#[cfg(feature = "sqlite")]
mod stored;
mod texts;
mod times;

use std::fmt::Debug;

use sora::text::Parameters;
use sora::write::{Change, OnConflict};
use sora::{Entity, ErrorKind, Filter, Insert, Repository, Result, SortBy, Table, Value};

/// Writes rows and expects to read each back as it was given, by key and by query.
async fn holds<E>(table: &Repository<E>, rows: &[E])
where
    E: Entity<Key = i64> + Debug + PartialEq,
    for<'a> &'a E: Insert<E>,
{
    let report = table.insert_many(rows).await.expect("a report");
    assert!(report.first_error().is_none(), "{:?}", report.first_error());
    for row in rows {
        let stored = table.get(row.key()).await.expect("a read").expect("a row");
        assert_eq!(*stored, *row);
    }
    let all = table.query(Filter::all()).fetch().await.expect("a query");
    assert_eq!(all.len(), rows.len());
    assert!(all.iter().all(|row| rows.contains(row)), "{all:?}");
}

/// Expects the keys of the rows that each filter keeps, given as text.
async fn keeps<E: Entity<Key = i64>>(table: &Repository<E>, filters: &[(&str, &[i64])]) {
    for (text, expected) in filters {
        let filter = Filter::parse(text, &Parameters::none()).expect(text);
        assert_eq!(kept(table, filter).await, *expected, "{text} on {:?}", table.table());
    }
}

/// Returns the keys of the rows that a filter keeps, in their order.
async fn kept<E: Entity<Key = i64>>(table: &Repository<E>, filter: Filter<E>) -> Vec<i64> {
    let rows = table.query(filter).fetch().await.expect("a query");
    let mut keys: Vec<i64> = rows.iter().map(E::key).collect();
    keys.sort_unstable();
    keys
}

/// Expects the order of the keys by a field, smallest first.
async fn sorts<E, T>(table: &Repository<E>, by: [SortBy<E>; 2], expected: T)
where
    E: Entity<Key = i64>,
    T: AsRef<[i64]>,
{
    let mut expected = expected.as_ref().to_vec();
    for by in by {
        let rows = table.query(Filter::all()).sort(by).fetch().await.expect("a query");
        let keys: Vec<i64> = rows.iter().map(E::key).collect();
        assert_eq!(keys, expected, "{by:?} on {:?}", table.table());
        // The other direction turns all around, nulls and the key behind it too.
        expected.reverse();
    }
}

/// Expects a filter as text to be refused for a reason.
fn refuses<E: Entity + Debug>(filters: &[(&str, &str)]) {
    for (text, why) in filters {
        let error = Filter::<E>::parse(text, &Parameters::none()).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        assert!(error.to_string().contains(why), "{text}: {error}");
    }
}

/// Expects an operation to be refused with a kind and a reason.
#[track_caller]
fn fails<T: Debug>(result: Result<T>, kind: ErrorKind, why: &str) {
    let error = result.expect_err(why);
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

/// Writes a row of values, as a program does that knows no types.
async fn write(table: &Table, cells: &[Value]) -> Result<()> {
    let columns: Vec<u16> = table.schema().visible().collect();
    let mut intake = table.intake(&columns);
    intake.row(|out| cells.iter().try_for_each(|value| out.cell(value.cell())))?;
    let columns = intake.columns().clone();
    let rows = intake.finish().into();
    let insert = Change::Insert { rows, columns, on_conflict: OnConflict::Fail };
    let report = table.write(insert).await?;
    report.first_error().map_or(Ok(()), |error| Err(error.clone()))
}
