//! A tier that the nodes of a test share, with the faults that the test wants.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use sora_core::provider::BoxFuture;
use sora_core::remote::{
    Fill, Filled, Remote, RemoteCapability, RemoteListener, RemoteName, RemoteTraffic, Slot, Token,
};
use sora_core::{Error, ErrorKind, Result};
use tokio::sync::watch;

/// What is shared. Nothing in it expires.
#[derive(Clone, Debug, Default)]
pub(super) struct Server(Arc<Mutex<State>>);

/// The tier as one node sees it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    server: Server,
    node: usize,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct Faults {
    /// Every call fails.
    is_cut: AtomicBool,
    /// What happens is not told.
    is_deaf: AtomicBool,
    /// Nor is it said that it would be.
    is_untracked: AtomicBool,
    /// Answers to fetches do not come.
    holds: watch::Sender<bool>,
    calls: AtomicUsize,
    names: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<RemoteName, Slot>,
    counters: HashMap<RemoteName, u64>,
    numbers: u64,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    listener: Option<Arc<dyn RemoteListener>>,
    faults: Arc<Faults>,
    read: HashSet<RemoteName>,
}

/// Who is to be told of which name.
type Told = Vec<(Arc<dyn RemoteListener>, RemoteName)>;

impl Server {
    /// Returns the tier as one more node sees it.
    pub(super) fn line(&self) -> Line {
        let faults = Arc::new(Faults {
            is_cut: AtomicBool::default(),
            is_deaf: AtomicBool::default(),
            is_untracked: AtomicBool::default(),
            holds: watch::Sender::new(false),
            calls: AtomicUsize::default(),
            names: AtomicUsize::default(),
        });
        let mut state = self.lock();
        let node = Node { listener: None, faults: faults.clone(), read: HashSet::new() };
        state.nodes.push(node);
        Line { server: self.clone(), node: state.nodes.len() - 1, faults }
    }

    /// The names of rows that hold something.
    pub(super) fn rows(&self) -> Vec<RemoteName> {
        let is_row = |name: &&RemoteName| name.space.starts_with("sora:row:");
        self.lock().slots.keys().filter(is_row).cloned().collect()
    }

    pub(super) fn slot(&self, name: &RemoteName) -> Slot {
        self.lock().slots.get(name).cloned().unwrap_or(Slot::Empty)
    }

    /// Writes as somebody else does.
    pub(super) fn put(&self, name: &RemoteName, value: &[u8]) {
        self.lock().slots.insert(name.clone(), Slot::Value(value.into()));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic under the lock")
    }
}

impl Line {
    pub(super) fn cut(&self, is_cut: bool) {
        self.faults.is_cut.store(is_cut, Ordering::Relaxed);
    }

    pub(super) fn deafen(&self) {
        self.faults.is_deaf.store(true, Ordering::Relaxed);
    }

    pub(super) fn track_nothing(&self) {
        self.faults.is_untracked.store(true, Ordering::Relaxed);
        self.deafen();
    }

    /// Says that something may not have been told.
    pub(super) fn gap(&self) {
        let listener = self.server.lock().nodes[self.node].listener.clone();
        listener.expect("somebody listens").gap(true);
    }

    /// Whether what was fetched is kept from who asked.
    pub(super) fn hold(&self, holds: bool) {
        self.faults.holds.send_replace(holds);
    }

    /// Calls, and the names in them, since it was last asked.
    pub(super) fn take_calls(&self) -> (usize, usize) {
        let Faults { calls, names, .. } = &*self.faults;
        (calls.swap(0, Ordering::Relaxed), names.swap(0, Ordering::Relaxed))
    }

    /// Does what a call asks for, and tells the others.
    fn call<T>(&self, names: usize, act: impl FnOnce(&mut State, &mut Told) -> T) -> Result<T> {
        self.faults.calls.fetch_add(1, Ordering::Relaxed);
        self.faults.names.fetch_add(names, Ordering::Relaxed);
        if self.faults.is_cut.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "cut off, as the test wants it"));
        }
        let mut told = Told::new();
        let done = act(&mut self.server.lock(), &mut told);
        for (listener, name) in told {
            listener.changed(&name.space, &name.key);
        }
        Ok(done)
    }
}

impl State {
    fn read(&mut self, node: usize, name: &RemoteName) -> Slot {
        self.nodes[node].read.insert(name.clone());
        self.slots.get(name).cloned().unwrap_or(Slot::Empty)
    }

    fn set(&mut self, node: usize, name: &RemoteName, slot: Slot, told: &mut Told) {
        let before = match slot {
            Slot::Empty => self.slots.remove(name),
            slot => self.slots.insert(name.clone(), slot),
        };
        if before.is_some() || self.slots.contains_key(name) {
            self.changed(node, name, told);
        }
    }

