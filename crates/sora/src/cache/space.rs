//! The cache of one entity of one table: who loads, who waits, and what is kept.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sora_core::read::ReadReport;
use sora_core::{Error, ErrorKind, Operation, Result, Retry, Row, RowBuffer, RowSink, Source};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::{Instrument, Span};

use super::fence::{Entered, Fence};
use super::flight::{Flight, Found, Loading};
use super::landing::{Keep, Landing, Loaded, LoadedRow, fail_all};
use super::memory::MemoryTier;
use super::numbers::{CacheNumbers, Counters, count};
use super::remote::{self, RemoteTag, Shared};
use super::tags::{self, Tag, TagNames};
use super::time::Time;
use super::{CacheMode, CachePolicy};
use crate::key_bytes::KeyBytes;
use crate::{Table, deadline, request};

/// What the look-ups of one entity share. It knows rows by the bytes of their keys, and their values
/// not at all.
#[derive(Debug)]
pub(crate) struct Space {
    pub(super) policy: CachePolicy,
    /// The columns whose cells are the key.
    pub(super) key: Box<[Box<str>]>,
    pub(super) counters: Counters,
    pub(super) memory: Arc<dyn MemoryTier>,
    pub(super) fence: Fence<Arc<Flight>>,
    pub(super) time: Time,
    /// Where rows that are not in memory are looked for first.
    pub(super) shared: Option<Shared>,
    /// What tags its rows.
    pub(super) tags: Box<[Tag]>,
    /// Of the columns that its rows have in the shared tier, and of those that tag them.
    pub(super) fingerprint: u64,
}

/// A key as the store and as the cache have it.
#[derive(Clone, Debug)]
pub(super) struct SpaceKey {
    pub(super) cells: RowBuffer,
    /// Shared with the load, and with its name in the shared tier.
    pub(super) bytes: Arc<[u8]>,
}

impl SpaceKey {
    /// Returns the one key of a buffer.
    pub(super) fn new(cells: RowBuffer) -> Result<Self> {
        let key = cells.row(0).map(|key| KeyBytes::of(&key)).transpose()?;
        let bytes = key.map_or_else(|| Arc::from([]), |key| key.as_slice().into());
        Ok(Self { cells, bytes })
    }
}

/// Parts of the fence: writes and loads of one part wait for each other, for as long as a map needs.
const SHARDS: usize = 64;

impl Space {
    pub(super) fn new(
        policy: CachePolicy,
        key: Box<[Box<str>]>,
        memory: Arc<dyn MemoryTier>,
        time: Time,
        shared: Option<Shared>,
        tags: Box<[Tag]>,
        fingerprint: u64,
    ) -> Self {
        let fence = Fence::new(SHARDS, policy.loads_max);
        let counters = Counters::default();
        Self { policy, key, counters, memory, fence, time, shared, tags, fingerprint }
    }

    #[inline]
    pub(super) fn now_ms(&self) -> u64 {
        self.time.now_ms()
    }

    pub(super) fn numbers(&self) -> CacheNumbers {
        let (entries, bytes) = self.memory.size();
        CacheNumbers { entries, bytes, ..self.counters.read() }
    }

    /// Loads a row together with all who ask for it. One round trip, made by one of them.
    pub(super) async fn load(
        self: &Arc<Self>,
        table: &Table,
        key: SpaceKey,
        mode: CacheMode,
        location: &'static Location<'static>,
    ) -> Result<Found> {
        let (flight, leads) = match self.enter(&key.bytes, mode) {
            Entered::Joins(flight) => {
                count(&self.counters.joined);
                let mut watch = table.watch(Operation::Get, location);
                let found = deadline::reading(flight.wait()).await;
                watch.shared_by(flight.waiting() + 2);
                let returned = u64::from(matches!(&found, Ok(found) if found.value.is_some()));
                watch.read(ReadReport::received(0), returned);
                let found = watch.end(found);
                return self.or_stale(&key.bytes, found);
            }
            Entered::Leads(flight) => (flight, true),
            Entered::Alone => (Flight::new(), false),
        };
        let bytes = key.bytes.clone();
        let landing = Landing::new(self, flight.clone(), key.bytes, leads);
        let load = self.lead_one(table, key.cells, landing, mode, location);
        let found = if self.shares(mode) {
            let found = async {
                flight.ride(load).await;
                flight.wait().await
            };
            deadline::reading(found).await
        } else {
            detach(load).await;
            deadline::reading(flight.wait()).await
        };
        self.or_stale(&bytes, found)
    }

