//! The rows of one write, and what their keys say about the order in which they may be sent.

use std::cmp::Ordering;
use std::sync::Arc;

use sora_core::{BufferedRow, Cell, Error, Result, RowBuffer};

use crate::Table;

/// How the rows of a batch are told apart.
#[derive(Debug)]
pub(super) struct Identity {
    /// Where the columns of the key stand in a row; none if the rows do not bring their key.
    positions: Box<[usize]>,
    /// Whether the store takes two keys for equal only if they are equal here.
    pub(super) is_exact: bool,
    /// Whether rows may be sent in the order of their keys instead of their own.
    pub(super) is_sortable: bool,
}

/// Rows that are sent together.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The index of the first row in the stream.
    pub(super) first: u64,
    pub(super) rows: Arc<RowBuffer>,
    /// Rows that were refused before they were sent, by their place among all rows of the chunk.
    pub(super) refused: Vec<(usize, Error)>,
    /// The rows by key, those of one key in the order of the stream; none if that is how they came
    /// and no key comes twice, or if they bring no key.
    order: Option<Vec<u32>>,
}

impl Identity {
    /// Finds the key in rows of some columns.
    pub(super) fn new(table: &Table, columns: &[u16]) -> Self {
        let key = table.schema().key();
        let position = |column: &u16| columns.iter().position(|other| other == column);
        let positions: Option<Box<[usize]>> = key.iter().map(position).collect();
        let positions = positions.unwrap_or_default();
        let binding = table.binding();
        let is_exact = key.iter().all(|column| {
            let live = binding.live_column(*column);
            live.collation.is_none() && !binding.is_converted(*column)
        });
        // Which of two rows that meet in another unique column is refused depends on their order.
        let is_key = |columns: &[u16]| {
            columns.len() == key.len()
                && key.iter().all(|column| columns.contains(&binding.live_position(*column)))
        };
        let mut uniques = binding.live().indexes.iter().filter(|index| index.unique);
        let is_only_unique = uniques.all(|index| is_key(&index.columns))
            && (binding.live().key.is_empty() || is_key(&binding.live().key));
        let is_sortable = is_exact && is_only_unique && !positions.is_empty();
        Self { positions, is_exact, is_sortable }
    }

    /// Whether the rows bring their key.
    pub(super) fn is_given(&self) -> bool {
        !self.positions.is_empty()
    }

    fn compare(&self, left: &BufferedRow<'_>, right: &BufferedRow<'_>) -> Ordering {
        let orders = self.positions.iter().map(|at| left.get(*at).sort_order(right.get(*at)));
        orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// Returns the rows by key, or none if they are so already and no key comes twice.
    fn order(&self, rows: &RowBuffer) -> Option<Vec<u32>> {
        if let [position] = *self.positions
            && let Some(mut keys) = integers(rows, position)
        {
            if keys.is_sorted_by(|left, right| left.0 < right.0) {
                return None;
            }
            keys.sort_unstable();
            return Some(keys.into_iter().map(|(_, place)| place).collect());
        }
        let is_below =
            |left: &BufferedRow<'_>, right: &BufferedRow<'_>| self.compare(left, right).is_lt();
        if !self.is_given() || rows.iter().is_sorted_by(is_below) {
            return None;
        }
        let row = |place: u32| rows.row(place as usize);
        let mut order: Vec<u32> = places(rows.len()).collect();
        order.sort_by(|left, right| match (row(*left), row(*right)) {
            (Some(left), Some(right)) => self.compare(&left, &right),
            _ => Ordering::Equal,
        });
        Some(order)
    }
}

impl Chunk {
    pub(super) fn new(
        identity: &Identity,
        first: u64,
        rows: RowBuffer,
        refused: Vec<(usize, Error)>,
    ) -> Self {
        let order = identity.order(&rows);
        Self { first, rows: Arc::new(rows), refused, order }
    }

    /// The number of rows, with those that were refused.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.refused.len()
    }

    /// The rows in the order of their keys, if that is not the order in which they came.
    pub(super) fn order(&self) -> Option<&[u32]> {
        self.order.as_deref()
    }

    /// Returns the places of the rows of each key that comes more than once.
    pub(super) fn repeats(&self, identity: &Identity) -> Vec<Vec<u32>> {
        let Some(order) = &self.order else { return Vec::new() };
        let is_same = |left: &u32, right: &u32| {
            let row = |place: u32| self.rows.row(place as usize);
            matches!((row(*left), row(*right)), (Some(left), Some(right))
                if identity.compare(&left, &right).is_eq())
        };
        let groups = order.chunk_by(is_same).filter(|group| group.len() > 1);
        groups.map(<[u32]>::to_vec).collect()
    }

    /// Whether a row of one has the key of a row of the other.
    pub(super) fn meets(&self, other: &Self, identity: &Identity) -> bool {
        if !identity.is_given() {
            return false;
        }
        let (mut left, mut right) = (self.by_key().peekable(), other.by_key().peekable());
        // Chunks of sorted input do not overlap at all.
        if let (Some(below), Some(above)) = (other.last_by_key(), left.peek())
            && identity.compare(&below, above).is_lt()
        {
            return false;
        }
        while let (Some(one), Some(another)) = (left.peek(), right.peek()) {
            match identity.compare(one, another) {
                Ordering::Equal => return true,
                Ordering::Less => drop(left.next()),
                Ordering::Greater => drop(right.next()),
            }
        }
        false
    }

    /// Returns the rows at some places, without a copy if they are all as they are.
    pub(super) fn pick(&self, picked: &[u32]) -> Result<Arc<RowBuffer>> {
        if picked.len() == self.rows.len() && picked.is_sorted() {
            return Ok(self.rows.clone());
        }
        let mut rows = RowBuffer::with_capacity(self.rows.width(), picked.len());
        for row in picked.iter().filter_map(|place| self.rows.row(*place as usize)) {
            rows.push(&row)?;
        }
        Ok(Arc::new(rows))
    }

    fn by_key(&self) -> impl Iterator<Item = BufferedRow<'_>> {
        (0..self.rows.len()).filter_map(|at| self.rows.row(self.place(at)))
    }

    fn last_by_key(&self) -> Option<BufferedRow<'_>> {
        self.rows.row(self.place(self.rows.len().checked_sub(1)?))
    }

    fn place(&self, at: usize) -> usize {
        self.order.as_ref().map_or(at, |order| order[at] as usize)
    }
}

/// The places of so many rows. A chunk has fewer than 2^32: its text alone would not fit a buffer.
pub(super) fn places(rows: usize) -> impl Iterator<Item = u32> {
    0..u32::try_from(rows).unwrap_or(u32::MAX)
}

/// Keys of one integer are sorted without a look at the rows.
fn integers(rows: &RowBuffer, position: usize) -> Option<Vec<(i64, u32)>> {
    let key = |(row, place): (BufferedRow<'_>, u32)| match row.get(position) {
        Cell::I64(key) => Some((key, place)),
        _ => None,
    };
    rows.iter().zip(places(rows.len())).map(key).collect()
}
