//! What a node of a cluster says about all of them.

use std::io;

use super::Redis;

/// Nodes in the order of their ports, as one node sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topology(Vec<NodeView>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeView {
    pub(super) id: String,
    pub(super) port: u16,
    /// The primary of a replica.
    pub(super) primary: Option<String>,
    /// Whether it is neither dead nor unknown, as far as the one that says it knows.
    pub(super) is_well: bool,
    pub(super) slots: Vec<(u16, u16)>,
}

impl Topology {
    /// Asks a node.
    pub(super) fn of(node: &Redis) -> io::Result<Self> {
        let reply = node.command(&["CLUSTER", "NODES"])?;
        let text = reply.text().unwrap_or_default();
        Self::parse(text).ok_or_else(|| io::Error::other(format!("CLUSTER NODES says {text:?}")))
    }

    pub(super) fn nodes(&self) -> &[NodeView] {
        &self.0
    }

    /// The one that serves a slot.
    pub(super) fn master_of(&self, slot: u16) -> Option<&NodeView> {
        let holds = |node: &&NodeView| {
            node.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
        };
        self.0.iter().find(holds)
    }

    /// How many slots are served by nodes that are well.
    pub(super) fn slots_served(&self) -> usize {
        let well = self.0.iter().filter(|node| node.is_well);
        let slots = well.flat_map(|node| &node.slots);
        slots.map(|(first, last)| usize::from(last - first) + 1).sum()
    }

    /// Reads lines such as `ID HOST:PORT@BUS FLAGS PRIMARY PING PONG EPOCH LINK SLOT SLOT-SLOT`; slots in
    /// brackets are about to move.
    fn parse(text: &str) -> Option<Self> {
        let mut nodes = text.lines().map(NodeView::parse).collect::<Option<Vec<_>>>()?;
        nodes.sort_by_key(|node| node.port);
        Some(Self(nodes))
    }
}

impl NodeView {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [id, address, flags, primary, _, _, _, _link, slots @ ..] = &*fields else {
            return None;
        };
        let (_, port) = address.split_once('@')?.0.rsplit_once(':')?;
        let is_well = flags.split(',').all(|flag| matches!(flag, "myself" | "master" | "slave"));
        let range = |text: &&str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let stays = |text: &&&str| !text.starts_with('[');
        Some(Self {
            id: (*id).into(),
            port: port.parse().ok()?,
            primary: (*primary != "-").then(|| (*primary).into()),
            is_well,
            slots: slots.iter().filter(stays).map(range).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read() {
        let text = "bb 127.0.0.1:7002@17002 slave aa 0 1 1 connected\n\
                    aa 127.0.0.1:7001@17001,host myself,master - 0 0 1 connected 0-99 200 [7->-cc]\n\
                    cc 127.0.0.1:7003@17003 master,fail? - 0 0 1 disconnected 100-199\n";
        let topology = Topology::parse(text).expect("nodes");
        let ids: Vec<&str> = topology.nodes().iter().map(|node| &*node.id).collect();
        assert_eq!(ids, ["aa", "bb", "cc"]);
        assert_eq!(topology.nodes()[1].primary.as_deref(), Some("aa"));
        let well: Vec<bool> = topology.nodes().iter().map(|node| node.is_well).collect();
        assert_eq!(well, [true, true, false]);
        assert_eq!(topology.slots_served(), 101);
        for (slot, expected) in [(0, Some("aa")), (200, Some("aa")), (150, Some("cc")), (300, None)]
        {
            let found = topology.master_of(slot).map(|node| &*node.id);
            assert_eq!(found, expected, "{slot}");
        }
        assert_eq!(Topology::parse("what is this"), None);
    }
}
