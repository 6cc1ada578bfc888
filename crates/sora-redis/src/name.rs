//! Names as keys of Redis.
//!
//! The key of a name is `{space:bucket}key`: the bucket is the CRC-16 (XMODEM, the one by which Redis
//! Cluster finds slots) of the bytes of `key`, modulo 256, as two small hexadecimal digits.

use smallvec::SmallVec;
use sora_core::remote::RemoteName;
use sora_core::{Error, ErrorKind, Result};

/// Over how many hash tags the names of a space are spread.
const BUCKETS: u16 = 256;
const SLOTS: u16 = 16_384;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The key of a name. Most are so short that they take no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(SmallVec<[u8; 64]>);

impl Key {
    /// Returns the key of a name; an error if its space has names that could be taken for others.
    pub(crate) fn of(name: &RemoteName) -> Result<Self> {
        let space = name.space.as_bytes();
        if space.is_empty() || space.iter().any(|byte| matches!(byte, b'{' | b'}')) {
            let message = "the space of a name must have a letter and no braces";
            return Err(Error::new(ErrorKind::InvalidInput, message).with("space", &name.space));
        }
        let bucket = checksum(&name.key) % BUCKETS;
        let [high, low] = [bucket >> 4, bucket & 15].map(|digit| DIGITS[usize::from(digit)]);
        let mut key = SmallVec::with_capacity(space.len() + 5 + name.key.len());
        key.push(b'{');
        key.extend_from_slice(space);
        key.extend_from_slice(&[b':', high, low, b'}']);
        key.extend_from_slice(&name.key);
        Ok(Self(key))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns its slot in a cluster: that of what stands in braces.
    pub(crate) fn slot(&self) -> u16 {
        let tag = self.0[1..].split(|byte| *byte == b'}').next().unwrap_or_default();
        checksum(tag) % SLOTS
    }
}

/// Returns space and key of a key of Redis; none if it is no name.
pub(crate) fn parse(key: &[u8]) -> Option<(&str, &[u8])> {
    let rest = key.strip_prefix(b"{")?;
    let end = rest.iter().position(|byte| *byte == b'}')?;
    let (tag, key) = (&rest[..end], &rest[end + 1..]);
    let space = tag.get(..tag.len().checked_sub(3)?)?;
    (tag[space.len()] == b':').then_some((std::str::from_utf8(space).ok()?, key))
}

/// CRC-16 with the polynomial 0x1021 and nothing else done to it, as the specification of Redis Cluster
/// has it.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) ^ TABLE[usize::from((sum >> 8) ^ u16::from(*byte))])
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut at: u16 = 0;
    while at < 256 {
        let mut sum: u16 = at << 8;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x1021 };
            bit += 1;
        }
        table[at as usize] = sum;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_key_and_back() {
        // The check value of the specification.
        assert_eq!(checksum(b"123456789"), 0x31c3);
        for (space, key, expected) in [
            ("shop:orders:v1", &b"123456789"[..], &b"{shop:orders:v1:c3}123456789"[..]),
            ("s", b"", b"{s:00}"),
            ("s", b"{a}", b"{s:d8}{a}"),
        ] {
            let name = RemoteName::new(space, key);
            let written = Key::of(&name).expect("a name");
            assert_eq!(written.bytes(), expected, "{space}");
            assert_eq!(parse(written.bytes()), Some((space, key)), "{space}");
        }
        for key in ["", "a", "{", "{}", "{a}", "{ab}", "{abc}", "{a:b}c"] {
            assert_eq!(parse(key.as_bytes()), None, "{key}");
        }
    }

    #[test]
    fn a_slot_is_that_of_what_stands_in_braces() {
        for (key, tag) in [(&b"k"[..], &b"s:cd"[..]), (b"{a}", b"s:d8")] {
            let key = Key::of(&RemoteName::new("s", key)).expect("a name");
            assert!(key.bytes()[1..].starts_with(tag), "{key:?}");
            assert_eq!(key.slot(), checksum(tag) % SLOTS);
        }
        // As `CLUSTER KEYSLOT` says.
        assert_eq!(checksum(b"foo") % SLOTS, 12_182);
    }

    #[test]
    fn a_space_that_could_be_taken_for_another_is_refused() {
        for (space, is_well) in
            [("a", true), ("a:b", true), ("", false), ("a{", false), ("}", false)]
        {
            assert_eq!(Key::of(&RemoteName::new(space, *b"k")).is_ok(), is_well, "{space}");
        }
    }
}
