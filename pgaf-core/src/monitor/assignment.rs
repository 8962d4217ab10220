//! What a node is told: its goal and all that it needs to reach it.

use std::time::Duration;

use crate::group::{Group, Node};
use crate::id::NodeId;
use crate::lsn::Lsn;
use crate::message::{Answer, Assignment, CommitRule, Peer, Position};
use crate::state::ReplicationState;

/// A primary that hears nobody fences itself this much earlier than a standby may be promoted.
pub(super) const FENCE_MARGIN: Duration = Duration::from_millis(250);

impl From<&Node> for Peer {
    fn from(node: &Node) -> Self {
        Self { node: node.id, name: node.name.clone(), host: node.host.clone(), port: node.port }
    }
}

/// The newest assignment of a node; `None` when it is not in the group.
pub fn assignment_for(group: &Group, id: NodeId) -> Option<Assignment> {
    let node = group.node(id)?;
    let commit_rule = match group.commit_rules.last() {
        Some(rule) if node.goal.is_writer() => rule.clone(),
        _ => CommitRule::ASYNCHRONOUS,
    };
    let partition_timeout = group.timeouts.unhealthy_after.saturating_sub(FENCE_MARGIN);
    Some(Assignment {
        node: id,
        group: group.id,
        epoch: node.goal_epoch,
        goal: node.goal,
        candidate_priority: node.candidate_priority,
        replication_quorum: node.replication_quorum,
        commit_rule,
        upstream: upstream_of(group, node),
        peers: group.others(id).map(Peer::from).collect(),
        fetch_up_to: (node.goal == ReplicationState::FastForward).then(|| group.fetch_target()).flatten(),
        dbname: group.dbname.clone(),
        network_partition_timeout_ms: u64::try_from(partition_timeout.as_millis()).ok(),
    })
}

/// The answer to a report of a node; `None` when it is not in the group.
pub fn answer_for(group: &Group, id: NodeId) -> Option<Answer> {
    let has_position = |node: &&Node| node.has_data && node.lsn > Lsn::ZERO;
    let positions = group.others(id).filter(has_position);
    Some(Answer {
        assignment: assignment_for(group, id)?,
        positions: positions.map(|node| Position { node: node.id, lsn: node.lsn }).collect(),
        overtaken_by: None,
        monitor: None,
        registration: None,
        restart: group.node(id).and_then(Node::due_restart).cloned(),
        postgres_settings: group.postgres_settings.clone(),
        is_handing_over: group.writer().is_some_and(|node| node.id == id) && group.candidate().is_some(),
    })
}

/// The writer, for a node that shall follow one, once there is one; for a candidate that lacks WAL, who has it.
fn upstream_of(group: &Group, node: &Node) -> Option<Peer> {
    use ReplicationState::{
        CatchingUp, FastForward, Maintenance, PreparePromotion, Secondary, WaitMaintenance, WaitStandby,
    };
    let upstream = match node.goal {
        FastForward => group.fetch_source(),
        CatchingUp | Secondary | WaitStandby | WaitMaintenance | Maintenance | PreparePromotion => {
            group.writer()
        }
        _ => None,
    };
    upstream.filter(|upstream| upstream.id != node.id).map(Peer::from)
}
