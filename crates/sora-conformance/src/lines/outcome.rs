//! Reports of writes: one outcome for each row, all or nothing, returned rows.

use std::sync::Arc;

use sora_core::write::{Change, OnConflict, Target, Write};
use sora_core::{Assignment, ErrorKind, Value};

use super::insert::{ID, NAME, SCORE, player, three};
use super::scan::refused;
use crate::report::{Verdict, check, failed, same};
use crate::store::{Cells, Fixture, Rows, Store, words};

pub(crate) async fn one_for_each(store: &Store) -> Verdict {
    store.needs_rows(4)?;
    let fixture = three(store).await?;
    let rows = [player(4, "d", 1), player(1, "x", 1), player(5, "e", 1), player(6, "f", 1)];
    let keys = fixture.ids(&[4, 77, 4, 5])?;
    let points = [Assignment { column: SCORE, add: true, value: Value::I64(1) }];
    let patch =
        Change::Patch { target: keys.clone(), assignments: points.clone().into(), version: None };
    let all = Change::Patch {
        target: Target::filter([].into()),
        assignments: points.into(),
        version: None,
    };
    for (what, write, expected) in [
        ("an insert of 4 rows", fixture.insert(&rows, OnConflict::Fail)?, 4),
        ("an insert of 4 rows that are there", fixture.insert(&rows, OnConflict::Ignore)?, 4),
        ("an upsert of 4 rows", fixture.insert(&rows, OnConflict::Update([ID].into()))?, 4),
        ("an update of 4 rows", fixture.update(&[ID, NAME, SCORE], &rows, false)?, 4),
        ("a patch of 4 keys", Write::new(fixture.binding.clone(), patch), 4),
        ("a patch by filter", Write::new(fixture.binding.clone(), all), 1),
        ("a delete of 4 keys", fixture.delete(keys), 4),
        ("a delete by filter", fixture.delete(Target::filter([].into())), 1),
        ("an insert of no row", fixture.insert(&[], OnConflict::Fail)?, 0),
    ] {
        if what.ends_with("keys") && store.capability().keys_max < 4 {
            continue;
        }
        same(
            &format!("outcomes of {what}"),
            &fixture.write(&write).await?.outcomes.len(),
            &expected,
        )?;
    }
    Ok(())
}

pub(crate) async fn in_order(store: &Store) -> Verdict {
    store.needs_rows(4)?;
    let fixture = three(store).await?;
    let rows = [player(4, "d", 1), player(1, "x", 1), player(5, "e", 1), player(2, "y", 1)];
    let report = fixture.write(&fixture.insert(&rows, OnConflict::Fail)?).await?;
    let failures: Vec<bool> =
        report.outcomes.iter().map(|outcome| outcome.error().is_some()).collect();
    same("which of the rows 4, 1, 5, 2 failed", &failures, &vec![false, true, false, true])
}

pub(crate) async fn missing(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    let update = fixture.update(&[ID, SCORE], &[vec![Value::I64(7), Value::I64(7)]], false)?;
    let assignments = [Assignment { column: SCORE, add: false, value: Value::I64(1) }].into();
    let change = Change::Patch { target: fixture.ids(&[7])?, assignments, version: None };
    let patch = Write::new(fixture.binding.clone(), change);
    for (what, write) in [
        ("an update", update),
        ("a patch", patch),
        ("a delete", fixture.delete(fixture.ids(&[7])?)),
    ] {
        let report = fixture.write(&write).await?;
        same(&format!("{what} of no row"), &words(&report), &vec!["Missing".into()])?;
    }
    same("rows", &fixture.stored().await?.len(), &3)
}

pub(crate) async fn affected(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    let insert = |row, on_conflict| fixture.insert(&[row], on_conflict);
    let none = fixture.ids(&[77])?;
    for (what, write, expected) in [
        ("an insert", insert(player(4, "d", 1), OnConflict::Fail)?, 1),
        ("a conflict", insert(player(4, "x", 1), OnConflict::Fail)?, 0),
        ("an ignored conflict", insert(player(4, "x", 1), OnConflict::Ignore)?, 0),
        ("an upsert", insert(player(4, "x", 1), OnConflict::Update([ID].into()))?, 1),
        (
            "an update",
            fixture.update(&[ID, SCORE], &[vec![Value::I64(1), Value::I64(2)]], false)?,
            1,
        ),
        ("a delete", fixture.delete(fixture.ids(&[1])?), 1),
        ("a delete of no row", fixture.delete(none), 0),
        ("a delete of all", fixture.delete(Target::filter([].into())), 3),
    ] {
        same(
            &format!("rows written by {what}"),
            &fixture.write(&write).await?.affected,
            &expected,
        )?;
    }
    Ok(())
}

