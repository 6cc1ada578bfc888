//! One session: a step after another, on one node.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sora::{CacheMode, Repository, Sora};
use tokio::sync::RwLock;
use tokio::time::{sleep, timeout};

use super::Workload;
use super::item::Item;
use super::way::{Change, Way, is_refused};
use crate::coherence::clock::StepClock;
use crate::coherence::step::{Op, Step, Tier};
use crate::coherence::watch::TierWatch;
use crate::random::Random;

/// What all sessions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) workload: Workload,
    pub(super) clock: StepClock,
    /// How many there are, those that read all at the end too.
    pub(super) sessions: usize,
    pub(super) watch: Arc<TierWatch>,
    pub(super) keys: Box<[Key]>,
    pub(super) steps: Mutex<Vec<Step>>,
    pub(super) failures: Mutex<Vec<String>>,
}

/// The versions of a key.
#[derive(Debug, Default)]
pub(super) struct Key {
    /// Held alone by a write, together by those that the store puts into order.
    turn: RwLock<()>,
    state: Mutex<KeyState>,
}

#[derive(Debug, Default)]
struct KeyState {
    last: u64,
    /// Whether there is a row, as far as is known to whoever holds the key alone.
    is_there: bool,
}

pub(super) struct Session {
    pub(super) number: usize,
    pub(super) node: usize,
    pub(super) store: Sora,
    pub(super) items: Repository<Item>,
    pub(super) random: Random,
    pub(super) shared: Arc<Shared>,
}

/// Failures that are kept.
const FAILURES_MAX: usize = 100;
/// A write is dropped within so long.
const DROP_US_MAX: usize = 30_000;
/// Rows of one look-up of many.
const MANY_MAX: usize = 3;

impl Session {
    pub(super) async fn run(mut self) {
        let Workload { steps, time_ms, pause_us_max, writes_percent, .. } = self.shared.workload;
        let end_ns = time_ms.saturating_mul(1_000_000);
        for _ in 0..steps {
            let pause = self.random.below(usize::try_from(pause_us_max).unwrap_or(0) + 1);
            sleep(Duration::from_micros(pause as u64)).await;
            self.turn().await;
            if self.shared.clock.now_ns() > end_ns {
                break;
            }
            if self.random.percent(writes_percent) {
                let id = self.write().await;
                if self.random.percent(50) {
                    self.get(id).await;
                }
            } else if self.random.percent(80) {
                let id = self.id();
                self.get(id).await;
            } else {
                self.get_many().await;
            }
        }
    }

    /// Reads every key once.
    pub(super) async fn read_all(self) {
        for id in 0..self.shared.keys.len() {
            self.get(id).await;
        }
    }

    /// Waits for its turn, if there are turns.
    async fn turn(&self) {
        if self.shared.workload.in_turns {
            self.shared.clock.turn(self.number, self.shared.sessions).await;
        }
    }

    /// A key: low ones more often.
    fn id(&mut self) -> usize {
        let keys = self.shared.keys.len();
        self.random.below(keys).min(self.random.below(keys))
    }

    async fn get(&self, id: usize) {
        let start_ns = self.shared.clock.now_ns();
        let look_up = self.items.get(Item::new(id, 0).id);
        let (given, tier) = self.shared.watch.look_up(look_up).await;
        self.turn().await;
        let end_ns = self.shared.clock.now_ns();
        match given {
            Ok(item) => {
                let version = item.map_or(0, |item| item.version());
                self.record(Op::Read, id, version, (start_ns, Some(end_ns)), Some(tier));
            }
            Err(error) => self.shared.fail(&format!("a look-up failed: {error}")),
        }
    }

    async fn get_many(&mut self) {
        let ids: Vec<usize> = (0..=self.random.below(MANY_MAX)).map(|_| self.id()).collect();
        let start_ns = self.shared.clock.now_ns();
        let given = self.items.get_many(ids.iter().map(|id| Item::new(*id, 0).id)).await;
        self.turn().await;
        let end_ns = self.shared.clock.now_ns();
        match given {
            Ok(items) => {
                for (id, item) in ids.into_iter().zip(items) {
                    let version = item.map_or(0, |item| item.version());
                    self.record(Op::Read, id, version, (start_ns, Some(end_ns)), None);
                }
            }
            Err(error) => self.shared.fail(&format!("a look-up of many failed: {error}")),
        }
    }

