//! What a person assigns to a node without a monitor: a goal, and the other nodes.

use serde::{Deserialize, Serialize};

use super::saved::KeeperState;
use crate::id::{Epoch, NodeId};
use crate::message::{Assignment, CommitRule, Peer};
use crate::state::ReplicationState;

/// A goal and the nodes of the group, as a person has written them down. Whoever runs the node follows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ManualAssignment {
    /// What the node should become; `None` for what it was told before.
    pub goal: Option<ReplicationState>,
    /// All nodes of the group, this one too; empty for those that are known already.
    pub nodes: Vec<GroupMember>,
}

/// A node of the group, as people write it into a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupMember {
    /// Its id.
    pub node_id: NodeId,
    /// Its name.
    pub node_name: String,
    /// Host name or address.
    pub node_host: String,
    /// Port of its Postgres.
    pub node_port: u16,
    /// The standbys follow it.
    pub node_is_primary: bool,
}

impl From<&GroupMember> for Peer {
    fn from(member: &GroupMember) -> Self {
        Self {
            node: member.node_id,
            name: member.node_name.clone(),
            host: member.node_host.clone(),
            port: member.node_port,
        }
    }
}

impl ManualAssignment {
    /// The assignment that this amounts to; `None` when it changes nothing.
    pub fn assignment(&self, state: &KeeperState, dbname: &str) -> Option<Assignment> {
        let known = state.assignment.as_ref();
        let goal = self.goal.or(known.map(|known| known.goal))?;
        let mut assignment = known.cloned().unwrap_or_else(|| unassigned(state, dbname));
        if !self.nodes.is_empty() {
            let others = self.nodes.iter().filter(|member| member.node_id != state.node);
            assignment.upstream = others.clone().find(|member| member.node_is_primary).map(Peer::from);
            assignment.peers = others.map(Peer::from).collect();
        }
        assignment.goal = goal;
        if goal.is_writer() {
            assignment.upstream = None;
        }
        let is_as_before = known.is_some_and(|known| known.goal == goal && known.peers == assignment.peers);
        if !is_as_before {
            assignment.commit_rule = commit_rule(goal, &assignment.peers);
        }
        if known == Some(&assignment) {
            return None;
        }
        assignment.epoch = assignment.epoch.next();
        Some(assignment)
    }
}

/// For a node that was told nothing yet.
fn unassigned(state: &KeeperState, dbname: &str) -> Assignment {
    Assignment {
        node: state.node,
        group: state.group,
        epoch: Epoch(0),
        goal: ReplicationState::Init,
        candidate_priority: 50,
        replication_quorum: true,
        commit_rule: CommitRule::ASYNCHRONOUS,
        upstream: None,
        peers: Vec::new(),
        fetch_up_to: None,
        dbname: dbname.to_owned(),
        network_partition_timeout_ms: None,
    }
}

/// Nobody says which standbys keep up: a commit waits for any one.
fn commit_rule(goal: ReplicationState, peers: &[Peer]) -> CommitRule {
    let is_synchronous = goal.is_synchronous_writer() && !peers.is_empty();
    if is_synchronous {
        CommitRule { standbys: peers.iter().map(|peer| peer.node).collect(), acks: 1 }
    } else {
        CommitRule::ASYNCHRONOUS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GroupId;

    fn member(id: i64, port: u16, is_primary: bool) -> GroupMember {
        GroupMember {
            node_id: NodeId(id),
            node_name: format!("n{id}"),
            node_host: format!("h{id}"),
            node_port: port,
            node_is_primary: is_primary,
        }
    }

    #[test]
    fn what_a_person_writes_becomes_an_assignment() {
        let mut state = KeeperState::registered(NodeId(2), GroupId(0));
        let manual =
            |goal| ManualAssignment { goal, nodes: vec![member(1, 5432, true), member(2, 5433, false)] };
        assert_eq!(manual(None).assignment(&state, "db"), None);
        let standby = manual(Some(ReplicationState::Secondary)).assignment(&state, "db").expect("new");
        assert_eq!(standby.upstream.as_ref().map(|peer| peer.port), Some(5432));
        assert_eq!((standby.epoch, standby.peers.len()), (Epoch(1), 1));
        state.assignment = Some(standby);
        assert_eq!(manual(None).assignment(&state, "db"), None, "nothing new");
        assert_eq!(ManualAssignment::default().assignment(&state, "db"), None, "nothing is said");
        let primary = manual(Some(ReplicationState::Primary)).assignment(&state, "db").expect("new");
        assert_eq!(primary.upstream, None);
        assert_eq!(primary.commit_rule, CommitRule { standbys: vec![NodeId(1)], acks: 1 });
        state.assignment = Some(primary);
        let alone = ManualAssignment { goal: Some(ReplicationState::WaitPrimary), nodes: Vec::new() };
        let alone = alone.assignment(&state, "db").expect("new");
        assert_eq!((alone.peers.len(), alone.commit_rule.is_synchronous()), (1, false));
    }
}
