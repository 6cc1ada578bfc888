//! One load that many wait for.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use sora_core::{Error, ErrorKind, Result, Retry, Source};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::fence::Load;
use super::memory::Erased;

/// What a load gave.
#[derive(Clone)]
pub(super) struct Found {
    /// The entity, or that there is none.
    pub(super) value: Option<Erased>,
    /// Where it was found.
    pub(super) source: Source,
}

/// A load under way. Whoever asks for its key meanwhile waits for it, and gets what it gets; whoever
/// goes away leaves it running.
#[derive(Default)]
pub(super) struct Flight {
    landed: OnceLock<Result<Found>>,
    told: Notify,
    waiting: AtomicUsize,
    driver: Mutex<Driver>,
}

/// A load, as it is driven.
pub(super) type Loading = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who drives a load.
enum Driver {
    /// The caller that leads it: it begins, or polls it now. It lets it go then if that is wanted.
    Runs { is_wanted: bool },
    /// The same, whose runtime and waker these are. It does not poll it now.
    Rests(Loading, Handle, Waker),
    /// A task of its own, or nobody any more.
    Apart,
}

impl Default for Driver {
    fn default() -> Self {
        Self::Runs { is_wanted: false }
    }
}

/// The caller that drives a load. Dropped, it lets it go.
struct Riding<'a>(&'a Flight);

/// One who waits.
struct Waiter<'a>(&'a Flight);

impl Flight {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Tells all who wait. Only the first landing is one.
    pub(super) fn land(&self, found: Result<Found>) {
        _ = self.landed.set(found);
        self.told.notify_waiters();
    }

    /// How many wait for it.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Drives its load as long as nobody else wants it driven: most are over before that, and need no
    /// task of their own.
    pub(super) async fn ride(&self, load: Loading) {
        let Ok(runtime) = Handle::try_current() else {
            // Nobody else could drive it.
            return load.await;
        };
        let riding = Riding(self);
        let mut first = Some((load, runtime));
        poll_fn(|context| match first.take() {
            Some((load, runtime)) => riding.drive(load, runtime, context),
            None => riding.poll(context),
        })
        .await;
    }

    /// Has a task of its own drive the load: somebody else waits for it, or for what it holds, and who
    /// leads it may not be polled for long.
    pub(super) fn let_go(&self) {
        let mut driver = self.driver();
        match mem::replace(&mut *driver, Driver::Apart) {
            Driver::Rests(load, runtime, leader) => {
                drop(driver);
                runtime.spawn(load);
                // It waits like all others now.
                leader.wake();
            }
            Driver::Runs { .. } => *driver = Driver::Runs { is_wanted: true },
            Driver::Apart => {}
        }
    }

    fn driver(&self) -> MutexGuard<'_, Driver> {
        // Nothing that can panic runs under the lock.
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what it gives.
    pub(super) async fn wait(&self) -> Result<Found> {
        self.let_go();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiter = Waiter(self);
        // What lands from here on is told to it.
        let told = self.told.notified();
        if let Some(landed) = self.landed.get() {
            return landed.clone();
        }
        told.await;
        self.landed.get().cloned().unwrap_or_else(|| Err(cut_off()))
    }
}

impl Riding<'_> {
    /// Goes on with the load, unless it was let go.
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut driver = self.0.driver();
        match mem::take(&mut *driver) {
            Driver::Rests(load, runtime, _) => {
                drop(driver);
                self.drive(load, runtime, context)
            }
            over => {
                *driver = over;
                Poll::Ready(())
            }
        }
    }

    fn drive(&self, mut load: Loading, runtime: Handle, context: &mut Context<'_>) -> Poll<()> {
        if load.as_mut().poll(context).is_ready() {
            *self.0.driver() = Driver::Apart;
            return Poll::Ready(());
        }
        let mut driver = self.0.driver();
        if let Driver::Runs { is_wanted: false } = *driver {
            *driver = Driver::Rests(load, runtime, context.waker().clone());
            return Poll::Pending;
        }
        *driver = Driver::Apart;
        drop(driver);
        runtime.spawn(load);
        Poll::Ready(())
    }
}