    /// Loads rows together with all who ask for any of them. What nobody loads yet takes one round
    /// trip for as many as the store takes at once.
    ///
    /// # Errors
    ///
    /// The first, unless the policy allows what was known before in the place of each that failed.
    pub(super) async fn load_many(
        self: &Arc<Self>,
        table: &Table,
        keys: Vec<SpaceKey>,
        mode: CacheMode,
        location: &'static Location<'static>,
    ) -> Result<Vec<Found>> {
        let mut flights = Vec::with_capacity(keys.len());
        let mut landings = Vec::new();
        let mut cells = RowBuffer::new(table.schema().key().len());
        for key in keys {
            let (flight, leads) = match self.enter(&key.bytes, mode) {
                Entered::Joins(flight) => {
                    count(&self.counters.joined);
                    flights.push((key.bytes, flight));
                    continue;
                }
                Entered::Leads(flight) => (flight, true),
                Entered::Alone => (Flight::new(), false),
            };
            key.cells.row(0).map_or(Ok(()), |key| cells.push(&key))?;
            landings.push(Landing::new(self, flight.clone(), key.bytes.clone(), leads));
            flights.push((key.bytes, flight));
        }
        if !landings.is_empty() {
            let (space, table) = (self.clone(), table.clone());
            detach(match self.shares(mode) {
                true => carried(lead_shared(space, table, cells, landings, mode, location)),
                false => carried(lead_many(table, cells, landings, mode, location)),
            })
            .await;
        }
        let mut loaded = Vec::with_capacity(flights.len());
        for (bytes, flight) in flights {
            let found = deadline::reading(flight.wait()).await;
            loaded.push(self.or_stale(&bytes, found)?);
        }
        Ok(loaded)
    }

    /// Loads a row again for those who ask later. It returns at once.
    pub(super) fn refresh(
        self: &Arc<Self>,
        table: &Table,
        key: SpaceKey,
        mode: CacheMode,
        location: &'static Location<'static>,
    ) {
        let (Ok(runtime), Entered::Leads(flight)) =
            (Handle::try_current(), self.fence.enter(&key.bytes, self.now_ms(), Flight::new))
        else {
            return;
        };
        let landing = Landing::new(self, flight, key.bytes, true);
        runtime.spawn(self.lead_one(table, key.cells, landing, mode, location));
    }

    /// The load of one row.
    fn lead_one(
        self: &Arc<Self>,
        table: &Table,
        key: RowBuffer,
        landing: Landing,
        mode: CacheMode,
        location: &'static Location<'static>,
    ) -> Loading {
        let (space, table) = (self.clone(), table.clone());
        match self.shares(mode) {
            true => carried(lead_shared(space, table, key, vec![landing], mode, location)),
            false => carried(lead(table, key, landing, mode, location)),
        }
    }

    pub(super) fn begin_write(&self, key: &[u8]) {
        count(&self.counters.invalidated);
        self.fence.begin_write(key, || self.memory.remove(key));
    }

    pub(super) fn end_write(&self, key: &[u8], is_known: bool) {
        let now_ms = self.now_ms();
        self.fence.end_write(key, now_ms, self.until_ms(now_ms, is_known));
    }

    pub(super) fn begin_write_of_all(&self) {
        count(&self.counters.cleared);
        self.fence.begin_write_of_all(|| self.memory.clear());
    }

    pub(super) fn end_write_of_all(&self, is_known: bool) {
        self.fence.end_write_of_all(self.until_ms(self.now_ms(), is_known));
    }

    fn until_ms(&self, now_ms: u64, is_known: bool) -> u64 {
        if is_known { 0 } else { now_ms.saturating_add(self.policy.unknown_time_ms) }
    }

