//! Keys of rows as bytes, without an allocation for those of usual length.

use std::hash::{Hash, Hasher};

use quick_cache::Equivalent;
use sora_core::{Cell, CellSink, Error, ErrorKind, Result, Row};

/// The bytes of one key: equal keys are equal bytes, and only they.
///
/// One table's keys are of the same types, so the bytes of a cell need no tag. Cells of any length
/// have their length in front, which keeps neighbours apart; a key of one cell needs none.
#[derive(Debug)]
pub(crate) struct KeyBytes {
    inline: [u8; INLINE_MAX],
    len: usize,
    /// The whole key, once it exceeds the room above.
    spilled: Vec<u8>,
    /// The first cell is of any length, and its length is not in front of it yet.
    is_bare: bool,
}

/// The bytes of a key that a map holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OwnKey(Box<[u8]>);

/// The bytes that such a map is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyRef<'a>(pub(crate) &'a [u8]);

/// The same, asked for by hits alone: the map's code for it has one caller, and is put in there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HitKey<'a>(pub(crate) &'a [u8]);

/// Longer keys are allocated.
const INLINE_MAX: usize = 64;

impl KeyBytes {
    /// Returns an empty key.
    #[inline]
    pub(crate) fn new() -> Self {
        Self { inline: [0; INLINE_MAX], len: 0, spilled: Vec::new(), is_bare: false }
    }

    /// Returns the key whose cells are all those of a row.
    pub(crate) fn of(row: &dyn Row) -> Result<Self> {
        Self::at(row, 0..row.width())
    }

    /// Returns the key whose cells stand at some positions of a row.
    pub(crate) fn at(row: &dyn Row, positions: impl Iterator<Item = usize>) -> Result<Self> {
        let mut key = Self::new();
        key.read(row, positions)?;
        Ok(key)
    }

    /// Makes it the key whose cells stand at some positions of a row.
    pub(crate) fn read(
        &mut self,
        row: &dyn Row,
        mut positions: impl Iterator<Item = usize>,
    ) -> Result<()> {
        self.len = 0;
        self.is_bare = false;
        self.spilled.clear();
        positions.try_for_each(|position| self.cell(row.cell(position)?))
    }

    /// The bytes so far.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self.inline.get(..self.len) {
            Some(inline) => inline,
            None => &self.spilled,
        }
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        if self.is_bare {
            self.push_front();
        }
        let end = self.len + bytes.len();
        match self.inline.get_mut(self.len..end) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.spill(bytes),
        }
        self.len = end;
    }

    #[inline]
    fn push_any(&mut self, bytes: &[u8]) {
        if self.len > 0 || self.is_bare {
            self.push(&bytes.len().to_le_bytes());
            self.push(bytes);
        } else {
            self.push(bytes);
            self.is_bare = true;
        }
    }

    /// Puts the length of the first cell in front of it, because there is another behind it.
    #[cold]
    fn push_front(&mut self) {
        let first = self.as_slice().to_vec();
        (self.len, self.is_bare) = (0, false);
        self.spilled.clear();
        self.push(&first.len().to_le_bytes());
        self.push(&first);
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.len <= INLINE_MAX && self.spilled.is_empty() {
            self.spilled.extend_from_slice(&self.inline[..self.len]);
        }
        self.spilled.extend_from_slice(bytes);
    }
}

impl CellSink for KeyBytes {
    #[inline]
    fn cell(&mut self, cell: Cell<'_>) -> Result<()> {
        match cell {
            Cell::I64(value) => self.push(&value.to_le_bytes()),
            Cell::Uuid(value) => self.push(&value),
            Cell::Timestamp(value) => self.push(&value.micros().to_le_bytes()),
            Cell::Date(value) => self.push(&value.days().to_le_bytes()),
            Cell::Text(value) => self.push_any(value.as_bytes()),
            Cell::Bytes(value) => self.push_any(value),
            other => {
                let message = format!("a key cannot be {}", other.kind_name());
                return Err(Error::new(ErrorKind::Data, message));
            }
        }
        Ok(())
    }
}

impl OwnKey {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl Hash for OwnKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_key(&self.0, state);
    }
}

impl Hash for KeyRef<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_key(self.0, state);
    }
}

impl Hash for HitKey<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_key(self.0, state);
    }
}

impl Equivalent<OwnKey> for KeyRef<'_> {
    #[inline]
    fn equivalent(&self, key: &OwnKey) -> bool {
        *self.0 == *key.0
    }
}

