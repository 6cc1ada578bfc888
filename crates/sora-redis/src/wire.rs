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
    /// That the connection was lost: they may have been done.
    pub(crate) async fn ask(&self, commands: &[u8], missing: usize) -> Result<Vec<Reply>> {
        if missing == 0 {
            return Ok(Vec::new());
        }
        let (answer, answered) = oneshot::channel();
        self.0.ask(commands, Asked { missing, replies: Vec::with_capacity(missing), answer });
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

    fn ask(&self, commands: &[u8], asked: Asked) {
        let mut state = self.state();
        if state.is_closed {
            return;
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
