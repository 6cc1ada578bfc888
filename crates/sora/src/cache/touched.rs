//! What a write touches of the caches, by the keys that it names or the store tells.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use sora_core::write::{Change, OnConflict, Write};
use sora_core::{Error, Result, Retry, Row, RowBuffer, RowSink, Schema};

use super::remote::{Generation, RemoteTouched, Shared, Tier};
use super::space::Space;
use super::{Caches, last_part};
use crate::collect::Nothing;
use crate::key_bytes::KeyBytes;

/// What writes touch, in each cache that may hold it.
#[derive(Debug, Default)]
pub(super) struct Touched {
    spaces: Vec<(Arc<Space>, Keys)>,
    /// None where no tier is shared.
    remote: Option<RemoteTouched>,
}

#[derive(Clone, Debug)]
enum Keys {
    All,
    These(BTreeSet<Box<[u8]>>),
}

/// Rows whose keys only the store knows: new ones, and those that another unique value found.
#[derive(Debug)]
pub(super) struct Unnamed {
    spaces: Vec<Arc<Space>>,
    remote: Option<Shared>,
    /// What the store returns of each row, and where its key stands in it.
    columns: Arc<[u16]>,
    key: Vec<usize>,
}

/// Writes under way, of which nothing is cached. Dropped before its end, one may still happen.
pub(super) struct UnderWay {
    touched: Touched,
    unnamed: Option<Unnamed>,
    is_known: bool,
}

/// Hands rows on, and keeps their keys.
pub(super) struct Learning<'a> {
    sink: &'a mut dyn RowSink,
    key: &'a [usize],
    pub(super) keys: BTreeSet<Box<[u8]>>,
}

/// The keys that one transaction touches one by one; of more, all rows are taken out.
const KEYS_MAX: usize = 10_000;

impl Caches {
    /// What a write touches, and the rows of it whose keys are yet to be known.
    pub(super) fn touched(&self, write: &Write, can_return: bool) -> (Touched, Option<Unnamed>) {
        let mut touched = Touched::default();
        if let Change::Native(statement) = &write.change {
            for name in statement.writes() {
                touched.add_all(self.of_named(name), self.generation(last_part(name)));
            }
            return (touched, None);
        }
        let (schema, live) = (write.binding.schema(), write.binding.live());
        let (same, others): (Vec<_>, Vec<_>) =
            self.of_table(&live.name).into_iter().partition(|space| has_key(space, schema));
        touched.add_all(others, None);
        let shared = self.shared(schema, live);
        // By a key that others do not name its rows by.
        let generation = match &shared {
            Some(_) => None,
            None => self.generation(&live.name),
        };
        touched.add_all(Vec::new(), generation);
        if same.is_empty() && shared.is_none() {
            return (touched, None);
        }
        if let Some(keys) = keys_of(write) {
            touched.add_rows(&same, shared.as_ref(), &keys);
            return (touched, None);
        }
        match unnamed_columns(write).filter(|_| can_return) {
            Some((columns, key)) => {
                (touched, Some(Unnamed { spaces: same, remote: shared, columns, key }))
            }
            None => {
                let generation = shared.and_then(|_| self.generation(&live.name));
                touched.add_all(same, generation);
                (touched, None)
            }
        }
    }
}

fn has_key(space: &Space, schema: &Schema) -> bool {
    let names = schema.key().iter().map(|at| &schema.column(*at).name);
    space.key.iter().eq(names)
}

/// The keys of the rows that a write names; none if it does not name all that it touches.
fn keys_of(write: &Write) -> Option<BTreeSet<Box<[u8]>>> {
    let schema = write.binding.schema();
    match &write.change {
        Change::Insert { rows, columns, on_conflict } => {
            if let OnConflict::Update(unique) = on_conflict
                && !(is_key(unique, schema) && is_bytewise(write))
            {
                return None;
            }
            keys_at(rows, &key_positions(columns, schema)?)
        }
        Change::Update { rows, columns, .. } => keys_at(rows, &key_positions(columns, schema)?),
        Change::Patch { target, .. } | Change::Delete { target, .. } => {
            let keys = target.keys.as_ref()?;
            let positions: Vec<usize> = (0..keys.width()).collect();
            keys_at(keys, &positions)
        }
        Change::Native(_) | _ => None,
    }
}

