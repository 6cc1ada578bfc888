//! A part of what a server sends.

use std::io;

/// A part of a value: all of it, or the head of an array, whose elements are parts of their own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// How many bytes it has.
    pub(crate) len: usize,
    /// Its first letter.
    pub(crate) kind: u8,
    /// Of a string, where its bytes begin; none of one that is null.
    pub(crate) text: Option<usize>,
    /// How many elements follow.
    pub(crate) elements: u64,
}

impl Part {
    /// Reads the part that these bytes begin with; none if it is not there as a whole.
    pub(crate) fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
        let line = &rest[..rest.len().min(LINE_BYTES_MAX)];
        let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
            let is_too_long = line.len() == LINE_BYTES_MAX;
            return if is_too_long { Err(broken("a line is too long")) } else { Ok(None) };
        };
        let line = line[..end].strip_suffix(b"\r").ok_or_else(|| broken("a line has no end"))?;
        // The letter and the end of the line.
        let head = end + 2;
        let whole = |elements| Ok(Some(Self { len: head, kind, text: None, elements }));
        match kind {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => whole(0),
            b'*' | b'~' | b'>' => whole(count(line)?.unwrap_or(0)),
            b'%' => whole(count(line)?.unwrap_or(0).saturating_mul(2)),
            // What it is said of follows.
            b'|' => whole(count(line)?.unwrap_or(0).saturating_mul(2).saturating_add(1)),
            b'$' | b'=' | b'!' => match count(line)? {
                None => whole(0),
                Some(length) if length > STRING_BYTES_MAX => Err(broken("a string is too long")),
                Some(length) => {
                    let len = head + usize::try_from(length).unwrap_or(usize::MAX - head - 2) + 2;
                    let part = Self { len, kind, text: Some(head), elements: 0 };
                    Ok((bytes.len() >= len).then_some(part))
                }
            },
            _ => Err(broken("a value of no known kind")),
        }
    }
}

/// The longest line: a number, a word, or an error.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;

/// The longest string that a server holds, by its own documentation.
const STRING_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// The number of a line; none if it is -1, which stands for null.
fn count(line: &[u8]) -> io::Result<Option<u64>> {
    match line {
        b"-1" => Ok(None),
        [] => Err(broken("a number is missing")),
        digits => {
            let mut number: u64 = 0;
            for digit in digits {
                let digit = digit.wrapping_sub(b'0');
                let next = number.checked_mul(10).and_then(|it| it.checked_add(digit.into()));
                number = next.filter(|_| digit < 10).ok_or_else(|| broken("no number"))?;
            }
            Ok(Some(number))
        }
    }
}

/// What no server sends.
pub(super) fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
