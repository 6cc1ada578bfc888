//! A Redis cluster of tests.

use std::io;

use super::migration::SlotMigration;
use super::server::{STARTS_MAX, is_taken};
use super::topology::{NodeView, Topology};
use super::{Redis, RedisOptions};
use crate::daemon::until;
use crate::port::free_port;

/// How many slots the keys of a cluster are spread over.
const SLOTS: u16 = 16_384;
const MASTERS: usize = 3;
const NODES: usize = 2 * MASTERS;
/// How often it is asked whether the nodes have met before they are told to meet again.
const MEET_POLLS: usize = 200;
/// How long a node may be silent until the others call it dead; a failover takes two or three times
/// that. Shorter, a busy machine would fail over by itself.
const NODE_TIMEOUT_MS: &str = "1000";

/// Six nodes of a Redis cluster on `127.0.0.1`: three masters, and a replica of each. Dropping it stops
/// and removes them.
///
/// A replica takes over however old its data is, and while slots have no master the others are served.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
    /// By which they know each other.
    ids: Vec<String>,
}

impl RedisCluster {
    /// Starts one and waits until all nodes agree and every replica has its master's data: three
    /// seconds. No password is asked for.
    ///
    /// # Errors
    ///
    /// Says what is missing and how to get it, or why a node did not start.
    pub fn start() -> io::Result<Self> {
        Self::start_with(&RedisOptions::new())
    }

