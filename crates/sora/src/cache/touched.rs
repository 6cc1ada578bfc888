//! What a write touches of the caches, by the keys that it names or the store tells.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use sora_core::write::{Change, OnConflict, Write};
use sora_core::{Error, Result, Retry, Row, RowBuffer, RowSink, Schema};

use super::Caches;
use super::space::Space;
use crate::collect::Nothing;
use crate::key_bytes::KeyBytes;

/// What writes touch, in each cache that may hold it.
#[derive(Debug, Default)]
pub(super) struct Touched(Vec<(Arc<Space>, Keys)>);

#[derive(Clone, Debug)]
enum Keys {
    All,
    These(HashSet<Box<[u8]>>),
}

/// Rows whose keys only the store knows: new ones, and those that another unique value found.
#[derive(Debug)]
pub(super) struct Unnamed {
    pub(super) spaces: Vec<Arc<Space>>,
    /// What the store returns of each row, and where its key stands in it.
    columns: Arc<[u16]>,
    key: Vec<usize>,
}

/// Writes under way, of which nothing is cached. Dropped before its end, one may still happen.
pub(super) struct UnderWay {
    touched: Touched,
    unnamed: Vec<Arc<Space>>,
    is_known: bool,
}

/// Hands rows on, and keeps their keys.
pub(super) struct Learning<'a> {
    sink: &'a mut dyn RowSink,
    key: &'a [usize],
    pub(super) keys: HashSet<Box<[u8]>>,
}

/// The keys that one transaction touches one by one; of more, all rows are taken out.
const KEYS_MAX: usize = 10_000;

impl Caches {
    /// What a write touches, and the rows of it whose keys are yet to be known.
    pub(super) fn touched(&self, write: &Write, can_return: bool) -> (Touched, Option<Unnamed>) {
        if let Change::Native(statement) = &write.change {
            let spaces = statement.writes().flat_map(|name| self.of_named(name));
            return (Touched(spaces.map(|space| (space, Keys::All)).collect()), None);
        }
        let schema = write.binding.schema();
        let spaces = self.of_table(&write.binding.live().name);
        if spaces.is_empty() {
            return (Touched::default(), None);
        }
        let (same, others): (Vec<_>, Vec<_>) =
            spaces.into_iter().partition(|space| has_key(space, schema));
        let mut touched = Touched(others.into_iter().map(|space| (space, Keys::All)).collect());
        if let Some(keys) = keys_of(write) {
            let keys = |space| (space, Keys::These(keys.clone()));
            touched.0.extend(same.into_iter().map(keys));
            return (touched, None);
        }
        match unnamed_columns(write).filter(|_| can_return) {
            Some((columns, key)) => (touched, Some(Unnamed { spaces: same, columns, key })),
            None => {
                touched.0.extend(same.into_iter().map(|space| (space, Keys::All)));
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
fn keys_of(write: &Write) -> Option<HashSet<Box<[u8]>>> {
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
fn keys_at(rows: &RowBuffer, positions: &[usize]) -> Option<HashSet<Box<[u8]>>> {
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
        (asked, Learning { sink, key: &self.key, keys: HashSet::new() })
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
    /// All these rows of one cache.
    pub(super) fn these(space: Arc<Space>, keys: HashSet<Box<[u8]>>) -> Self {
        Self(vec![(space, Keys::These(keys))])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, other: Self) {
        for (space, keys) in other.0 {
            match self.0.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &space)) {
                Some((_, known)) => known.add(keys),
                None => self.0.push((space, keys)),
            }
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
    pub(super) fn begin(touched: Touched, unnamed: Vec<Arc<Space>>) -> Self {
        for (space, keys) in &touched.0 {
            match keys {
                Keys::All => space.begin_write_of_all(),
                Keys::These(keys) => keys.iter().for_each(|key| space.begin_write(key)),
            }
        }
        Self { touched, unnamed, is_known: false }
    }

    /// Takes out the rows that were named by the store.
    pub(super) fn learn(&self, keys: &HashSet<Box<[u8]>>) {
        for space in &self.unnamed {
            for key in keys {
                space.invalidate(key);
            }
        }
    }

    pub(super) fn end(mut self, is_known: bool) {
        self.is_known = is_known;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        for (space, keys) in &self.touched.0 {
            match keys {
                Keys::All => space.end_write_of_all(self.is_known),
                Keys::These(keys) => {
                    for key in keys {
                        space.end_write(key, self.is_known);
                    }
                }
            }
        }
        if !self.is_known {
            // Rows that nobody can name may still be written.
            for space in &self.unnamed {
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
