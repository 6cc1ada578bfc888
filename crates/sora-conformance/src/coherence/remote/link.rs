//! The way between one node and the server, and what goes wrong on it.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use tokio::time::Instant;

use super::server::Told;
use super::{Ears, RemoteFaults, RemoteFlaw};
use crate::coherence::clock::elapsed_ns;
use crate::random::Random;

/// The connection of one node.
pub(super) struct Link {
    seed: u64,
    started: Instant,
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
            seed,
            started: Instant::now(),
            ears,
            is_up: true,
            is_silent: false,
            epoch: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// The lots of what happens now with names: the same in whatever order tasks wake that do it at once.
    pub(super) fn lots<'a>(&self, what: u64, names: impl IntoIterator<Item = &'a [u8]>) -> Lots {
        let names = names.into_iter().flatten().map(|byte| u64::from(*byte));
        Lots(Random::of(self.seed, [elapsed_ns(self.started), what].into_iter().chain(names)))
    }

    /// Draws the lots of a message.
    pub(super) fn push(&self, number: u64, what: Told, faults: &RemoteFaults) -> Push {
        let mut lots = self.lots(PUSH, what.name.as_ref().map(|(_, key)| &**key));
        let delay = lots.up_to(faults.push_delay_ms_max.saturating_mul(1_000));
        let later = lots.up_to(faults.push_delay_ms_max.saturating_mul(1_000));
        let is_doubled = lots.percent(faults.duplicate_percent);
        let is_lost = lots.percent(faults.lose_percent);
        let gap = (lots.silence(faults), lots.down(faults.down_ms_max));
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
}

/// What is drawn for one call or message.
pub(super) struct Lots(Random);

/// What lots are for.
pub(super) const CALL: u64 = 1;
pub(super) const RESTART: u64 = 2;
const PUSH: u64 = 3;

impl Lots {
    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.0.percent(percent)
    }

    /// How long a loss is not noticed: one in four is at once. What is lost may have been under way for
    /// as long as a message can.
    pub(super) fn silence(&mut self, faults: &RemoteFaults) -> Duration {
        let silence_ms = faults.staleness_max_ms.saturating_sub(faults.push_delay_ms_max);
        let silence = self.up_to(silence_ms.saturating_mul(1_000));
        if self.0.percent(25) { Duration::ZERO } else { silence }
    }

    /// How long the connection is away: one in four is back at once.
    pub(super) fn down(&mut self, ms_max: u64) -> Duration {
        let down = self.up_to(ms_max.saturating_mul(1_000));
        if self.0.percent(25) { Duration::ZERO } else { down }
    }

    pub(super) fn up_to(&mut self, us_max: u64) -> Duration {
        let below = usize::try_from(us_max.saturating_add(1)).unwrap_or(usize::MAX);
        Duration::from_micros(self.0.below(below) as u64)
    }
}
