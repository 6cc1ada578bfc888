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
    has_repeats: bool,
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

    /// Returns the rows by key and whether one comes twice, or none if they are so already and no key
    /// does.
    fn order(&self, rows: &RowBuffer) -> Option<(Vec<u32>, bool)> {
        let first = *self.positions.first()?;
        if rows.iter().is_sorted_by(|left, right| self.compare(left, right).is_lt()) {
            return None;
        }
        // A number in front of each row decides nearly always; cells are compared where it does not.
        let mut is_whole = self.positions.len() == 1;
        let prefix = |(row, place): (BufferedRow<'_>, u32)| {
            let (prefix, is_all) = prefix(row.get(first));
            is_whole &= is_all;
            (prefix, place)
        };
        let mut order: Vec<(u64, u32)> = rows.iter().zip(places(rows.len())).map(prefix).collect();
        let compare = |left: &(u64, u32), right: &(u64, u32)| {
            left.0.cmp(&right.0).then_with(|| match is_whole {
                true => Ordering::Equal,
                false => self.compare_at(rows, left.1, right.1),
            })
        };
        order.sort_unstable_by(|left, right| compare(left, right).then(left.1.cmp(&right.1)));
        let has_repeats = order.windows(2).any(|pair| compare(&pair[0], &pair[1]).is_eq());
        Some((order.into_iter().map(|(_, place)| place).collect(), has_repeats))
    }

    fn compare_at(&self, rows: &RowBuffer, left: u32, right: u32) -> Ordering {
        match (rows.row(left as usize), rows.row(right as usize)) {
            (Some(left), Some(right)) => self.compare(&left, &right),
            _ => Ordering::Equal,
        }
    }
}

impl Chunk {
    pub(super) fn new(
        identity: &Identity,
        first: u64,
        rows: RowBuffer,
        refused: Vec<(usize, Error)>,
    ) -> Self {
        let (order, has_repeats) = identity.order(&rows).unzip();
        let has_repeats = has_repeats.unwrap_or(false);
        Self { first, rows: Arc::new(rows), refused, order, has_repeats }
    }

