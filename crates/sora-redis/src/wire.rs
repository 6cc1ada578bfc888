//! One connection, as bytes: commands go out, replies come in, and what the server tells of itself.

mod frames;
mod part;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use redis::{PushInfo, PushKind, Value};
use sora_core::Result;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use self::frames::Frames;
pub(crate) use self::part::Part;
use crate::failure;
use crate::reply::Reply;

/// A connection on which many may ask at once: replies come in the order of what was asked.
///
/// Who asks writes by itself, as far as the system takes it, so that no task is woken for that. A task
/// reads, and writes the rest. Whoever is not answered when the connection ends is told so.
#[derive(Clone, Debug)]
pub(crate) struct Wire(Arc<Shared>);

/// What reads a connection. Dropped, the connection is closed.
#[derive(Debug)]
pub(crate) struct Driver(JoinHandle<()>);

#[derive(Debug)]
struct Shared {
    stream: OwnedWriteHalf,
    state: Mutex<State>,
    /// Something is left to be written.
    unsent_is_there: Notify,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    /// What the system has not taken yet.
    unsent: BytesMut,
    /// Who waits for replies, in the order in which they asked.
    asked: VecDeque<Asked>,
}

/// Who waits for so many replies more.
#[derive(Debug)]
struct Asked {
    missing: usize,
    replies: Vec<Reply>,
    answer: oneshot::Sender<Vec<Reply>>,
}

/// Who waits at most: those whose time is over still have their replies to come. It is more than a
/// server that answers ever owes, since lanes are few.
const ASKED_MAX: usize = 256;

/// Closes the connection, whatever ended what read it.
struct Reading(Arc<Shared>);

impl Wire {
    /// Begins to read a connection.
    ///
    /// What the server tells of itself is handed to `hear` in its order, before any reply that came
    /// behind it is handed out; the last is that the connection has ended, unless it was closed here.
    pub(crate) fn open(
        stream: TcpStream,
        hear: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> (Self, Driver) {
        let (reader, writer) = stream.into_split();
        let shared = Arc::new(Shared {
            stream: writer,
            state: Mutex::default(),
            unsent_is_there: Notify::new(),
        });
        let reading = Reading(shared.clone());
        let task = tokio::spawn(async move {
            tokio::select! {
                _ = reading.read(reader, &hear) => {}
                _ = reading.write() => {}
            }
            hear(PushInfo { kind: PushKind::Disconnection, data: Vec::new() });
        });
        (Self(shared), Driver(task))
    }

    /// Sends commands, of which so many replies are missing then, and returns these.
    ///
    /// Dropped, it is done all the same.
    ///
    /// # Errors
    ///
    /// That the connection was lost: they may have been done. [`ErrorKind::Busy`](sora_core::ErrorKind::Busy)
    /// if the server owes too many replies; then nothing was sent.
    pub(crate) async fn ask(&self, commands: &[u8], missing: usize) -> Result<Vec<Reply>> {
        if missing == 0 {
            return Ok(Vec::new());
        }
        let (answer, answered) = oneshot::channel();
        self.0.ask(commands, Asked { missing, replies: Vec::with_capacity(missing), answer })?;
        answered.await.map_err(|_| failure::lost())
    }
}

impl Driver {
    /// Waits until the connection has ended.
    pub(crate) async fn ended(&mut self) {
        // A panic of it ends the connection, too.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, commands: &[u8], asked: Asked) -> Result<()> {
        let mut state = self.state();
        if state.is_closed {
            return Err(failure::lost());
        }
        if state.asked.len() >= ASKED_MAX {
            return Err(failure::owing());
        }
        state.asked.push_back(asked);
        // Behind what is left nothing may overtake.
        let sent = if state.unsent.is_empty() { self.stream.try_write(commands) } else { Ok(0) };
        // What failed is seen again by the task that writes the rest, which closes the connection.
        let sent = sent.unwrap_or(0);
        if sent < commands.len() {
            state.unsent.extend_from_slice(&commands[sent..]);
            drop(state);
            self.unsent_is_there.notify_one();
        }
        Ok(())
    }

    /// Hands a reply to who waits for it.
    fn answer(&self, frame: Bytes) -> io::Result<()> {
        let mut state = self.state();
        let first = state.asked.front_mut().ok_or_else(unasked)?;
        first.replies.push(Reply::new(frame));
        first.missing = first.missing.saturating_sub(1);
        if first.missing == 0
            && let Some(Asked { replies, answer, .. }) = state.asked.pop_front()
        {
            drop(state);
            // A caller that is gone is told nothing.
            drop(answer.send(replies));
        }
        Ok(())
    }
}

impl Reading {
    /// Reads until the connection ends.
    async fn read(&self, stream: OwnedReadHalf, hear: impl Fn(PushInfo)) -> io::Result<()> {
        let mut frames = Frames::new(stream);
        loop {
            frames.read().await?;
            while let Some(frame) = frames.next()? {
                if !frame.starts_with(b">") {
                    self.0.answer(frame)?;
                } else if let Some(Value::Push { kind, data }) = Reply::new(frame).into_value() {
                    hear(PushInfo { kind, data });
                }
            }
        }
    }

