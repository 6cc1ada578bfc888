//! How PostgreSQL runs a read.

#[cfg(test)]
mod tests;

use std::error::Error as StdError;

use postgres_types::{FromSql, Type as ServerType};
use serde_json::Value as Json;
use sora_core::provider::StorePlan;
use sora_core::read::Read;
use sora_core::{Error, ErrorKind, Result};
use sora_sql::{Postgres, lost_indexes, portions, read_shape, render, select};

use crate::binder::Parameters;
use crate::failure::Stage;
use crate::index_page;
use crate::link::Link;
use crate::parameter::Parameter;

/// What is told of a step, in the server's own words and its order.
const DETAILS: [&str; 9] = [
    "Sort Key",
    "Sort Method",
    "Index Cond",
    "Recheck Cond",
    "Hash Cond",
    "Join Filter",
    "Filter",
    "Rows Removed by Filter",
    "Heap Fetches",
];

/// The deepest plan that is told; no read of one table comes near.
const DEPTH_MAX: usize = 32;

/// Explains a read; with `analyze`, runs it and says what it touched. One round trip for each of its
/// statements: one, or two for a page that starts among nulls.
pub(crate) async fn explain(link: &Link, read: &Read, analyze: bool) -> Result<StorePlan> {
    let explained = explain_portions(link, read, analyze).await;
    explained.map_err(|error| error.with("table", read.binding.schema().table()))
}

async fn explain_portions(link: &Link, read: &Read, analyze: bool) -> Result<StorePlan> {
    let mut plan = StorePlan::default();
    let mut statements = Vec::new();
    for portion in portions(read) {
        let mut shape = Vec::new();
        read_shape::<Postgres>(read, *portion, &mut shape);
        let page = index_page::chosen(link, read, *portion, &shape).await;
        let text = render::<Postgres>(|out| match &page {
            Some(page) => page.write(out),
            None => select::<Postgres, _>(read, *portion, read.limit, out),
        });
        let parameters = Parameters::of(|out| match &page {
            Some(page) => page.write(out),
            None => select::<Postgres, _>(read, *portion, read.limit, out),
        })?;
        let told = ask(link, &text, &parameters, analyze).await?;
        tell(&told, &mut plan)?;
        statements.push(text);
    }
    plan.notes = lost_indexes::<Postgres>(read);
    plan.notes.extend(lost_key(read));
    plan.statement = Some(statements.join(";\n"));
    Ok(plan)
}

/// Asks the server for the plan of a statement with these parameters.
pub(crate) async fn ask(
    link: &Link,
    text: &str,
    parameters: &Parameters,
    analyze: bool,
) -> Result<Json> {
    let options = if analyze { "FORMAT JSON, ANALYZE, BUFFERS" } else { "FORMAT JSON" };
    let question = format!("EXPLAIN ({options}) {text}");
    let values: Vec<Parameter<'_>> = parameters.iter().collect();
    let types = parameters.types();
    let mut rows = link.query_once(Stage::Reading, &question, types, &values).await?;
    let mut told = None;
    while let Some(row) = rows.next().await? {
        told = Some(row.try_get::<_, Text>(0).map_err(|error| unreadable().with_source(error))?);
    }
    let Some(Text(told)) = told else { return Err(unreadable()) };
    serde_json::from_str(&told).map_err(|error| unreadable().with_source(error))
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Store, "the plan that PostgreSQL gave was not understood")
}

/// The text of the server's answer, which is JSON.
struct Text(String);

impl<'a> FromSql<'a> for Text {
    fn from_sql(_: &ServerType, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(std::str::from_utf8(raw)?.to_owned()))
    }

    fn accepts(wire: &ServerType) -> bool {
        matches!(*wire, ServerType::JSON | ServerType::TEXT)
    }
}

/// Writes a plan as lines, and the indexes that it uses.
fn tell(told: &Json, plan: &mut StorePlan) -> Result<()> {
    let all = told.get(0).ok_or_else(unreadable)?;
    step(all.get("Plan").ok_or_else(unreadable)?, 0, plan);
    for name in ["Planning Time", "Execution Time"] {
        if let Some(milliseconds) = all.get(name).and_then(Json::as_f64) {
            plan.lines.push(format!("{name}: {milliseconds:.3} ms"));
        }
    }
    Ok(())
}

fn step(node: &Json, depth: usize, plan: &mut StorePlan) {
    let text = |name: &str| node.get(name).and_then(Json::as_str);
    let indent = "  ".repeat(depth);
    let mut line = format!("{indent}{}", text("Node Type").unwrap_or("a step"));
    if text("Scan Direction") == Some("Backward") {
        line += " Backward";
    }
    if let Some(index) = text("Index Name") {
        line += " using ";
        line += index;
        if !plan.indexes.iter().any(|known| known == index) {
            plan.indexes.push(index.to_owned());
        }
    }
    if let Some(relation) = text("Relation Name") {
        line += " on ";
        line += relation;
    }
    line += &rows(node);
    plan.lines.push(line);
    for name in DETAILS {
        if let Some(detail) = node.get(name).and_then(detail) {
            plan.lines.push(format!("{indent}  {name}: {detail}"));
        }
    }
    let steps = node.get("Plans").and_then(Json::as_array);
    for inner in steps.into_iter().flatten().filter(|_| depth < DEPTH_MAX) {
        step(inner, depth + 1, plan);
    }
}

/// How many rows a step expects, and what it found.
fn rows(node: &Json) -> String {
    let number = |name: &str| node.get(name).and_then(Json::as_f64);
    let mut parts = Vec::new();
    if let Some(expected) = number("Plan Rows") {
        parts.push(format!("{expected} rows expected"));
    }
    if let Some(found) = number("Actual Rows") {
        parts.push(format!("{} rows found", found * number("Actual Loops").unwrap_or(1.0)));
    }
    for (name, what) in [("Shared Hit Blocks", "held"), ("Shared Read Blocks", "read")] {
        if let Some(pages) = number(name).filter(|pages| *pages > 0.0) {
            parts.push(format!("{pages} pages {what}"));
        }
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// What is said of a detail; nothing of a count that is zero.
fn detail(detail: &Json) -> Option<String> {
    match detail {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) if number.as_f64() != Some(0.0) => Some(number.to_string()),
        Json::Array(parts) => {
            let parts: Vec<&str> = parts.iter().filter_map(Json::as_str).collect();
            Some(parts.join(", "))
        }
        _ => None,
    }
}

/// Says that the index of the key cannot serve the filter and sort of a read because of how it orders
/// text. It is not among the others.
fn lost_key(read: &Read) -> Option<String> {
    let binding = &read.binding;
    let live = binding.live();
    let first = *live.key.first()?;
    let is_listed = live.indexes.iter().any(|index| index.columns.first() == Some(&first));
    let collation = live.column(first).collation.as_deref().filter(|_| !is_listed)?;
    let mut is_asked = read.sort.iter().any(|sort| binding.live_position(sort.column) == first);
    for term in &*read.filter {
        term.for_each_column(&mut |column| is_asked |= binding.live_position(column) == first);
    }
    is_asked.then(|| {
        format!(
            "the index of the key is in the order of the collation {collation}: it serves equality \
             on {:?}, but no order",
            live.name
        )
    })
}