pub(crate) async fn stand_alone(store: &Store) -> Verdict {
    store.needs_rows(4)?;
    let fixture = three(store).await?;
    let rows = [player(4, "d", 4), player(1, "x", 0), player(5, "a", 0), player(6, "f", 6)];
    let report = fixture.write(&fixture.insert(&rows, OnConflict::Fail)?).await?;
    let expected = ["Inserted", "Conflict", "Conflict", "Inserted"].map(String::from);
    same("outcomes", &words(&report), &expected.into())?;
    let ids: Vec<Value> = fixture.stored().await?.into_iter().map(|row| row[0].clone()).collect();
    same("keys", &ids, &[1, 2, 3, 4, 6].map(Value::I64).into())
}

/// Writes that fail at their third row.
fn failing(fixture: &Fixture<'_>) -> Verdict<Vec<(&'static str, Write)>> {
    let new = [player(4, "d", 4), player(5, "e", 5), player(1, "x", 0), player(6, "f", 6)];
    let stored = [player(1, "x", 1), player(2, "y", 2), player(3, "x", 3), player(9, "z", 9)];
    let assignments = [Assignment { column: SCORE, add: true, value: Value::I64(75) }].into();
    let target = fixture.ids(&[1, 2, 3])?;
    let patch = Change::Patch { target, assignments, version: None };
    Ok(vec![
        ("an insert", fixture.insert(&new, OnConflict::Fail)?),
        ("an upsert", fixture.insert(&stored, OnConflict::Update([ID].into()))?),
        ("an update", fixture.update(&[ID, NAME, SCORE], &stored, false)?),
        ("a patch", Write::new(fixture.binding.clone(), patch)),
    ])
}

pub(crate) async fn atomic(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    if !store.capability().atomic_writes {
        // One row alone is whole or nothing anyway.
        let rows = [player(4, "d", 4), player(5, "e", 5)];
        let mut write = fixture.insert(&rows, OnConflict::Fail)?;
        write.atomic = true;
        return match fixture.write(&write).await {
            Err(error) if error.kind() == ErrorKind::Limit => Ok(()),
            other => refused("an atomic write of several rows", other),
        };
    }
    store.needs_rows(4)?;
    let before = fixture.stored().await?;
    for (what, mut write) in failing(&fixture)? {
        write.atomic = true;
        let report = fixture.write(&write).await?;
        same(&format!("rows after {what} that failed"), &fixture.stored().await?, &before)?;
        same(&format!("rows written by {what} that failed"), &report.affected, &0)?;
        let words = words(&report);
        let failed = words.iter().position(|word| word != "Skipped");
        let rest = words.iter().enumerate().all(|(at, word)| at == 2 || word == "Skipped");
        check(failed == Some(2) && rest, || {
            format!("{what} that failed at its third row reports {words:?}")
        })?;
    }
    let rows = [player(4, "d", 4), player(5, "e", 5)];
    let mut write = fixture.insert(&rows, OnConflict::Fail)?;
    write.atomic = true;
    let report = fixture.write(&write).await?;
    same("outcomes of a write that did not fail", &words(&report), &vec!["Inserted".into(); 2])?;
    same("rows", &fixture.stored().await?.len(), &5)
}

async fn write_returning(
    fixture: &Fixture<'_>,
    mut write: Write,
    columns: &[u16],
) -> sora_core::Result<Vec<Cells>> {
    write.returning = Some(columns.into());
    let mut rows = Rows::default();
    fixture.store.provider.write(&write, &mut rows).await?;
    Ok(rows.0)
}

