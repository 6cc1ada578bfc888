//! One statement of a write, and what it did to each of its rows.

use std::collections::{HashMap, HashSet};

use sora_core::write::{Change, Effect, OnConflict, Outcome, Write};
use sora_core::{Error, ErrorKind, Result, Retry, Row, RowBuffer, Statement};
use sora_sql::{
    BulkForm, Detail, Postgres, Returned, ToldBy, bulk_form, bulk_shape, change, change_rows,
    exists, render, returned, rows_exist, write_shape,
};
use tokio_postgres::Row as Wire;

use super::rows_of;
use super::waves::{encode, is_ordered};
use crate::binder::Parameters;
use crate::failure::Stage;
use crate::link::{Link, Rows};
use crate::native;
use crate::row::{Scratch, WireRow};

/// What a statement did.
pub(super) struct Done {
    /// One for each row of the statement, or one in all for a filter.
    pub(super) outcomes: Vec<Outcome>,
    /// The rows that are returned.
    pub(super) returned: RowBuffer,
    /// Which row of the statement each of them is.
    pub(super) places: Vec<usize>,
    pub(super) affected: u64,
}

/// Whether many rows of a write are one statement.
pub(super) fn is_one(write: &Write) -> bool {
    form(write).is_some()
}

fn form(write: &Write) -> Option<BulkForm> {
    if is_ordered(write) { None } else { bulk_form(write, detail(write)) }
}

/// Whether a row can fail after the statement of many rows has ended well.
pub(super) fn can_fail_after(write: &Write) -> bool {
    checks_version(write) || !is_one(write)
}

/// Writes one row, or all that meet a filter. One round trip, and one more if a version is checked
/// and nothing was written.
pub(super) async fn one(
    link: &Link,
    write: &Write,
    index: Option<usize>,
    stage: Stage,
) -> Result<Done> {
    if let Change::Native(statement) = &write.change {
        return Box::pin(own(link, statement, write, stage)).await;
    }
    let row = index.and_then(|index| rows_of(&write.change)?.row(index));
    let parameters = Parameters::of(|out| change::<Postgres, _>(write, row, out))?;
    let mut shape = Vec::with_capacity(64);
    write_shape::<Postgres>(write, false, &mut shape);
    let text = || render::<Postgres>(|out| change::<Postgres, _>(write, row, out));
    let mut rows = run(link, write, stage, &shape, text, &parameters).await?;
    let returned = returned::<Postgres>(write);
    let mut taken = Taken::new(write, &returned, stage);
    while let Some(row) = rows.next().await.map_err(|error| at(error, write))? {
        taken.keep(&row, 0)?;
    }
    let affected = rows.affected().unwrap_or(0);
    let outcome = match affected {
        0 => Box::pin(missing(link, write, index, stage)).await?,
        _ => Outcome::Applied(effect(write, taken.is_inserted.first().copied().flatten())),
    };
    Ok(Done { outcomes: vec![outcome], returned: taken.rows, places: taken.places, affected })
}

/// Runs a statement in the server's own language. It has one outcome.
async fn own(link: &Link, statement: &Statement, write: &Write, stage: Stage) -> Result<Done> {
    let (returned, affected) = native::write(link, statement, write, stage).await?;
    let effect = if affected > 0 { Effect::Updated } else { Effect::Unchanged };
    let places = vec![0; returned.len()];
    Ok(Done { outcomes: vec![Outcome::Applied(effect)], returned, places, affected })
}

