//! Limits, offsets and keyset pages.

use std::sync::Arc;

use sora_core::plan::{Negotiation, Support};
use sora_core::read::{LimitEach, Read};
use sora_core::write::OnConflict;
use sora_core::{Column, Schema, Sort, Type, Value};

use super::scan::refused;
use crate::data::{ID, TYPES, X, edges, x};
use crate::report::{Verdict, check, same, skipped};
use crate::store::{Cells, Fixture, Store, in_order};

fn by_x(descending: bool) -> Vec<Sort> {
    vec![Sort { column: X, descending }, Sort { column: ID, descending }]
}

/// Returns a sorted read of a column with edges, ties and nulls; the rows in its order.
async fn ordered(
    store: &Store,
    column_type: Type,
    descending: bool,
) -> Verdict<(Fixture<'_>, Read, Vec<Cells>)> {
    let name = column_type.to_string();
    let schema = Schema::builder(format!("{name} {descending}"))
        .column(Column::new("id", Type::I64))
        .column(x(column_type))
        .key(["id"])
        .build()?;
    let fixture = store.table(schema).await?;
    let sort = by_x(descending);
    if !fixture.sorts(&sort) {
        return skipped(format!("it does not claim a sort by {name}"));
    }
    let edges = edges(column_type);
    let values = [Value::Null].into_iter().chain(edges.clone()).chain(edges).chain([Value::Null]);
    // Only even numbers, so that rows can come between.
    let mut rows: Vec<Cells> =
        (1..).zip(values).map(|(id, value)| vec![Value::I64(id * 2), value]).collect();
    fixture.fill(&rows).await?;
    rows.sort_by(|left, right| in_order(&sort, left, right));
    let mut read = fixture.scan();
    read.sort = sort.into();
    Ok((fixture, read, rows))
}

pub(crate) async fn limit(store: &Store) -> Verdict {
    let (fixture, mut read, rows) = ordered(store, Type::I64, false).await?;
    let all = rows.len();
    for limit in [0, 1, 2, 7, all - 1, all, all + 1, 1_000_000] {
        read.limit = Some(limit as u64);
        let (found, report) = fixture.read(&read).await?;
        same(&format!("rows of the limit {limit}"), &found.len(), &limit.min(all))?;
        same(
            &format!("first rows of the limit {limit}"),
            &found,
            &rows[..limit.min(all)].to_vec(),
        )?;
        same("rows received", &report.received, &(found.len() as u64))?;
    }
    let mut unsorted = fixture.scan();
    unsorted.limit = Some(3);
    same("rows of a limit without a sort", &fixture.read(&unsorted).await?.0.len(), &3)
}

pub(crate) async fn limit_each(store: &Store) -> Verdict {
    let mut unclaimed = Vec::new();
    for column_type in TYPES.into_iter().filter(|column_type| column_type.is_sortable()) {
        let schema = Schema::builder(format!("each {column_type}"))
            .column(Column::new("id", Type::I64))
            .column(x(column_type))
            .key(["id"])
            .build()?;
        let fixture = store.table(schema).await?;
        let values = edges(column_type);
        let values = values.iter().rev().chain([&Value::Null]).cycle().take(values.len() * 4);
        let rows: Vec<Cells> =
            (0..).zip(values).map(|(id, value)| vec![Value::I64(id), value.clone()]).collect();
        fixture.fill(&rows).await?;
        for (rows_max, descending) in [(2, false), (3, true), (1, true), (9, false)] {
            let each = LimitEach { column: X, rows: rows_max };
            let sort = vec![Sort { column: ID, descending }];
            let mut ask = Negotiation::new(fixture.binding.clone(), Vec::new(), sort.clone())
                .limiting_each(each);
            store.provider.negotiate(&mut ask);
            let support = ask.limit_each_support().min(ask.sort_support());
            if support != Support::Exact {
                unclaimed.push(format!("it does not limit the rows of each {column_type}"));
                break;
            }
            let mut read = fixture.scan();
            (read.limit_each, read.sort) = (Some(each), sort.clone().into());
            let found = fixture.read(&read).await?.0;
            // The rows of one value are in order, those of others may come between.
            for value in edges(column_type).iter().chain([&Value::Null]) {
                let of = |rows: &[Cells]| -> Vec<Cells> {
                    rows.iter().filter(|row| row[1] == *value).cloned().collect()
                };
                let mut expected = of(&rows);
                expected.sort_by(|left, right| in_order(&sort, left, right));
                expected.truncate(usize::try_from(rows_max).unwrap_or(0));
                same(&format!("first {rows_max} rows of {value:?}"), &of(&found), &expected)?;
            }
        }
    }
    if unclaimed.len() == TYPES.len() - 1 {
        return skipped("it does not limit the rows of each value");
    }
    for why in unclaimed {
        store.note(why);
    }
    Ok(())
}

