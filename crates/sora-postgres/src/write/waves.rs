//! Rows of a write that one statement may have together.

use std::collections::{HashMap, HashSet};

use sora_core::Cell;
use sora_core::write::{Change, OnConflict, Write};

use super::rows_of;

/// Divides the rows of a write so that no two of one part are the same row of the table.
///
/// PostgreSQL refuses the same row twice in one upsert, and takes any of the two in an update. The
/// n-th time that a key is given it is in the n-th part, and within a part rows are in the order of
/// their keys, so that statements which meet do not deadlock. Where rows can also meet in another
/// unique index, what comes first decides: the parts are then runs of the input, in its order.
pub(super) fn waves(write: &Write) -> Vec<Vec<usize>> {
    let Some(rows) = rows_of(&write.change) else { return Vec::new() };
    let Some(positions) = identity(write).filter(|_| !is_ordered(write)) else {
        return vec![(0..rows.len()).collect()];
    };
    let keys = rows.iter().map(|row| {
        let mut key = Vec::with_capacity(16);
        for position in &positions {
            // Nulls meet nothing, but a statement could not tell two of them apart.
            encode(row.get(*position), &mut key);
        }
        key
    });
    match has_other_unique(write) {
        true => runs(keys),
        false => layers(keys),
    }
}

/// Whether the rows of a write must go one by one, because each may make place for the next in a
/// unique index and a statement takes them in any order.
pub(super) fn is_ordered(write: &Write) -> bool {
    let assigned: Vec<u16> = match &write.change {
        Change::Update { columns, .. } => columns.to_vec(),
        Change::Patch { assignments, .. } => assignments.iter().map(|one| one.column).collect(),
        _ => return false,
    };
    let key = write.binding.schema().key();
    let live: Vec<u16> = assigned
        .iter()
        .filter(|column| !key.contains(column))
        .map(|column| write.binding.live_position(*column))
        .collect();
    let mut unique = write.binding.live().indexes.iter().filter(|index| index.unique);
    // The columns of an expression or a condition are not known.
    unique.any(|index| {
        !index.is_complete
            || index.columns.is_empty()
            || index.columns.iter().any(|column| live.contains(column))
    })
}

fn runs(keys: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<usize>> {
    let mut seen = HashSet::new();
    let mut runs: Vec<Vec<usize>> = vec![Vec::new()];
    for (index, key) in keys.enumerate() {
        if !seen.insert(key.clone()) {
            seen.clear();
            seen.insert(key);
            runs.push(Vec::new());
        }
        if let Some(run) = runs.last_mut() {
            run.push(index);
        }
    }
    runs
}

fn layers(keys: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<usize>> {
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut layers: Vec<Vec<(Vec<u8>, usize)>> = Vec::new();
    for (index, key) in keys.enumerate() {
        let count = seen.entry(key.clone()).or_default();
        if layers.len() <= *count {
            layers.resize_with(*count + 1, Vec::new);
        }
        layers[*count].push((key, index));
        *count += 1;
    }
    for layer in &mut layers {
        layer.sort_unstable();
    }
    layers.into_iter().map(|layer| layer.into_iter().map(|(_, index)| index).collect()).collect()
}

/// Whether rows of an insert can meet in another unique index than that by which they are told apart.
fn has_other_unique(write: &Write) -> bool {
    let Change::Insert { on_conflict, .. } = &write.change else { return false };
    let binding = &write.binding;
    let identity = match on_conflict {
        OnConflict::Update(target) => &**target,
        _ => binding.schema().key(),
    };
    let identity: Vec<u16> = identity.iter().map(|column| binding.live_position(*column)).collect();
    let is_identity = |columns: &[u16]| {
        columns.len() == identity.len() && columns.iter().all(|column| identity.contains(column))
    };
    let live = binding.live();
    let by_key = !live.key.is_empty() && !is_identity(&live.key);
    by_key || live.indexes.iter().any(|index| index.unique && !is_identity(&index.columns))
}

/// The positions of the cells by which rows are told apart; none if nothing does, because the store
/// assigns the key.
fn identity(write: &Write) -> Option<Vec<usize>> {
    let key = write.binding.schema().key();
    let place = |columns: &[u16], wanted: &[u16]| -> Option<Vec<usize>> {
        wanted.iter().map(|one| columns.iter().position(|column| column == one)).collect()
    };
    match &write.change {
        Change::Insert { columns, on_conflict: OnConflict::Update(target), .. } => {
            place(columns, target)
        }
        Change::Insert { columns, .. } | Change::Update { columns, .. } => {
            place(columns, key).filter(|places| !places.is_empty())
        }
        _ => Some((0..key.len()).collect()),
    }
}

/// Appends a cell so that equal cells are equal bytes, and the order of integers and texts is kept.
pub(super) fn encode(cell: Cell<'_>, out: &mut Vec<u8>) {
    match cell {
        Cell::Null => out.push(0),
        Cell::I64(value) => out.extend((value ^ i64::MIN).to_be_bytes()),
        Cell::Timestamp(value) => out.extend((value.micros() ^ i64::MIN).to_be_bytes()),
        Cell::Date(value) => out.extend((value.days() ^ i32::MIN).to_be_bytes()),
        Cell::Uuid(value) => out.extend(value),
        Cell::Text(value) => encode_bytes(value.as_bytes(), out),
        Cell::Bytes(value) => encode_bytes(value, out),
        other => encode_bytes(other.to_string().as_bytes(), out),
    }
}

/// Ends with what no byte of it can be taken for, so that neighbours do not run together.
fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            0 => out.extend([0, 255]),
            byte => out.push(*byte),
        }
    }
    out.extend([0, 0]);
}
