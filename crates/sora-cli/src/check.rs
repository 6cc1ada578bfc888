//! `sora check`: what a store claims beside what it does.

mod claims;
mod conditions;
mod rows;
mod writes;

use std::sync::Arc;

use sora::{Assigned, Column, Name, Schema, Sora, Type, Value};

use self::claims::{Claim, Claims, Verdict};
use crate::arguments::Check;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::output::{Heading, RowWriter, one_line};
use crate::store::{Access, StoreAddress};

/// The table in which writes are probed.
const PROBE_TABLE: &str = "_sora_check";
/// Tables whose filters and sorts are probed.
const TABLES_MAX: usize = 100;

/// Probes a store and writes claim beside fact. It fails if a claim is false.
pub(crate) async fn run(
    address: &StoreAddress,
    store: &Sora,
    arguments: &Check,
    console: &mut Console,
) -> Outcome {
    store.ping().await?;
    let mut claims = Claims::default();
    let temporary = tempfile::tempdir().map_err(Failure::failed)?;
    if arguments.write {
        console.say(format_args!("writes are probed in {address}, in the table {PROBE_TABLE}"));
        writes::probe(store, PROBE_TABLE, &mut claims).await?;
    } else if let Some(beside) = address.beside(temporary.path()) {
        console.say(format_args!(
            "writes are probed in a temporary database of the same kind; --write probes the store"
        ));
        let scratch = beside.open(Access::Write, Sora::builder()).await?;
        writes::probe(&scratch, PROBE_TABLE, &mut claims).await?;
        probe_read_only(&beside, scratch, &mut claims).await?;
    } else {
        console.say(format_args!(
            "writes are not probed: a server has no place beside it; --write probes them in {address}"
        ));
        writes::leave_out(store.provider().capability(), &mut claims);
    }
    let tables = store.tables().await?;
    if tables.len() > TABLES_MAX {
        console.say(format_args!("{} tables, of which {TABLES_MAX} are probed", tables.len()));
    }
    for live in tables.into_iter().take(TABLES_MAX) {
        let name = one_line(&Name(&live.name).to_string());
        conditions::probe(store.provider(), live, &name, &mut claims).await;
    }
    write(&claims, arguments, console)
}

/// Probes that a file that is opened read-only refuses writes.
async fn probe_read_only(beside: &StoreAddress, scratch: Sora, claims: &mut Claims) -> Outcome {
    if beside.path().is_none() {
        return Ok(());
    }
    drop(scratch);
    let store = beside.open(Access::Read, Sora::builder()).await?;
    writes::probe_read_only(store.provider(), PROBE_TABLE, claims).await;
    Ok(())
}

/// The schema of the table in which writes are probed: all types whose values SQLite, PostgreSQL and
/// memory could hold differently.
fn probe_schema(table: &str) -> Outcome<Arc<Schema>> {
    let decimal = Type::Decimal { precision: 12, scale: 2 };
    let schema = Schema::builder(table)
        .column(Column::new("id", Type::I64))
        .column(Column::new("number", Type::I64).nullable())
        .column(Column::new("float", Type::F64).nullable())
        .column(Column::new("price", decimal).nullable())
        .column(Column::new("name", Type::Text).nullable())
        .column(Column::new("at", Type::Timestamp).nullable())
        .column(Column::new("is_even", Type::Bool).assigned(Assigned::Default(Value::Bool(false))))
        .key(["id"])
        .build()?;
    Ok(Arc::new(schema))
}

fn write(claims: &Claims, arguments: &Check, console: &mut Console) -> Outcome {
    let headings = ["subject", "claim", "claimed", "found", "verdict", "note"]
        .map(|name| Heading::new(name, Type::Text));
    let look = console.look;
    let mut writer = RowWriter::new(&mut *console.out, arguments.format, headings.into(), "", look);
    for claim in claims.iter() {
        writer.row(&claim.row())?;
    }
    writer.finish()?;
    let count = |verdict: Verdict| claims.iter().filter(|claim| claim.verdict == verdict).count();
    let (holds, fails) = (count(Verdict::Holds), count(Verdict::False));
    let unprobed = count(Verdict::Unprobed);
    console.say(format_args!("{holds} claims hold, {fails} are false, {unprobed} were not probed"));
    if fails > 0 { Err(Failure::Reported) } else { Ok(()) }
}

/// Returns a claim that a probe could not decide, because the probe itself failed.
fn undecided(subject: &str, name: &str, claimed: String, error: &sora::Error) -> Claim {
    Claim {
        subject: subject.into(),
        name: name.into(),
        claimed,
        found: "error".into(),
        verdict: Verdict::False,
        note: Failure::from(error.clone()).message().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests;