/// Writes rows of which no two are the same; nothing is done, and there is no answer, if one
/// statement could not tell them apart. One round trip, and one more if a version is checked and
/// rows were left out.
pub(super) async fn many(
    link: &Link,
    write: &Write,
    indexes: &[usize],
    stage: Stage,
) -> Result<Option<Done>> {
    let detail = detail(write);
    let Some(BulkForm { returned, told_by }) = form(write) else { return Ok(None) };
    let picked = indexes.iter().copied();
    let room = rows_of(&write.change).map_or(0, |rows| room(rows, indexes.len()));
    let walk = |out: &mut Parameters| change_rows(write, &picked, detail, out);
    let parameters = Parameters::with_room(room, walk)?;
    let mut shape = Vec::with_capacity(64);
    bulk_shape(write, Some(detail), &mut shape);
    let text = || render::<Postgres>(|out| change_rows(write, &picked, detail, out));
    let mut rows = run(link, write, stage, &shape, text, &parameters).await?;
    let mut told = Told::new(write, indexes, &returned, told_by.as_ref());
    let mut taken = Taken::new(write, &returned, stage);
    while let Some(row) = rows.next().await.map_err(|error| at(error, write))? {
        let place = told.place(&row).map_err(|error| taken.unread(error))?;
        taken.keep(&row, place)?;
    }
    let affected = rows.affected().unwrap_or(0);
    let is_counted = matches!(told_by, None | Some(ToldBy::Order));
    if is_counted && affected != indexes.len() as u64 {
        return Err(taken.unread(left_out(affected, indexes.len())));
    }
    if told_by.is_none() {
        // As many were written as were sent, and nothing else is told of them.
        let outcomes = vec![Outcome::Applied(effect(write, None)); indexes.len()];
        let returned = RowBuffer::new(0);
        return Ok(Some(Done { outcomes, returned, places: Vec::new(), affected }));
    }
    let mut outcomes: Vec<Option<Outcome>> = indexes.iter().map(|_| None).collect();
    for (place, is_inserted) in taken.places.iter().zip(&taken.is_inserted) {
        outcomes[*place] = Some(Outcome::Applied(effect(write, *is_inserted)));
    }
    let left: Vec<usize> = (0..indexes.len()).filter(|at| outcomes[*at].is_none()).collect();
    let stored = stored(link, write, indexes, &left).await?;
    for at in left {
        outcomes[at] = Some(not_written(write, stored.contains(&at)));
    }
    let outcomes = outcomes.into_iter().flatten().collect();
    let width = returned_width(write, &returned);
    let (rows, places) = match width {
        0 => (RowBuffer::new(0), Vec::new()),
        _ => (taken.rows, taken.places),
    };
    Ok(Some(Done { outcomes, returned: rows, places, affected }))
}

/// The bytes that some of the rows take as parameters, about: a cell takes as much of a buffer.
fn room(rows: &RowBuffer, picked: usize) -> usize {
    rows.size().checked_div(rows.len()).unwrap_or(0).saturating_mul(picked)
}

async fn run<'a>(
    link: &'a Link,
    write: &Write,
    stage: Stage,
    shape: &[u8],
    text: impl FnOnce() -> String + Send,
    parameters: &Parameters,
) -> Result<Rows<'a>> {
    let rows = link.query(stage, shape, text, parameters.types(), parameters.iter()).await;
    rows.map_err(|error| at(error, write))
}

/// What is asked of a statement of many rows: no more than is needed, because each row that comes
/// back costs.
fn detail(write: &Write) -> Detail {
    match &write.change {
        Change::Insert { on_conflict: OnConflict::Fail | OnConflict::Update(_), .. } => {
            Detail::Count
        }
        _ => Detail::Each,
    }
}

fn effect(write: &Write, is_inserted: Option<bool>) -> Effect {
    match (&write.change, is_inserted) {
        (Change::Insert { on_conflict: OnConflict::Update(_), .. }, told) => match told {
            Some(true) => Effect::Inserted,
            Some(false) => Effect::Updated,
            None => Effect::Upserted,
        },
        (Change::Insert { .. }, _) => Effect::Inserted,
        (Change::Delete { .. }, _) => Effect::Deleted,
        _ => Effect::Updated,
    }
}

