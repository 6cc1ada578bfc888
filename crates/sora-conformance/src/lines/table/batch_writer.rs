//! Streams of rows through a table.

use sora::{Atomic, BatchMode, BatchOptions, BatchReport, Table};
use sora_core::write::{Effect, Outcome};
use sora_core::{ErrorKind, Result, Value};

use super::{X, all_rows, make, on, open, row};
use crate::Profile;
use crate::report::{Verdict, check, failed, same};
use crate::store::{Cells, Store};

/// Rows in a chunk, where the store takes so many.
const CHUNK: usize = 4;

/// A row with another `x`.
fn with(id: i64, x: i64) -> Cells {
    let mut cells = row(id);
    cells[usize::from(X)] = Value::I64(x);
    cells
}

async fn write(
    table: &Table,
    rows: &[Cells],
    atomic: Atomic,
) -> Result<(Vec<Outcome>, BatchReport)> {
    let options = BatchOptions { atomic, rows_per_chunk: Some(CHUNK), ..BatchOptions::default() };
    let mut writer = table.batch_writer(BatchMode::Upsert, table.columns(), options)?;
    let mut outcomes = Vec::new();
    for row in rows {
        if writer.is_stopped() {
            break;
        }
        writer.row(|out| row.iter().try_for_each(|value| out.cell(value.cell())))?;
        writer.advance().await;
        while let Some(settled) = writer.settled() {
            outcomes.extend_from_slice(settled.outcomes());
        }
    }
    let report = writer.finish().await;
    while let Some(settled) = writer.settled() {
        outcomes.extend_from_slice(settled.outcomes());
    }
    Ok((outcomes, report))
}

pub(crate) async fn each_row(store: &Store) -> Verdict {
    for (number, profile) in Profile::ALL.into_iter().enumerate() {
        let name = format!("poured{number}");
        make(store, &name, 3).await?;
        let table = open(store, profile, &name).await?;
        // The name of the seventh is that of the second row.
        let mut taken = row(7);
        taken[2] = row(2)[2].clone();
        let rows = [with(5, 50), row(4), with(1, 10), with(5, 51), taken, with(5, 52)];
        let (outcomes, report) = write(&table, &rows, Atomic::Row).await?;
        on(profile, same("outcomes", &outcomes.len(), &rows.len()))?;
        on(profile, same("sum of the report", &report.counts.sum(), &6))?;
        for (at, outcome) in outcomes.iter().enumerate() {
            let is_superseded = matches!(outcome, Outcome::Applied(Effect::Superseded));
            let is_right = match at {
                // Only rows of one chunk take each other's place.
                0 if table_takes(store, profile) => is_superseded,
                4 => outcome.error().is_some_and(|error| error.kind() == ErrorKind::Conflict),
                _ => outcome.is_written(),
            };
            on(profile, check(is_right, || format!("row {at} ended as {outcome:?}")))?;
        }
        let expected = vec![with(1, 10), row(2), row(3), row(4), with(5, 52)];
        on(profile, same("rows", &all_rows(store, &name).await?, &expected))?;
    }
    Ok(())
}

fn table_takes(store: &Store, profile: Profile) -> bool {
    let is_small = matches!(profile, Profile::Nothing | Profile::Small);
    !is_small && store.capability().rows_max >= CHUNK
}

pub(crate) async fn atomic(store: &Store) -> Verdict {
    for (number, profile) in Profile::ALL.into_iter().enumerate() {
        let name = format!("undone{number}");
        let before = make(store, &name, 3).await?;
        let table = open(store, profile, &name).await?;
        let mut rows: Vec<Cells> = (4..=12).map(row).collect();
        let whole = rows.clone();
        rows[6][2] = row(2)[2].clone();
        let (outcomes, report) = match write(&table, &rows, Atomic::Stream).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                on(profile, same("rows", &all_rows(store, &name).await?, &before))?;
                continue;
            }
            Err(error) => return failed(format!("on {profile:?}: {error}")),
            Ok(written) => written,
        };
        on(profile, same("rows applied", &report.counts.applied(), &0))?;
        on(profile, same("rows that failed", &report.counts.failed, &1))?;
        let kind = outcomes.get(6).and_then(Outcome::error).map(sora_core::Error::kind);
        on(profile, same("the row to blame", &kind, &Some(ErrorKind::Conflict)))?;
        on(profile, same("rows after a failure", &all_rows(store, &name).await?, &before))?;
        let (_, report) = write(&table, &whole, Atomic::Stream).await?;
        on(profile, same("rows written", &report.counts.written(), &9))?;
        on(profile, same("rows", &all_rows(store, &name).await?.len(), &12))?;
    }
    Ok(())
}
