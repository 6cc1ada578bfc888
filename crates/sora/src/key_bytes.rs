//! Keys of rows as bytes, without an allocation for those of usual length.

use sora_core::{Cell, CellSink, Error, ErrorKind, Result, Row};

/// The bytes of one key: equal keys are equal bytes, and only they.
///
/// One table's keys are of the same types, so the bytes of a cell need no tag; a length keeps
/// neighbours apart.
#[derive(Debug)]
pub(crate) struct KeyBytes {
    inline: [u8; INLINE_MAX],
    len: usize,
    /// The whole key, once it exceeds the room above.
    spilled: Vec<u8>,
}

/// Longer keys are allocated.
const INLINE_MAX: usize = 96;

impl KeyBytes {
    /// Returns an empty key.
    #[inline]
    pub(crate) fn new() -> Self {
        Self { inline: [0; INLINE_MAX], len: 0, spilled: Vec::new() }
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
        let end = self.len + bytes.len();
        match self.inline.get_mut(self.len..end) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.spill(bytes),
        }
        self.len = end;
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.len <= INLINE_MAX {
            self.spilled.extend_from_slice(&self.inline[..self.len]);
        }
        self.spilled.extend_from_slice(bytes);
    }

    #[inline]
    fn push_with_length(&mut self, bytes: &[u8]) {
        self.push(&bytes.len().to_le_bytes());
        self.push(bytes);
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
            Cell::Text(value) => self.push_with_length(value.as_bytes()),
            Cell::Bytes(value) => self.push_with_length(value),
            other => {
                let message = format!("a key cannot be {}", other.kind_name());
                return Err(Error::new(ErrorKind::Data, message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
        let texts = ["", "a", "ab", "abc"].map(|text| text.repeat(40));
        let mut seen = std::collections::HashSet::new();
        for left in &texts {
            for right in &texts {
                assert!(seen.insert(key(&[Cell::Text(left), Cell::Text(right)])));
            }
        }
        assert_eq!(seen.len(), texts.len() * texts.len());
    }

    #[test]
    fn a_long_key_keeps_its_beginning() {
        let (number, text) = (7i64, "x".repeat(200));
        let bytes = key(&[Cell::I64(number), Cell::Text(&text), Cell::I64(number)]);
        assert_eq!(bytes.len(), 8 + 8 + 200 + 8);
        assert!(bytes.starts_with(&number.to_le_bytes()) && bytes.ends_with(&number.to_le_bytes()));
        assert!(bytes[16..216].iter().all(|byte| *byte == b'x'));
    }
}
