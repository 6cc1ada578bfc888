//! The end of a load.

use std::sync::Arc;

use sora_core::{Error, Result, Source};

use super::flight::{Flight, Found, cut_off};
use super::memory::{Erased, Lives};
use super::numbers::count;
use super::space::Space;
use super::tags::TagNames;

/// The end of a load: what it gave is kept if nothing has changed since it began, and all who wait
/// are told. Dropped before, it tells them that.
#[derive(Debug)]
pub(super) struct Landing {
    pub(super) space: Arc<Space>,
    pub(super) key: Arc<[u8]>,
    flight: Arc<Flight>,
    /// When the load began: what it gives is as old as that.
    began_ms: u64,
    /// Whether others can join it, and what it gives may be kept.
    pub(super) leads: bool,
    is_over: bool,
}

/// How long memory keeps what was loaded, beside what the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// As long as the policy says.
    Long,
    /// No longer than so many milliseconds.
    For(u64),
    /// Not at all.
    Not,
}

impl Landing {
    pub(super) fn new(
        space: &Arc<Space>,
        flight: Arc<Flight>,
        key: Arc<[u8]>,
        leads: bool,
    ) -> Self {
        if !leads {
            count(&space.counters.bypassed);
        }
        let began_ms = space.now_ms();
        Self { space: space.clone(), key, flight, began_ms, leads, is_over: false }
    }

    /// Lets the load stand again, before it reads anew: what changed before that does not matter.
    pub(super) fn renew(&self) {
        if self.leads {
            self.space.fence.renew(&self.key, &self.flight, self.space.now_ms());
        }
    }

    /// Lets the load have a task of its own from now on.
    pub(super) fn let_go(&self) {
        self.flight.let_go();
    }

    pub(super) fn land(mut self, loaded: Option<(Erased, u64)>, source: Source, keep: Keep) {
        self.is_over = true;
        let space = &self.space;
        let now_ms = space.now_ms();
        let lives = Lives::new(&space.policy, loaded.is_some(), now_ms, space.time.random());
        let lives = match keep {
            Keep::For(time_ms) => lives.at_most(self.began_ms, time_ms),
            Keep::Long | Keep::Not => lives,
        };
        let mut fits = true;
        let fill = || {
            if keep != Keep::Not {
                fits = space.memory.fill(&self.key, loaded.as_ref(), lives);
            }
        };
        if self.leads && !space.fence.finish(&self.key, &self.flight, fill) {
            count(&space.counters.fills_refused);
        }
        if !fits {
            count(&space.counters.too_large);
        }
        self.flight.land(Ok(Found { value: loaded.map(|(value, _)| value), source }));
    }

    pub(super) fn fail(mut self, error: Error) {
        self.end_with(error);
    }

    fn end_with(&mut self, error: Error) {
        self.is_over = true;
        count(&self.space.counters.loads_failed);
        self.space.fence.finish(&self.key, &self.flight, || {});
        self.flight.land(Err(error));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.is_over {
            self.end_with(cut_off());
        }
    }
}

/// Tells all who wait for some loads how they ended.
pub(super) fn fail_all(landings: impl IntoIterator<Item = Landing>, error: &Error) {
    landings.into_iter().for_each(|landing| landing.fail(error.clone()));
}

/// What a load of several rows gave, or the error of all of them.
pub(super) type Loaded = Result<Vec<Option<LoadedRow>>>;

/// A row as memory keeps it, and as the shared tier does if it is to be put there.
#[derive(Debug)]
pub(super) struct LoadedRow {
    pub(super) decoded: (Erased, u64),
    pub(super) encoded: Option<Vec<u8>>,
    /// What tags it, there.
    pub(super) tags: TagNames,
}