    /// Starts one whose nodes are set up as told, such as with a password or another
    /// `cluster-node-timeout` than 1,000 ms.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(options: &RedisOptions) -> io::Result<Self> {
        let mut nodes = Vec::with_capacity(NODES);
        let mut ports = Vec::with_capacity(NODES);
        for _ in 0..NODES {
            let (node, bus) = launch(options)?;
            nodes.push(node);
            ports.push(bus);
        }
        let id = |node: &Redis| {
            let reply = node.command(&["CLUSTER", "MYID"])?;
            Ok(reply.text().unwrap_or_default().to_owned())
        };
        let ids = nodes.iter().map(id).collect::<io::Result<_>>()?;
        let cluster = Self { nodes, ids };
        cluster.form(&ports)?;
        Ok(cluster)
    }

    /// The nodes, dead ones too: first those that were masters at the start, then the replica of each.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The addresses of all nodes, dead ones too.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// Returns the slot of a key: by what is between its first braces, if something is.
    ///
    /// # Errors
    ///
    /// If no node runs.
    pub fn slot_of(&self, key: &str) -> io::Result<u16> {
        let reply = self.any()?.command(&["CLUSTER", "KEYSLOT", key])?;
        let slot = reply.integer().and_then(|slot| u16::try_from(slot).ok());
        slot.ok_or_else(|| io::Error::other(format!("CLUSTER KEYSLOT says {reply:?}")))
    }

    /// Returns the master of a slot, as one node that runs sees it.
    ///
    /// # Errors
    ///
    /// If no node runs, or the slot has none.
    pub fn master_of(&self, slot: u16) -> io::Result<&Redis> {
        let topology = self.topology()?;
        let master = topology.master_of(slot).and_then(|view| self.by_id(&view.id));
        master.ok_or_else(|| io::Error::other(format!("slot {slot} has no master")))
    }

    /// Returns the replica of the master of a slot, as one node that runs sees it.
    ///
    /// # Errors
    ///
    /// If no node runs, or none that runs is its replica.
    pub fn replica_of(&self, slot: u16) -> io::Result<&Redis> {
        let topology = self.topology()?;
        let master = topology.master_of(slot).map(|view| &view.id);
        let follows = |view: &&NodeView| master.is_some() && view.primary.as_ref() == master;
        let replicas = topology.nodes().iter().filter(follows);
        let replica =
            replicas.filter_map(|view| self.by_id(&view.id)).find(|node| node.is_running());
        replica.ok_or_else(|| io::Error::other(format!("the master of slot {slot} has no replica")))
    }

    /// Kills the master of a slot with SIGKILL, and returns it; nobody has noticed yet.
    ///
    /// # Errors
    ///
    /// As [`master_of`](Self::master_of).
    pub fn kill_master_of(&self, slot: u16) -> io::Result<&Redis> {
        let master = self.master_of(slot)?;
        master.kill()?;
        Ok(master)
    }

    /// Kills the master of a slot, waits until its replica has taken over, and returns that: three
    /// seconds.
    ///
    /// # Errors
    ///
    /// As [`kill_master_of`](Self::kill_master_of), and as [`settle`](Self::settle).
    pub fn fail_over(&self, slot: u16) -> io::Result<&Redis> {
        self.kill_master_of(slot)?;
        self.settle()?;
        self.master_of(slot)
    }

    /// Waits until all nodes that run say the same about who serves what, all slots are served by nodes
    /// that run, and their replicas follow them, if they were not [detached](Redis::detach).
    ///
    /// # Errors
    ///
    /// If it takes more than a minute, such as when a master and its replica are dead.
    pub fn settle(&self) -> io::Result<()> {
        until("the nodes of the cluster agree", || match self.agree() {
            // A replica that has just been sent its data says nothing else meanwhile.
            Err(error) if error.to_string().starts_with("LOADING") => Ok(false),
            agree => agree,
        })
    }

    /// Begins to move a slot to another node: clients are sent there (`ASK`) for keys that it has.
    ///
    /// # Errors
    ///
    /// If the node serves the slot already, or is no master.
    pub fn migrate(&self, slot: u16, to: &Redis) -> io::Result<SlotMigration<'_>> {
        SlotMigration::begin(self, slot, to)
    }

    /// Moves a slot with its keys to another node, and waits until all agree: clients that come to the
    /// old one are sent there (`MOVED`).
    ///
    /// # Errors
    ///
    /// As [`migrate`](Self::migrate).
    pub fn move_slot(&self, slot: u16, to: &Redis) -> io::Result<()> {
        let migration = self.migrate(slot, to)?;
        migration.move_keys()?;
        migration.finish()
    }

    /// Starts a proxy in front of each node, in the order of [`nodes`](Self::nodes), and lets the nodes
    /// announce the proxies' ports, so that clients who ask the cluster come through them: half a second.
    /// Replicas come through them too. Without its proxy a node is cut off from clients, so that the
    /// proxies should live as long as the cluster.
    ///
    /// # Errors
    ///
    /// If a node does not run.
    #[cfg(feature = "client")]
    pub fn proxies(&self) -> io::Result<Vec<crate::RedisProxy>> {
        let mut proxies = Vec::with_capacity(NODES);
        for node in &self.nodes {
            let proxy = crate::RedisProxy::start(node)?;
            let port = proxy.port();
            node.command(&["CONFIG", "SET", "cluster-announce-port", &port.to_string()])?;
            node.server()?.announce(port);
            proxies.push(proxy);
        }
        let ports: Vec<u16> = proxies.iter().map(crate::RedisProxy::port).collect();
        until("the nodes of the cluster announce their proxies", || {
            let is_announced = |view: &NodeView| ports.contains(&view.port);
            let knows = |node| Ok(Topology::of(node)?.nodes().iter().all(is_announced));
            let mut knowing = self.nodes.iter().map(knows);
            knowing.try_fold(true, |all, knows: io::Result<bool>| Ok(all & knows?))
        })?;
        self.settle()?;
        Ok(proxies)
    }

    /// The nodes that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &Redis> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// The id of a node of this cluster.
    pub(super) fn id_of(&self, node: &Redis) -> Option<&str> {
        let at = self.nodes.iter().position(|known| known.port() == node.port())?;
        self.ids.get(at).map(String::as_str)
    }

    fn by_id(&self, id: &str) -> Option<&Redis> {
        let at = self.ids.iter().position(|known| known == id)?;
        self.nodes.get(at)
    }

    /// What the first node says that has something to say.
    fn topology(&self) -> io::Result<Topology> {
        let mut last = None;
        for node in self.running() {
            match Topology::of(node) {
                Ok(topology) => return Ok(topology),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(none_runs))
    }

    fn any(&self) -> io::Result<&Redis> {
        self.running().next().ok_or_else(none_runs)
    }

    /// Makes the nodes, which know nothing of each other, one cluster.
    fn form(&self, bus_ports: &[u16]) -> io::Result<()> {
        let (masters, replicas) = self.nodes.split_at(MASTERS);
        let all = SLOTS - 1;
        let ranges = [(0, all / 3), (all / 3 + 1, all / 3 * 2), (all / 3 * 2 + 1, all)];
        for ((node, (first, last)), epoch) in masters.iter().zip(ranges).zip(1..) {
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])?;
            // Else they begin with the same, and settle it among themselves.
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()])?;
        }
        let mut polls = 0;
        until("the nodes of the cluster know each other", || {
            // A busy machine may take too long for them to meet, and then they must be told again.
            if polls % MEET_POLLS == 0 {
                self.meet(bus_ports)?;
            }
            polls += 1;
            let knows = |node| Ok(Topology::of(node)?.nodes().iter().filter(|n| n.is_well).count());
            let mut counts = self.nodes.iter().map(knows);
            counts.try_fold(true, |all, count: io::Result<usize>| Ok(all & (count? == NODES)))
        })?;
        for (replica, master) in replicas.iter().zip(&self.ids) {
            replica.command(&["CLUSTER", "REPLICATE", master])?;
        }
        self.settle()
    }

    /// Tells the first node where those are that it does not know.
    fn meet(&self, bus_ports: &[u16]) -> io::Result<()> {
        let first = &self.nodes[0];
        let known = Topology::of(first)?;
        for (node, bus) in self.nodes.iter().zip(bus_ports) {
            if known.nodes().iter().all(|view| view.port != node.port()) {
                let (port, bus) = (node.port().to_string(), bus.to_string());
                first.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
            }
        }
        Ok(())
    }

    fn agree(&self) -> io::Result<bool> {
        let mut first: Option<Topology> = None;
        for node in self.running() {
            let topology = Topology::of(node)?;
            let is_running = |id: &str| self.by_id(id).is_some_and(Redis::is_running);
            let is_whole = topology.slots_served() == usize::from(SLOTS);
            let is_true = topology.nodes().iter().all(|node| node.is_well == is_running(&node.id));
            let is_ok = node.info_of_cluster("cluster_state")? == "ok";
            if !is_whole || !is_true || !is_ok || !node.follows_if_it_should()? {
                return Ok(false);
            }
            match &first {
                Some(first) if *first != topology => return Ok(false),
                _ => first = Some(topology),
            }
        }
        match first {
            Some(_) => Ok(true),
            None => Err(none_runs()),
        }
    }
}