    fn enter(&self, key: &[u8], mode: CacheMode) -> Entered<Arc<Flight>> {
        match mode {
            CacheMode::Use | CacheMode::SkipMemory | CacheMode::SkipRemote => {
                self.fence.enter(key, self.now_ms(), Flight::new)
            }
            CacheMode::Refresh => self.fence.enter_anew(key, self.now_ms(), Flight::new),
            CacheMode::ReadOnly | CacheMode::Bypass => Entered::Alone,
        }
    }

    /// Somebody else has written a row.
    pub(super) fn told(&self, key: &[u8]) {
        self.fence.invalidate(key, || self.memory.remove(key));
        // Behind it: whoever sees the number need not wait for what it counts.
        count(&self.counters.told);
    }

    /// Somebody else may have written all rows.
    pub(super) fn told_all(&self) {
        self.fence.invalidate_all(|| self.memory.clear());
        count(&self.counters.told);
    }

    /// Somebody else may have written any row, and nobody told.
    pub(super) fn suspect(&self) {
        self.fence.invalidate_all(|| self.memory.suspect());
        count(&self.counters.suspected);
    }

    /// Takes out all rows with a tag, here and in the tier that processes share. Two round trips.
    ///
    /// # Errors
    ///
    /// If the column tags no rows.
    pub(super) async fn invalidate_tag(&self, column: u16, value: &[u8]) -> Result<()> {
        let Some(tag) = self.tags.iter().find(|tag| tag.column == column) else {
            let message = "the column tags no rows: name it in CachePolicy::tag_by";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        };
        count(&self.counters.cleared);
        self.fence.begin_write_of_all(|| self.memory.remove_tagged(tag, value));
        let under_way = OfAll(self);
        if let Some(Shared { tier, table }) = &self.shared {
            RemoteTag::new(tier, table, tag.name_of(value)).bump().await;
        }
        drop(under_way);
        Ok(())
    }

    /// What was known before, in the place of an error that the policy allows it for.
    fn or_stale(&self, key: &[u8], found: Result<Found>) -> Result<Found> {
        let allowed = self.policy.stale_if_error_ms > 0;
        match found {
            Err(error) if allowed && is_outage(&error) => {
                let stale = self.memory.stale(key, self.now_ms()).ok_or(error)?;
                count(&self.counters.stale);
                Ok(Found { value: Some(stale), source: Source::Memory })
            }
            found => found,
        }
    }
}

/// Nothing is kept of any row until it is dropped.
struct OfAll<'a>(&'a Space);

impl Drop for OfAll<'_> {
    fn drop(&mut self) {
        self.0.end_write_of_all(true);
    }
}

/// Whether an error says that the store cannot answer now, rather than what is wrong with the call.
fn is_outage(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Busy | ErrorKind::Cancelled | ErrorKind::Timeout | ErrorKind::Unavailable
    )
}

/// Polls a load once where it is, and has the runtime end what is not done by then: so a store that
/// answers at once needs no task, and no caller that goes away takes a load with it that others wait
/// for.
async fn detach(mut load: Loading) {
    if poll_fn(|context| Poll::Ready(load.as_mut().poll(context))).await.is_ready() {
        return;
    }
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(load)),
        // Nobody else could drive it.
        Err(_) => load.await,
    }
}

/// Lets a load be part of the request and of the span that it is made in, wherever it runs.
fn carried(load: impl Future<Output = ()> + Send + 'static) -> Loading {
    let span = Span::current();
    match request::current().is_none() && span.is_none() {
        // Most have neither; what is wrapped is moved once more.
        true => Box::pin(load),
        false => Box::pin(request::carried(load.instrument(span))),
    }
}

/// Loads rows that processes share.
async fn lead_shared(
    space: Arc<Space>,
    table: Table,
    keys: RowBuffer,
    landings: Vec<Landing>,
    mode: CacheMode,
    location: &'static Location<'static>,
) {
    if let Some(shared) = &space.shared {
        remote::lead(&space, shared, table, keys, landings, mode, location).await;
    }
}

/// Loads one row.
async fn lead(
    table: Table,
    key: RowBuffer,
    landing: Landing,
    mode: CacheMode,
    location: &'static Location<'static>,
) {
    let space = landing.space.clone();
    match space.load_row(&table, key, false, location).await {
        Ok(row) => landing.land(row.map(|row| row.decoded), Source::Store, space.keep(mode)),
        Err(error) => landing.fail(error),
    }
}