/// What became of the one row of a statement that wrote none.
async fn missing(
    link: &Link,
    write: &Write,
    index: Option<usize>,
    stage: Stage,
) -> Result<Outcome> {
    let row = index.and_then(|index| rows_of(&write.change)?.row(index));
    let Some(row) = row.filter(|_| checks_version(write)) else {
        return Ok(not_written(write, false));
    };
    // The statement itself has ended: it is known what it did.
    let stage = if stage == Stage::Writing { Stage::Reading } else { stage };
    let parameters = Parameters::of(|out| exists::<Postgres, _>(write, row, out))?;
    let mut shape = Vec::with_capacity(64);
    write_shape::<Postgres>(write, true, &mut shape);
    let text = || render::<Postgres>(|out| exists::<Postgres, _>(write, row, out));
    let mut rows = run(link, write, stage, &shape, text, &parameters).await?;
    let mut is_stored = false;
    while rows.next().await.map_err(|error| at(error, write))?.is_some() {
        is_stored = true;
    }
    Ok(not_written(write, is_stored))
}

/// Which of the rows that were not written are stored all the same, with another version.
async fn stored(
    link: &Link,
    write: &Write,
    indexes: &[usize],
    left: &[usize],
) -> Result<HashSet<usize>> {
    let mut stored = HashSet::new();
    if left.is_empty() || !checks_version(write) {
        return Ok(stored);
    }
    let picked = left.iter().map(|at| indexes[*at]);
    let parameters = Parameters::of(|out| rows_exist(write, &picked, out))?;
    let mut shape = Vec::with_capacity(64);
    bulk_shape(write, None, &mut shape);
    let text = || render::<Postgres>(|out| rows_exist(write, &picked, out));
    let mut rows = run(link, write, Stage::Reading, &shape, text, &parameters).await?;
    while let Some(row) = rows.next().await.map_err(|error| at(error, write))? {
        let place = number(&row, 0)?;
        stored.extend(left.get(place).copied());
    }
    Ok(stored)
}

fn not_written(write: &Write, is_stored: bool) -> Outcome {
    if is_stored {
        let message = "the row has been changed since it was read; read it again";
        return Outcome::Failed(at(Error::new(ErrorKind::Version, message), write));
    }
    Outcome::Applied(match &write.change {
        Change::Insert { .. } => Effect::Unchanged,
        _ => Effect::Missing,
    })
}

fn checks_version(write: &Write) -> bool {
    let is_checked = match &write.change {
        Change::Update { check_version, .. } => *check_version,
        Change::Patch { version, .. } | Change::Delete { version, .. } => version.is_some(),
        _ => false,
    };
    is_checked && write.binding.schema().version().is_some()
}

/// How many cells of each row the caller gets; a removed row is in the table no more.
fn returned_width(write: &Write, returned: &Returned) -> usize {
    match write.change {
        Change::Delete { .. } => 0,
        _ => returned.width,
    }
}

/// What came back of the rows of a statement.
struct Taken<'a> {
    write: &'a Write,
    returned: &'a Returned,
    width: usize,
    stage: Stage,
    scratch: Scratch,
    rows: RowBuffer,
    places: Vec<usize>,
    is_inserted: Vec<Option<bool>>,
}

impl<'a> Taken<'a> {
    fn new(write: &'a Write, returned: &'a Returned, stage: Stage) -> Self {
        let width = returned_width(write, returned);
        Self {
            write,
            returned,
            width,
            stage,
            scratch: Scratch::new(&write.binding, &returned.columns),
            rows: RowBuffer::new(width),
            places: Vec::new(),
            is_inserted: Vec::new(),
        }
    }

    fn keep(&mut self, row: &Wire, place: usize) -> Result<()> {
        let Returned { columns, is_inserted, .. } = self.returned;
        if self.width > 0 {
            let cells = &columns[..self.width];
            let kept = {
                let row = WireRow::new(row, &self.write.binding, cells, &mut self.scratch);
                self.rows.push(&row)
            };
            kept.map_err(|error| self.unread(error))?;
        }
        self.places.push(place);
        self.is_inserted.push(match is_inserted {
            true => row.try_get(columns.len()).ok(),
            false => None,
        });
        Ok(())
    }

