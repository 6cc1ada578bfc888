//! The nodes of a cluster, and which of them has which names.

mod map;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use sora_core::remote::RemoteTraffic;
use sora_core::{Error, Result};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ask::{Answer, Answered, Ask};
use crate::config::{Address, RedisConfig};
use crate::ears::Ears;
use crate::failure;
use crate::node::{Kept, Node};
use map::{Map, owners};

/// How often a name is sent on: to where its slot has moved, and from there to where it moves now.
const REDIRECTS_MAX: usize = 3;
/// How long is waited before the cluster is asked again who has what, while nobody says that it has
/// changed, and while a node is away.
const CALM: Duration = Duration::from_secs(10);
const BUSY: Duration = Duration::from_millis(100);
/// As soon as it may be asked again at all.
const PAUSE: Duration = Duration::from_millis(10);

/// A cluster. A task of its own keeps its map.
#[derive(Debug)]
pub(crate) struct Cluster {
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    config: Arc<RedisConfig>,
    ears: Arc<Ears>,
    runtime: Handle,
    nodes: Mutex<HashMap<Address, Kept>>,
    map: RwLock<Arc<Map>>,
    /// Somebody was sent on: the map is old.
    is_old: Notify,
    /// Counts how often the map was read.
    reads: watch::Sender<u64>,
}

/// A name, its place among those that were asked, and the node that it was sent on to.
struct Asked {
    at: usize,
    ask: Ask,
    to: Option<Arc<Node>>,
}

/// Where a name is to be asked instead.
enum Redirect {
    /// The slot is there now.
    Moved,
    /// The slot is on its way there, and the name is not here any more.
    Ask(Address),
    /// Of several names some are here.
    Again,
}

impl Cluster {
    pub(crate) fn new(config: Arc<RedisConfig>, ears: Arc<Ears>, runtime: &Handle) -> Self {
        let inner = Arc::new(Inner {
            config,
            ears,
            runtime: runtime.clone(),
            nodes: Mutex::default(),
            map: RwLock::default(),
            is_old: Notify::new(),
            reads: watch::Sender::new(0),
        });
        for address in inner.config.addresses.clone() {
            inner.node(&mut inner.nodes(), &address);
        }
        let task = runtime.spawn(inner.clone().keep());
        Self { inner, task }
    }

    /// Why some names can't be asked.
    pub(crate) fn state(&self) -> Result<()> {
        let map = self.inner.map();
        if map.is_whole() {
            return map.nodes().try_for_each(|node| node.link().map(drop));
        }
        let nodes = self.inner.nodes();
        nodes.values().try_for_each(|kept| kept.node().link().map(drop))?;
        Err(not_served())
    }

    /// Whether all nodes tell what happens, and how many there are.
    pub(crate) fn facts(&self) -> (bool, usize) {
        let map = self.inner.map();
        let tracks = |node: &Arc<Node>| node.link().is_ok_and(|link| link.tracks());
        (map.is_whole() && map.nodes().all(tracks), map.nodes().count().max(1))
    }

    /// What has been asked of the nodes that there are now.
    pub(crate) fn traffic(&self) -> RemoteTraffic {
        let nodes = self.inner.nodes();
        nodes
            .values()
            .map(|kept| kept.node().traffic())
            .fold(RemoteTraffic::default(), |sum, one| {
                RemoteTraffic::new(sum.round_trips + one.round_trips, sum.names + one.names)
            })
    }

    /// Asks each node what is its own, and again where names have moved.
    pub(crate) async fn ask(&self, asks: Vec<Ask>, deadline: Instant) -> Result<Vec<Answer>> {
        let mut answers: Vec<Option<Answer>> = Vec::new();
        answers.resize_with(asks.len(), || None);
        let pending = asks.into_iter().enumerate();
        let mut pending: Vec<Asked> =
            pending.map(|(at, ask)| Asked { at, ask, to: None }).collect();
        let mut redirects = 0;
        loop {
            let mut again = Vec::new();
            let mut has_moved = false;
            for (place, ask, answer) in self.round(pending, deadline).await? {
                let redirect = redirect(&answer).filter(|_| redirects < REDIRECTS_MAX);
                has_moved |= matches!(redirect, Some(Redirect::Moved));
                match redirect {
                    None => answers[place] = Some(answer),
                    Some(redirect) => again.push(self.send_on(place, ask, redirect)),
                }
            }
            if again.is_empty() {
                return Ok(answers
                    .into_iter()
                    .map(|answer| answer.unwrap_or(Answer::Odd))
                    .collect());
            }
            redirects += 1;
            pending = again;
            if has_moved {
                self.inner.read_map(deadline).await?;
            }
        }
    }

