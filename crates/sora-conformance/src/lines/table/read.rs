//! Queries and look-ups through a table.

use std::sync::Arc;

use sora::LoadOptions;
use sora_core::provider::Layer;
use sora_core::{Cursor, ErrorKind, Fallback, Predicate, Query, Row, Sort, Value};

use super::{ID, X, above, by_x, is_above, keys, make, on, open, open_provider, rows_of, total};
use crate::Profile;
use crate::differential::ask_one_table;
use crate::probe::Probe;
use crate::report::{Verdict, check, failed, same};
use crate::store::{Cells, Rows, Store, in_order};

/// Random questions to every profile.
pub(crate) async fn same_rows(store: &Store) -> Verdict {
    for (seed, profile) in (0..).zip(Profile::ALL) {
        let provider = profile.layer(store.provider.clone());
        if let Err(why) = ask_one_table(provider, seed).await {
            return failed(format!("on {profile:?}: {why}"));
        }
    }
    Ok(())
}

pub(crate) async fn page_last(store: &Store) -> Verdict {
    let rows = make(store, "pages", 40).await?;
    let mut expected: Vec<Cells> = rows.into_iter().filter(|row| is_above(row, 1)).collect();
    for descending in [false, true] {
        expected.sort_by(|left, right| in_order(&total(descending), left, right));
        for profile in Profile::ALL {
            let table = open(store, profile, "pages").await?;
            let query = Query {
                filter: above(1),
                sort: by_x(descending),
                limit: Some(5),
                offset: 2,
                ..Query::default()
            };
            let found = rows_of(&table, &query).await?;
            on(
                profile,
                same("rows 3 to 7 of those that meet the filter", &found, &expected[2..7].to_vec()),
            )?;
            on(profile, cursors(&table, &expected, descending).await)?;
        }
    }
    Ok(())
}

async fn cursors(table: &sora::Table, expected: &[Cells], descending: bool) -> Verdict {
    let mut query =
        Query { filter: above(1), sort: by_x(descending), limit: Some(4), ..Query::default() };
    let mut found = Vec::new();
    for _ in 0..=expected.len() {
        let mut rows = Rows::default();
        let page = table.query(&query, &mut rows).await?;
        found.extend(rows.0);
        match page.next {
            Some(next) => query.after = Some(next.to_string().parse::<Cursor>()?),
            None => return same("pages put together", &found, &expected.to_vec()),
        }
    }
    failed("the pages do not end")
}

pub(crate) async fn bounded(store: &Store) -> Verdict {
    make(store, "bounded", 40).await?;
    let rejected = 40 - count_above(40);
    for (what, profile, query, least) in [
        ("a filter", Profile::FilterNone, Query { filter: above(1), ..Query::default() }, rejected),
        ("a sort", Profile::SortNone, Query { sort: by_x(false), ..Query::default() }, 40),
    ] {
        let probe = Probe::new(profile.layer(store.provider.clone()));
        let table = open_provider(Arc::new(probe.clone()), "bounded").await?;
        let with = |fallback| Query { fallback, ..query.clone() };
        let enough = with(Fallback::Scan { rows_max: least });
        let found = rows_of(&table, &enough).await?;
        check(!found.is_empty(), || format!("{what} within the bound gave no row"))?;

        let before = (probe.reads(), probe.rows());
        let less = with(Fallback::Scan { rows_max: least - 1 });
        match rows_of(&table, &less).await {
            Err(error) if error.kind() == ErrorKind::Limit => {
                let text = error.to_string();
                let names = text.contains(store.provider.name()) && text.contains("rows_max");
                check(names, || format!("the error names the store and the remedy: {text}"))?;
            }
            other => return failed(format!("{what} beyond the bound gave {other:?}")),
        }
        check(probe.rows() - before.1 <= 40, || "rows were read twice".into())?;
        let few = with(Fallback::Scan { rows_max: 1 });
        let before = probe.rows();
        check(rows_of(&table, &few).await.is_err(), || format!("{what} is not bounded"))?;
        // What was rejected or held beyond the bound is one row; kept ones may lie between.
        let received = probe.rows() - before;
        check(received < 20, || format!("{received} rows were received for a bound of 1"))?;

        let reads = probe.reads();
        match rows_of(&table, &with(Fallback::Reject)).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            other => {
                return failed(format!("{what} that may not be done in memory gave {other:?}"));
            }
        }
        same("reads of a query that is refused", &(probe.reads() - reads), &0)?;
    }
    Ok(())
}

fn count_above(count: i64) -> u64 {
    (1..=count).filter(|id| is_above(&super::row(*id), 1)).count() as u64
}

pub(crate) async fn slots(store: &Store) -> Verdict {
    let rows = make(store, "slots", 9).await?;
    let asked = [4, 50, 2, 4, 9, 0, 4];
    for profile in Profile::ALL {
        let table = open(store, profile, "slots").await?;
        let mut found: Vec<Option<Cells>> = vec![None; asked.len()];
        let slots = &mut found;
        let place = move |place: usize, row: &dyn Row| {
            let cells = (0..row.width()).map(|at| Ok(row.cell(at)?.to_value()));
            slots[place] = Some(cells.collect::<sora_core::Result<_>>()?);
            Ok(())
        };
        table.get_many(keys(&table, &asked)?, place).await?;
        let row = |id: &i64| usize::try_from(id - 1).ok().and_then(|at| rows.get(at)).cloned();
        let expected: Vec<Option<Cells>> = asked.iter().map(row).collect();
        on(profile, same("slots of the keys 4, 50, 2, 4, 9, 0, 4", &found, &expected))?;
        for id in [4, 50] {
            let mut one = Rows::default();
            let is_there = table.get(keys(&table, &[id])?, &mut one).await?;
            on(profile, same("whether there is a row", &is_there, &(id == 4)))?;
            on(profile, same("rows of a key", &one.0, &row(&id).into_iter().collect()))?;
        }
    }
    Ok(())
}