fn is_key(unique: &[u16], schema: &Schema) -> bool {
    unique.len() == schema.key().len() && unique.iter().all(|column| schema.key().contains(column))
}

/// Whether keys that the store takes for equal are equal by bytes.
fn is_bytewise(write: &Write) -> bool {
    let binding = &write.binding;
    binding.schema().key().iter().all(|column| binding.live_column(*column).is_deterministic)
}

fn key_positions(columns: &[u16], schema: &Schema) -> Option<Vec<usize>> {
    let position = |key: &u16| columns.iter().position(|column| column == key);
    schema.key().iter().map(position).collect()
}

/// None if a key cannot be told.
fn keys_at(rows: &RowBuffer, positions: &[usize]) -> Option<BTreeSet<Box<[u8]>>> {
    if rows.len() > KEYS_MAX {
        return None;
    }
    rows.iter()
        .map(|row| Some(KeyBytes::at(&row, positions.iter().copied()).ok()?.as_slice().into()))
        .collect()
}

/// The columns to be returned so that keys are told, and where these stand; none if the caller asks
/// for others, or the change is not one of single rows.
fn unnamed_columns(write: &Write) -> Option<(Arc<[u16]>, Vec<usize>)> {
    let Change::Insert { rows, .. } = &write.change else { return None };
    if rows.len() > KEYS_MAX {
        return None;
    }
    let schema = write.binding.schema();
    let columns = match &write.returning {
        Some(columns) => columns.clone(),
        None => schema.key().into(),
    };
    let key = key_positions(&columns, schema)?;
    Some((columns, key))
}

impl Unnamed {
    /// Returns the write as the store is asked it, and the sink that its rows go through.
    pub(super) fn around<'a>(
        &'a self,
        write: &Write,
        sink: &'a mut dyn RowSink,
        nothing: &'a mut Nothing,
    ) -> (Write, Learning<'a>) {
        let sink = if write.returning.is_some() { sink } else { nothing };
        let mut asked = write.clone();
        asked.returning = Some(self.columns.clone());
        (asked, Learning { sink, key: &self.key, keys: BTreeSet::new() })
    }
}

impl RowSink for Learning<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        let key = KeyBytes::at(row, self.key.iter().copied())?;
        self.keys.insert(key.as_slice().into());
        self.sink.row(row)
    }

    fn reset(&mut self) {
        self.keys.clear();
        self.sink.reset();
    }
}

impl Touched {
    /// Rows whose keys the store has told.
    pub(super) fn learnt(unnamed: &Unnamed, keys: &BTreeSet<Box<[u8]>>) -> Self {
        let mut touched = Self::default();
        touched.add_rows(&unnamed.spaces, unnamed.remote.as_ref(), keys);
        touched
    }

    /// One row of a cache.
    pub(super) fn row(space: &Arc<Space>, key: Box<[u8]>) -> Self {
        let mut touched = Self::default();
        let key = BTreeSet::from([key]);
        touched.add_rows(std::slice::from_ref(space), space.shared.as_ref(), &key);
        touched
    }

    /// All rows of a cache.
    pub(super) fn all(space: &Arc<Space>) -> Self {
        let mut touched = Self::default();
        let whole = space.shared.as_ref();
        let whole = whole.map(|shared| (shared.tier.clone(), shared.table.generation.clone()));
        touched.add_all(vec![space.clone()], whole);
        touched
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spaces.is_empty() && self.remote.as_ref().is_none_or(RemoteTouched::is_empty)
    }

    pub(super) fn add(&mut self, other: Self) {
        for (space, keys) in other.spaces {
            self.add_space(space, keys);
        }
        match (&mut self.remote, other.remote) {
            (Some(known), Some(other)) => known.add(other, KEYS_MAX),
            (None, other) => self.remote = other,
            (Some(_), None) => {}
        }
    }