impl Drop for Riding<'_> {
    fn drop(&mut self) {
        let driver = mem::replace(&mut *self.0.driver(), Driver::Apart);
        if let Driver::Rests(load, runtime, _) = driver {
            runtime.spawn(load);
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Load for Arc<Flight> {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }
}

/// The error of a load that never ended, because its runtime did or it panicked.
pub(super) fn cut_off() -> Error {
    let message = if std::thread::panicking() {
        "the load that the look-up had joined panicked"
    } else {
        "the load that the look-up had joined was cut off with its runtime"
    };
    Error::new(ErrorKind::Cancelled, message).with_retry(Retry::Safe)
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::sync::oneshot;

    use super::*;

    /// A load that lands once it is told to, and what tells it.
    fn load(flight: &Arc<Flight>) -> (Loading, oneshot::Sender<()>) {
        let (go, told) = oneshot::channel();
        let flight = flight.clone();
        let load = Box::pin(async move {
            told.await.expect("it is told");
            flight.land(Ok(Found { value: None, source: Source::Remote }));
        });
        (load, go)
    }

    fn tasks() -> usize {
        Handle::current().metrics().num_alive_tasks()
    }

    async fn is_pending(future: Pin<&mut impl Future>) -> bool {
        let mut future = Some(future);
        poll_fn(|context| Poll::Ready(future.take().expect("once").poll(context).is_pending()))
            .await
    }

    #[tokio::test]
    async fn a_load_that_nobody_else_wants_needs_no_task() {
        let flight = Flight::new();
        let (load, go) = load(&flight);
        let mut leader = pin!(flight.ride(load));
        assert!(is_pending(leader.as_mut()).await);
        go.send(()).expect("it waits");
        assert_eq!(tasks(), 0);
        leader.await;
        assert!(flight.wait().await.is_ok());
        assert_eq!(tasks(), 0);
    }

    #[tokio::test]
    async fn who_joins_does_not_depend_on_the_leader() {
        let flight = Flight::new();
        let (load, go) = load(&flight);
        let mut leader = pin!(flight.ride(load));
        assert!(is_pending(leader.as_mut()).await);
        go.send(()).expect("it waits");
        // The leader is not polled meanwhile.
        assert!(flight.wait().await.is_ok());
        leader.await;
        assert!(flight.wait().await.is_ok());
    }

    #[tokio::test]
    async fn who_joins_before_the_load_has_begun_does_not_depend_on_the_leader() {
        let flight = Flight::new();
        let (load, go) = load(&flight);
        let mut joined = pin!(flight.wait());
        assert!(is_pending(joined.as_mut()).await);
        let mut leader = pin!(flight.ride(load));
        assert!(!is_pending(leader.as_mut()).await);
        go.send(()).expect("it waits");
        assert!(joined.await.is_ok());
    }

    #[tokio::test]
    async fn a_leader_that_has_let_go_is_woken() {
        let flight = Flight::new();
        let (load, go) = load(&flight);
        let leader = flight.clone();
        let leader = tokio::spawn(async move {
            leader.ride(load).await;
            leader.wait().await
        });
        tokio::task::yield_now().await;
        flight.let_go();
        assert_eq!(tasks(), 2);
        tokio::task::yield_now().await;
        // It waits like all others.
        assert_eq!(flight.waiting(), 1);
        go.send(()).expect("it waits");
        assert!(leader.await.expect("no panic").is_ok());
    }

    #[tokio::test]
    async fn a_load_outlives_its_leader() {
        let flight = Flight::new();
        let (load, go) = load(&flight);
        {
            let mut leader = pin!(flight.ride(load));
            assert!(is_pending(leader.as_mut()).await);
        }
        assert_eq!(tasks(), 1);
        go.send(()).expect("it waits");
        assert!(flight.wait().await.is_ok());
    }

    #[tokio::test]
    async fn a_load_that_asks_for_it_is_let_go() {
        let flight = Flight::new();
        let (load, go) = load(&flight);
        let asking = flight.clone();
        let load = Box::pin(async move {
            asking.let_go();
            load.await;
        });
        flight.ride(load).await;
        assert_eq!(tasks(), 1);
        go.send(()).expect("it waits");
        assert!(flight.wait().await.is_ok());
    }
}
