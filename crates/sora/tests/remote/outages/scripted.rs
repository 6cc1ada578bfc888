//! A tier in memory that answers as late, and fails, as it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sora::provider::BoxFuture;
use sora::remote::{
    Fill, Filled, Remote, RemoteCapability, RemoteListener, RemoteName, RemoteTraffic, Slot, Token,
};
use sora::{Error, ErrorKind, Result};

#[derive(Clone, Debug, Default)]
pub(super) struct Scripted(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    slots: HashMap<RemoteName, Slot>,
    counters: HashMap<RemoteName, u64>,
    listeners: Vec<Arc<dyn RemoteListener>>,
    calls: Vec<&'static str>,
    takes: Duration,
    fails: Option<ErrorKind>,
    /// In which call the connection is lost and comes back.
    gap: Option<&'static str>,
    /// Somebody who never ends has the lease of every name.
    is_leased: bool,
}

impl Scripted {
    /// The calls since it was last asked.
    pub(super) fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().calls)
    }

    pub(super) fn take_ms(&self, time_ms: u64) {
        self.state().takes = Duration::from_millis(time_ms);
    }

    pub(super) fn fail(&self, kind: Option<ErrorKind>) {
        self.state().fails = kind;
    }

    pub(super) fn gap_in(&self, call: &'static str) {
        self.state().gap = Some(call);
    }

    pub(super) fn lease_all(&self) {
        self.state().is_leased = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic under the lock")
    }

    /// Makes a call take its time, and fail if it is to.
    async fn call(&self, name: &'static str) -> Result<()> {
        let (takes, fails) = {
            let mut state = self.state();
            state.calls.push(name);
            (state.takes, state.fails)
        };
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let gap = self.state().gap.take_if(|gap| *gap == name);
        if gap.is_some() {
            let listeners = self.state().listeners.clone();
            for listener in listeners {
                listener.gap(true);
            }
        }
        fails.map_or(Ok(()), |kind| Err(Error::new(kind, "as the test wants it")))
    }

    fn slots(&self, names: &[RemoteName]) -> Vec<Slot> {
        let state = self.state();
        let slot = |name| match state.slots.get(name) {
            _ if state.is_leased => Slot::Leased(Token(0)),
            slot => slot.cloned().unwrap_or(Slot::Empty),
        };
        names.iter().map(slot).collect()
    }

    fn put(&self, names: &[RemoteName], slot: &Slot) {
        let mut state = self.state();
        for name in names {
            state.slots.insert(name.clone(), slot.clone());
        }
    }
}

impl Remote for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn capability(&self) -> RemoteCapability {
        RemoteCapability::tracked(0, 1)
    }

    fn traffic(&self) -> RemoteTraffic {
        RemoteTraffic::default()
    }

    fn fetch<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<Slot>>> {
        Box::pin(async { self.call("fetch").await.map(|()| self.slots(names)) })
    }

    fn lease<'a>(
        &'a self,
        names: &'a [RemoteName],
        token: Token,
        _: u64,
    ) -> BoxFuture<'a, Result<Vec<Slot>>> {
        Box::pin(async move {
            self.call("lease").await?;
            for (name, slot) in names.iter().zip(self.slots(names)) {
                if slot == Slot::Empty {
                    self.put(std::slice::from_ref(name), &Slot::Leased(token));
                }
            }
            Ok(self.slots(names))
        })
    }

    fn fill<'a>(
        &'a self,
        fills: Vec<Fill>,
        token: Token,
        counters: &'a [RemoteName],
    ) -> BoxFuture<'a, Result<Filled>> {
        Box::pin(async move {
            self.call("fill").await?;
            let mut filled = Vec::new();
            for Fill { name, value, .. } in fills {
                let names = [name];
                let is_filled = self.slots(&names) == [Slot::Leased(token)];
                if is_filled {
                    self.put(&names, &Slot::Value(value));
                }
                filled.push(is_filled);
            }
            let state = self.state();
            let number = |name| Some(state.counters.get(name).copied().unwrap_or(0));
            Ok(Filled { filled, counters: counters.iter().map(number).collect() })
        })
    }

    fn release<'a>(&'a self, names: &'a [RemoteName], _: Token) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.call("release").await.map(|()| self.put(names, &Slot::Empty)) })
    }

    fn remove<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.call("remove").await.map(|()| self.put(names, &Slot::Empty)) })
    }

    fn block<'a>(&'a self, names: &'a [RemoteName], _: u64) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.call("block").await.map(|()| self.put(names, &Slot::Blocked)) })
    }

    fn counters<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(async {
            self.call("counters").await?;
            let state = self.state();
            Ok(names.iter().map(|name| state.counters.get(name).copied().unwrap_or(0)).collect())
        })
    }

    fn bump<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(async {
            self.call("bump").await?;
            let mut state = self.state();
            let mut bump = |name: &RemoteName| {
                let counter = state.counters.entry(name.clone()).or_default();
                *counter += 1;
                *counter
            };
            Ok(names.iter().map(&mut bump).collect())
        })
    }

    fn listen(&self, listener: Arc<dyn RemoteListener>) {
        self.state().listeners.push(listener.clone());
        listener.gap(true);
    }
}
