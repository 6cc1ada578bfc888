//! Who holds the one writer of a store that has but one.
//!
//! A write beside a transaction waits for its end. If the transaction waits for the write, that is
//! for ever: what is sure to be so is refused, and what may be so ends with a time.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sora_core::{Error, ErrorKind, Result};
use tokio::sync::Notify;

/// The transactions of a store that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Writers {
    /// How many of them write: that there is none is seen without the lock.
    writing: AtomicUsize,
    sites: Mutex<BTreeMap<u64, Site>>,
    ended: Notify,
}

/// Where a transaction was begun.
pub(crate) type Site = &'static Location<'static>;

/// A place among the [`Writers`], given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    writers: Arc<Writers>,
    number: u64,
    writes: bool,
}

tokio::task_local! {
    /// The transactions in whose closures the caller runs.
    static CLOSURES: Vec<(Arc<Writers>, Site)>;
}

impl Writers {
    pub(crate) fn enter(self: &Arc<Self>, site: Site, writes: bool) -> Place {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let number = sites.last_key_value().map_or(0, |(last, _)| last + 1);
        sites.insert(number, site);
        self.writing.fetch_add(usize::from(writes), Ordering::Release);
        Place { writers: self.clone(), number, writes }
    }

    /// Lets a write beside the transactions go on, when none of them writes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] at once if the caller runs in the closure of one of them, naming
    /// both call sites; [`ErrorKind::Busy`] after the given time.
    pub(crate) async fn pass(&self, wait_ms: u32, site: Site) -> Result<()> {
        self.refuse_inside(site)?;
        if self.writing.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let wait = Duration::from_millis(wait_ms.into());
        tokio::time::timeout(wait, self.none()).await.map_err(|_| busy(wait_ms))
    }

    /// Refuses what would wait for the transaction in whose closure it is called.
    pub(crate) fn refuse_inside(&self, site: Site) -> Result<()> {
        let inside = CLOSURES.try_with(|closures| {
            let own = |(writers, _): &&(Arc<Self>, Site)| std::ptr::eq(&raw const **writers, self);
            closures.iter().find(own).map(|(_, begun)| *begun)
        });
        let Some(begun) = inside.ok().flatten() else { return Ok(()) };
        let message = "this would wait for the transaction that it is called in, and that one for \
                       it; use the transaction's own handle, or `within` it";
        Err(named(Error::new(ErrorKind::InvalidInput, message), begun, site))
    }

    /// Names the transaction that a call had to wait for, if it failed for that.
    pub(crate) fn blame(&self, error: Error, site: Site) -> Error {
        let sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        match sites.first_key_value() {
            Some((_, begun)) if error.kind() == ErrorKind::Busy => named(error, begun, site),
            _ => error,
        }
    }

    async fn none(&self) {
        loop {
            // From here on an end is not missed.
            let ended = self.ended.notified();
            if self.writing.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sites = self.writers.sites.lock().unwrap_or_else(PoisonError::into_inner);
        sites.remove(&self.number);
        drop(sites);
        self.writers.writing.fetch_sub(usize::from(self.writes), Ordering::Release);
        self.writers.ended.notify_waiters();
    }
}

/// Runs the future of a closure, in which a write beside its transaction is refused.
pub(crate) async fn in_closure<F: Future>(
    writers: Option<Arc<Writers>>,
    begun: Site,
    future: F,
) -> F::Output {
    let Some(writers) = writers else { return future.await };
    let mut closures = CLOSURES.try_with(Clone::clone).unwrap_or_default();
    closures.push((writers, begun));
    CLOSURES.scope(closures, future).await
}

/// The error of whoever waited too long for the writer.
pub(crate) fn busy(wait_ms: u32) -> Error {
    let message = format!(
        "a transaction of this process held the store's one writer for {wait_ms} ms; if it waits \
         for this call, use its own handle, else keep transactions short"
    );
    Error::new(ErrorKind::Busy, message)
}

fn named(error: Error, begun: Site, site: Site) -> Error {
    error.with("transaction begun at", begun).with("called at", site)
}
