//! The connections of a store.

mod lane;
mod lease;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sora_core::{Error, ErrorKind, Result, Retry};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

pub(crate) use self::lane::Lane;
use self::lane::Lanes;
pub(crate) use self::lease::Lease;
use crate::config::PostgresConfig;
use crate::connect::{Connector, Purpose};
use crate::link::Link;

/// Connections for one caller at a time, and a few more that look-ups share.
///
/// Who waits is served in the order in which it came; the connection that was used last is used
/// first, so that a quiet pool shrinks. A connection is opened in a task of its own: a caller that
/// goes away leaves it to the next. Whether a connection is open is known without asking the server.
///
/// Every connection that is out, being opened or being repaired holds a permit, an idle one holds
/// none, and one is opened only if none is idle: so there are never more than permits.
#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Shared>);

/// What a pool holds and has done. Cheap to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gauges {
    /// Connections that are open or being opened; those shared by look-ups are not counted.
    pub(crate) connections: usize,
    /// Connections that nobody uses.
    pub(crate) idle: usize,
    /// Callers that wait for a connection.
    pub(crate) waiting: usize,
    /// Connections that were opened since the start.
    pub(crate) opened_total: u64,
    /// Connections that were closed because of their age, a time without use, or the end.
    pub(crate) closed_total: u64,
    /// Connections that were given up because they broke, or could not be brought into order.
    pub(crate) discarded_total: u64,
}

#[derive(Debug)]
struct Shared {
    connector: Connector,
    /// Where connections live: they must outlast the caller that needed them first.
    runtime: Handle,
    permits: Arc<Semaphore>,
    state: Mutex<State>,
    waiting: AtomicUsize,
    /// Told when a closed pool has no connection left.
    emptied: Notify,
    lanes: Lanes,
}

#[derive(Debug, Default)]
struct State {
    /// The one used last is the last.
    idle: Vec<Idle>,
    connections: usize,
    opened_total: u64,
    closed_total: u64,
    discarded_total: u64,
    is_closed: bool,
    keeper: Option<AbortHandle>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: Instant,
}

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Age,
    Fault,
    /// It never was one.
    NotOpened,
}

