//! The cache of one entity of one table: who loads, who waits, and what is kept.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sora_core::read::ReadReport;
use sora_core::{Error, ErrorKind, Operation, Result, Retry, Row, RowBuffer, RowSink};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::Instrument;

use super::fence::{Entered, Fence};
use super::flight::{Flight, Found, cut_off};
use super::memory::{Erased, Lives, MemoryTier};
use super::numbers::{CacheNumbers, Counters, count};
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
    memory: Arc<dyn MemoryTier>,
    pub(super) fence: Fence<Arc<Flight>>,
    time: Time,
}

/// A key as the store and as the cache have it.
#[derive(Clone, Debug)]
pub(super) struct SpaceKey {
    pub(super) cells: RowBuffer,
    pub(super) bytes: Box<[u8]>,
}

impl SpaceKey {
    /// Returns the one key of a buffer.
    pub(super) fn new(cells: RowBuffer) -> Result<Self> {
        let key = cells.row(0).map(|key| KeyBytes::of(&key)).transpose()?;
        let bytes = key.map(|key| key.as_slice().into()).unwrap_or_default();
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
    ) -> Self {
        let fence = Fence::new(SHARDS, policy.loads_max);
        Self { policy, key, counters: Counters::default(), memory, fence, time }
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
                let returned = u64::from(matches!(found, Ok(Some(_))));
                watch.read(ReadReport::received(0), returned);
                let found = watch.end(found);
                return self.or_stale(&key.bytes, found);
            }
            Entered::Leads(flight) => (flight, true),
            Entered::Alone => (Flight::new(), false),
        };
        let bytes = key.bytes.clone();
        let landing = Landing::new(self, flight.clone(), key.bytes, leads);
        detach(lead(table.clone(), key.cells, landing, location)).await;
        let found = deadline::reading(flight.wait()).await;
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
            detach(lead_many(table.clone(), cells, landings, location)).await;
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
        location: &'static Location<'static>,
    ) {
        let (Ok(runtime), Entered::Leads(flight)) =
            (Handle::try_current(), self.fence.enter(&key.bytes, self.now_ms(), Flight::new))
        else {
            return;
        };
        let landing = Landing::new(self, flight, key.bytes, true);
        let lead = lead(table.clone(), key.cells, landing, location);
        runtime.spawn(request::carried(lead.in_current_span()));
    }

    /// Takes a row out, because it has changed.
    pub(super) fn invalidate(&self, key: &[u8]) {
        count(&self.counters.invalidated);
        self.fence.invalidate(key, || self.memory.remove(key));
    }

    /// Takes all rows out.
    pub(super) fn invalidate_all(&self) {
        count(&self.counters.cleared);
        self.fence.invalidate_all(|| self.memory.clear());
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
            CacheMode::Use => self.fence.enter(key, self.now_ms(), Flight::new),
            CacheMode::Refresh => self.fence.enter_anew(key, self.now_ms(), Flight::new),
            CacheMode::ReadOnly | CacheMode::Bypass => Entered::Alone,
        }
    }

    /// What was known before, in the place of an error that the policy allows it for.
    fn or_stale(&self, key: &[u8], found: Result<Found>) -> Result<Found> {
        let allowed = self.policy.stale_if_error_ms > 0;
        match found {
            Err(error) if allowed && is_outage(&error) => {
                let stale = self.memory.stale(key, self.now_ms()).ok_or(error)?;
                count(&self.counters.stale);
                Ok(Some(stale))
            }
            found => found,
        }
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
async fn detach(load: impl Future<Output = ()> + Send + 'static) {
    let mut load: Pin<Box<dyn Future<Output = ()> + Send>> =
        Box::pin(request::carried(load.in_current_span()));
    if poll_fn(|context| Poll::Ready(load.as_mut().poll(context))).await.is_ready() {
        return;
    }
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(load)),
        // Nobody else could drive it.
        Err(_) => load.await,
    }
}

/// Loads one row.
async fn lead(
    table: Table,
    key: RowBuffer,
    landing: Landing,
    location: &'static Location<'static>,
) {
    let space = landing.space.clone();
    count(&space.counters.loads);
    let load = async {
        let mut capture = Capture { memory: &*space.memory, decoded: None };
        table.get_at(key, false, &mut capture, location).await?;
        Ok(capture.decoded)
    };
    landing.land(space.in_time(load).await);
}

/// Loads several rows at once.
async fn lead_many(
    table: Table,
    keys: RowBuffer,
    landings: Vec<Landing>,
    location: &'static Location<'static>,
) {
    let Some(space) = landings.first().map(|landing| landing.space.clone()) else { return };
    count(&space.counters.loads);
    let load = async {
        let mut decoded: Vec<Option<(Erased, u64)>> = vec![None; landings.len()];
        let place = |place: usize, row: &dyn Row| {
            decoded[place] = Some(space.memory.decode(row)?);
            Ok(())
        };
        table.get_many_at(keys, place, location).await?;
        Ok(decoded)
    };
    match space.in_time(load).await {
        Ok(decoded) => {
            for (landing, decoded) in landings.into_iter().zip(decoded) {
                landing.land(Ok(decoded));
            }
        }
        Err(error) => {
            for landing in landings {
                landing.land(Err(error.clone()));
            }
        }
    }
}

impl Space {
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

/// The end of a load: what it gave is cached if nothing has changed since it began, and all who wait
/// are told. Dropped before, it tells them that.
struct Landing {
    space: Arc<Space>,
    flight: Arc<Flight>,
    key: Box<[u8]>,
    /// Whether others can join it, and what it gives may be cached.
    leads: bool,
    is_over: bool,
}

impl Landing {
    fn new(space: &Arc<Space>, flight: Arc<Flight>, key: Box<[u8]>, leads: bool) -> Self {
        if !leads {
            count(&space.counters.bypassed);
        }
        Self { space: space.clone(), flight, key, leads, is_over: false }
    }

    fn land(mut self, loaded: Result<Option<(Erased, u64)>>) {
        self.is_over = true;
        let space = &self.space;
        match loaded {
            Ok(decoded) => {
                let lives = Lives::new(
                    &space.policy,
                    decoded.is_some(),
                    space.now_ms(),
                    space.time.random(),
                );
                let mut fits = true;
                let fill = || fits = space.memory.fill(&self.key, decoded.as_ref(), lives);
                if self.leads && !space.fence.finish(&self.key, &self.flight, fill) {
                    count(&space.counters.fills_refused);
                }
                if !fits {
                    count(&space.counters.too_large);
                }
                self.flight.land(Ok(decoded.map(|(value, _)| value)));
            }
            Err(error) => self.fail(error),
        }
    }

    fn fail(&self, error: Error) {
        count(&self.space.counters.loads_failed);
        self.space.fence.finish(&self.key, &self.flight, || {});
        self.flight.land(Err(error));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.is_over {
            self.fail(cut_off());
        }
    }
}

/// Takes the row of a look-up as an entity.
struct Capture<'a> {
    memory: &'a dyn MemoryTier,
    decoded: Option<(Erased, u64)>,
}

impl RowSink for Capture<'_> {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        self.decoded = Some(self.memory.decode(row)?);
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.decoded = None;
    }
}