    /// Writes one or two rows in any way, and says which the first is.
    async fn write(&mut self) -> usize {
        let way = Way::draw(&mut self.random);
        let mut ids = vec![self.id()];
        if way.is_double() {
            let other = (ids[0] + 1 + self.random.below(self.shared.keys.len() - 1))
                % self.shared.keys.len();
            ids.push(other);
        }
        let limit = self
            .random
            .percent(self.shared.workload.drop_percent)
            .then(|| Duration::from_micros(self.random.below(DROP_US_MAX) as u64));
        let shared = self.shared.clone();
        if way == Way::PatchOlder {
            let _turn = shared.keys[ids[0]].turn.read().await;
            self.write_in_turn(way, &ids, limit).await;
        } else {
            // In the order of keys, so that two writes never wait for each other.
            let mut ordered = ids.clone();
            ordered.sort_unstable();
            let mut turns = Vec::with_capacity(ordered.len());
            for id in ordered {
                turns.push(shared.keys[id].turn.write().await);
            }
            self.write_in_turn(way, &ids, limit).await;
        }
        ids[0]
    }

    async fn write_in_turn(&self, way: Way, ids: &[usize], limit: Option<Duration>) {
        let start_ns = self.shared.clock.now_ns();
        let change = |id: &usize| Change { id: *id, version: self.shared.keys[*id].next() };
        let changes: Vec<Change> = ids.iter().map(change).collect();
        let writing = way.write(&self.store, &self.items, &changes);
        let written = match limit {
            Some(limit) => timeout(limit, writing).await.ok(),
            None => Some(writing.await),
        };
        self.turn().await;
        match written {
            Some(Ok(done)) => {
                let end_ns = self.shared.clock.now_ns();
                for (at, change) in changes.iter().enumerate() {
                    if done.get(at).is_some_and(|done| *done) {
                        self.shared.keys[change.id].note(!way.deletes(at));
                        self.record_change(way, at, *change, (start_ns, Some(end_ns)));
                    }
                }
            }
            Some(Err(error)) if !error.is_unknown() => {
                if !is_refused(error.kind()) {
                    self.shared.fail(&format!("{way:?} failed: {error}"));
                }
            }
            _ => self.settle(way, &changes, start_ns).await,
        }
    }

    /// Finds out what became of a write that was dropped, or never confirmed.
    async fn settle(&self, way: Way, changes: &[Change], start_ns: u64) {
        sleep(Duration::from_millis(self.shared.workload.settle_ms)).await;
        let direct = self.items.cache_mode(CacheMode::Bypass);
        for (at, change) in changes.iter().enumerate() {
            let found = direct.get(Item::new(change.id, 0).id).await;
            self.turn().await;
            let is_done = match found {
                Ok(found) => {
                    let was_there = self.shared.keys[change.id].note(found.is_some());
                    match found {
                        Some(item) => item.version() == change.version,
                        // Nothing was to be deleted else.
                        None => way.deletes(at) && was_there,
                    }
                }
                Err(error) => {
                    self.shared.fail(&format!("a look-up in the store failed: {error}"));
                    false
                }
            };
            // Others may have written over what the store puts into order itself.
            let end_ns = is_done.then(|| self.shared.clock.now_ns());
            self.record_change(way, at, *change, (start_ns, end_ns));
        }
    }

    fn record_change(&self, way: Way, at: usize, change: Change, time: (u64, Option<u64>)) {
        let op = if way.deletes(at) { Op::Delete } else { Op::Write };
        self.record(op, change.id, change.version, time, None);
    }

    fn record(
        &self,
        op: Op,
        id: usize,
        version: u64,
        (start_ns, end_ns): (u64, Option<u64>),
        tier: Option<Tier>,
    ) {
        let (session, node) = (self.number as u64, self.node as u64);
        let key = format!("item {id}");
        let step = Step { session, node, op, key, version, start_ns, end_ns, tier };
        self.shared.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }
}

impl Shared {
    /// Notes what should not have happened.
    pub(super) fn fail(&self, what: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < FAILURES_MAX {
            failures.push(what.into());
        }
    }

    pub(super) fn take_steps(&self) -> Vec<Step> {
        std::mem::take(&mut *self.steps.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Key {
    fn next(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last += 1;
        state.last
    }

    /// Notes whether there is a row, and says whether there was one.
    fn note(&self, is_there: bool) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut state.is_there, is_there)
    }
}