impl Pool {
    /// Makes a pool. Nothing is opened before it is needed, or before the next turn of a task if
    /// `connections_min` asks for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the certificates cannot be read, or outside a runtime of tokio.
    pub(crate) fn new(config: PostgresConfig) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|error| {
            let message = "PostgreSQL needs a runtime of tokio; open the store inside one";
            Error::new(ErrorKind::InvalidInput, message).with_source(error)
        })?;
        let connections_max = config.connections_max;
        let lanes = Lanes::new(config.lookup_connections);
        let shared = Arc::new(Shared {
            connector: Connector::new(config)?,
            runtime: runtime.clone(),
            permits: Arc::new(Semaphore::new(connections_max)),
            state: Mutex::default(),
            waiting: AtomicUsize::new(0),
            emptied: Notify::new(),
            lanes,
        });
        let keeper = runtime.spawn(keep(Arc::downgrade(&shared), shared.period()));
        shared.state().keeper = Some(keeper.abort_handle());
        Ok(Self(shared))
    }

    pub(crate) fn config(&self) -> &PostgresConfig {
        self.0.connector.config()
    }

    /// Takes a connection. No round trip if one is idle; otherwise it may be opened.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] if none was free in `acquire_timeout_ms`; [`ErrorKind::Unavailable`] if
    /// none could be opened, or after [`close`](Self::close).
    pub(crate) async fn acquire(&self) -> Result<Lease> {
        let shared = &self.0;
        if let Ok(permit) = shared.permits.clone().try_acquire_owned()
            && let Some(link) = shared.take_idle()
        {
            return Ok(Lease::new(shared.clone(), permit, link));
        }
        // Apart, so that the future of whoever finds a connection idle is small.
        Box::pin(self.acquire_later()).await
    }

    async fn acquire_later(&self) -> Result<Lease> {
        let shared = &self.0;
        let began = Instant::now();
        let timeout_ms = shared.config().acquire_timeout_ms;
        let deadline = began + Duration::from_millis(timeout_ms.into());
        let waiting = Waiting::new(&shared.waiting);
        let acquired = timeout_at(deadline, self.wait()).await;
        drop(waiting);
        match acquired {
            Ok(Ok(mut lease)) => {
                lease.set_waited(began.elapsed());
                Ok(lease)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(shared.exhausted(timeout_ms)),
        }
    }

    /// Takes the shared connection of this number, modulo their count. No round trip unless it must
    /// be opened.
    pub(crate) async fn lane(&self, at: usize) -> Result<Lane> {
        self.0.lanes.take(at, &self.0.connector).await
    }

    /// Brings a shared connection into order that was left in the middle of a statement, and then
    /// tells that nobody uses it any more. Until then it must be nobody else's.
    pub(crate) fn mend(&self, lane: Lane, tell: impl FnOnce() + Send + 'static) {
        self.0.runtime.spawn(async move {
            lane.repair().await;
            tell();
        });
    }

    /// How many shared connections there are.
    pub(crate) fn lanes(&self) -> usize {
        self.0.lanes.len()
    }

    /// What the pool holds and has done.
    pub(crate) fn gauges(&self) -> Gauges {
        let state = self.0.state();
        Gauges {
            connections: state.connections,
            idle: state.idle.len(),
            waiting: self.0.waiting.load(Ordering::Relaxed),
            opened_total: state.opened_total,
            closed_total: state.closed_total,
            discarded_total: state.discarded_total,
        }
    }

    /// Closes the pool: nobody gets a connection any more, those that are out are closed when they
    /// come back, and it returns when the last has.
    pub(crate) async fn close(&self) {
        let idle = self.0.shut();
        for idle in idle {
            idle.link.close().await;
        }
        self.0.lanes.close();
        loop {
            let emptied = self.0.emptied.notified();
            if self.0.state().connections == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Closes what is too old or unused for too long, without waiting for the next look.
    #[cfg(test)]
    pub(crate) fn reap(&self) {
        self.0.reap();
    }

    async fn wait(&self) -> Result<Lease> {
        let shared = &self.0;
        let permit = shared.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        match shared.take_idle() {
            Some(link) => Ok(Lease::new(shared.clone(), permit, link)),
            None => shared.open(permit).await,
        }
    }
}

impl Shared {
    fn config(&self) -> &PostgresConfig {
        self.connector.config()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an idle connection that can be used, and gives up those before it that cannot.
    fn take_idle(&self) -> Option<Box<Link>> {
        let now = Instant::now();
        // Dropped after the lock: dropping sends.
        let mut unusable = Vec::new();
        let mut state = self.state();
        while let Some(idle) = state.idle.pop() {
            let cause = match () {
                () if !idle.link.is_usable() => Cause::Fault,
                () if idle.link.is_expired(now) || self.is_unused(&idle, now) => Cause::Age,
                () => {
                    drop(state);
                    return Some(idle.link);
                }
            };
            state.give_up(cause);
            unusable.push(idle);
        }
        drop(state);
        None
    }

    /// Opens a connection in a task. A caller that goes away leaves it to the pool.
    async fn open(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Result<Lease> {
        let place = Lease::reserve(self.clone(), permit);
        let (sender, receiver) = oneshot::channel();
        let task = self.clone();
        self.runtime.spawn(async move {
            let opened = task.connector.open(Purpose::Exclusive).await;
            // A lease that nobody takes is dropped, and so goes back.
            let _ = sender.send(opened.map(|link| place.fill(link)));
        });
        receiver.await.unwrap_or_else(|_| {
            let message = "the runtime that the store was opened in has ended";
            Err(Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Never))
        })
    }

    /// Takes back a connection that is in order.
    fn take_back(&self, link: Box<Link>) {
        let now = Instant::now();
        let mut state = self.state();
        let cause = match () {
            () if !link.is_usable() => Cause::Fault,
            () if state.is_closed || link.is_expired(now) => Cause::Age,
            () => {
                state.idle.push(Idle { link, since: now });
                return;
            }
        };
        state.give_up(cause);
        let is_last = state.connections == 0;
        drop(state);
        drop(link);
        if is_last {
            self.emptied.notify_waiters();
        }
    }

    /// A connection is gone, or never came to be.
    fn give_up(&self, cause: Cause) {
        let mut state = self.state();
        state.give_up(cause);
        let is_last = state.connections == 0;
        drop(state);
        if is_last {
            self.emptied.notify_waiters();
        }
    }

    fn is_unused(&self, idle: &Idle, now: Instant) -> bool {
        let timeout_ms = self.config().idle_timeout_ms;
        timeout_ms != 0 && now - idle.since >= Duration::from_millis(timeout_ms.into())
    }

    fn reap(&self) {
        let now = Instant::now();
        let mut gone = Vec::new();
        let mut state = self.state();
        for idle in std::mem::take(&mut state.idle) {
            let is_spare = state.connections > self.config().connections_min;
            let cause = match () {
                () if !idle.link.is_usable() => Cause::Fault,
                () if idle.link.is_expired(now) => Cause::Age,
                () if is_spare && self.is_unused(&idle, now) => Cause::Age,
                () => {
                    state.idle.push(idle);
                    continue;
                }
            };
            state.give_up(cause);
            gone.push(idle);
        }
        drop(state);
    }

    /// Opens connections until there are as many as there must be.
    async fn fill(self: &Arc<Self>) {
        while self.state().connections < self.config().connections_min {
            // Without a permit there are as many as there may be.
            let Ok(permit) = self.permits.clone().try_acquire_owned() else { return };
            if self.open(permit).await.is_err() {
                return;
            }
        }
    }

    fn shut(&self) -> Vec<Idle> {
        self.permits.close();
        let mut state = self.state();
        state.is_closed = true;
        if let Some(keeper) = state.keeper.take() {
            keeper.abort();
        }
        let idle = std::mem::take(&mut state.idle);
        for _ in &idle {
            state.give_up(Cause::Age);
        }
        idle
    }

    /// How often the keeper looks: often enough for the shortest limit.
    fn period(&self) -> Duration {
        let limits = [self.config().idle_timeout_ms, self.config().lifetime_ms];
        let shortest_ms = limits.into_iter().filter(|limit| *limit != 0).min().unwrap_or(u32::MAX);
        Duration::from_millis(u64::from(shortest_ms / 4).clamp(100, 5_000))
    }

    fn exhausted(&self, timeout_ms: u32) -> Error {
        let state = self.state();
        let out = state.connections - state.idle.len();
        drop(state);
        let message = format!(
            "no connection was free in {timeout_ms} ms; raise connections_max, or hold connections \
             for a shorter time"
        );
        Error::new(ErrorKind::Busy, message)
            .with("in_use", out)
            .with("waiting", self.waiting.load(Ordering::Relaxed))
            .with("connections_max", self.config().connections_max)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(keeper) = self.state().keeper.take() {
            keeper.abort();
        }
    }
}

impl State {
    fn give_up(&mut self, cause: Cause) {
        self.connections -= 1;
        match cause {
            Cause::Age => self.closed_total += 1,
            Cause::Fault => self.discarded_total += 1,
            Cause::NotOpened => {}
        }
    }
}

/// A caller that waits, however it ends.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps the limits of time and the least number while the pool lives.
async fn keep(shared: Weak<Shared>, period: Duration) {
    while let Some(shared) = shared.upgrade() {
        shared.reap();
        shared.fill().await;
        drop(shared);
        sleep(period).await;
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the store was closed").with_retry(Retry::Never)
}
