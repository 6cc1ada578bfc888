//! Writes through a table.

use std::sync::Arc;

use sora_core::write::{Change, OnConflict, Target};
use sora_core::{Assignment, ErrorKind, Query, Value};

use super::{NAME, X, above, all_rows, insert, is_above, keys, make, on, open, row};
use crate::Profile;
use crate::report::{Verdict, check, failed, same};
use crate::store::{Cells, Store, words};

pub(crate) async fn many(store: &Store) -> Verdict {
    for (number, profile) in Profile::ALL.into_iter().enumerate() {
        let name = format!("many{number}");
        make(store, &name, 3).await?;
        let table = open(store, profile, &name).await?;
        let mut rows: Vec<Cells> = (4..=10).map(row).collect();
        rows[2] = row(1);
        let report = table.write(insert(&table, &rows, OnConflict::Fail)?).await?;
        let mut expected = vec!["Inserted".to_owned(); 7];
        expected[2] = "Conflict".into();
        on(profile, same("outcomes of an insert", &words(&report), &expected))?;
        on(profile, same("rows written", &report.affected, &6))?;
        let target = Target::keys(Arc::new(keys(&table, &[1, 77, 4, 5, 2])?));
        let report = table.write(Change::Delete { target, version: None }).await?;
        let expected = ["Deleted", "Missing", "Deleted", "Deleted", "Deleted"].map(String::from);
        on(profile, same("outcomes of a delete", &words(&report), &expected.into()))?;
        on(profile, same("rows left", &all_rows(store, &name).await?.len(), &5))?;
    }
    Ok(())
}

pub(crate) async fn atomic(store: &Store) -> Verdict {
    for (number, profile) in Profile::ALL.into_iter().enumerate() {
        let name = format!("atomic{number}");
        let before = make(store, &name, 3).await?;
        let table = open(store, profile, &name).await?;
        let mut rows: Vec<Cells> = (4..=10).map(row).collect();
        let whole = insert(&table, &rows, OnConflict::Fail)?;
        rows[4] = row(1);
        let part = insert(&table, &rows, OnConflict::Fail)?;
        match table.write_atomic(part).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                on(profile, same("rows", &all_rows(store, &name).await?, &before))?;
                continue;
            }
            Err(error) => return failed(format!("on {profile:?}: {error}")),
            Ok(report) => {
                let mut expected = vec!["Skipped".to_owned(); 7];
                expected[4] = "Conflict".into();
                on(profile, same("outcomes", &words(&report), &expected))?;
                on(profile, same("rows written", &report.affected, &0))?;
            }
        }
        on(profile, same("rows after a failure", &all_rows(store, &name).await?, &before))?;
        let report = table.write_atomic(whole).await?;
        on(profile, same("outcomes", &words(&report), &vec!["Inserted".into(); 7]))?;
        on(profile, same("rows", &all_rows(store, &name).await?.len(), &10))?;
    }
    Ok(())
}

pub(crate) async fn by_filter(store: &Store) -> Verdict {
    for (number, profile) in Profile::ALL.into_iter().enumerate() {
        let name = format!("where{number}");
        let rows = make(store, &name, 30).await?;
        let table = open(store, profile, &name).await?;
        let query = Query { filter: above(1), ..Query::default() };
        let plan = table.explain(&query, false).await?.plan;
        let assignments = vec![Assignment { column: X, add: true, value: Value::I64(10) }];
        let changed = table.patch_where(&query, assignments).await;
        if !plan.is_pushed() && !table_has_transactions(store, profile) {
            match changed {
                Err(error) if error.kind() == ErrorKind::Unsupported => {}
                other => return failed(format!("on {profile:?}: {other:?} without transactions")),
            }
            on(profile, same("rows", &all_rows(store, &name).await?, &rows))?;
            continue;
        }
        let met = rows.iter().filter(|row| is_above(row, 1)).count() as u64;
        on(profile, same("rows changed", &changed?, &met))?;
        let raised = |row: &Cells| match row[1] {
            Value::I64(x) if x > 1 => vec![row[0].clone(), Value::I64(x + 10), row[2].clone()],
            _ => row.clone(),
        };
        let expected: Vec<Cells> = rows.iter().map(raised).collect();
        on(profile, same("rows", &all_rows(store, &name).await?, &expected))?;
        let query = Query { filter: above(11), ..Query::default() };
        on(profile, same("rows deleted", &table.delete_where(&query).await?, &met))?;
        let expected: Vec<Cells> = rows.into_iter().filter(|row| !is_above(row, 1)).collect();
        on(profile, same("rows left", &all_rows(store, &name).await?, &expected))?;
    }
    Ok(())
}

fn table_has_transactions(store: &Store, profile: Profile) -> bool {
    store.capability().transactions && profile != Profile::Nothing
}

pub(crate) async fn batch(store: &Store) -> Verdict {
    store.needs_sessions()?;
    let before = make(store, "batches", 3).await?;
    let table = open(store, Profile::Full, "batches").await?;
    let rename = |id, name: &str| -> sora_core::Result<Change> {
        let target = Target::keys(Arc::new(keys(&table, &[id])?));
        let name = Assignment { column: NAME, add: false, value: Value::Text(name.into()) };
        Ok(Change::Patch { target, assignments: [name].into(), version: None })
    };
    let delete = |id| -> sora_core::Result<Change> {
        let target = Target::keys(Arc::new(keys(&table, &[id])?));
        Ok(Change::Delete { target, version: None })
    };
    let mut failing = table.batch();
    failing.push(insert(&table, &[row(4)], OnConflict::Fail));
    failing.push(delete(1));
    failing.push(rename(2, "n3"));
    let error = match failing.commit().await {
        Err(error) => error,
        Ok(effects) => return failed(format!("a batch with a conflict gave {effects:?}")),
    };
    same("kind", &error.kind(), &ErrorKind::Conflict)?;
    let names = error.context().any(|(name, value)| name == "batch item" && value == "2");
    check(names, || format!("the error names the item: {error}"))?;
    same("rows", &all_rows(store, "batches").await?, &before)?;
    // In order: the name of a row that is gone is free.
    let mut whole = table.batch();
    whole.push(delete(3));
    whole.push(rename(2, "n3"));
    whole.push(insert(&table, &[row(4)], OnConflict::Fail));
    let effects = whole.commit().await?;
    same("effects", &effects.len(), &3)?;
    let mut second = row(2);
    second[usize::from(NAME)] = Value::Text("n3".into());
    let expected = vec![row(1), second, row(4)];
    same("rows", &all_rows(store, "batches").await?, &expected)
}
