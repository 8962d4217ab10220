//! The nodes of all groups of a formation, as the keepers of a Citus formation know them.

use crate::id::GroupId;
use crate::message::Peer;
use crate::state::ReplicationState;

/// A node of any group of a formation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FormationNode {
    /// How to connect to it.
    pub peer: Peer,
    /// Its group; 0 is that of the coordinator.
    pub group: GroupId,
    /// What it should become.
    pub goal: ReplicationState,
    /// What it last said it is.
    pub reported: ReplicationState,
    /// The Citus cluster it belongs to.
    pub cluster: String,
}

impl FormationNode {
    /// It is told to accept writes, and does.
    pub const fn writes(&self) -> bool {
        self.goal.is_writer() && self.reported.is_writer()
    }
}

/// The primary of the coordinator's group, when there is one that accepts writes.
pub fn coordinator_of(nodes: &[FormationNode]) -> Option<&Peer> {
    let coordinator = nodes.iter().find(|node| node.group == GroupId::COORDINATOR && node.writes());
    coordinator.map(|node| &node.peer)
}
