//! The shared tier as this process uses it: asked while it answers, and told of every write.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::task::Poll;
use std::time::Duration;

use sora_core::remote::{
    Fill, Filled, Remote, RemoteCapability, RemoteName, RemoteTraffic, Slot, Token,
};
use sora_core::{Error, ErrorKind, LiveTable, Result, Schema};
use tokio::runtime::Handle;

use super::RemoteCache;
use super::breaker::{Breaker, BreakerState};
use super::ear::Ear;
use super::generation::Generation;
use super::journal::{Journal, Work};
use super::names;
use super::patience::{Failure, within};
use super::table::RemoteTable;
use super::tagged::Tags;
use crate::cache::numbers::count;
use crate::cache::tags::Tag;
use crate::cache::time::Time;

/// A shared tier, and what this process knows of it.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(super) config: RemoteCache,
    pub(super) time: Time,
    pub(super) breaker: Breaker,
    pub(super) journal: Journal,
    pub(super) tags: Tags,
    pub(super) known: RwLock<Known>,
    /// Tells leases of this process from those of others, and the count from each other.
    id: u64,
    tokens: AtomicU64,
    pub(super) is_up: AtomicBool,
    is_draining: AtomicBool,
    pub(super) gaps: AtomicU64,
    pub(super) told: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    /// By what the names of their rows are part of.
    pub(super) tables: HashMap<Arc<str>, Arc<RemoteTable>>,
    /// By their tables' names, in small letters.
    pub(super) generations: HashMap<Box<[u8]>, Arc<Generation>>,
    /// By what the names of the values of their tags are part of.
    pub(super) tag_spaces: HashMap<Arc<str>, Arc<RemoteTable>>,
}

/// How a shared tier does, as this process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteState {
    /// Whether the tier has said that it answers.
    pub is_up: bool,
    /// Whether it is asked.
    pub breaker: BreakerState,
    /// What it can do now, and how late it is told of changes at most.
    pub capability: RemoteCapability,
    /// Invalidations that it has not been told yet.
    pub journal: u64,
    /// How often tables were invalidated as a whole because there were too many of these.
    pub journal_overflowed: u64,
    /// How often something may have happened that was not told: what is in memory is asked for again.
    pub gaps: u64,
    /// Changes by others that were told.
    pub told: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Round trips, and the names in them: calls that come together share one.
    pub traffic: RemoteTraffic,
}

/// The task that works the journal off. Dropped, by its end or that of its runtime, it lets another
/// begin.
struct Draining(Weak<Tier>);

/// How long to wait before the journal is tried again.
const DRAIN_MS: u64 = 200;