/// Starts a node that knows no other, and returns the port of its bus.
fn launch(options: &RedisOptions) -> io::Result<(Redis, u16)> {
    let mut tries = 1;
    loop {
        // Redis would add 10,000 to its port, where the system's own ports begin.
        let bus = free_port()?;
        let mut settings = RedisOptions::new()
            .set("cluster-enabled", "yes")
            .set("cluster-port", &bus.to_string())
            .set("cluster-node-timeout", NODE_TIMEOUT_MS)
            .set("cluster-replica-validity-factor", "0")
            .set("cluster-require-full-coverage", "no")
            .set("cluster-allow-replica-migration", "no")
            .settings;
        settings.extend(options.settings.iter().cloned());
        match Redis::launch("cluster", &RedisOptions { settings, ..options.clone() }, None) {
            Ok(node) => return Ok((node, bus)),
            // Another process has taken the port that was just free.
            Err(error) if tries < STARTS_MAX && is_taken(&error) => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

fn none_runs() -> io::Error {
    io::Error::other("no node of the cluster runs")
}

impl Redis {
    fn info_of_cluster(&self, name: &str) -> io::Result<String> {
        let reply = self.command(&["CLUSTER", "INFO"])?;
        let mut lines = reply.text().unwrap_or_default().lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.unwrap_or_default().to_owned())
    }

    /// Whether it is a master, a replica whose link is up, or one that was cut off on purpose.
    fn follows_if_it_should(&self) -> io::Result<bool> {
        let info = self.info("replication")?;
        if info.get("role").is_some_and(|role| role == "master") {
            return Ok(true);
        }
        let is_up = info.get("master_link_status").is_some_and(|status| status == "up");
        Ok(is_up || self.is_detached()?)
    }
}
