//! A slot of a cluster on its way from one node to another.

use std::io;

use super::cluster::RedisCluster;
use super::{Redis, Reply};

/// How many keys are moved by one command.
const KEYS_MAX: &str = "100";
const TIMEOUT_MS: &str = "5000";

/// A slot that is about to move: its old master answers for the keys that it has and sends clients on
/// for others (`ASK`); its new one answers those who say `ASKING`. Dropping it leaves it so.
#[derive(Debug)]
pub struct SlotMigration<'a> {
    cluster: &'a RedisCluster,
    slot: String,
    from: &'a Redis,
    to: &'a Redis,
    to_id: String,
}

impl<'a> SlotMigration<'a> {
    pub(super) fn begin(cluster: &'a RedisCluster, slot: u16, to: &Redis) -> io::Result<Self> {
        let from = cluster.master_of(slot)?;
        let unknown = || io::Error::other("this node is not of the cluster, or does not run");
        let to = cluster.running().find(|node| node.port() == to.port()).ok_or_else(unknown)?;
        let id = |node: &Redis| cluster.id_of(node).map(str::to_owned).ok_or_else(unknown);
        let (from_id, to_id) = (id(from)?, id(to)?);
        let slot = slot.to_string();
        to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id])?;
        from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id])?;
        Ok(Self { cluster, slot, from, to, to_id })
    }

    /// The node that the slot leaves.
    pub fn from(&self) -> &'a Redis {
        self.from
    }

    /// The node that the slot goes to.
    pub fn to(&self) -> &'a Redis {
        self.to
    }

    /// Moves one key; returns whether it was there.
    ///
    /// # Errors
    ///
    /// If one of the nodes does not answer.
    pub fn move_key(&self, key: &str) -> io::Result<bool> {
        self.move_all(&[Reply::Bulk(key.into())])
    }

    /// Moves all keys that are there, and returns how many; new ones go to the new node.
    ///
    /// # Errors
    ///
    /// If one of the nodes does not answer.
    pub fn move_keys(&self) -> io::Result<usize> {
        let mut moved = 0;
        loop {
            let keys = self.from.command(&["CLUSTER", "GETKEYSINSLOT", &self.slot, KEYS_MAX])?;
            let keys = keys.values().unwrap_or_default();
            if keys.is_empty() {
                return Ok(moved);
            }
            self.move_all(keys)?;
            moved += keys.len();
        }
    }

    /// Gives the slot to its new node, and waits until all nodes know it.
    ///
    /// # Errors
    ///
    /// If keys are left behind, or a node does not answer.
    pub fn finish(self) -> io::Result<()> {
        // The new one first: whoever is sent there is then served.
        let mut nodes = vec![self.to, self.from];
        nodes.extend(self.cluster.running());
        for (at, node) in nodes.into_iter().enumerate() {
            let is_replica =
                node.info("replication")?.get("role").is_some_and(|role| role == "slave");
            if at < 2 || !is_replica {
                node.command(&["CLUSTER", "SETSLOT", &self.slot, "NODE", &self.to_id])?;
            }
        }
        self.cluster.settle()
    }

    fn move_all(&self, keys: &[Reply]) -> io::Result<bool> {
        let port = self.to.port().to_string();
        let mut words: Vec<&[u8]> = vec![b"MIGRATE", b"127.0.0.1", port.as_bytes(), b"", b"0"];
        words.push(TIMEOUT_MS.as_bytes());
        if let Some(password) = self.to.address.password() {
            words.extend([&b"AUTH"[..], password.as_bytes()]);
        }
        words.push(b"KEYS");
        words.extend(keys.iter().filter_map(|key| match key {
            Reply::Bulk(key) => Some(&**key),
            _ => None,
        }));
        Ok(self.from.command(&words)?.text() == Some("OK"))
    }
}
