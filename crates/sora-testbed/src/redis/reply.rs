//! What a Redis server answers, by its protocols RESP2 and RESP3.

use std::io::{self, BufRead};

/// Arrays deeper than this come from no command.
const DEPTH_MAX: usize = 32;
/// The largest string that Redis itself takes.
const STRING_BYTES_MAX: usize = 512 * 1024 * 1024;

/// What a Redis server answers, or sends without being asked ([`Push`](Self::Push)).
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Several values; a set of RESP3 is one too.
    Array(Vec<Self>),
    /// True or false (RESP3).
    Bool(bool),
    /// Bytes.
    Bulk(Vec<u8>),
    /// A floating point number (RESP3).
    Double(f64),
    /// An error, such as `MOVED 3999 127.0.0.1:6381`.
    Error(String),
    /// An integer.
    Integer(i64),
    /// Names and values (RESP3).
    Map(Vec<(Self, Self)>),
    /// Nothing.
    Nil,
    /// What was not asked for, such as an invalidation (RESP3).
    Push(Vec<Self>),
    /// A word, such as `OK`.
    Simple(String),
}

impl Reply {
    /// The text of a string or a word; none if it is something else, or not UTF-8.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Simple(text) => Some(text),
            Self::Bulk(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The number of an integer; none if it is something else.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The values of an array or a push; none if it is something else.
    pub fn values(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) | Self::Push(values) => Some(values),
            _ => None,
        }
    }

    /// Reads one.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Self> {
        Self::read_within(from, DEPTH_MAX)
    }

    fn read_within(from: &mut impl BufRead, depth: usize) -> io::Result<Self> {
        let depth = depth.checked_sub(1).ok_or_else(|| malformed("it is too deep"))?;
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line)?;
        let line = line.strip_suffix(b"\r\n").ok_or_else(ended)?;
        let (kind, rest) = line.split_first().ok_or_else(|| malformed("an empty line"))?;
        let rest = std::str::from_utf8(rest).map_err(|_| malformed("it is not text"))?;
        let number = || rest.parse::<i64>().map_err(|_| malformed(rest));
        Ok(match kind {
            b'+' | b'(' => Self::Simple(rest.into()),
            b'-' => Self::Error(rest.into()),
            b':' => Self::Integer(number()?),
            b'_' => Self::Nil,
            b'#' => Self::Bool(rest == "t"),
            b',' => Self::Double(rest.parse().map_err(|_| malformed(rest))?),
            b'$' | b'=' | b'!' => match usize::try_from(number()?) {
                Ok(length) if length <= STRING_BYTES_MAX => {
                    let bytes = read_string(from, length)?;
                    match kind {
                        b'!' => Self::Error(String::from_utf8_lossy(&bytes).into_owned()),
                        // Behind three letters that say what it is.
                        b'=' => Self::Bulk(bytes.get(4..).unwrap_or_default().to_vec()),
                        _ => Self::Bulk(bytes),
                    }
                }
                Ok(_) => return Err(malformed("a string is too long")),
                Err(_) => Self::Nil,
            },
            b'*' | b'~' | b'>' => match usize::try_from(number()?) {
                Ok(count) => {
                    let one = |_| Self::read_within(from, depth);
                    let values = (0..count).map(one).collect::<io::Result<_>>()?;
                    if *kind == b'>' { Self::Push(values) } else { Self::Array(values) }
                }
                Err(_) => Self::Nil,
            },
            b'%' => {
                let mut one = || Self::read_within(from, depth);
                let pairs = (0..number()?).map(|_| Ok((one()?, one()?)));
                Self::Map(pairs.collect::<io::Result<_>>()?)
            }
            _ => return Err(malformed("of no known kind")),
        })
    }
}

fn read_string(from: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length + 2];
    from.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server has closed the connection")
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this is no answer of Redis: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_both_protocols_are_read() {
        let bulk = |text: &str| Reply::Bulk(text.into());
        for (bytes, expected) in [
            ("+OK\r\n", Reply::Simple("OK".into())),
            ("-ASK 1 h:2\r\n", Reply::Error("ASK 1 h:2".into())),
            ("!5\r\nwrong\r\n", Reply::Error("wrong".into())),
            (":-7\r\n", Reply::Integer(-7)),
            ("$-1\r\n", Reply::Nil),
            ("*-1\r\n", Reply::Nil),
            ("_\r\n", Reply::Nil),
            ("#t\r\n", Reply::Bool(true)),
            (",2.5\r\n", Reply::Double(2.5)),
            ("$4\r\na\r\nb\r\n", bulk("a\r\nb")),
            ("=7\r\ntxt:abc\r\n", bulk("abc")),
            ("*2\r\n$1\r\na\r\n*0\r\n", Reply::Array(vec![bulk("a"), Reply::Array(vec![])])),
            (
                "%1\r\n+a\r\n:1\r\n",
                Reply::Map(vec![(Reply::Simple("a".into()), Reply::Integer(1))]),
            ),
            (">2\r\n$1\r\na\r\n_\r\n", Reply::Push(vec![bulk("a"), Reply::Nil])),
        ] {
            let mut rest = bytes.as_bytes();
            assert_eq!(Reply::read(&mut rest).expect(bytes), expected, "{bytes}");
            assert!(rest.is_empty(), "{bytes}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let deep = "*1\r\n".repeat(DEPTH_MAX + 1);
        for bytes in ["", "+OK", "HTTP/1.1\r\n", "$x\r\n", "$3\r\nab", "$99999999999\r\n", &deep] {
            assert!(Reply::read(&mut bytes.as_bytes()).is_err(), "{bytes}");
        }
    }
}
