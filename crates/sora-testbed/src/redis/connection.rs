//! A connection to a Redis server, as bare as it can be.

use std::io::{self, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::address::Address;
use super::reply::Reply;

/// How long an answer may take: a server that is paused must not hold its test up for ever.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A blocking connection to a Redis server, for what a test itself says to it: one command at a time.
/// An answer that takes more than ten seconds is an error.
#[derive(Debug)]
pub struct RedisConnection {
    stream: BufReader<TcpStream>,
}

impl RedisConnection {
    pub(crate) fn open(address: &Address) -> io::Result<Self> {
        let connected = TcpStream::connect((address.host(), address.port()));
        let stream = connected.map_err(|error| {
            let message = format!("no Redis server answers at {address:?}: {error}");
            io::Error::new(error.kind(), message)
        })?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        let mut connection = Self { stream: BufReader::new(stream) };
        match (address.user(), address.password()) {
            (Some(user), Some(password)) => connection.command(&["AUTH", user, password])?,
            (None, Some(password)) => connection.command(&["AUTH", password])?,
            (_, None) => return Ok(connection),
        };
        Ok(connection)
    }

    /// Sends a command and reads its answer.
    ///
    /// # Errors
    ///
    /// If the connection breaks, if no answer comes, and if the answer is an error: with its text.
    pub fn command<A: AsRef<[u8]>>(&mut self, words: &[A]) -> io::Result<Reply> {
        self.send(words)?;
        match self.read()? {
            Reply::Error(error) => Err(io::Error::other(error)),
            reply => Ok(reply),
        }
    }

    /// Sends a command, and does not wait for its answer.
    ///
    /// # Errors
    ///
    /// If the connection breaks.
    pub fn send<A: AsRef<[u8]>>(&mut self, words: &[A]) -> io::Result<()> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            let word = word.as_ref();
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&bytes)
    }

    /// Reads what the server says next: an answer, be it an error, or a push.
    ///
    /// # Errors
    ///
    /// If the connection breaks, or nothing comes.
    pub fn read(&mut self) -> io::Result<Reply> {
        Reply::read(&mut self.stream).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the Redis server did not answer within {} s", ANSWER_MAX.as_secs()),
            ),
            _ => error,
        })
    }
}