    /// The error of an answer that cannot be read: by then a statement that commits by itself is
    /// done.
    fn unread(&self, error: Error) -> Error {
        match self.stage {
            Stage::Writing => error.with_retry(Retry::IfIdempotent),
            _ => error,
        }
    }
}

/// Tells which row of a statement a row is that comes back.
struct Told<'a> {
    write: &'a Write,
    columns: &'a [u16],
    by: Option<&'a ToldBy>,
    /// By the bytes of what tells them apart.
    places: HashMap<Vec<u8>, usize>,
    scratch: Scratch,
    number_at: usize,
    count: usize,
}

impl<'a> Told<'a> {
    fn new(
        write: &'a Write,
        indexes: &[usize],
        returned: &'a Returned,
        told_by: Option<&'a ToldBy>,
    ) -> Self {
        let mut places = HashMap::new();
        if let Some(ToldBy::Columns(positions)) = told_by {
            places = keys(write, indexes, returned, positions);
        }
        Self {
            write,
            columns: &returned.columns,
            by: told_by,
            places,
            scratch: Scratch::new(&write.binding, &returned.columns),
            number_at: returned.columns.len() + usize::from(returned.is_inserted),
            count: 0,
        }
    }

    fn place(&mut self, row: &Wire) -> Result<usize> {
        self.count += 1;
        match self.by {
            Some(ToldBy::Number) => number(row, self.number_at),
            Some(ToldBy::Columns(positions)) => {
                let row = WireRow::new(row, &self.write.binding, self.columns, &mut self.scratch);
                let mut key = Vec::with_capacity(16);
                for position in positions {
                    encode(row.cell(*position)?, &mut key);
                }
                self.places.get(&key).copied().ok_or_else(|| {
                    let message = "the server returned a row that was not written";
                    Error::new(ErrorKind::Internal, message)
                })
            }
            Some(ToldBy::Order) | None => Ok(self.count - 1),
        }
    }
}

/// The rows of a statement by what tells them apart.
fn keys(
    write: &Write,
    indexes: &[usize],
    returned: &Returned,
    positions: &[usize],
) -> HashMap<Vec<u8>, usize> {
    let (Change::Insert { columns, .. } | Change::Update { columns, .. }) = &write.change else {
        return HashMap::new();
    };
    let places: Vec<Option<usize>> = positions
        .iter()
        .map(|at| columns.iter().position(|column| *column == returned.columns[*at]))
        .collect();
    let rows = rows_of(&write.change);
    let keyed = indexes.iter().enumerate().filter_map(|(at, index)| {
        let row = rows?.row(*index)?;
        let mut key = Vec::with_capacity(16);
        for place in &places {
            encode(place.map_or_else(Default::default, |place| row.get(place)), &mut key);
        }
        Some((key, at))
    });
    keyed.collect()
}

/// The number of a row in its statement; the server counts from 1.
fn number(row: &Wire, position: usize) -> Result<usize> {
    let number: i64 = row.try_get(position).map_err(|error| {
        Error::new(ErrorKind::Internal, "the server returned a row without its number")
            .with_source(error)
    })?;
    Ok(usize::try_from(number).unwrap_or_default().saturating_sub(1))
}

fn left_out(affected: u64, rows: usize) -> Error {
    let message = format!(
        "the server wrote {affected} of {rows} rows and does not tell which: a trigger or a policy \
         leaves rows out; write them one by one"
    );
    Error::new(ErrorKind::Store, message)
}

fn at(error: Error, write: &Write) -> Error {
    let schema = write.binding.schema();
    let is_named = error.context().any(|(name, _)| name == "table");
    if is_named { error } else { error.with("table", schema.table()) }
}
