//! Rows of a write that one statement may have together.

use std::cmp::Ordering;
use std::collections::HashSet;

use sora_core::write::{Change, OnConflict, Write};
use sora_core::{BufferedRow, Cell, RowBuffer};

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
    match has_other_unique(write) {
        true => runs(rows, &positions),
        false => layers(rows, &positions),
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

fn runs(rows: &RowBuffer, positions: &[usize]) -> Vec<Vec<usize>> {
    let mut seen = HashSet::new();
    let mut runs: Vec<Vec<usize>> = vec![Vec::new()];
    for (index, row) in rows.iter().enumerate() {
        let mut key = Vec::with_capacity(16);
        for position in positions {
            // Nulls meet nothing, but a statement could not tell two of them apart.
            encode(row.get(*position), &mut key);
        }
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

fn layers(rows: &RowBuffer, positions: &[usize]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    if rows.iter().is_sorted_by(|left, right| compare(left, right, positions).is_lt()) {
        return vec![order];
    }
    let compare = |left: &usize, right: &usize| match (rows.row(*left), rows.row(*right)) {
        (Some(left), Some(right)) => compare(&left, &right, positions),
        _ => Ordering::Equal,
    };
    // Rows of one key stay in the order of the input.
    order.sort_by(compare);
    let mut layers: Vec<Vec<usize>> = Vec::new();
    for same in order.chunk_by(|left, right| compare(left, right).is_eq()) {
        layers.resize_with(layers.len().max(same.len()), Vec::new);
        for (layer, index) in layers.iter_mut().zip(same) {
            layer.push(*index);
        }
    }
    layers
}

fn compare(left: &BufferedRow<'_>, right: &BufferedRow<'_>, positions: &[usize]) -> Ordering {
    let orders = positions.iter().map(|at| left.get(*at).sort_order(right.get(*at)));
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
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

/// Appends a cell so that equal cells are equal bytes.
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

#[cfg(test)]
mod tests {
    use sora_core::Value;

    use super::*;

    fn rows(keys: &[i64]) -> RowBuffer {
        let mut rows = RowBuffer::new(2);
        for key in keys {
            rows.push(&vec![Value::Null, Value::I64(*key)]).expect("a row");
        }
        rows
    }

    #[test]
    fn no_key_comes_twice_in_one_part() {
        for (keys, by_key, in_order) in [
            (&[-1, 0, 7][..], &[&[0, 1, 2][..]][..], &[&[0, 1, 2][..]][..]),
            (&[7, 0, -1], &[&[2, 1, 0]], &[&[0, 1, 2]]),
            (&[5, 2, 5, 1, 5, 2], &[&[3, 1, 0], &[5, 2], &[4]], &[&[0, 1], &[2, 3], &[4, 5]]),
        ] {
            assert_eq!(layers(&rows(keys), &[1]), by_key, "{keys:?}");
            assert_eq!(runs(&rows(keys), &[1]), in_order, "{keys:?}");
        }
    }
}