pub(crate) async fn returning(store: &Store) -> Verdict {
    let fixture = three(store).await?;
    let insert = |rows: &[Cells]| fixture.insert(rows, OnConflict::Fail);
    if !store.capability().returning {
        let write = insert(&[player(4, "d", 4)])?;
        return refused("a returned row", write_returning(&fixture, write, &[ID]).await);
    }
    store.needs_rows(4)?;
    let numbers = |rows: &[[i64; 2]]| -> Vec<Cells> {
        rows.iter().map(|row| row.map(Value::I64).into()).collect()
    };
    // The second is there already: it is not returned.
    let new = [player(9, "i", 4), player(1, "x", 0), player(5, "e", 5), player(7, "g", 6)];
    let found = write_returning(&fixture, insert(&new)?, &[SCORE, ID]).await?;
    same("rows of an insert", &found, &numbers(&[[4, 9], [5, 5], [6, 7]]))?;
    let ignored = fixture.insert(&[player(1, "x", 0), player(8, "h", 8)], OnConflict::Ignore)?;
    let found = write_returning(&fixture, ignored, &[SCORE, ID]).await?;
    same("rows of an insert with an ignored conflict", &found, &numbers(&[[8, 8]]))?;
    let both = [player(9, "i", 99), player(6, "f", 66), player(1, "a", 11)];
    let upsert = fixture.insert(&both, OnConflict::Update([ID].into()))?;
    let found = write_returning(&fixture, upsert, &[ID, SCORE]).await?;
    same("rows of an upsert", &found, &numbers(&[[9, 99], [6, 66], [1, 11]]))?;
    if store.capability().keys_max >= 4 {
        let assignments = [Assignment { column: SCORE, add: true, value: Value::I64(1) }].into();
        let target = fixture.ids(&[9, 77, 1, 6])?;
        let change = Change::Patch { target, assignments, version: None };
        let patch = Write::new(fixture.binding.clone(), change);
        let found = write_returning(&fixture, patch, &[ID, SCORE]).await?;
        same("rows of a patch", &found, &numbers(&[[9, 100], [1, 12], [6, 67]]))?;
    }
    let gone = fixture.delete(fixture.ids(&[1])?);
    same("rows of a delete", &write_returning(&fixture, gone, &[ID]).await?.len(), &0)
}

pub(crate) async fn as_many_as_declared(store: &Store) -> Verdict {
    /// More would test the machine's memory, not the store.
    const PROBED_MAX: usize = 20_000;
    let rows_max = store.capability().rows_max;
    check(rows_max > 0, || "a store that takes no row stores none".into())?;
    let fixture =
        store.table(crate::data::table_of(crate::data::x(sora_core::Type::I64)).build()?).await?;
    let rows = |count: usize| crate::data::numbered(std::iter::repeat_n(Value::I64(7), count));
    let probed = rows_max.min(PROBED_MAX);
    let report = fixture.write(&fixture.insert(&rows(probed), OnConflict::Fail)?).await?;
    same("rows written by the largest write", &report.affected, &(probed as u64))?;
    same("rows", &fixture.stored().await?.len(), &probed)?;
    if rows_max > PROBED_MAX {
        store.note(format!("{probed} of {rows_max} rows were probed"));
        return Ok(());
    }
    // One more is refused as a whole, or written as a whole.
    let more = fixture.insert(&rows(rows_max + 1), OnConflict::Ignore)?;
    match fixture.write(&more).await {
        Ok(report) if report.outcomes.len() != rows_max + 1 => {
            failed("one row more than declared is written in part")
        }
        Ok(_) => same("rows", &fixture.stored().await?.len(), &(rows_max + 1)),
        Err(_) => same("rows", &fixture.stored().await?.len(), &rows_max),
    }
}

/// A store that takes no writes says so; all other lines need one that does.
pub(crate) async fn read_only(store: &Store) -> Verdict {
    let schema = Arc::new(super::insert::players()?);
    let created = store.ensure(&schema).await;
    if !store.capability().read_only {
        created?;
        return Ok(());
    }
    let ensure = sora_core::provider::Administer::Ensure(schema);
    match store.provider.administer(&ensure).await {
        Err(error) if error.kind() == ErrorKind::ReadOnly => Ok(()),
        other => failed(format!("a read-only store refuses to make a table, it gave {other:?}")),
    }
}
