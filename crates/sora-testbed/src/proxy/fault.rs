//! The faults of a proxy: what is armed, and what has happened.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// The way of data through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the server answers.
    ToClient,
    /// What the client asks.
    ToServer,
}

/// Harm that is done once: behind how many bytes, in which direction, and what.
///
/// `after_bytes: 0` is before the first byte: towards the client, the server has done what it was
/// asked and its answer is lost; towards the server, the request never arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whose bytes are counted.
    pub direction: Direction,
    /// How many bytes pass before; it happens when the next one comes, which is lost unless the
    /// connection only waits.
    pub after_bytes: u64,
    /// What happens.
    pub action: FaultAction,
}

/// What a fault does to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAction {
    /// Closes both sides, as a process that ends.
    Close,
    /// Holds the data back for a while, and goes on.
    Delay(Duration),
    /// Ends this direction alone: what was received is followed by the end, the other goes on.
    HalfClose,
    /// Resets both sides.
    Reset,
    /// Lets nothing pass in this direction until [`clear`](super::FaultProxy::clear).
    Stall,
}

/// What a relay does with data that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Passes the first bytes on, at least one, and asks again for the rest.
    Pass(usize),
    /// Does harm, at so many calls of `clear`.
    Do(FaultAction, usize),
}

/// A connection, and what had been done to others when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) server: SocketAddr,
    resets: usize,
    losses: [usize; 2],
}

#[derive(Debug)]
pub(super) struct Faults {
    state: Mutex<State>,
    /// Counts every change that a waiting relay, or test, must see.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    server: SocketAddr,
    armed: Vec<Fault>,
    fired: usize,
    connections: usize,
    refuse: bool,
    /// Counts the resets of all connections, and the calls of `clear`.
    resets: usize,
    clears: usize,
    ways: [Way; 2],
}

/// One direction.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    delay: Option<Duration>,
    is_stalled: bool,
    /// Counts how often all connections were told to lose what they carry.
    losses: usize,
    passed: u64,
}

impl Faults {
    pub(super) fn new(server: SocketAddr) -> Self {
        let state = State {
            server,
            armed: Vec::new(),
            fired: 0,
            connections: 0,
            refuse: false,
            resets: 0,
            clears: 0,
            ways: [Way::default(); 2],
        };
        Self { state: Mutex::new(state), changes: watch::Sender::new(0) }
    }

    pub(super) fn redirect(&self, server: SocketAddr) {
        self.change(|state| state.server = server);
    }

    pub(super) fn arm(&self, fault: Fault) {
        self.change(|state| state.armed.push(fault));
    }

    pub(super) fn clear(&self) {
        self.change(|state| {
            state.armed.clear();
            state.clears += 1;
            for way in &mut state.ways {
                way.delay = None;
                way.is_stalled = false;
            }
        });
    }

    pub(super) fn fired(&self) -> usize {
        self.state().fired
    }

    pub(super) async fn wait_fired(&self, count: usize) {
        self.wait(|state| state.fired >= count).await;
    }

    pub(super) fn delay(&self, direction: Direction, by: Duration) {
        self.change(|state| state.way(direction).delay = Some(by));
    }

    pub(super) fn stall(&self, direction: Direction) {
        self.change(|state| state.way(direction).is_stalled = true);
    }

    pub(super) fn lose(&self, direction: Direction) {
        self.change(|state| state.way(direction).losses += 1);
    }

    pub(super) fn refuse(&self, refuse: bool) {
        self.change(|state| state.refuse = refuse);
    }

    pub(super) fn reset_all(&self) {
        self.change(|state| state.resets += 1);
    }

    pub(super) fn connections(&self) -> usize {
        self.state().connections
    }

    pub(super) fn passed(&self, direction: Direction) -> u64 {
        self.state().way(direction).passed
    }

    /// Counts a new connection; none if it is refused.
    pub(super) fn connect(&self) -> Option<Connection> {
        let mut state = self.state();
        state.connections += 1;
        let losses = state.ways.map(|way| way.losses);
        let connection = Connection { server: state.server, resets: state.resets, losses };
        (!state.refuse).then_some(connection)
    }

