//! Keys of rows as bytes, to find the slots that a reply belongs to.

use std::collections::HashMap;

use sora_core::{Error, ErrorKind, Result, Row, RowBuffer, Schema};

use crate::key_bytes::KeyBytes;

/// The distinct keys of a list, and the places in the list that each one stands at.
pub(crate) struct Slots {
    places: HashMap<Box<[u8]>, Vec<usize>>,
    scratch: KeyBytes,
}

impl Slots {
    /// Returns the distinct keys in the order of their first place, and where each one stands.
    pub(crate) fn new(keys: &RowBuffer) -> Result<(Self, RowBuffer)> {
        Self::placed(keys, 0..keys.len())
    }

    /// The same for keys that stand at these places.
    pub(crate) fn with_places(keys: &RowBuffer, places: &[usize]) -> Result<(Self, RowBuffer)> {
        Self::placed(keys, places.iter().copied())
    }

    fn placed(keys: &RowBuffer, places: impl Iterator<Item = usize>) -> Result<(Self, RowBuffer)> {
        let mut slots =
            Self { places: HashMap::with_capacity(keys.len()), scratch: KeyBytes::new() };
        let mut distinct = RowBuffer::with_capacity(keys.width(), keys.len());
        for (place, key) in places.zip(keys.iter()) {
            slots.scratch.read(&key, 0..keys.width())?;
            match slots.places.get_mut(slots.scratch.as_slice()) {
                Some(places) => places.push(place),
                None => {
                    slots.places.insert(slots.scratch.as_slice().into(), vec![place]);
                    distinct.push(&key)?;
                }
            }
        }
        Ok((slots, distinct))
    }

    /// Returns the places that a row with its key at these positions belongs to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] if nobody asked for the row.
    pub(crate) fn places(&mut self, row: &dyn Row, key: &[usize]) -> Result<&[usize]> {
        self.scratch.read(row, key.iter().copied())?;
        match self.places.get(self.scratch.as_slice()) {
            Some(places) => Ok(places),
            None => {
                let message = "the store answered with a row that was not asked for";
                Err(Error::new(ErrorKind::Internal, message))
            }
        }
    }
}

/// The error of an operation by key on a table without one.
pub(crate) fn no_key(schema: &Schema) -> Error {
    let message = "the table has no key that is never null, so its rows cannot be addressed";
    Error::new(ErrorKind::Unsupported, message).with("table", schema.table())
}

/// The error of a table that was there when it was opened.
pub(crate) fn table_gone(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, "the table is no longer there").with("table", name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sora_core::Value;

    #[test]
    fn equal_keys_share_a_place_and_neighbours_do_not_run_together() {
        let mut keys = RowBuffer::new(2);
        let text = |text: &str| Value::Text(text.into());
        for key in [["ab", "c"], ["a", "bc"], ["ab", "c"]] {
            keys.push(&vec![text(key[0]), text(key[1])]).expect("a key");
        }
        let (mut slots, distinct) = Slots::new(&keys).expect("keys");
        assert_eq!(distinct.len(), 2);
        let reply = vec![Value::Null, text("c"), text("ab")];
        assert_eq!(slots.places(&reply, &[2, 1]).expect("asked for"), [0, 2]);
        assert!(slots.places(&reply, &[1, 2]).is_err());
    }
}