impl Equivalent<OwnKey> for HitKey<'_> {
    /// Compared by pieces that overlap: a call in the map's loop costs more than this does.
    #[inline]
    fn equivalent(&self, key: &OwnKey) -> bool {
        let (left, right) = (self.0, &*key.0);
        left.len() == right.len()
            && match left.len() {
                33.. => {
                    let mut pairs = left.as_chunks::<16>().0.iter().zip(right.as_chunks::<16>().0);
                    pairs.all(|(left, right)| left == right)
                        && left.last_chunk::<16>() == right.last_chunk::<16>()
                }
                16.. => ends::<16>(left) == ends::<16>(right),
                8.. => ends::<8>(left) == ends::<8>(right),
                _ => left.iter().zip(right).all(|(left, right)| left == right),
            }
    }
}

/// The first and the last bytes of a key that has so many.
#[inline]
fn ends<const N: usize>(key: &[u8]) -> (Option<&[u8; N]>, Option<&[u8; N]>) {
    (key.first_chunk(), key.last_chunk())
}

/// Hashes a key of usual length without a call: its two ends, which overlap, and its length, which keeps
/// apart those whose ends are the same. The hasher is the map's own, foldhash, whose seeds are random in
/// each process: who chooses keys cannot choose their hashes.
#[inline(always)]
#[expect(clippy::inline_always, reason = "all of a hit is one function")]
fn hash_key<H: Hasher>(key: &[u8], state: &mut H) {
    match ends(key) {
        (Some(first), Some(last)) if key.len() <= 32 => {
            state.write_u128(u128::from_ne_bytes(*first));
            state.write_u128(u128::from_ne_bytes(*last));
            state.write_usize(key.len());
        }
        // Nothing follows the bytes, so their length need not be put in front.
        _ => state.write(key),
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    fn key(cells: &[Cell<'_>]) -> Vec<u8> {
        let mut key = KeyBytes::new();
        for cell in cells {
            key.cell(*cell).expect("a cell of a key");
        }
        key.as_slice().to_vec()
    }

    #[test]
    fn neighbours_do_not_run_together_at_any_length() {
        let texts = ["", "\u{1}", "a", "ab", "abc"].map(|text| text.repeat(30));
        let mut seen = std::collections::HashSet::new();
        for left in &texts {
            for right in &texts {
                assert!(seen.insert(key(&[Cell::Text(left), Cell::Text(right)])));
            }
        }
        assert_eq!(seen.len(), texts.len() * texts.len());
    }

    #[test]
    fn what_looks_like_a_length_is_none() {
        let zeros = [0u8; 16];
        let (short, long) = (&zeros[..8], &zeros[..]);
        assert_ne!(
            key(&[Cell::Bytes(b""), Cell::Bytes(long)]),
            key(&[Cell::Bytes(short), Cell::Bytes(short)])
        );
        assert_ne!(
            key(&[Cell::Bytes(b""), Cell::Bytes(b"")]),
            key(&[Cell::Bytes(b""), Cell::Bytes(short)])
        );
    }

    #[test]
    fn a_long_key_keeps_its_beginning() {
        let (number, text) = (7i64, "x".repeat(200));
        let bytes = key(&[Cell::I64(number), Cell::Text(&text), Cell::I64(number)]);
        assert_eq!(bytes.len(), 8 + 8 + 200 + 8);
        assert!(bytes.starts_with(&number.to_le_bytes()) && bytes.ends_with(&number.to_le_bytes()));
        assert!(bytes[16..216].iter().all(|byte| *byte == b'x'));
    }

    #[test]
    fn a_key_is_found_by_its_bytes_alone_at_any_length() {
        let state = quick_cache::DefaultHashBuilder::default();
        for len in 0..100u8 {
            let bytes: Vec<u8> = (0..len).collect();
            let own = OwnKey::new(&bytes);
            let hash = state.hash_one(&own);
            assert_eq!(hash, state.hash_one(KeyRef(&bytes)));
            assert_eq!(hash, state.hash_one(HitKey(&bytes)));
            assert!(KeyRef(&bytes).equivalent(&own) && HitKey(&bytes).equivalent(&own));
            let mut others: Vec<Vec<u8>> = vec![bytes.repeat(2), [&bytes[..], &[0]].concat()];
            others.extend((0..bytes.len()).map(|at| {
                let mut other = bytes.clone();
                other[at] ^= 0x80;
                other
            }));
            for other in others.iter().filter(|other| **other != bytes) {
                assert!(!HitKey(other).equivalent(&own), "{other:?} is not {bytes:?}");
                assert_ne!(state.hash_one(HitKey(other)), hash, "{other:?} and {bytes:?}");
            }
        }
    }

    #[test]
    fn keys_with_the_same_ends_have_hashes_of_their_own() {
        let state = quick_cache::DefaultHashBuilder::default();
        let hashes: std::collections::HashSet<u64> =
            (0..100).map(|len| state.hash_one(HitKey(&[b'x'; 100][..len]))).collect();
        assert_eq!(hashes.len(), 100);
    }
}
