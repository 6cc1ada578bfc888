//! What the server holds, and whom it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sora_core::remote::{Fill, RemoteName, Slot, Token};
use tokio::time::Instant;

/// The server: each call happens at one moment.
#[derive(Debug)]
pub(super) struct Server {
    held: BTreeMap<Name, Held>,
    counters: BTreeMap<Name, u64>,
    /// The nodes that have read a name since it changed.
    tracked: BTreeMap<Name, BTreeSet<usize>>,
    /// The last number of any counter: none comes twice.
    number: u64,
    fills_always: bool,
    fills: u64,
    fills_refused: u64,
}

/// A space and a key: a name in an order.
pub(super) type Name = (Arc<str>, Arc<[u8]>);

/// What a node is told: a name that changed, or that all may have.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) to: usize,
    pub(super) name: Option<Name>,
}

#[derive(Clone, Debug)]
struct Held {
    slot: Slot,
    until: Instant,
}

impl Server {
    pub(super) fn new(fills_always: bool) -> Self {
        Self {
            held: BTreeMap::new(),
            counters: BTreeMap::new(),
            tracked: BTreeMap::new(),
            number: 0,
            fills_always,
            fills: 0,
            fills_refused: 0,
        }
    }

    /// Fills that succeeded, and that did not.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.fills, self.fills_refused)
    }

    pub(super) fn fetch(&mut self, names: &[RemoteName], node: usize) -> Vec<Slot> {
        names.iter().map(|name| self.look(&of(name), node)).collect()
    }

    pub(super) fn lease(
        &mut self,
        names: &[RemoteName],
        token: Token,
        time_ms: u64,
        node: usize,
    ) -> (Vec<Slot>, Vec<Told>) {
        let mut told = Vec::new();
        let take = |name: &RemoteName| {
            let name = of(name);
            if self.held.contains_key(&name) {
                return self.look(&name, node);
            }
            told.extend(self.put(name, Slot::Leased(token), time_ms, node));
            Slot::Leased(token)
        };
        (names.iter().map(take).collect(), told)
    }

    pub(super) fn fill(
        &mut self,
        fills: Vec<Fill>,
        token: Token,
        node: usize,
    ) -> (Vec<bool>, Vec<Told>) {
        let mut told = Vec::new();
        let fill = |Fill { name, value, time_to_live_ms }| {
            let name = of(&name);
            let stands = self.is_leased(&name, token) || self.fills_always;
            if stands {
                self.fills += 1;
                told.extend(self.put(name.clone(), Slot::Value(value), time_to_live_ms, node));
                self.track(name, node);
            } else {
                self.fills_refused += 1;
            }
            stands
        };
        (fills.into_iter().map(fill).collect(), told)
    }

    pub(super) fn release(&mut self, names: &[RemoteName], token: Token, node: usize) -> Vec<Told> {
        let leased = names.iter().map(of).filter(|name| self.is_leased(name, token));
        let leased: Vec<Name> = leased.collect();
        leased.into_iter().flat_map(|name| self.take(&name, Some(node))).collect()
    }

    pub(super) fn remove(&mut self, names: &[RemoteName], node: usize) -> Vec<Told> {
        let is_blocked = |held: &Held| held.slot == Slot::Blocked;
        let open = names.iter().map(of).filter(|name| !self.held.get(name).is_some_and(is_blocked));
        let open: Vec<Name> = open.collect();
        open.into_iter().flat_map(|name| self.take(&name, Some(node))).collect()
    }

    pub(super) fn block(&mut self, names: &[RemoteName], time_ms: u64, node: usize) -> Vec<Told> {
        let block = |name: &RemoteName| self.put(of(name), Slot::Blocked, time_ms, node);
        names.iter().flat_map(block).collect()
    }

    /// Counters as they are; none is made.
    pub(super) fn counted(&mut self, names: &[RemoteName], node: usize) -> Vec<Option<u64>> {
        let count = |name: &RemoteName| {
            let name = of(name);
            let number = self.counters.get(&name).copied();
            self.track(name, node);
            number
        };
        names.iter().map(count).collect()
    }

    pub(super) fn counters(
        &mut self,
        names: &[RemoteName],
        node: usize,
        anew: bool,
    ) -> (Vec<u64>, Vec<Told>) {
        let mut told = Vec::new();
        let count = |name: &RemoteName| {
            let name = of(name);
            let known = self.counters.get(&name).copied().filter(|_| !anew);
            let number = known.unwrap_or_else(|| {
                self.number += 1;
                self.counters.insert(name.clone(), self.number);
                told.extend(self.changed(&name, Some(node)));
                self.number
            });
            self.track(name, node);
            number
        };
        (names.iter().map(count).collect(), told)
    }

    /// Takes out whose time is over.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Told> {
        let over = self.held.iter().filter(|(_, held)| held.until <= now);
        let over: Vec<Name> = over.map(|(name, _)| name.clone()).collect();
        over.into_iter().flat_map(|name| self.take(&name, None)).collect()
    }

    /// Forgets what a node has read: its connection is lost.
    pub(super) fn forget(&mut self, node: usize) {
        for nodes in self.tracked.values_mut() {
            nodes.remove(&node);
        }
    }

    /// Begins anew with nothing. Numbers of counters go on.
    pub(super) fn restart(&mut self) {
        self.held.clear();
        self.counters.clear();
        self.tracked.clear();
    }

    /// Empties everything, and tells all.
    pub(super) fn flush(&mut self, nodes: usize) -> Vec<Told> {
        self.restart();
        (0..nodes).map(|to| Told { to, name: None }).collect()
    }

    fn look(&mut self, name: &Name, node: usize) -> Slot {
        self.track(name.clone(), node);
        self.held.get(name).map_or(Slot::Empty, |held| held.slot.clone())
    }

    fn is_leased(&self, name: &Name, token: Token) -> bool {
        self.held.get(name).is_some_and(|held| held.slot == Slot::Leased(token))
    }

    fn put(&mut self, name: Name, slot: Slot, time_ms: u64, node: usize) -> Vec<Told> {
        let told = self.changed(&name, Some(node));
        let until = Instant::now() + Duration::from_millis(time_ms);
        self.held.insert(name, Held { slot, until });
        told
    }

    /// Empties a name; nobody is told of one that was empty.
    fn take(&mut self, name: &Name, by: Option<usize>) -> Vec<Told> {
        match self.held.remove(name) {
            Some(_) => self.changed(name, by),
            None => Vec::new(),
        }
    }

    fn track(&mut self, name: Name, node: usize) {
        self.tracked.entry(name).or_default().insert(node);
    }

    /// Tells those who have read a name, but for whoever has changed it. They hear of it once.
    fn changed(&mut self, name: &Name, by: Option<usize>) -> Vec<Told> {
        let nodes = self.tracked.remove(name).unwrap_or_default();
        let others = nodes.into_iter().filter(|node| Some(*node) != by);
        others.map(|to| Told { to, name: Some(name.clone()) }).collect()
    }
}

fn of(name: &RemoteName) -> Name {
    (name.space.clone(), name.key.clone())
}