pub(crate) async fn offset(store: &Store) -> Verdict {
    for descending in [false, true] {
        let (fixture, mut read, rows) = ordered(store, Type::I64, descending).await?;
        for size in [1, 4] {
            let mut found = Vec::new();
            for page in 0.. {
                read.limit = Some(size);
                read.offset = page * size;
                let (rows, _) = fixture.read(&read).await?;
                if rows.is_empty() {
                    break;
                }
                found.extend(rows);
            }
            same(&format!("pages of {size} put together"), &found, &rows)?;
        }
        (read.offset, read.limit) = (3, None);
        same("rows behind an offset", &fixture.read(&read).await?.0, &rows[3..].to_vec())?;
        read.offset = u64::from(u32::MAX) * 4;
        same("rows behind an offset beyond the end", &fixture.read(&read).await?.0.len(), &0)?;
    }
    Ok(())
}

pub(crate) async fn keyset(store: &Store) -> Verdict {
    if !store.capability().keyset {
        let (fixture, mut read, rows) = ordered(store, Type::I64, false).await?;
        read.after = Some(position(&read, &rows[0]));
        return refused("a start behind a position", fixture.read(&read).await);
    }
    let mut unclaimed = Vec::new();
    for column_type in TYPES.into_iter().filter(|column_type| column_type.is_sortable()) {
        for descending in [false, true] {
            match ordered(store, column_type, descending).await {
                Ok((fixture, read, rows)) => behind_each(&fixture, read, &rows).await?,
                Err(crate::report::Stop::Skipped(why)) => unclaimed.push(why),
                Err(other) => return Err(other),
            }
        }
    }
    mixed(store).await?;
    for why in unclaimed {
        store.note(why);
    }
    Ok(())
}

/// Starts behind each row, and behind places where no row is.
async fn behind_each(fixture: &Fixture<'_>, mut read: Read, rows: &[Cells]) -> Verdict {
    read.limit = Some(3);
    for (at, row) in rows.iter().enumerate() {
        read.after = Some(position(&read, row));
        let expected: Vec<Cells> = rows[at + 1..].iter().take(3).cloned().collect();
        let what = format!("rows behind {:?}", read.after);
        same(&what, &fixture.read(&read).await?.0, &expected)?;
        // No row has an odd number.
        let Value::I64(id) = row[0] else { continue };
        let mut between = row.clone();
        between[0] = Value::I64(id + 1);
        let sort = read.sort.clone();
        let behind = |row: &&Cells| in_order(&sort, row, &between).is_gt();
        let expected: Vec<Cells> = rows.iter().filter(behind).take(3).cloned().collect();
        read.after = Some(position(&read, &between));
        let what = format!("rows behind {:?}, which is no row", read.after);
        same(&what, &fixture.read(&read).await?.0, &expected)?;
    }
    Ok(())
}

/// A sort whose columns run in different directions.
async fn mixed(store: &Store) -> Verdict {
    let schema = Schema::builder("mixed")
        .column(Column::new("id", Type::I64))
        .column(x(Type::I64))
        .column(Column::new("y", Type::Text).nullable())
        .key(["id"])
        .build()?;
    let fixture = store.table(schema).await?;
    let mut rows = Vec::new();
    for id in 0..27_i64 {
        let x = [Value::Null, Value::I64(1), Value::I64(2)];
        let y = [Value::Text("b".into()), Value::Null, Value::Text("a".into())];
        let at = |id: i64| usize::try_from(id % 3).unwrap_or(0);
        rows.push(vec![Value::I64(id * 2), x[at(id)].clone(), y[at(id / 3)].clone()]);
    }
    fixture.fill(&rows).await?;
    for bits in 0..8_u8 {
        let by = |column: u16| Sort { column, descending: bits & (1 << column) != 0 };
        let sort = [by(1), by(2), by(0)];
        if !fixture.sorts(&sort) {
            store.note(format!("not claimed: {sort:?}"));
            continue;
        }
        let mut rows = rows.clone();
        rows.sort_by(|left, right| in_order(&sort, left, right));
        let mut read = fixture.scan();
        read.sort = sort.into();
        behind_each(&fixture, read, &rows).await?;
    }
    Ok(())
}

pub(crate) async fn others_come_and_go(store: &Store) -> Verdict {
    if !store.capability().keyset {
        return skipped("it does not claim keyset reads");
    }
    for descending in [false, true] {
        let (fixture, mut read, rows) = ordered(store, Type::I64, descending).await?;
        read.limit = Some(4);
        let mut found = Vec::new();
        for round in 0.. {
            let (page, _) = fixture.read(&read).await?;
            let Some(last) = page.last() else { break };
            read.after = Some(position(&read, last));
            found.extend(page);
            // Rows with odd numbers come and go, before and behind the position.
            let others: Vec<Cells> = (0..6)
                .map(|at| vec![Value::I64(2 * (round * 6 + at) + 1), Value::I64(at - 3)])
                .collect();
            for other in others {
                fixture.write(&fixture.insert(&[other], OnConflict::Fail)?).await?;
            }
            if round > 0 {
                let gone = fixture.ids(&[2 * (round - 1) * 6 + 1])?;
                fixture.write(&fixture.delete(gone)).await?;
            }
            check(found.len() < 1_000, || "the pages do not end".into())?;
        }
        found.retain(|row| matches!(row[0], Value::I64(id) if id % 2 == 0));
        same("rows that were there all the time", &found, &rows)?;
    }
    Ok(())
}

fn position(read: &Read, row: &Cells) -> Arc<[Value]> {
    read.sort.iter().map(|sort| row[usize::from(sort.column)].clone()).collect()
}
