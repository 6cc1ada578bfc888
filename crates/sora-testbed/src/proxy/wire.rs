//! What is counted and ordered on the connections of a Redis proxy.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// What a proxy does with an invalidation that has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushAction {
    /// Passes it on for so long later than what came with it; answers overtake it.
    Delay(Duration),
    /// Loses it.
    Drop,
    /// Passes it on twice.
    Duplicate,
    /// Keeps it until it is released; what comes behind it overtakes it.
    Hold,
    /// Passes it on, in its place among the answers.
    #[default]
    Pass,
}

/// How often held pushes were released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Releases {
    pub(super) count: usize,
    pub(super) is_reversed: bool,
}

#[derive(Debug)]
pub(super) struct Wire {
    state: Mutex<State>,
    /// Counts every change that a waiting relay, or test, must see.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    action: PushAction,
    releases: Releases,
    pushes: u64,
    conversations: Vec<Conversation>,
}

/// What is said on one connection.
#[derive(Clone, Copy, Debug, Default)]
struct Conversation {
    round_trips: u64,
    /// Whether the client has the word.
    asks: bool,
    is_foreign: bool,
}

impl Wire {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0) }
    }

    pub(super) fn act(&self, action: PushAction) {
        self.change(|state| state.action = action);
    }

    pub(super) fn release(&self, is_reversed: bool) {
        self.change(|state| {
            state.releases = Releases { count: state.releases.count + 1, is_reversed };
        });
    }

    pub(super) fn releases(&self) -> Releases {
        self.state().releases
    }

    /// Waits until held pushes were released behind the count.
    pub(super) async fn wait_released(&self, count: usize) {
        self.wait(|state| state.releases.count > count).await;
    }

    /// Counts an invalidation; returns what is done with it.
    pub(super) fn pushed(&self) -> PushAction {
        self.change(|state| state.pushes += 1);
        self.state().action
    }

    pub(super) fn pushes(&self) -> u64 {
        self.state().pushes
    }

    pub(super) async fn wait_pushes(&self, count: u64) {
        self.wait(|state| state.pushes >= count).await;
    }

    pub(super) fn round_trips(&self) -> Vec<u64> {
        self.state().conversations.iter().map(|conversation| conversation.round_trips).collect()
    }

    /// Returns the number of a new connection.
    pub(super) fn connect(&self) -> usize {
        let mut state = self.state();
        state.conversations.push(Conversation::default());
        state.conversations.len() - 1
    }

    /// The client of a connection has said something.
    pub(super) fn asked(&self, connection: usize) {
        self.state().with(connection, |conversation| {
            if !conversation.asks && !conversation.is_foreign {
                conversation.round_trips += 1;
            }
            conversation.asks = true;
        });
    }

    /// The client of a connection was answered something.
    pub(super) fn answered(&self, connection: usize) {
        self.state().with(connection, |conversation| conversation.asks = false);
    }

    /// What a connection carries is no exchange with a client.
    pub(super) fn is_foreign(&self, connection: usize) {
        self.state().with(connection, |conversation| conversation.is_foreign = true);
    }

    async fn wait(&self, is_met: impl Fn(&State) -> bool) {
        let mut changes = self.changes.subscribe();
        // The sender lives as long as this.
        while !is_met(&self.state()) && changes.changed().await.is_ok() {}
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
    fn with(&mut self, connection: usize, change: impl FnOnce(&mut Conversation)) {
        if let Some(conversation) = self.conversations.get_mut(connection) {
            change(conversation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_its_answers_are_one_round_trip() {
        let wire = Wire::new();
        let (first, second) = (wire.connect(), wire.connect());
        // a: asks, r: is answered.
        for (said, expected) in [("aaar", 1), ("arrr", 2), ("", 2), ("arar", 4), ("a", 5), ("a", 5)]
        {
            for letter in said.chars() {
                match letter {
                    'a' => wire.asked(first),
                    _ => wire.answered(first),
                }
            }
            assert_eq!(wire.round_trips(), [expected, 0], "{said}");
        }
        wire.is_foreign(second);
        wire.asked(second);
        assert_eq!(wire.round_trips(), [5, 0]);
    }
}
