//! The way between one node and the server, and what goes wrong on it.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use super::server::Told;
use super::{Ears, RemoteFaults, RemoteFlaw};
use crate::random::Random;

/// The connection of one node.
pub(super) struct Link {
    pub(super) random: Random,
    pub(super) ears: Weak<Ears>,
    pub(super) is_up: bool,
    /// It is lost, and nobody has noticed.
    pub(super) is_silent: bool,
    /// Counts the connections.
    pub(super) epoch: u64,
    /// What the server has said and the node not heard, by when it was said.
    pub(super) waiting: BTreeMap<u64, Told>,
}

/// A message to the listeners of a node, and how it goes.
pub(super) struct Push {
    pub(super) to: usize,
    pub(super) number: u64,
    pub(super) epoch: u64,
    pub(super) what: Told,
    pub(super) delay: Duration,
    /// It comes once more, so much later.
    pub(super) again: Option<Duration>,
    pub(super) is_lost: bool,
    /// When a loss is noticed, and for how long the connection is away then.
    pub(super) gap: Option<(Duration, Duration)>,
}

impl Link {
    pub(super) fn new(seed: u64, ears: Weak<Ears>) -> Self {
        Self {
            random: Random::new(seed),
            ears,
            is_up: true,
            is_silent: false,
            epoch: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Draws the lots of a message; as many each time, so that one changes no other.
    pub(super) fn push(&mut self, number: u64, what: Told, faults: &RemoteFaults) -> Push {
        let delay = self.up_to(faults.push_delay_ms_max.saturating_mul(1_000));
        let later = self.up_to(faults.push_delay_ms_max.saturating_mul(1_000));
        let is_doubled = self.random.percent(faults.duplicate_percent);
        let is_lost = self.random.percent(faults.lose_percent);
        let gap = (self.silence(faults), self.down(faults.down_ms_max));
        Push {
            to: what.to,
            number,
            epoch: self.epoch,
            what,
            delay,
            again: is_doubled.then_some(later),
            is_lost,
            gap: (faults.flaw != Some(RemoteFlaw::LosesInSilence)).then_some(gap),
        }
    }

    /// How long a loss is not noticed: one in four is at once. What is lost may have been under way for
    /// as long as a message can.
    pub(super) fn silence(&mut self, faults: &RemoteFaults) -> Duration {
        let silence_ms = faults.staleness_max_ms.saturating_sub(faults.push_delay_ms_max);
        let silence = self.up_to(silence_ms.saturating_mul(1_000));
        if self.random.percent(25) { Duration::ZERO } else { silence }
    }

    /// How long the connection is away: one in four is back at once.
    pub(super) fn down(&mut self, ms_max: u64) -> Duration {
        let down = self.up_to(ms_max.saturating_mul(1_000));
        if self.random.percent(25) { Duration::ZERO } else { down }
    }

    pub(super) fn up_to(&mut self, us_max: u64) -> Duration {
        let below = usize::try_from(us_max.saturating_add(1)).unwrap_or(usize::MAX);
        Duration::from_micros(self.random.below(below) as u64)
    }
}
