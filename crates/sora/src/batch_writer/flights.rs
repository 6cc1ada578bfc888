//! Chunks that are being written, in the order of the stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sora_core::write::Outcome;
use sora_core::{Error, ErrorKind, Retry};
use tokio::task::JoinHandle;

use super::chunk::{Chunk, Identity};
use super::sending::Sent;

/// Chunks between the first that has no outcome and the last that was sent.
#[derive(Debug)]
pub(super) struct Flights {
    flights: VecDeque<Flight>,
    lanes: usize,
}

#[derive(Debug)]
struct Flight {
    chunk: Arc<Chunk>,
    state: State,
}

#[derive(Debug)]
enum State {
    Running(Task),
    Landed(Sent),
}

/// A task that ends when nobody waits for it.
#[derive(Debug)]
struct Task(JoinHandle<Sent>);

impl Flights {
    pub(super) fn new(lanes: usize) -> Self {
        Self { flights: VecDeque::new(), lanes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// Whether a chunk may be sent now: a lane is free, not too many outcomes wait for those before
    /// them, and no row of its keys is on its way.
    pub(super) fn has_room(&self, chunk: &Chunk, identity: &Identity) -> bool {
        let running = || self.flights.iter().filter(|flight| flight.is_running());
        running().count() < self.lanes
            && self.flights.len() < self.lanes * 2
            && !running().any(|flight| flight.chunk.meets(chunk, identity))
    }

    pub(super) fn start(&mut self, chunk: Arc<Chunk>, task: JoinHandle<Sent>) {
        self.flights.push_back(Flight { chunk, state: State::Running(Task(task)) });
    }

    /// Adds a chunk that is not sent.
    pub(super) fn skip(&mut self, chunk: Arc<Chunk>) {
        let outcomes = (0..chunk.rows.len()).map(|_| Outcome::Skipped).collect();
        let sent = Sent { outcomes, waited: Duration::ZERO, fatal: None, session: None };
        self.flights.push_back(Flight { chunk, state: State::Landed(sent) });
    }

    /// Looks at all that are on their way, and returns the first chunk if it has landed.
    pub(super) fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<(Arc<Chunk>, Sent)> {
        for flight in &mut self.flights {
            if let State::Running(task) = &mut flight.state
                && let Poll::Ready(sent) = Pin::new(&mut task.0).poll(context)
            {
                let sent = sent.unwrap_or_else(|error| lost(&flight.chunk, error));
                flight.state = State::Landed(sent);
            }
        }
        if self.flights.front().is_none_or(Flight::is_running) {
            return Poll::Pending;
        }
        match self.flights.pop_front() {
            Some(Flight { chunk, state: State::Landed(sent) }) => Poll::Ready((chunk, sent)),
            _ => Poll::Pending,
        }
    }

    /// Gives up what is on its way.
    pub(super) fn cut_off(&mut self, error: &Error) {
        for Flight { chunk, state } in &mut self.flights {
            if matches!(state, State::Running(_)) {
                *state = State::Landed(unknown(chunk, error));
            }
        }
    }

    /// Rows that were sent and have no outcome, and rows whose outcome nobody has taken.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = (Arc<Chunk>, Option<Sent>)> {
        self.flights.drain(..).map(|Flight { chunk, state }| match state {
            State::Running(_) => (chunk, None),
            State::Landed(sent) => (chunk, Some(sent)),
        })
    }
}

impl Flight {
    fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The task has panicked, or its runtime is shut down.
fn lost(chunk: &Chunk, error: tokio::task::JoinError) -> Sent {
    let message = "a chunk was sent, and its task ended before the store had answered";
    let error = Error::new(ErrorKind::Cancelled, message)
        .with_retry(Retry::IfIdempotent)
        .with_source(error);
    unknown(chunk, &error)
}

fn unknown(chunk: &Chunk, error: &Error) -> Sent {
    let outcomes = (0..chunk.rows.len()).map(|_| Outcome::Unknown(error.clone())).collect();
    Sent { outcomes, waited: Duration::ZERO, fatal: Some(error.clone()), session: None }
}
