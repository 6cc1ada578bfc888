//! Whether the server walks an index for a page that lies along it.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::Value as Json;
use sora_core::Result;
use sora_core::read::Read;
use sora_sql::{IndexPage, Portion, Postgres, render};

use crate::binder::Parameters;
use crate::explain::ask;
use crate::link::Link;

/// How long it counts that the server was seen to walk an index, or not to. Then it is asked again:
/// indexes come and go, and tables grow.
pub(crate) const SEEN_FOR: Duration = Duration::from_mins(1);

/// Returns the page that a read asks for, if its statement is to be written as
/// [`IndexPage`] writes it: the session keeps statements, and the server was seen to walk the index for
/// it. To see that takes one round trip for each shape, connection and [`SEEN_FOR`].
pub(crate) async fn chosen<'a>(
    link: &Link,
    read: &'a Read,
    portion: Portion,
    shape: &[u8],
) -> Option<Box<IndexPage<'a>>> {
    // A statement that is not kept is planned for its values anyhow.
    let page = IndexPage::of(read, portion).filter(|_| link.keeps_statements())?;
    // Apart, so that the future of every read, a look-up's too, is small.
    let page = Box::new(page);
    let walks = match link.seen(shape) {
        Some(walks) => walks,
        // What the server does not understand would end the transaction.
        None if link.in_transaction() => false,
        None => {
            // A connection that breaks here tells its error to the statement itself.
            let walks = Box::pin(asked(link, &page)).await.unwrap_or(false);
            link.saw(shape, walks);
            walks
        }
    };
    walks.then_some(page)
}

async fn asked(link: &Link, page: &IndexPage<'_>) -> Result<bool> {
    let text = render::<Postgres>(|out| page.write(out));
    let parameters = Parameters::of(|out| page.write(out))?;
    let told = ask(link, &text, &parameters, false).await?;
    Ok(walks(&told, page.index(), page.is_compared_again()).unwrap_or(false))
}

/// Whether a plan reads nothing but the run of the index, in its order, and stops after the page.
/// `compared_again` allows one comparison of rows that the index has found.
fn walks(told: &Json, index: &str, compared_again: bool) -> Option<bool> {
    let mut node = told.get(0)?.get("Plan")?;
    let mut above = "";
    loop {
        let text = |name: &str| node.get(name).and_then(Json::as_str);
        match text("Node Type")? {
            "Index Scan" | "Index Only Scan" => {
                let is_run = text("Index Cond").is_some_and(has_both_ends);
                let is_all = match text("Filter").map(unquoted) {
                    None => true,
                    Some(filter) => {
                        let is_one = filter.starts_with("(ROW(") && !filter.contains(" AND ");
                        compared_again && is_one && !filter.contains(" OR ")
                    }
                };
                return Some(
                    above == "Limit" && text("Index Name") == Some(index) && is_run && is_all,
                );
            }
            kind @ ("Limit" | "Sort" | "Incremental Sort" | "Subquery Scan") => above = kind,
            _ => return Some(false),
        }
        let is_input = |plan: &&Json| {
            let relation = plan.get("Parent Relationship").and_then(Json::as_str);
            matches!(relation, Some("Outer" | "Subquery"))
        };
        node = node.get("Plans")?.as_array()?.iter().find(is_input)?;
    }
}

/// Whether conditions on an index bound its run at both ends.
fn has_both_ends(condition: &str) -> bool {
    let condition = unquoted(condition);
    condition.contains('<') && condition.contains('>')
}

/// Returns a text of the server without what stands in quotes: names and values, which hold anything.
fn unquoted(text: &str) -> String {
    let mut quote = None;
    let is_outside = |character: &char| match quote {
        // A quote inside is doubled: it ends one and begins another.
        Some(open) => {
            quote = quote.filter(|_| *character != open);
            false
        }
        None if matches!(character, '"' | '\'') => {
            quote = Some(*character);
            false
        }
        None => true,
    };
    text.chars().filter(is_outside).collect()
}
