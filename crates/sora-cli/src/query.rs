//! `sora query`: rows, a page at a time.

use serde_json::json;
use sora::plan::{Plan, Support};
use sora::{Cursor, Explanation, Name, RowBuffer, Sora, Table};

use crate::arguments::Query;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::names;
use crate::output::{Heading, RowFormat, RowWriter, one_line};
use crate::rows::each_row;
use crate::selection::failure_of;

/// Rows of a table for people, unless they say how many they want.
const TABLE_ROWS: u64 = 50;
/// Rows of the largest page that is held in memory. More are streamed, and have no next page.
const PAGE_ROWS_MAX: u64 = 10_000;

impl Query {
    /// Returns the query that the options make of a table.
    ///
    /// # Errors
    ///
    /// Wrong usage if filter, sort, columns or cursor cannot be read.
    pub(crate) fn query(&self, table: &Table) -> Outcome<sora::Query> {
        let mut query = self.selection.query(table)?;
        let usage = |error: sora::Error| Failure::argument(&error);
        if let Some(columns) = &self.columns {
            query.columns = Some(names::columns(columns, table.schema()).map_err(usage)?);
        }
        query.offset = self.offset;
        query.limit =
            self.limit.or_else(|| (self.format == RowFormat::Table).then_some(TABLE_ROWS));
        if let Some(cursor) = &self.cursor {
            query.after = Some(cursor.parse::<Cursor>().map_err(usage)?);
        }
        Ok(query)
    }
}

/// Writes the rows of a query, or how it would run.
pub(crate) async fn run(store: &Sora, arguments: &Query, console: &mut Console) -> Outcome {
    let table = arguments.selection.open(store).await?;
    let query = arguments.query(&table)?;
    if arguments.explain {
        let explanation = table.explain(&query, false).await.map_err(|error| failure_of(&error))?;
        return explain(&explanation, arguments.format, console);
    }
    match query.limit {
        Some(limit) if limit <= PAGE_ROWS_MAX => page(&table, &query, arguments, console).await,
        _ => stream(&table, &query, arguments, console).await,
    }
}

/// Writes rows that are read before the first is written: a reader that takes its time holds
/// nothing open in the store.
async fn page(
    table: &Table,
    query: &sora::Query,
    arguments: &Query,
    console: &mut Console,
) -> Outcome {
    let columns = columns(table, query);
    let mut rows = RowBuffer::new(columns.len());
    let page = table.query(query, &mut rows).await.map_err(|error| failure_of(&error))?;
    let mut writer = writer(table, &columns, arguments, console);
    for row in rows.iter() {
        writer.row(&row)?;
    }
    let left_out = writer.finish()?;
    let shown = rows.len();
    if arguments.format == RowFormat::Table {
        let plural = if shown == 1 { "" } else { "s" };
        let more = match page.next.is_some() || !page.outcome.is_complete() {
            true if page.next.is_some() => ", and there are more",
            true if arguments.offset > 0 || arguments.cursor.is_some() => ", the last",
            true => ", and there are more",
            false => "",
        };
        console.say(format_args!("{shown} row{plural}{more}"));
        say_left_out(console, &left_out);
    }
    say_residual(console, page.outcome.plan(), page.outcome.received());
    if let Some(next) = &page.next {
        console.say(format_args!("next page: --cursor {next}"));
    }
    Ok(())
}

/// Writes any number of rows in flat memory.
async fn stream(
    table: &Table,
    query: &sora::Query,
    arguments: &Query,
    console: &mut Console,
) -> Outcome {
    let columns = columns(table, query);
    let mut writer = writer(table, &columns, arguments, console);
    each_row(table, query, &mut |row| writer.row(row)).await?;
    let left_out = writer.finish()?;
    say_left_out(console, &left_out);
    Ok(())
}

fn columns(table: &Table, query: &sora::Query) -> Vec<u16> {
    query.columns.clone().unwrap_or_else(|| table.columns().to_vec())
}

fn writer<'a>(
    table: &Table,
    columns: &[u16],
    arguments: &Query,
    console: &'a mut Console,
) -> RowWriter<&'a mut (dyn std::io::Write + Send)> {
    let headings = Heading::of(table.schema(), columns);
    let look = console.look;
    RowWriter::new(&mut *console.out, arguments.format, headings, &arguments.null, look)
}

fn say_left_out(console: &mut Console, columns: &[Box<str>]) {
    if !columns.is_empty() {
        console.say(format_args!(
            "columns without room: {}; choose with --columns, or see all with --format json",
            columns.join(", ")
        ));
    }
}

/// Says what was not done by the store.
fn say_residual(console: &mut Console, plan: &Plan, received: u64) {
    let schema = plan.read.binding.schema();
    for term in plan.residual() {
        let term = one_line(&term.display(schema).to_string());
        console.say(format_args!("checked in memory, on {received} rows: {term}"));
    }
    if plan.residual_sort {
        console.say(format_args!("sorted in memory: {received} rows"));
    }
}

/// Shows how a query would run.
fn explain(explanation: &Explanation, format: RowFormat, console: &mut Console) -> Outcome {
    match format {
        RowFormat::Table => console.print(explanation),
        RowFormat::Json | RowFormat::Ndjson => console.print(document(explanation)),
        RowFormat::Csv => Err(Failure::usage("a plan is not a table; use --format table or json")),
    }
}

fn document(explanation: &Explanation) -> serde_json::Value {
    let Explanation { plan, store, .. } = explanation;
    let schema = plan.read.binding.schema();
    let terms = |support: Support| -> Vec<String> {
        let terms = plan.terms.iter().filter(|term| term.support() == support);
        terms.map(|term| term.predicate().display(schema).to_string()).collect()
    };
    let sort = |by: &sora::Sort| {
        let minus = if by.descending { "-" } else { "" };
        format!("{minus}{}", Name(&schema.column(by.column).name))
    };
    json!({
        "table": schema.table(),
        "pushed_down": terms(Support::Exact),
        "pushed_down_and_checked_again": terms(Support::Inexact),
        "in_memory": terms(Support::Unsupported),
        "sort": plan.sort.iter().map(sort).collect::<Vec<_>>(),
        "sorted_in_memory": plan.residual_sort,
        "limit": plan.read.limit,
        "limit_in_memory": plan.residual_limit,
        "nothing_in_memory": plan.is_pushed(),
        "rows_in_memory_max": plan.rows_max(),
        "statement": store.statement,
        "store": store.lines,
        "indexes": store.indexes,
        "notes": store.notes,
    })
}
