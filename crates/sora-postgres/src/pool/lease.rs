//! A connection that is out of the pool.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{Cause, Shared};
use crate::link::Link;

/// A connection of one caller's own, until it is dropped.
///
/// If it is dropped in the middle of a statement or a transaction, nobody gets it before the
/// statement was stopped on the server and the transaction rolled back, in the background.
#[derive(Debug)]
pub(crate) struct Lease {
    shared: Arc<Shared>,
    /// None while it is being opened, and after it was taken away.
    link: Option<Box<Link>>,
    /// Whoever waits goes on when it is dropped, after the connection has gone back.
    permit: Option<OwnedSemaphorePermit>,
    waited: Duration,
}

/// The place of a connection that does not exist yet.
pub(super) struct Place(Lease);

impl Lease {
    pub(super) fn new(shared: Arc<Shared>, permit: OwnedSemaphorePermit, link: Box<Link>) -> Self {
        Self { shared, link: Some(link), permit: Some(permit), waited: Duration::ZERO }
    }

    /// Counts a connection that is about to be opened.
    pub(super) fn reserve(shared: Arc<Shared>, permit: OwnedSemaphorePermit) -> Place {
        shared.state().connections += 1;
        Place(Self { shared, link: None, permit: Some(permit), waited: Duration::ZERO })
    }

    pub(super) fn set_waited(&mut self, waited: Duration) {
        self.waited = waited;
    }

    /// How long its caller waited for it: nothing if one was idle.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }
}

impl Place {
    pub(super) fn fill(self, link: Link) -> Lease {
        let mut lease = self.0;
        lease.shared.state().opened_total += 1;
        lease.link = Some(Box::new(link));
        lease
    }
}

impl Deref for Lease {
    type Target = Link;

    fn deref(&self) -> &Link {
        self.link.as_deref().expect("a lease has its connection until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match self.link.take() {
            None => self.shared.give_up(Cause::NotOpened),
            Some(link) if link.is_clean() || !link.is_usable() => self.shared.take_back(link),
            Some(link) => {
                let mend = Mend {
                    shared: self.shared.clone(),
                    link: Some(link),
                    _permit: self.permit.take(),
                };
                self.shared.runtime.spawn(mend.run());
            }
        }
    }
}

/// A connection that was left in the middle of something.
struct Mend {
    shared: Arc<Shared>,
    link: Option<Box<Link>>,
    /// Dropped last.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Mend {
    async fn run(mut self) {
        if let Some(link) = &self.link
            && link.repair().await
            && let Some(link) = self.link.take()
        {
            self.shared.take_back(link);
        }
    }
}

impl Drop for Mend {
    /// What could not be mended is given up; so is everything when the runtime ends.
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            drop(link);
            self.shared.give_up(Cause::Fault);
        }
    }
}