    /// Writes what the system does not take at once, until the connection ends.
    async fn write(&self) -> io::Result<()> {
        loop {
            self.0.unsent_is_there.notified().await;
            loop {
                self.0.stream.writable().await?;
                let mut state = self.0.state();
                match self.0.stream.try_write(&state.unsent) {
                    Ok(sent) => state.unsent.advance(sent),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
                if state.unsent.is_empty() {
                    // What was much is not kept.
                    state.unsent = BytesMut::new();
                    break;
                }
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_closed = true;
        let left = (std::mem::take(&mut state.asked), std::mem::take(&mut state.unsent));
        drop(state);
        // Those who wait are woken when nothing is locked.
        drop(left);
    }
}

fn unasked() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a reply to nothing")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sora_core::ErrorKind;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    /// A connection, what it hears, and the server's end of it.
    async fn connected() -> (Wire, Driver, Arc<Mutex<Vec<PushKind>>>, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let record = heard.clone();
        let hear = move |info: PushInfo| record.lock().expect("no panic").push(info.kind);
        let (wire, driver) = Wire::open(client.expect("a client"), hear);
        (wire, driver, heard, server.expect("a server").0)
    }

    fn words(replies: Vec<Reply>) -> Vec<Option<Value>> {
        replies.into_iter().map(Reply::into_value).collect()
    }

    #[tokio::test]
    async fn replies_go_to_those_who_asked_in_their_order() {
        let (wire, _driver, heard, mut server) = connected().await;
        let first = wire.ask(b"one two ", 2);
        let second = wire.ask(b"three", 1);
        let answers = async {
            let mut asked = [0; 13];
            server.read_exact(&mut asked).await.expect("commands");
            assert_eq!(&asked, b"one two three");
            let replies = b":1\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n:2\r\n:3\r\n";
            server.write_all(replies).await.expect("sent");
        };
        let (first, second, ()) = tokio::join!(first, second, answers);
        let number = |number| Some(Value::Int(number));
        assert_eq!(words(first.expect("replies")), [number(1), number(2)]);
        assert_eq!(words(second.expect("a reply")), [number(3)]);
        assert_eq!(*heard.lock().expect("no panic"), [PushKind::Invalidate]);
    }

    #[tokio::test]
    async fn what_the_system_does_not_take_is_written_later() {
        let (wire, _driver, _heard, mut server) = connected().await;
        // More than fits into the buffers of both ends.
        let large = vec![b'x'; 32 << 20];
        let both = async { tokio::join!(wire.ask(&large, 1), wire.ask(b"end", 1)) };
        let answers = async {
            let mut asked = vec![0; large.len() + 3];
            server.read_exact(&mut asked).await.expect("commands");
            assert!(asked.starts_with(&large) && asked.ends_with(b"xend"));
            server.write_all(b":1\r\n:2\r\n").await.expect("sent");
        };
        let ((first, second), ()) = tokio::join!(both, answers);
        assert_eq!(words(first.expect("a reply")), [Some(Value::Int(1))]);
        assert_eq!(words(second.expect("a reply")), [Some(Value::Int(2))]);
        assert_eq!(wire.0.state().unsent.capacity(), 0);
    }

    #[tokio::test]
    async fn whoever_is_not_answered_is_told_that_the_connection_was_lost() {
        for (reply, is_closed) in
            [(&b":1\r\n"[..], true), (b"what?\r\n", false), (b":1\r\n:2\r\n:3\r\n", false)]
        {
            let (wire, mut driver, heard, mut server) = connected().await;
            let answers = async {
                server.read_exact(&mut [0; 6]).await.expect("commands");
                server.write_all(reply).await.expect("sent");
                if is_closed {
                    server.shutdown().await.expect("closed");
                }
            };
            let (first, second, ()) =
                tokio::join!(wire.ask(b"one", 1), wire.ask(b"two", 1), answers);
            driver.ended().await;
            let lost = |answer: Result<Vec<Reply>>| answer.err().map(|error| error.kind());
            let unavailable = Some(ErrorKind::Unavailable);
            // A reply to nothing, or none at all, ends the connection; what came before is good.
            assert_eq!(lost(first).is_some(), reply.starts_with(b"what"));
            assert_eq!(lost(second).is_some(), !reply.ends_with(b":3\r\n"));
            assert_eq!(lost(wire.ask(b"three", 1).await), unavailable);
            assert_eq!(*heard.lock().expect("no panic"), [PushKind::Disconnection]);
        }
    }

    #[tokio::test]
    async fn a_server_that_owes_too_much_is_asked_no_more() {
        let (wire, driver, _heard, _server) = connected().await;
        let mut asking = JoinSet::new();
        for _ in 0..ASKED_MAX {
            let wire = wire.clone();
            asking.spawn(async move { wire.ask(b"x", 1).await });
        }
        while wire.0.state().asked.len() < ASKED_MAX {
            tokio::task::yield_now().await;
        }
        let error = wire.ask(b"x", 1).await.expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::Busy);
        drop(driver);
        let ended = tokio::time::timeout(Duration::from_mins(1), asking.join_all()).await;
        assert!(ended.expect("all are told").iter().all(Result::is_err));
    }
}
