//! What a table does inside a transaction, whoever does its parts.

use std::sync::Arc;

use sora::{ErrorKind, Fallback, Query, Sora, StreamOptions, Table};
use sora_conformance::{Constrained, Profile};
use sora_core::memory::Memory;
use sora_core::write::{Change, OnConflict};
use sora_core::{Assignment, Column, Predicate, RowBuffer, Schema, Sort, Type, Value};

const ROWS: i64 = 30;

async fn open(profile: Profile) -> (Sora, Table) {
    let provider = Arc::new(Constrained::new(Arc::new(Memory::new()), profile));
    let store = Sora::builder().provider(provider);
    let schema = Schema::builder("numbers")
        .column(Column::new("id", Type::I64))
        .column(Column::new("n", Type::I64))
        .key(["id"])
        .build();
    store.ensure(&Arc::new(schema.expect("a schema"))).await.expect("made");
    let table = store.table("numbers").await.expect("a table");
    let report = table.write(insertion(&table, 0..ROWS)).await.expect("written");
    assert_eq!(report.affected, 30);
    (store, table)
}

fn insertion(table: &Table, ids: impl IntoIterator<Item = i64>) -> Change {
    let mut intake = table.intake(&[0, 1]);
    for id in ids {
        let row = |out: &mut dyn sora::CellSink| {
            out.cell(sora::Cell::I64(id))?;
            out.cell(sora::Cell::I64(id % 10))
        };
        intake.row(row).expect("a row");
    }
    let columns = intake.columns().clone();
    Change::Insert { rows: Arc::new(intake.finish()), columns, on_conflict: OnConflict::Fail }
}

/// The rows whose `n` is at least so much.
fn at_least(n: i64) -> Query {
    let filter = Predicate::Compare {
        column: 1,
        comparison: sora::Comparison::GreaterOrEqual,
        value: Value::I64(n),
    };
    Query { filter, ..Query::default() }
}

fn sorted_by_n(rows_max: u64) -> Query {
    let sort = vec![Sort { column: 1, descending: false }];
    Query { sort, fallback: Fallback::Scan { rows_max }, ..Query::default() }
}

async fn streamed(table: &Table, query: &Query) -> sora::Result<Vec<Value>> {
    let mut stream = table.stream(query, StreamOptions { page_rows: 7 });
    let mut ids = Vec::new();
    while let Some(page) = stream.next().await {
        ids.extend(page?.iter().map(|row| row.get(0).to_value()));
    }
    Ok(ids)
}

#[tokio::test]
async fn every_part_of_an_operation_is_inside() {
    for profile in Profile::ALL {
        let (store, outside) = open(profile).await;
        let tx = match store.begin().await {
            Ok(tx) => tx,
            Err(error) if profile == Profile::Nothing => {
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                continue;
            }
            Err(error) => panic!("{profile:?}: {error}"),
        };
        let table = outside.within(&tx);
        assert_eq!(table.delete_where(&at_least(8)).await.expect("deleted"), 6, "{profile:?}");
        let add = vec![Assignment { column: 1, add: true, value: Value::I64(10) }];
        assert_eq!(table.patch_where(&at_least(6), add).await.expect("patched"), 6, "{profile:?}");
        let written = table.write_atomic(insertion(&table, 100..107)).await.expect("written");
        assert_eq!(written.affected, 7, "{profile:?}");
        let failed = table.write_atomic(insertion(&table, [200, 201, 202, 203, 100])).await;
        assert!(failed.expect("a report").first_error().is_some(), "{profile:?}");
        let count = table.count(&Query::default()).await.expect("counted");
        assert_eq!(count, 31, "{profile:?}");
        let mut rows = RowBuffer::new(2);
        table.query(&at_least(16), &mut rows).await.expect("read");
        assert_eq!(rows.len(), 6, "{profile:?}");
        for query in [Query::default(), at_least(0), sorted_by_n(100)] {
            let ids = streamed(&table, &query).await.expect("streamed");
            assert_eq!(ids.len(), 31, "{profile:?}");
            let limited = Query { limit: Some(9), ..query };
            assert_eq!(
                streamed(&table, &limited).await.expect("streamed"),
                ids[..9],
                "{profile:?}"
            );
        }
        assert_eq!(outside.count(&Query::default()).await.expect("counted"), 30, "{profile:?}");
        tx.rollback().await.expect("rolled back");
        assert_eq!(outside.count(&Query::default()).await.expect("counted"), 30, "{profile:?}");
        assert_eq!(outside.count(&at_least(8)).await.expect("counted"), 6, "{profile:?}");
    }
}

#[tokio::test]
async fn what_no_keyset_page_can_fetch_is_held_within_the_bound() {
    for profile in [Profile::KeysetNone, Profile::SortNone] {
        let (store, outside) = open(profile).await;
        let tx = store.begin().await.expect("begun");
        let table = outside.within(&tx);
        let found = streamed(&table, &sorted_by_n(30)).await.expect("within the bound");
        assert_eq!(found.len(), 30);
        let error = streamed(&table, &sorted_by_n(29)).await.expect_err("beyond the bound");
        assert_eq!(error.kind(), ErrorKind::Limit, "{profile:?}: {error}");
        // A limit within the bound is none beyond it, and nothing holds the session.
        let query = Query { limit: Some(5), ..sorted_by_n(30) };
        assert_eq!(streamed(&table, &query).await.expect("streamed").len(), 5);
        table.write(insertion(&table, [500])).await.expect("written");
        tx.commit().await.expect("committed");
        assert_eq!(outside.count(&Query::default()).await.expect("counted"), 31);
    }
}