    /// Adds rows of caches, and of the tier that they share.
    fn add_rows(
        &mut self,
        spaces: &[Arc<Space>],
        shared: Option<&Shared>,
        keys: &BTreeSet<Box<[u8]>>,
    ) {
        for space in spaces {
            self.add_space(space.clone(), Keys::These(keys.clone()));
        }
        if let Some(Shared { tier, table }) = shared {
            let remote = self.remote.get_or_insert_with(|| RemoteTouched::new(tier.clone()));
            remote.rows(table, keys, KEYS_MAX);
        }
    }

    /// Adds all rows of caches, and of a table of the tier that they share.
    fn add_all(&mut self, spaces: Vec<Arc<Space>>, whole: Option<(Arc<Tier>, Arc<Generation>)>) {
        for space in spaces {
            self.add_space(space, Keys::All);
        }
        if let Some((tier, generation)) = whole {
            let remote = self.remote.get_or_insert_with(|| RemoteTouched::new(tier));
            remote.table(generation);
        }
    }

    fn add_space(&mut self, space: Arc<Space>, keys: Keys) {
        match self.spaces.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &space)) {
            Some((_, known)) => known.add(keys),
            None => self.spaces.push((space, keys)),
        }
    }
}

impl Keys {
    fn add(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::These(known), Self::These(more)) if known.len() + more.len() <= KEYS_MAX => {
                known.extend(more);
            }
            _ => *self = Self::All,
        }
    }
}

impl UnderWay {
    /// `unnamed` are rows that the write touches as well; should nobody learn what became of it, it
    /// may happen for so long.
    pub(super) fn begin(
        mut touched: Touched,
        unnamed: Option<Unnamed>,
        unknown_time_ms: u64,
    ) -> Self {
        for (space, keys) in &touched.spaces {
            match keys {
                Keys::All => space.begin_write_of_all(),
                Keys::These(keys) => keys.iter().for_each(|key| space.begin_write(key)),
            }
        }
        if let Some(Shared { tier, table }) = unnamed.as_ref().and_then(|it| it.remote.as_ref()) {
            let remote = touched.remote.get_or_insert_with(|| RemoteTouched::new(tier.clone()));
            remote.unnamed(table);
        }
        if let Some(remote) = &mut touched.remote {
            remote.begin(unknown_time_ms);
        }
        Self { touched, unnamed, is_known: false }
    }

    /// The rows whose keys only the store knows.
    pub(super) fn unnamed(&self) -> Option<&Unnamed> {
        self.unnamed.as_ref()
    }

    /// Takes out the rows that were named by the store. Nothing is kept of them from here to the end:
    /// the tier that processes share is told only then, and does not tell who told it.
    pub(super) fn learn(&mut self, keys: &BTreeSet<Box<[u8]>>) {
        let Some(unnamed) = &self.unnamed else { return };
        if let (Some(remote), Some(shared)) = (&mut self.touched.remote, &unnamed.remote) {
            remote.rows(&shared.table, keys, KEYS_MAX);
        }
        for space in unnamed.spaces.clone() {
            for key in keys {
                space.begin_write(key);
            }
            self.touched.spaces.push((space, Keys::These(keys.clone())));
        }
    }

    /// Says whether it is known what became of the write. If so, the tier that processes share is
    /// told, in one round trip, and then its rows may be kept again.
    pub(super) async fn end(mut self, is_known: bool) {
        self.is_known = is_known;
        if let Some(remote) = self.touched.remote.take_if(|_| is_known) {
            remote.end().await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        for (space, keys) in &self.touched.spaces {
            match keys {
                Keys::All => space.end_write_of_all(self.is_known),
                Keys::These(keys) => {
                    for key in keys {
                        space.end_write(key, self.is_known);
                    }
                }
            }
        }
        if let Some(unnamed) = self.unnamed.as_ref().filter(|_| !self.is_known) {
            // Rows that nobody can name may still be written.
            for space in &unnamed.spaces {
                space.begin_write_of_all();
                space.end_write_of_all(false);
            }
        }
    }
}

/// Whether what became of a write is known.
pub(super) fn is_known(error: Option<&Error>) -> bool {
    error.is_none_or(|error| error.retry() != Retry::IfIdempotent)
}