    /// Waits until all connections are reset that were there with this one.
    pub(super) async fn wait_reset(&self, connection: Connection) {
        self.wait(|state| state.resets > connection.resets).await;
    }

    /// Whether what a connection carries in a direction is lost.
    pub(super) fn is_lost(&self, direction: Direction, connection: Connection) -> bool {
        let index = direction.index();
        self.state().ways[index].losses > connection.losses[index]
    }

    /// Waits, for ever, if the other side is not told the end of a connection.
    pub(super) async fn wait_told(&self, direction: Direction, connection: Connection) {
        if self.is_lost(direction, connection) {
            std::future::pending::<()>().await;
        }
    }

    /// How long data in a direction is held back.
    pub(super) fn delay_of(&self, direction: Direction) -> Option<Duration> {
        self.state().way(direction).delay
    }

    /// How often all was cleared.
    pub(super) fn clears(&self) -> usize {
        self.state().clears
    }

    /// Waits while a direction is stalled; returns how long its data is held back.
    pub(super) async fn wait_open(&self, direction: Direction) -> Option<Duration> {
        self.wait(|state| !state.way(direction).is_stalled).await;
        self.delay_of(direction)
    }

    /// Waits until what is stalled may go on: the next call of `clear` behind `clears`.
    pub(super) async fn wait_cleared(&self, clears: usize) {
        self.wait(|state| state.clears > clears).await;
    }

    /// Decides about `length` bytes, at least one, that have come in a direction.
    pub(super) fn step(&self, direction: Direction, length: usize) -> Step {
        let mut state = self.state();
        let of_way = |fault: &&Fault| fault.direction == direction;
        let next = state.armed.iter().filter(of_way).map(|fault| fault.after_bytes).min();
        if next == Some(0) {
            let at = state
                .armed
                .iter()
                .position(|fault| fault.direction == direction && fault.after_bytes == 0);
            let fault = state.armed.remove(at.expect("one has no bytes left"));
            state.fired += 1;
            let clears = state.clears;
            drop(state);
            self.changes.send_modify(|count| *count += 1);
            return Step::Do(fault.action, clears);
        }
        let most = next.map_or(length, |next| usize::try_from(next).unwrap_or(length));
        let pass = length.min(most);
        // A read is no larger than its buffer.
        let bytes = u64::try_from(pass).unwrap_or(u64::MAX);
        for fault in state.armed.iter_mut().filter(|fault| fault.direction == direction) {
            fault.after_bytes -= bytes;
        }
        state.way(direction).passed += bytes;
        Step::Pass(pass)
    }

    async fn wait(&self, is_met: impl Fn(&mut State) -> bool) {
        let mut changes = self.changes.subscribe();
        // The sender lives as long as this.
        while !is_met(&mut self.state()) && changes.changed().await.is_ok() {}
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changes.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn way(&mut self, direction: Direction) -> &mut Way {
        &mut self.ways[direction.index()]
    }
}

impl Direction {
    fn index(self) -> usize {
        match self {
            Self::ToClient => 0,
            Self::ToServer => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_happen_behind_their_bytes_and_once() {
        let faults = Faults::new(([127, 0, 0, 1], 1).into());
        let arm = |direction, after_bytes, action| {
            faults.arm(Fault { direction, after_bytes, action });
        };
        arm(Direction::ToServer, 10, FaultAction::Reset);
        arm(Direction::ToServer, 4, FaultAction::Stall);
        let step = |length| faults.step(Direction::ToServer, length);
        assert_eq!(faults.step(Direction::ToClient, 100), Step::Pass(100));
        assert_eq!(step(3), Step::Pass(3));
        assert_eq!(step(20), Step::Pass(1));
        assert_eq!(step(19), Step::Do(FaultAction::Stall, 0));
        assert_eq!(step(19), Step::Pass(6));
        assert_eq!(step(13), Step::Do(FaultAction::Reset, 0));
        assert_eq!(step(13), Step::Pass(13));
        assert_eq!((faults.fired(), faults.passed(Direction::ToServer)), (2, 23));
    }
}