    fn changed(&mut self, node: usize, name: &RemoteName, told: &mut Told) {
        let others = self.nodes.iter_mut().enumerate().filter(|(at, _)| *at != node);
        for (_, other) in others {
            let hears = other.read.remove(name) && !other.faults.is_deaf.load(Ordering::Relaxed);
            told.extend(other.listener.clone().filter(|_| hears).map(|it| (it, name.clone())));
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Empties a name if this stands under it.
    fn take(&mut self, node: usize, name: &RemoteName, token: Token, told: &mut Told) -> bool {
        let stands = self.slots.get(name) == Some(&Slot::Leased(token));
        if stands {
            self.set(node, name, Slot::Empty, told);
        }
        stands
    }
}

impl Remote for Line {
    fn name(&self) -> &'static str {
        "test"
    }

    fn capability(&self) -> RemoteCapability {
        match self.faults.is_untracked.load(Ordering::Relaxed) {
            true => RemoteCapability::untracked(1),
            false => RemoteCapability::tracked(0, 1),
        }
    }

    fn traffic(&self) -> RemoteTraffic {
        RemoteTraffic::default()
    }

    fn fetch<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<Slot>>> {
        Box::pin(async move {
            let slots = self.call(names.len(), |state, _| {
                names.iter().map(|name| state.read(self.node, name)).collect()
            });
            let mut is_held = self.faults.holds.subscribe();
            is_held.wait_for(|held| !held).await.expect("the test holds the sender");
            slots
        })
    }

    fn lease<'a>(
        &'a self,
        names: &'a [RemoteName],
        token: Token,
        _time_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Slot>>> {
        let leased = self.call(names.len(), |state, told| {
            let mut lease = |name: &RemoteName| {
                if state.read(self.node, name) == Slot::Empty {
                    state.set(self.node, name, Slot::Leased(token), told);
                }
                state.read(self.node, name)
            };
            names.iter().map(&mut lease).collect()
        });
        Box::pin(async { leased })
    }

    fn fill<'a>(
        &'a self,
        fills: Vec<Fill>,
        token: Token,
        counters: &'a [RemoteName],
    ) -> BoxFuture<'a, Result<Filled>> {
        let filled = self.call(fills.len(), |state, told| {
            let mut fill = |fill: Fill| {
                let stands = state.take(self.node, &fill.name, token, told);
                if stands {
                    state.set(self.node, &fill.name, Slot::Value(fill.value), told);
                }
                stands
            };
            let filled = fills.into_iter().map(&mut fill).collect();
            let count = |name| state.counters.get(name).copied();
            Filled { filled, counters: counters.iter().map(count).collect() }
        });
        Box::pin(async { filled })
    }

    fn release<'a>(&'a self, names: &'a [RemoteName], token: Token) -> BoxFuture<'a, Result<()>> {
        let released = self.call(names.len(), |state, told| {
            for name in names {
                state.take(self.node, name, token, told);
            }
        });
        Box::pin(async { released })
    }

    fn remove<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<()>> {
        let removed = self.call(names.len(), |state, told| {
            for name in names {
                if state.slots.get(name) != Some(&Slot::Blocked) {
                    state.set(self.node, name, Slot::Empty, told);
                }
            }
        });
        Box::pin(async { removed })
    }

    fn block<'a>(&'a self, names: &'a [RemoteName], _time_ms: u64) -> BoxFuture<'a, Result<()>> {
        let blocked = self.call(names.len(), |state, told| {
            for name in names {
                state.set(self.node, name, Slot::Blocked, told);
            }
        });
        Box::pin(async { blocked })
    }

    fn counters<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>> {
        let counters = self.call(names.len(), |state, _| {
            let mut counter = |name: &RemoteName| {
                state.nodes[self.node].read.insert(name.clone());
                let number = state.number();
                *state.counters.entry(name.clone()).or_insert(number)
            };
            names.iter().map(&mut counter).collect()
        });
        Box::pin(async { counters })
    }

    fn bump<'a>(&'a self, names: &'a [RemoteName]) -> BoxFuture<'a, Result<Vec<u64>>> {
        let numbers = self.call(names.len(), |state, told| {
            let mut bump = |name: &RemoteName| {
                let number = state.number();
                state.counters.insert(name.clone(), number);
                state.changed(self.node, name, told);
                number
            };
            names.iter().map(&mut bump).collect()
        });
        Box::pin(async { numbers })
    }

    fn listen(&self, listener: Arc<dyn RemoteListener>) {
        self.server.lock().nodes[self.node].listener = Some(listener.clone());
        listener.gap(true);
    }
}