    /// One round trip to each node.
    async fn round(
        &self,
        asked: Vec<Asked>,
        deadline: Instant,
    ) -> Result<Vec<(usize, Ask, Answer)>> {
        let map = self.inner.map();
        let mut groups: Vec<(Arc<Node>, Vec<usize>, Vec<Ask>)> = Vec::new();
        for Asked { at, ask, to } in asked {
            let owner = to.or_else(|| map.owner(ask.key.slot()).cloned());
            let Some(node) = owner else {
                self.inner.is_old.notify_one();
                return Err(not_served());
            };
            match groups.iter_mut().find(|(known, ..)| Arc::ptr_eq(known, &node)) {
                Some((_, places, asks)) => {
                    places.push(at);
                    asks.push(ask);
                }
                None => groups.push((node, vec![at], vec![ask])),
            }
        }
        let mut done = Vec::new();
        if groups.len() == 1 {
            for (node, places, asks) in groups {
                done.push((places, node.ask(asks.into(), deadline).await?));
            }
        } else {
            // All are under way before the first is waited for.
            let mut under_way = Vec::with_capacity(groups.len());
            for (node, places, asks) in groups {
                under_way.push((places, node.join(asks.into(), deadline)));
            }
            for (places, answer) in under_way {
                done.push((places, answer?.await?));
            }
        }
        let each = done.into_iter().flat_map(|(places, Answered { asks, answers })| {
            places.into_iter().zip(asks).zip(answers).map(|((at, ask), answer)| (at, ask, answer))
        });
        Ok(each.collect())
    }

    fn send_on(&self, at: usize, ask: Ask, redirect: Redirect) -> Asked {
        let (to, is_asking) = match redirect {
            Redirect::Moved | Redirect::Again => (None, false),
            Redirect::Ask(address) => {
                (Some(self.inner.node(&mut self.inner.nodes(), &address)), true)
            }
        };
        Asked { at, ask: Ask { is_alone: true, is_asking, ..ask }, to }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inner {
    fn map(&self) -> Arc<Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<Address, Kept>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node, which is connected to from now on.
    fn node(&self, nodes: &mut HashMap<Address, Kept>, address: &Address) -> Arc<Node> {
        let kept = nodes.entry(address.clone()).or_insert_with(|| {
            let (config, ears) = (self.config.clone(), self.ears.clone());
            Kept::new(address.clone(), config, ears, &self.runtime)
        });
        kept.node().clone()
    }

    /// Lets the map be read again, and waits until it was.
    async fn read_map(&self, deadline: Instant) -> Result<()> {
        let mut reads = self.reads.subscribe();
        self.is_old.notify_one();
        let read = tokio::time::timeout_at(deadline, reads.changed()).await;
        read.map(|_| ()).map_err(|_| failure::timeout(self.config.command_timeout_ms))
    }

    /// Reads the map whenever something has changed.
    async fn keep(self: Arc<Self>) {
        let mut changes = self.ears.changes();
        loop {
            changes.mark_unchanged();
            let is_read = self.read().await;
            let map = self.map();
            let is_calm = is_read && map.is_whole() && map.nodes().all(|node| node.link().is_ok());
            let pause = if is_calm { CALM } else { BUSY };
            tokio::select! {
                () = self.is_old.notified() => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks one node after the other who has what; whether one said so.
    async fn read(&self) -> bool {
        let nodes: Vec<Arc<Node>> = self.nodes().values().map(|kept| kept.node().clone()).collect();
        let time = Duration::from_millis(self.config.command_timeout_ms);
        for node in nodes {
            let Ok(link) = node.link() else { continue };
            let reply = tokio::time::timeout(time, link.command(&["CLUSTER", "SLOTS"])).await;
            let Ok(Ok(reply)) = reply else { continue };
            let Some(owners) = owners(reply, node.address()) else { continue };
            self.put(&owners);
            return true;
        }
        false
    }

    /// Puts a new map in the place of the old one, and lets go of nodes that are in neither it nor the
    /// configuration.
    fn put(&self, owners: &[(u16, u16, Address)]) {
        let mut nodes = self.nodes();
        let mut map = Map::default();
        for (first, last, address) in owners {
            map.put(*first, *last, &self.node(&mut nodes, address));
        }
        let is_used = |address: &Address| {
            owners.iter().any(|(.., owner)| owner == address)
                || self.config.addresses.contains(address)
        };
        let unused: Vec<Address> = nodes.keys().filter(|key| !is_used(key)).cloned().collect();
        let unused: Vec<Kept> = unused.iter().filter_map(|key| nodes.remove(key)).collect();
        drop(nodes);
        let has_changed = !self.map().is_same(&map);
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
        drop(unused);
        if has_changed {
            // The old node tells nothing of names that it has no more.
            self.ears.gap();
        }
        self.reads.send_modify(|count| *count += 1);
    }
}

fn redirect(answer: &Answer) -> Option<Redirect> {
    let Answer::Failed(error) = answer else { return None };
    match error.code() {
        "MOVED" => Some(Redirect::Moved),
        "ASK" => {
            let address = error.details()?.split_ascii_whitespace().nth(1)?;
            Some(Redirect::Ask(Address::parse(address).ok()?))
        }
        "TRYAGAIN" => Some(Redirect::Again),
        _ => None,
    }
}

fn not_served() -> Error {
    failure::unavailable("no node of the cluster has these names")
}
