//! The connections that look-ups share.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sora_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout};

use super::closed;
use crate::connect::{Connector, Purpose};
use crate::link::Link;

/// A connection that several callers use at once.
///
/// Nothing on it is stopped on the server while several do, because that might hit another caller's
/// statement; and no transaction is begun.
#[derive(Clone, Debug)]
pub(crate) struct Lane(Arc<Link>);

/// The shared connections, opened when they are first used and again when they broke.
#[derive(Debug)]
pub(super) struct Lanes(Box<[Slot]>);

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    /// Held by whoever opens.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    link: Option<Arc<Link>>,
    is_closed: bool,
}

impl Deref for Lane {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0
    }
}

impl Lanes {
    pub(super) fn new(count: usize) -> Self {
        Self((0..count.max(1)).map(|_| Slot::default()).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) async fn take(&self, at: usize, connector: &Connector) -> Result<Lane> {
        let slot = &self.0[at % self.0.len()];
        match slot.open()? {
            Some(lane) => Ok(lane),
            // Apart, so that the future of whoever finds it open is small.
            None => Box::pin(slot.open_again(connector)).await,
        }
    }

    pub(super) fn close(&self) {
        for slot in &self.0 {
            let mut state = slot.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.is_closed = true;
            state.link = None;
        }
    }
}

impl Slot {
    async fn open_again(&self, connector: &Connector) -> Result<Lane> {
        let timeout_ms = connector.config().acquire_timeout_ms;
        let opened = async {
            let _opening = self.opening.lock().await;
            match self.open()? {
                Some(lane) => Ok(lane),
                None => self.fill(Box::pin(connector.open(Purpose::Lookup)).await?),
            }
        };
        let opened = timeout(Duration::from_millis(timeout_ms.into()), opened).await;
        opened.unwrap_or_else(|_| {
            let message = format!("no connection for look-ups was open in {timeout_ms} ms");
            Err(Error::new(ErrorKind::Unavailable, message))
        })
    }

    fn open(&self) -> Result<Option<Lane>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            return Err(closed());
        }
        let usable = state.link.as_ref().filter(|link| link.is_usable());
        let usable = usable.filter(|link| !link.is_expired(Instant::now()));
        let lane = usable.cloned().map(Lane);
        if lane.is_none() {
            state.link = None;
        }
        Ok(lane)
    }

    fn fill(&self, link: Link) -> Result<Lane> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            return Err(closed());
        }
        let link = Arc::new(link);
        state.link = Some(link.clone());
        Ok(Lane(link))
    }
}