pub(crate) async fn children(store: &Store) -> Verdict {
    let rows = make(store, "children", 40).await?;
    let parents = [2, 9, 0, 2].map(Value::I64).into_iter().chain([Value::Null]);
    let parents: Vec<Value> = parents.collect();
    for profile in Profile::ALL {
        let table = open(store, profile, "children").await?;
        for (limit, descending) in [(None, false), (Some(3), false), (Some(2), true)] {
            let mut found: Vec<Vec<Cells>> = vec![Vec::new(); parents.len()];
            let lists = &mut found;
            let place = move |place: usize, row: &dyn Row| {
                let cells = (0..row.width()).map(|at| Ok(row.cell(at)?.to_value()));
                lists[place].push(cells.collect::<sora_core::Result<_>>()?);
                Ok(())
            };
            let options = LoadOptions { limit_per_parent: limit, ..LoadOptions::default() };
            let sort = vec![Sort { column: ID, descending }];
            let query = Query { sort: sort.clone(), ..Query::default() };
            table.load_many(&query, X, &parents, options, place).await?;
            let of = |parent: &Value| {
                let is_child = |row: &&Cells| !parent.is_null() && row[1] == *parent;
                let mut all: Vec<Cells> = rows.iter().filter(is_child).cloned().collect();
                all.sort_by(|left, right| in_order(&sort, left, right));
                all.truncate(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(40));
                all
            };
            let expected: Vec<Vec<Cells>> = parents.iter().map(of).collect();
            on(profile, same("children of 2, 9, 0, 2 and null", &found, &expected))?;
        }
    }
    let table = open(store, Profile::AggregateNone, "children").await?;
    for (fallback, children_max, expected) in [
        (Fallback::Reject, 40, ErrorKind::Unsupported),
        (Fallback::Scan { rows_max: 2 }, 40, ErrorKind::Limit),
        (Fallback::default(), 2, ErrorKind::Limit),
    ] {
        let query = Query { fallback, ..Query::default() };
        let options = LoadOptions { limit_per_parent: Some(3), children_max };
        let loaded = table.load_many(&query, X, &parents, options, |_, _| Ok(())).await;
        match loaded {
            Err(error) if error.kind() == expected => {}
            other => return failed(format!("{fallback:?}, {children_max} children: {other:?}")),
        }
    }
    Ok(())
}

pub(crate) async fn outcome(store: &Store) -> Verdict {
    make(store, "outcomes", 40).await?;
    let kept = count_above(40);
    for profile in Profile::ALL {
        let table = open(store, profile, "outcomes").await?;
        let query = Query { filter: above(1), sort: by_x(true), ..Query::default() };
        let page = table.query(&query, &mut Rows::default()).await?;
        let outcome = page.outcome;
        let (pushed, residual) = (outcome.pushed().count(), outcome.residual().count());
        on(profile, same("conditions", &(pushed + residual), &1))?;
        on(profile, same("rows returned", &outcome.returned(), &kept))?;
        let received = if pushed == 1 { kept } else { 40 };
        on(profile, same("rows received", &outcome.received(), &received))?;
        on(profile, same("complete", &outcome.is_complete(), &true))?;
        let is_plain = !outcome.is_sorted_in_memory() && residual == 0;
        on(profile, same("nothing done in memory", &outcome.plan().is_pushed(), &is_plain))?;
        on(profile, same("a count", &table.count(&query).await?, &kept))?;
        let first = Query { limit: Some(3), ..query };
        let page = table.query(&first, &mut Rows::default()).await?;
        on(profile, same("complete", &page.outcome.is_complete(), &false))?;
        on(profile, same("rows of a page", &page.outcome.returned(), &3))?;
        on(profile, same("a count of a page's query", &table.count(&first).await?, &kept))?;
    }
    Ok(())
}

pub(crate) async fn cursors_are_bound(store: &Store) -> Verdict {
    make(store, "cursors", 20).await?;
    let table = open(store, Profile::Full, "cursors").await?;
    let query = Query { sort: by_x(false), limit: Some(4), ..Query::default() };
    let page = table.query(&query, &mut Rows::default()).await?;
    let Some(next) = page.next else { return failed("there is no next page") };
    let after = |query: Query| Query { after: Some(next.clone()), ..query };
    for (what, query) in [
        ("another filter", after(Query { filter: Predicate::IsNull(1), ..query.clone() })),
        ("another sort", after(Query { sort: by_x(true), ..query.clone() })),
    ] {
        match rows_of(&table, &query).await {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {}
            other => return failed(format!("a cursor of {what} gave {other:?}")),
        }
    }
    same("rows of its own query", &rows_of(&table, &after(query)).await?.len(), &4)
}
