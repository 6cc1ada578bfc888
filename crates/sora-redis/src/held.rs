//! What stands in a key of Redis.
//!
//! Two letters, the first ten digits of the `run_id` of the server that it was written to, and the
//! rest: `SL` and the 16 bytes of a token is a lease, `SV` and bytes a value, `SB` alone a block.
//! A counter is `SC`, those digits, a colon, and a number of microseconds.
//!
//! What another run of a server was told counts as nothing, for that server may have lost what came
//! later: it came back with older data, or is a replica that lagged.

use sora_core::remote::{Slot, Token};

/// How many digits of a `run_id` are written.
const DIGITS: usize = 10;
const HEAD: usize = 2 + DIGITS;
const TOKEN: usize = 16;
/// Numbers of counters are of less than 53 bits; as many of the run are below them.
const RUN_BITS: u32 = 11;

/// One run of a server: a start of its process, by the first digits of its `run_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run([u8; DIGITS]);

/// What a key holds, as one run of a server sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Slot(Slot),
    /// Something that another run was told.
    Stale,
}

impl Run {
    /// Takes the digits of a `run_id`; none if it has too few.
    pub(crate) fn of(run_id: &str) -> Option<Self> {
        let digits: [u8; DIGITS] = run_id.as_bytes().get(..DIGITS)?.try_into().ok()?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(Self(digits))
    }

    pub(crate) fn digits(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn lease(&self, token: Token) -> Vec<u8> {
        self.write(*b"SL", &token.0.to_be_bytes())
    }

    pub(crate) fn value(&self, value: &[u8]) -> Vec<u8> {
        self.write(*b"SV", value)
    }

    pub(crate) fn block(&self) -> Vec<u8> {
        self.write(*b"SB", &[])
    }

    /// Reads what a key holds. What is none of Sora's is a value as it is.
    pub(crate) fn read(&self, held: &[u8]) -> Held {
        let value = |held: &[u8]| Held::Slot(Slot::Value(held.to_vec()));
        let Some((kind, run)) = head(held) else { return value(held) };
        let is_mine = run == self.0;
        let slot = match kind {
            // It may stand too long, never too short.
            b'B' if held.len() == HEAD => return Held::Slot(Slot::Blocked),
            b'L' => {
                let Ok(token) = <[u8; TOKEN]>::try_from(&held[HEAD..]) else {
                    return value(held);
                };
                Slot::Leased(Token(u128::from_be_bytes(token)))
            }
            // What nobody may read is not copied.
            b'V' if !is_mine => return Held::Stale,
            b'V' => Slot::Value(held[HEAD..].to_vec()),
            _ => return value(held),
        };
        if is_mine { Held::Slot(slot) } else { Held::Stale }
    }

    /// Reads a counter; none if it is none of this run.
    ///
    /// The digits of the run are part of the number, so that clocks of two servers that differ do not
    /// make one number twice.
    pub(crate) fn counter(&self, held: &[u8]) -> Option<u64> {
        let (kind, run) = head(held)?;
        let number = held[HEAD..].strip_prefix(b":")?;
        let number: u64 = std::str::from_utf8(number).ok()?.parse().ok()?;
        let run_bits = u64::from_str_radix(std::str::from_utf8(&self.0).ok()?, 16).ok()?
            & ((1 << RUN_BITS) - 1);
        let is_mine = kind == b'C' && run == self.0 && number < 1 << (u64::BITS - RUN_BITS);
        is_mine.then_some(number << RUN_BITS | run_bits)
    }

    fn write(self, kind: [u8; 2], rest: &[u8]) -> Vec<u8> {
        let mut held = Vec::with_capacity(HEAD + rest.len());
        held.extend_from_slice(&kind);
        held.extend_from_slice(&self.0);
        held.extend_from_slice(rest);
        held
    }
}

/// The letter that says what it is, and the digits of its run.
fn head(held: &[u8]) -> Option<(u8, &[u8])> {
    let [first, kind, run @ ..] = held.get(..HEAD)? else { return None };
    let is_ours = *first == b'S' && run.iter().all(u8::is_ascii_hexdigit);
    is_ours.then_some((*kind, run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_the_same_run_alone() {
        let run = Run::of("0123456789abcdef").expect("digits");
        let other = Run::of("0123456788abcdef").expect("digits");
        let lease = Slot::Leased(Token(7));
        for (held, mine, others) in [
            (run.value(b"v"), Held::Slot(Slot::Value(b"v".to_vec())), Held::Stale),
            (run.value(b""), Held::Slot(Slot::Value(vec![])), Held::Stale),
            (run.lease(Token(7)), Held::Slot(lease), Held::Stale),
            (run.block(), Held::Slot(Slot::Blocked), Held::Slot(Slot::Blocked)),
        ] {
            assert_eq!(run.read(&held), mine);
            assert_eq!(other.read(&held), others);
        }
        for foreign in ["", "S", "hello", "SV012345678", "SX0123456789", "SL0123456789short", "SVG"]
        {
            let slot = || Held::Slot(Slot::Value(foreign.into()));
            assert_eq!(
                (run.read(foreign.as_bytes()), other.read(foreign.as_bytes())),
                (slot(), slot())
            );
        }
        for (id, is_well) in [("", false), ("012345678", false), ("01234 6789", false)] {
            assert_eq!(Run::of(id).is_some(), is_well, "{id}");
        }
    }

    #[test]
    fn counters_of_two_runs_differ() {
        let run = Run::of("0123456789").expect("digits");
        let other = Run::of("0123456788").expect("digits");
        let first = run.counter(b"SC0123456789:1790000000000000").expect("a number");
        assert_eq!(run.counter(b"SC0123456789:1790000000000001"), Some(first + 2048));
        assert_ne!(other.counter(b"SC0123456788:1790000000000000"), Some(first));
        for held in ["", "SC0123456788:1", "SC0123456789:", "SC0123456789:x", "SV0123456789:1", "5"]
        {
            assert_eq!(run.counter(held.as_bytes()), None, "{held}");
        }
    }
}
