//! What a server sends, cut into whole values.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::part::{Part, broken};

/// Reads a stream and cuts it into values, as they are: RESP2 or RESP3, without what only a client that
/// asks for it is sent (streamed values).
#[derive(Debug)]
pub(super) struct Frames<S> {
    stream: S,
    buffer: BytesMut,
    /// Where the next part of the value that is not whole yet begins.
    at: usize,
    /// How many parts of it are missing: an array counts its elements as they come.
    missing: u64,
}

/// What is read at a time. A reply to many names would be several calls of the system else.
const READ_BYTES_MAX: usize = 64 * 1024;

/// With less room than this more is made, rather than read little.
const READ_BYTES_MIN: usize = 16 * 1024;

impl<S: AsyncRead + Unpin> Frames<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new(), at: 0, missing: 1 }
    }

    /// Waits for more bytes; an error at the end of the stream.
    pub(super) async fn read(&mut self) -> io::Result<()> {
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES_MIN {
            self.buffer.reserve(READ_BYTES_MAX);
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Returns the next value that is whole. An error if it is none: nothing behind it can be read.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        while self.missing > 0 {
            let Some(part) = Part::read(&self.buffer[self.at..])? else { return Ok(None) };
            self.at += part.len;
            let missing = (self.missing - 1).checked_add(part.elements);
            self.missing = missing.ok_or_else(|| broken("too many elements"))?;
        }
        self.missing = 1;
        Ok(Some(self.buffer.split_to(std::mem::take(&mut self.at)).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::part::LINE_BYTES_MAX;

    /// Values of each kind, one in another, and null ones.
    const VALUES: [&str; 16] = [
        "+OK\r\n",
        "-ERR no\r\n",
        ":-5\r\n",
        "$5\r\na\r\nb\n\r\n",
        "$0\r\n\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*3\r\n$1\r\na\r\n*2\r\n:1\r\n_\r\n$-1\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n#t\r\n",
        "|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n",
        "~1\r\n,1.5\r\n",
        ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
        "=7\r\ntxt:abc\r\n",
        "!5\r\nERR x\r\n",
        "(12345678901234567890\r\n",
    ];

    /// A stream of these bytes, so many at a time.
    async fn cut(bytes: &[u8], at_a_time: usize) -> io::Result<Vec<Bytes>> {
        let (mut sender, receiver) = tokio::io::duplex(at_a_time);
        let bytes = bytes.to_vec();
        let sending =
            tokio::spawn(
                async move { tokio::io::AsyncWriteExt::write_all(&mut sender, &bytes).await },
            );
        let mut frames = Frames::new(receiver);
        let mut values = Vec::new();
        let end = loop {
            while let Some(value) = frames.next()? {
                values.push(value);
            }
            if let Err(error) = frames.read().await {
                break error;
            }
        };
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
        assert!(sending.await.is_ok());
        Ok(values)
    }

    #[tokio::test]
    async fn values_are_whole_however_they_come() {
        let all = VALUES.concat();
        for at_a_time in [1, 2, 3, 7, all.len()] {
            assert_eq!(cut(all.as_bytes(), at_a_time).await.expect("values"), VALUES);
        }
        for value in VALUES {
            for end in 0..value.len() {
                assert!(cut(&value.as_bytes()[..end], 64).await.expect("a part").is_empty());
            }
        }
    }

    #[tokio::test]
    async fn a_large_value_is_one() {
        let text = "x".repeat(3 * READ_BYTES_MAX);
        let value = format!("*2\r\n${}\r\n{text}\r\n:1\r\n", text.len());
        let values = cut(format!("{value}+OK\r\n").as_bytes(), 10_000).await.expect("values");
        assert_eq!(values, [value.as_bytes(), b"+OK\r\n"]);
    }

    #[tokio::test]
    async fn what_is_no_value_is_an_error() {
        for bytes in [
            "HTTP/1.1 400 Bad Request\r\n",
            "\r\n",
            "$x\r\n",
            "$\r\n",
            "$-2\r\n",
            "*?\r\n",
            "+OK\n",
            "$536870913\r\n",
            "*99999999999999999999\r\n",
            &format!("+{}", "x".repeat(LINE_BYTES_MAX)),
        ] {
            let error = cut(bytes.as_bytes(), 1_000_000).await.expect_err(bytes);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes}");
        }
    }
}
