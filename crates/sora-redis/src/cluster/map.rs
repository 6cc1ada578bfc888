//! Which node has which slots.

use std::sync::Arc;

use redis::Value;

use crate::config::Address;
use crate::node::Node;

const SLOTS: usize = 16_384;
/// More nodes than a cluster may have.
const NODES_MAX: usize = 16_384;

/// The owners of slots.
#[derive(Debug, Default)]
pub(crate) struct Map {
    nodes: Vec<Arc<Node>>,
    /// The place of a slot's node, plus one; empty before anything is known.
    owners: Vec<u16>,
}

impl Map {
    /// The node that has a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        let owner = usize::from(*self.owners.get(usize::from(slot))?);
        self.nodes.get(owner.checked_sub(1)?)
    }

    /// The nodes that have slots.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter()
    }

    /// Whether every slot has a node.
    pub(super) fn is_whole(&self) -> bool {
        self.owners.len() == SLOTS && !self.owners.contains(&0)
    }

    pub(super) fn put(&mut self, first: u16, last: u16, node: &Arc<Node>) {
        self.owners.resize(SLOTS, 0);
        let known = self.nodes.iter().position(|known| Arc::ptr_eq(known, node));
        let at = known.unwrap_or_else(|| {
            self.nodes.push(node.clone());
            self.nodes.len() - 1
        });
        let owner = u16::try_from(at + 1).unwrap_or(0);
        if let Some(slots) = self.owners.get_mut(usize::from(first)..=usize::from(last)) {
            slots.fill(owner);
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        let owner = |map: &Self, slot: u16| map.owner(slot).map(Arc::as_ptr);
        (0..).take(SLOTS).all(|slot| owner(self, slot) == owner(other, slot))
    }
}

/// Reads the reply to `CLUSTER SLOTS`: first slot, last slot, master of each range. A node that does not
/// know its own host says nothing, and is where it was asked.
pub(super) fn owners(reply: Value, asked: &Address) -> Option<Vec<(u16, u16, Address)>> {
    let Value::Array(ranges) = reply else { return None };
    let owners: Vec<(u16, u16, Address)> =
        ranges.into_iter().map(|range| owner(range, asked)).collect::<Option<_>>()?;
    (!owners.is_empty() && owners.len() <= NODES_MAX).then_some(owners)
}

fn owner(range: Value, asked: &Address) -> Option<(u16, u16, Address)> {
    let Value::Array(range) = range else { return None };
    let mut range = range.into_iter();
    let (Value::Int(first), Value::Int(last)) = (range.next()?, range.next()?) else { return None };
    let Value::Array(master) = range.next()? else { return None };
    let mut master = master.into_iter();
    let host = match master.next()? {
        Value::BulkString(host) => String::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        _ => String::new(),
    };
    let Value::Int(port) = master.next()? else { return None };
    let host = match &*host {
        "" | "?" => asked.host.clone(),
        host => host.into(),
    };
    let address = Address { host, port: u16::try_from(port).ok()? };
    Some((u16::try_from(first).ok()?, u16::try_from(last).ok()?, address))
}