/// Loads several rows at once.
async fn lead_many(
    table: Table,
    keys: RowBuffer,
    landings: Vec<Landing>,
    mode: CacheMode,
    location: &'static Location<'static>,
) {
    let Some(space) = landings.first().map(|landing| landing.space.clone()) else { return };
    match space.load_rows(&table, keys, false, location).await {
        Ok(rows) => {
            for (landing, row) in landings.into_iter().zip(rows) {
                landing.land(row.map(|row| row.decoded), Source::Store, space.keep(mode));
            }
        }
        Err(error) => fail_all(landings, &error),
    }
}

impl Space {
    /// How late a write by another process is seen at most, as long as that one reaches the shared
    /// tier, in milliseconds.
    pub(super) fn staleness_max_ms(&self) -> u64 {
        let Some(Shared { tier, .. }) = &self.shared else {
            return self.policy.time_to_live_ms.max(self.policy.missing_time_to_live_ms);
        };
        tier.staleness_max_ms().min(self.policy.time_to_live_ms)
    }

    /// Whether rows are looked for in the tier that processes share.
    fn shares(&self, mode: CacheMode) -> bool {
        self.shared.is_some() && mode.asks_remote()
    }

    /// How long memory keeps what the shared tier does not tell the changes of.
    pub(super) fn keep(&self, mode: CacheMode) -> Keep {
        match &self.shared {
            _ if !mode.fills() => Keep::Not,
            Some(shared) => Keep::For(shared.tier.untold_time_to_live_ms()),
            None => Keep::Long,
        }
    }

    /// Reads rows of the store, encoded as well if the shared tier is to have them. One round trip.
    pub(super) async fn load_rows(
        &self,
        table: &Table,
        keys: RowBuffer,
        encodes: bool,
        location: &'static Location<'static>,
    ) -> Loaded {
        if keys.len() == 1 {
            // It joins the look-ups of others.
            return self.load_row(table, keys, encodes, location).await.map(|row| vec![row]);
        }
        count(&self.counters.loads);
        self.in_time(async {
            let mut rows: Vec<Option<LoadedRow>> = Vec::new();
            rows.resize_with(keys.len(), || None);
            let place = |place: usize, row: &dyn Row| {
                rows[place] = Some(self.take_row(row, encodes)?);
                Ok(())
            };
            table.get_many_at(keys, place, location).await?;
            Ok(rows)
        })
        .await
    }

    async fn load_row(
        &self,
        table: &Table,
        key: RowBuffer,
        encodes: bool,
        location: &'static Location<'static>,
    ) -> Result<Option<LoadedRow>> {
        count(&self.counters.loads);
        self.in_time(async {
            let mut capture = Capture { space: self, encodes, row: None };
            table.get_at(key, false, &mut capture, location).await?;
            Ok(capture.row)
        })
        .await
    }

    fn take_row(&self, row: &dyn Row, encodes: bool) -> Result<LoadedRow> {
        // What cannot be encoded is not shared.
        let tags = if encodes { tags::names(&self.tags, row)? } else { TagNames::new() };
        let framed = if encodes { remote::encode(row).ok() } else { None };
        Ok(LoadedRow { decoded: self.memory.decode(row)?, encoded: framed, tags })
    }

    /// Runs a load that is nobody's own: no caller's deadline holds for it, but its own does.
    async fn in_time<T>(&self, load: impl Future<Output = Result<T>>) -> Result<T> {
        let time = Duration::from_millis(self.policy.load_timeout_ms);
        match timeout(time, deadline::apart(load)).await {
            Ok(loaded) => loaded,
            Err(_) => {
                let message = format!(
                    "the row was not loaded within {} ms; raise load_timeout_ms",
                    self.policy.load_timeout_ms
                );
                Err(Error::new(ErrorKind::Timeout, message).with_retry(Retry::Safe))
            }
        }
    }
}

/// Takes the row of a look-up.
struct Capture<'a> {
    space: &'a Space,
    encodes: bool,
    row: Option<LoadedRow>,
}

impl RowSink for Capture<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.row = Some(self.space.take_row(row, self.encodes)?);
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.row = None;
    }
}