impl Tier {
    pub(crate) fn new(config: RemoteCache, time: Time) -> Arc<Self> {
        let tier = Arc::new(Self {
            breaker: Breaker::new(config.failures_max, config.open_ms),
            journal: Journal::new(config.journal_names_max),
            tags: Tags::new(config.tags_max),
            config,
            time,
            known: RwLock::default(),
            // Keys that the system drew by lot; the clock's lot may be a test's.
            id: RandomState::new().hash_one(std::process::id()),
            tokens: AtomicU64::new(0),
            is_up: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            gaps: AtomicU64::new(0),
            told: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        tier.config.remote.listen(Arc::new(Ear(Arc::downgrade(&tier))));
        tier
    }

    /// Returns what the tier holds of a table, if all who use it give its rows the same names: the key
    /// of the schema is the table's own, of the types that the store has.
    pub(crate) fn table(&self, schema: &Schema, live: &LiveTable) -> Option<Arc<RemoteTable>> {
        let space = names::rows(&self.config.application, schema, live)?;
        let generation = self.generation(&live.name);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = known.tables.get(&*space) {
            return Some(table.clone());
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let space: Arc<str> = space.into();
        let table = known.tables.entry(space.clone());
        let new = || {
            let tagged = names::tagged(&self.config.application);
            let tagged = RemoteName::new(tagged, generation.name.key.clone());
            let tagged = Arc::new(Generation::new(tagged));
            Arc::new(RemoteTable::new(space, generation, tagged))
        };
        Some(table.or_insert_with(new).clone())
    }

    /// What the names of the values of a tag are part of.
    pub(crate) fn tag_space(&self, table: &str, column: &str) -> String {
        names::tag(&self.config.application, table, column)
    }

    /// Hears of the tags of a table from now on.
    pub(crate) fn hear_tags(&self, table: &Arc<RemoteTable>, tags: &[Tag]) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let spaces = tags.iter().map(|tag| (tag.space.clone(), table.clone()));
        known.tag_spaces.extend(spaces);
    }

    /// Returns the generation of a table by its name.
    pub(crate) fn generation(&self, name: &str) -> Arc<Generation> {
        let key = name.to_lowercase().into_bytes();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(generation) = known.generations.get(&*key) {
            return generation.clone();
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let space = names::generations(&self.config.application);
        let generation = known.generations.entry(key.clone().into());
        let new = || Arc::new(Generation::new(RemoteName::new(space, key)));
        generation.or_insert_with(new).clone()
    }

    pub(crate) fn state(&self) -> RemoteState {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RemoteState {
            is_up: self.is_up.load(Ordering::Acquire),
            breaker: self.breaker.state(self.time.now_ms()),
            capability: self.config.remote.capability(),
            journal: self.journal.len() as u64,
            journal_overflowed: self.journal.overflowed(),
            gaps: get(&self.gaps),
            told: get(&self.told),
            failed: get(&self.failed),
            traffic: self.config.remote.traffic(),
        }
    }

    /// Returns a token that nobody else has, nor ever had.
    pub(super) fn token(&self) -> Token {
        let count = self.tokens.fetch_add(1, Ordering::Relaxed);
        Token(u128::from(self.id) << 64 | u128::from(count))
    }

    /// How long memory keeps what nobody tells the changes of.
    pub(crate) fn untold_time_to_live_ms(&self) -> u64 {
        self.config.untold_time_to_live_ms
    }

    /// How late this process hears of a change at most, or asks again without.
    pub(crate) fn staleness_max_ms(&self) -> u64 {
        let told = match self.config.remote.capability() {
            RemoteCapability { tracks: true, staleness_max_ms, .. } => staleness_max_ms,
            _ => Some(0),
        };
        told.unwrap_or(u64::MAX).max(self.config.untold_time_to_live_ms)
    }

    pub(super) fn remote(&self) -> &dyn Remote {
        &*self.config.remote
    }

    /// Looks rows up; returns the generation of their table as well. One round trip.
    pub(super) async fn fetch(
        &self,
        table: &RemoteTable,
        names: &[RemoteName],
    ) -> Result<(Vec<Slot>, u64)> {
        let asked = match table.generation.known(self.time.now_ms()) {
            Ok(generation) => {
                let slots = self.call(|| self.remote().fetch(names)).await?;
                return checked(slots, names.len()).map(|slots| (slots, generation));
            }
            Err(asked) => asked,
        };
        let counter = std::slice::from_ref(&table.generation.name);
        let (slots, numbers) =
            self.call(|| both(self.remote().fetch(names), self.remote().counters(counter))).await?;
        let generation = checked(numbers, 1)?[0];
        table.generation.learn(asked, generation, self.told_until_ms());
        checked(slots, names.len()).map(|slots| (slots, generation))
    }

    /// A generation. One round trip, if it is not known.
    pub(super) async fn number(&self, generation: &Generation) -> Result<u64> {
        let asked = match generation.known(self.time.now_ms()) {
            Ok(number) => return Ok(number),
            Err(asked) => asked,
        };
        let number = self.counters(std::slice::from_ref(&generation.name)).await?[0];
        generation.learn(asked, number, self.told_until_ms());
        Ok(number)
    }

    pub(super) async fn counters(&self, names: &[RemoteName]) -> Result<Vec<u64>> {
        checked(self.call(|| self.remote().counters(names)).await?, names.len())
    }

    pub(super) async fn lease(&self, names: &[RemoteName], token: Token) -> Result<Vec<Slot>> {
        let time_ms = self.config.lease_time_ms;
        let slots = self.call(|| self.remote().lease(names, token, time_ms)).await?;
        checked(slots, names.len())
    }

    /// Puts rows there, and says of each whether it may be kept. One round trip.
    ///
    /// None may if the table, or any tag of it, was invalidated since it was asked how often that had
    /// been: in a cluster another server tells of that than the one that takes the rows, and later.
    pub(super) async fn fill(
        &self,
        fills: Vec<Fill>,
        token: Token,
        counted: &[(&Generation, u64)],
    ) -> Result<Vec<bool>> {
        let len = fills.len();
        let names: Vec<_> = counted.iter().map(|(counter, _)| counter.name.clone()).collect();
        let Filled { filled, counters } =
            self.call(|| self.remote().fill(fills, token, &names)).await?;
        let mut filled = checked(filled, len)?;
        for ((counter, known), now) in counted.iter().zip(checked(counters, names.len())?) {
            if now != Some(*known) {
                counter.forget();
                filled.fill(false);
            }
        }
        Ok(filled)
    }

    pub(super) async fn release(&self, names: &[RemoteName], token: Token) {
        // One that stays is over in time.
        _ = self.call(|| self.remote().release(names, token)).await;
    }

    pub(super) async fn remove(&self, names: &[RemoteName]) -> Result<()> {
        self.call(|| self.remote().remove(names)).await
    }

    pub(super) async fn block(&self, names: &[RemoteName], time_ms: u64) -> Result<()> {
        self.call(|| self.remote().block(names, time_ms)).await
    }

    /// Invalidates all rows of a table.
    pub(super) async fn bump(&self, generation: &Generation) -> Result<()> {
        let bumped = self.bump_names(std::slice::from_ref(&generation.name)).await;
        // What this process does is not told to it; and only what was read is told about.
        generation.forget();
        bumped
    }

    pub(super) async fn bump_names(&self, names: &[RemoteName]) -> Result<()> {
        self.call(|| self.remote().bump(names)).await.map(drop)
    }

    /// Until when what is read now is told about, or believed.
    pub(super) fn told_until_ms(&self) -> u64 {
        match self.config.remote.capability().tracks {
            true => u64::MAX,
            false => self.time.now_ms().saturating_add(self.config.untold_time_to_live_ms),
        }
    }

    /// Calls the tier, unless it has failed of late.
    async fn call<T, F>(&self, call: impl FnOnce() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        if !self.breaker.admits(self.time.now_ms()) {
            let message = "the shared cache has failed of late, and is not asked";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        match within(pin!(call())).await {
            Ok(answer) => {
                self.breaker.succeeded();
                Ok(answer)
            }
            Err(Failure::Spent(error)) => Err(error),
            Err(Failure::Tier(error)) => {
                count(&self.failed);
                // Too much at once says nothing of the tier.
                if !matches!(error.kind(), ErrorKind::Busy | ErrorKind::InvalidInput) {
                    self.breaker.failed(self.time.now_ms());
                    tracing::debug!(%error, "the shared cache failed");
                }
                Err(error)
            }
        }
    }

    /// Has the journal worked off in the background, if there is anything in it.
    pub(super) fn drain(self: &Arc<Self>) {
        if self.journal.len() == 0 {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.is_draining.swap(true, Ordering::AcqRel) {
            runtime.spawn(drain(Draining(Arc::downgrade(self))));
        }
    }

    /// Works the journal off as far as the tier answers; says whether it is worth a try at once.
    async fn drain_now(&self) -> Result<()> {
        while let Some(work) = self.journal.next(self.time.now_ms()) {
            match &work {
                Work::Bump(generation, _) => self.bump(generation).await?,
                Work::Block(table, key, _, time_ms) => {
                    self.block(&[table.name(&**key)], *time_ms).await?;
                }
                Work::Remove(table, keys) => {
                    let names: Vec<_> = keys.iter().map(|(key, _)| table.name(&**key)).collect();
                    self.remove(&names).await?;
                }
            }
            self.journal.done(work, self.time.now_ms());
        }
        Ok(())
    }

    pub(super) fn each(&self, told: impl Fn(&RemoteTable)) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.tables.values().for_each(|table| told(table));
    }
}

async fn drain(draining: Draining) {
    while let Some(tier) = draining.0.upgrade() {
        _ = tier.drain_now().await;
        if tier.journal.len() == 0 {
            drop(draining);
            // What came in between has found it under way.
            return tier.drain();
        }
        drop(tier);
        tokio::time::sleep(Duration::from_millis(DRAIN_MS)).await;
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        if let Some(tier) = self.0.upgrade() {
            tier.is_draining.store(false, Ordering::Release);
        }
    }
}

/// A tier that answers less than it was asked must not be believed.
fn checked<T>(answers: Vec<T>, len: usize) -> Result<Vec<T>> {
    if answers.len() == len {
        return Ok(answers);
    }
    let message = format!("the shared cache gave {} answers to {len} questions", answers.len());
    Err(Error::new(ErrorKind::Store, message))
}

/// Waits for two at once.
async fn both<A, B>(
    one: impl Future<Output = Result<A>>,
    other: impl Future<Output = Result<B>>,
) -> Result<(A, B)> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|context| {
        if first.is_none()
            && let Poll::Ready(done) = one.as_mut().poll(context)
        {
            first = Some(done);
        }
        if second.is_none()
            && let Poll::Ready(done) = other.as_mut().poll(context)
        {
            second = Some(done);
        }
        match (first.take(), second.take()) {
            (Some(one), Some(other)) => {
                Poll::Ready(one.and_then(|one| other.map(|other| (one, other))))
            }
            (one, other) => {
                (first, second) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}
