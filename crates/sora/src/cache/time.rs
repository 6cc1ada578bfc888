//! The time of a cache: asked for each look-up, so that it costs as little as it can.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Clock, SystemClock};

/// The clock of a cache.
#[derive(Clone, Debug)]
pub(super) enum Time {
    /// That of the system, which is asked without a call through a table.
    System(SystemClock),
    /// One that was given.
    Given(Arc<dyn Clock>),
}

impl Time {
    pub(super) fn new() -> Self {
        Self::System(SystemClock::new())
    }

    #[inline]
    pub(super) fn now_ms(&self) -> u64 {
        match self {
            Self::System(clock) => clock.coarse_ms(),
            Self::Given(clock) => clock.coarse_ms(),
        }
    }

    /// The time since 1970, for others to compare with their own; a given clock has only its own.
    pub(super) fn wall_ms(&self) -> u64 {
        match self {
            Self::System(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }
            Self::Given(clock) => clock.coarse_ms(),
        }
    }

    pub(super) fn random(&self) -> u64 {
        match self {
            Self::System(clock) => clock.random(),
            Self::Given(clock) => clock.random(),
        }
    }
}