    /// The number of rows, with those that were refused.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.refused.len()
    }

    /// Whether the rows came in the order of their keys and no key comes twice.
    pub(super) fn is_by_key(&self, identity: &Identity) -> bool {
        self.order.is_none() && identity.is_given()
    }

    /// The rows in the order of their keys, if that is not the order in which they came.
    pub(super) fn order(&self) -> Option<&[u32]> {
        self.order.as_deref()
    }

    /// Returns the places of the rows of each key that comes more than once.
    pub(super) fn repeats(&self, identity: &Identity) -> Vec<Vec<u32>> {
        let Some(order) = self.order.as_ref().filter(|_| self.has_repeats) else {
            return Vec::new();
        };
        let is_same =
            |left: &u32, right: &u32| identity.compare_at(&self.rows, *left, *right).is_eq();
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
        Ok(Arc::new(self.rows.pick(picked.iter().map(|place| *place as usize))?))
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

/// Returns a number that is in the order of the cells of one column, and whether equal numbers are
/// those of equal cells.
fn prefix(cell: Cell<'_>) -> (u64, bool) {
    let signed = |value: i64| value.cast_unsigned() ^ (1 << 63);
    let front = |bytes: &[u8]| {
        let mut front = [0; 8];
        let len = bytes.len().min(8);
        front[..len].copy_from_slice(&bytes[..len]);
        u64::from_be_bytes(front)
    };
    match cell {
        Cell::Bool(value) => (value.into(), true),
        Cell::I64(value) => (signed(value), true),
        Cell::Timestamp(value) => (signed(value.micros()), true),
        // No text has a zero byte: a shorter one is in front of what it begins.
        Cell::Text(text) => (front(text.as_bytes()), text.len() <= 8),
        Cell::Bytes(bytes) => (front(bytes), false),
        Cell::Uuid(bytes) => (front(&bytes), false),
        _ => (0, false),
    }
}

#[cfg(test)]
mod tests {
    use sora_core::{Timestamp, Value};

    use super::*;

    fn order(keys: &[&[Value]]) -> Option<Vec<u32>> {
        let width = keys.first().map_or(0, |key| key.len());
        let identity =
            Identity { positions: (0..width).collect(), is_exact: true, is_sortable: true };
        let mut rows = RowBuffer::new(width);
        for key in keys {
            rows.push(key).expect("a row");
        }
        let (order, has_repeats) = identity.order(&rows).unzip();
        // The slow way.
        let mut expected: Vec<u32> = places(keys.len()).collect();
        expected.sort_by(|left, right| identity.compare_at(&rows, *left, *right));
        let is_below = |left: &u32, right: &u32| identity.compare_at(&rows, *left, *right).is_lt();
        let is_straight = places(keys.len()).is_sorted_by(is_below);
        let is_same = |left: &u32, right: &u32| identity.compare_at(&rows, *left, *right).is_eq();
        let is_twice = expected.windows(2).any(|pair| is_same(&pair[0], &pair[1]));
        assert_eq!(has_repeats.unwrap_or(false), is_twice, "{keys:?}");
        assert_eq!(order, (!is_straight).then_some(expected), "{keys:?}");
        order
    }

    fn check(keys: &[Value]) -> Option<Vec<u32>> {
        let keys: Vec<&[Value]> = keys.iter().map(std::slice::from_ref).collect();
        order(&keys)
    }

    #[test]
    fn keys_are_sorted_as_cells_are() {
        let texts = |texts: &[&str]| -> Vec<Value> {
            texts.iter().map(|text| Value::Text((*text).into())).collect()
        };
        let numbers = |numbers: &[i64]| -> Vec<Value> {
            numbers.iter().map(|number| Value::I64(*number)).collect()
        };
        assert_eq!(check(&numbers(&[i64::MIN, -1, 0, 1, i64::MAX])), None);
        assert_eq!(check(&numbers(&[1, 0, -1, 0, i64::MIN])), Some(vec![4, 2, 1, 3, 0]));
        assert_eq!(check(&numbers(&[1, 2, 2, 3])), Some(vec![0, 1, 2, 3]));
        assert_eq!(check(&texts(&["", "a", "aa", "b", "é"])), None);
        assert_eq!(check(&texts(&["12345678", "1234567", "12345678"])), Some(vec![1, 0, 2]));
        let long = ["same front b", "same front a", "same fro", "same front b", "same"];
        assert_eq!(check(&texts(&long)), Some(vec![4, 2, 1, 0, 3]));
        let moment = |micros| Value::Timestamp(Timestamp::from_micros(micros).expect("a time"));
        check(&[moment(5), moment(-5), moment(0)]);
        check(&[Value::Bool(true), Value::Bool(false)]);
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.into());
        check(&[bytes(&[1, 0]), bytes(&[1]), bytes(&[1, 0, 0]), bytes(&[0; 20]), bytes(&[0; 9])]);
        check(&[Value::F64(2.5), Value::F64(-2.5), Value::F64(0.0)]);
        let uuid = |last| {
            let mut bytes = [7; 16];
            bytes[15] = last;
            Value::Uuid(bytes)
        };
        assert_eq!(check(&[uuid(3), uuid(1), uuid(2)]), Some(vec![1, 2, 0]));
        let pair = |text: &str, number| [Value::Text(text.into()), Value::I64(number)];
        let pairs = [pair("b", 1), pair("a", 2), pair("a", 1), pair("b", 1)];
        let pairs: Vec<&[Value]> = pairs.iter().map(<[Value; 2]>::as_slice).collect();
        assert_eq!(order(&pairs), Some(vec![2, 1, 0, 3]));
    }

    #[test]
    fn chunks_meet_where_they_have_a_key_in_common() {
        let identity = Identity { positions: [0].into(), is_exact: true, is_sortable: true };
        let chunk = |keys: &[i64]| {
            let mut rows = RowBuffer::new(1);
            for key in keys {
                rows.push(&vec![Value::I64(*key)]).expect("a row");
            }
            Chunk::new(&identity, 0, rows, Vec::new())
        };
        for (left, right, expected) in [
            (&[1, 3, 5][..], &[2, 4, 6][..], false),
            (&[1, 3, 5], &[6, 5], true),
            (&[5, 1], &[1, 9], true),
            (&[1, 2], &[3, 4], false),
            (&[], &[3, 4], false),
        ] {
            let (left, right) = (chunk(left), chunk(right));
            assert_eq!(left.meets(&right, &identity), expected, "{left:?} {right:?}");
            assert_eq!(right.meets(&left, &identity), expected, "{left:?} {right:?}");
        }
    }
}
