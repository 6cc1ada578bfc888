//! Several writes to one table that happen together or not at all.

use std::panic::Location;

use sora_core::write::{Change, Effect, Write};
use sora_core::{Error, ErrorKind, Operation, Result};
use tracing::Instrument;

use super::Table;
use crate::collect::Nothing;
use crate::deadline;
use crate::transaction::Turn;
use crate::watch::Watch;

/// Writes that are collected and then done in one transaction, in order.
#[derive(Debug)]
#[must_use = "nothing is written before `commit`"]
pub struct Batch<'a> {
    table: &'a Table,
    changes: Vec<Result<Change>>,
}

impl Table {
    /// Starts a batch.
    pub fn batch(&self) -> Batch<'_> {
        Batch { table: self, changes: Vec::new() }
    }
}

impl<'a> Batch<'a> {
    /// The most writes in one batch.
    pub const CHANGES_MAX: usize = 10_000;

    /// Adds a write of rows. An error is kept, and fails the commit before anything is written.
    pub fn push(&mut self, change: Result<Change>) {
        self.changes.push(change);
    }

    /// Does all writes in one transaction and returns what each did. A round trip for each write,
    /// and one for the commit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] without transactions; the error of the first write that failed,
    /// whose place in the batch it names. Then nothing was written.
    #[track_caller]
    pub fn commit(self) -> impl Future<Output = Result<Vec<Effect>>> + Send + use<'a> {
        self.commit_at(Location::caller())
    }

    pub(crate) async fn commit_at(
        self,
        location: &'static Location<'static>,
    ) -> Result<Vec<Effect>> {
        let Self { table, changes } = self;
        let mut watch = table.watch(Operation::Batch, location);
        let span = watch.span();
        let done = write_all(table, changes, &mut watch, location).instrument(span);
        let done = deadline::writing(done).await;
        watch.end(done)
    }
}

async fn write_all(
    table: &Table,
    changes: Vec<Result<Change>>,
    watch: &mut Watch<'_>,
    location: &'static Location<'static>,
) -> Result<Vec<Effect>> {
    if changes.len() > Batch::CHANGES_MAX {
        let message = format!("a batch has at most {} writes", Batch::CHANGES_MAX);
        return Err(Error::new(ErrorKind::Limit, message).with("table", table.name()));
    }
    let mut writes = Vec::with_capacity(changes.len());
    for (place, change) in changes.into_iter().enumerate() {
        let change = change.and_then(|change| table.check(&change).map(|()| change));
        let mut write = Write::new(table.binding(), change.map_err(|error| at(error, place))?);
        write.atomic = true;
        writes.push(write);
    }
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    table.pass_writers(location).await?;
    let mut turn = table.turn().await?;
    let written = write_each(&mut turn, &writes, watch).await;
    turn.end(written, |_| true).await
}

async fn write_each(
    turn: &mut Turn<'_>,
    writes: &[Write],
    watch: &mut Watch<'_>,
) -> Result<Vec<Effect>> {
    let mut effects = Vec::with_capacity(writes.len());
    for (place, write) in writes.iter().enumerate() {
        let report = turn.write(write, &mut Nothing).await.map_err(|error| at(error, place))?;
        if let Some(error) = report.first_error() {
            return Err(at(error.clone(), place));
        }
        watch.wrote(write.change.len(), &report);
        for outcome in &report.outcomes {
            effects.push(outcome.effect()?);
        }
    }
    Ok(effects)
}

fn at(error: Error, place: usize) -> Error {
    error.with("batch item", place)
}
