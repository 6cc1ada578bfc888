//! How SQLite runs a read.

use rusqlite::StatementStatus;
use sora_core::provider::StorePlan;
use sora_core::read::Read;
use sora_core::{Error, Result};
use sora_sql::{lost_indexes, portions, render, select};

use crate::binder::Binder;
use crate::connection::Link;
use crate::failure::store_error;

/// Explains a read; with `analyze`, runs it and says what it touched.
pub(crate) fn explain(link: &Link, read: &Read, analyze: bool) -> Result<StorePlan> {
    explain_portions(link, read, analyze)
        .map_err(|error: Error| error.with("table", read.binding.schema().table()))
}

fn explain_portions(link: &Link, read: &Read, analyze: bool) -> Result<StorePlan> {
    let mut plan = StorePlan::default();
    let mut statements = Vec::new();
    for portion in portions(read) {
        let text = render::<sora_sql::Sqlite>(|out| {
            select::<sora_sql::Sqlite, _>(read, *portion, read.limit, out);
        });
        let mut statement =
            link.db.prepare(&format!("EXPLAIN QUERY PLAN {text}")).map_err(store_error)?;
        let mut binder = Binder::new(&mut statement);
        select::<sora_sql::Sqlite, _>(read, *portion, read.limit, &mut binder);
        binder.finish()?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(store_error)? {
            let detail: String = row.get("detail").map_err(store_error)?;
            let index = index_of(&detail).filter(|index| !plan.indexes.contains(index));
            plan.indexes.extend(index);
            plan.lines.push(detail);
        }
        statements.push(text);
    }
    plan.notes = lost_indexes::<sora_sql::Sqlite>(read);
    if analyze {
        for (portion, text) in portions(read).iter().zip(&statements) {
            let mut statement = link.db.prepare(text).map_err(store_error)?;
            let mut binder = Binder::new(&mut statement);
            select::<sora_sql::Sqlite, _>(read, *portion, read.limit, &mut binder);
            binder.finish()?;
            let mut rows = statement.raw_query();
            let mut count = 0u64;
            while rows.next().map_err(store_error)?.is_some() {
                count += 1;
            }
            drop(rows);
            let status = |status| statement.get_status(status);
            plan.lines.push(format!(
                "analyze: {count} rows, {} rows stepped over in full scans, {} sorts, {} automatic \
                 indexes, {} instructions",
                status(StatementStatus::FullscanStep),
                status(StatementStatus::Sort),
                status(StatementStatus::AutoIndex),
                status(StatementStatus::VmStep)
            ));
        }
    }
    plan.statement = Some(statements.join(";\n"));
    Ok(plan)
}

/// Finds the name of the index in a line such as `SEARCH t USING COVERING INDEX i (a>?)`.
fn index_of(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(" INDEX ")?;
    let end = [" (", " LEFT-JOIN"].into_iter().filter_map(|end| rest.find(end)).min();
    let name = &rest[..end.unwrap_or(rest.len())];
    // What a virtual table does has a number in its place.
    (!line.contains("VIRTUAL TABLE")).then(|| name.to_owned())
}
