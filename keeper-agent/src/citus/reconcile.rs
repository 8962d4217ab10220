//! What a coordinator has to be told, so that it knows what the monitor knows. No I/O.

use std::collections::BTreeSet;
use std::fmt;

use pgaf_core::{DEFAULT_CLUSTER, FormationNode, GroupId, ReplicationState};

use super::address::Address;
use super::hold::HoldName;
use super::metadata::{Metadata, NodeRow};

/// Nodes that this keeper has seen in the formation: what it has never seen, it does not remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) groups: BTreeSet<GroupId>,
    pub(super) secondaries: BTreeSet<Address>,
}

impl Known {
    /// Adds what is there now.
    pub(super) fn note(&mut self, nodes: &[FormationNode]) {
        self.groups.extend(nodes.iter().map(|node| node.group));
        self.secondaries.extend(nodes.iter().filter(|node| is_read_only(node)).map(address));
    }
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The candidate was promoted: writes go on, to it.
    FinishHold(HoldName),
    /// The candidate will not be promoted: writes go on where they went before.
    DropHold(HoldName),
    /// The coordinator has not been told its own address yet.
    SetCoordinator(Address),
    /// The primary of a group is somewhere else now.
    Move { row: NodeRow, to: Address },
    /// The primary of a group is new, or not active yet.
    AddWorker { group: GroupId, address: Address },
    /// A node that serves a read-only cluster is ready.
    AddSecondary { group: GroupId, address: Address, cluster: String },
    /// A node has left.
    Remove(NodeRow),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FinishHold(name) => write!(f, "end \"{name}\": the candidate is the primary"),
            Self::DropHold(name) => write!(f, "end \"{name}\": the candidate does not take over"),
            Self::SetCoordinator(address) => write!(f, "set the coordinator's address to {address}"),
            Self::Move { row, to } => {
                write!(
                    f,
                    "set the address of the primary of group {} to {to} (was {})",
                    row.group, row.address
                )
            }
            Self::AddWorker { group, address } => write!(f, "add {address} as the primary of group {group}"),
            Self::AddSecondary { group, address, cluster } => {
                write!(f, "add {address} of group {group} to the read-only cluster \"{cluster}\"")
            }
            Self::Remove(row) => write!(f, "remove {} of group {}", row.address, row.group),
        }
    }
}

/// What is known when it is asked what there is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation<'a> {
    /// The monitor's rows, read after the holds of `old_holds` were seen.
    pub(super) nodes: &'a [FormationNode],
    pub(super) known: &'a Known,
    pub(super) metadata: &'a Metadata,
    /// A hold that is not among these may be newer than the monitor's rows.
    pub(super) old_holds: &'a [HoldName],
}

/// In the order in which they are to be done.
pub(super) fn actions(situation: Situation<'_>) -> Vec<Action> {
    let mut actions = ends_of_holds(situation);
    actions.extend(primaries(situation));
    actions.extend(secondaries(situation));
    actions.extend(departures(situation));
    actions
}

fn address(node: &FormationNode) -> Address {
    Address::from(&node.peer)
}

fn is_read_only(node: &FormationNode) -> bool {
    node.cluster != DEFAULT_CLUSTER
}

fn ends_of_holds(situation: Situation<'_>) -> Vec<Action> {
    let end_of = |name: &HoldName| {
        let candidate =
            situation.nodes.iter().find(|node| node.peer.node == name.node && node.group == name.group);
        match candidate {
            Some(node) if node.writes() => Some(Action::FinishHold(*name)),
            Some(node) if node.goal.is_writer() || node.goal.is_being_promoted() => None,
            _ => situation.old_holds.contains(name).then_some(Action::DropHold(*name)),
        }
    };
    situation.metadata.holds.iter().filter_map(end_of).collect()
}

/// The coordinator first: the workers are sent its address, and one is added only when it is known.
fn primaries(situation: Situation<'_>) -> Vec<Action> {
    let mut writers: Vec<&FormationNode> = situation.nodes.iter().filter(|node| node.writes()).collect();
    writers.sort_by_key(|node| node.group);
    let is_addressed = situation.metadata.primary_of(GroupId::COORDINATOR).is_some()
        || writers.first().is_some_and(|node| node.group == GroupId::COORDINATOR);
    let action_for = |node: &FormationNode| {
        let (group, address) = (node.group, address(node));
        match situation.metadata.primary_of(group) {
            None if group == GroupId::COORDINATOR => Some(Action::SetCoordinator(address)),
            None => is_addressed.then_some(Action::AddWorker { group, address }),
            Some(row) if row.address != address => Some(Action::Move { row: row.clone(), to: address }),
            Some(row) if !row.is_active => Some(Action::AddWorker { group, address }),
            Some(_) => None,
        }
    };
    writers.into_iter().filter_map(action_for).collect()
}

fn secondaries(situation: Situation<'_>) -> Vec<Action> {
    let is_ready = |node: &&FormationNode| {
        let is_secondary = node.goal == ReplicationState::Secondary && node.reported == node.goal;
        let has_primary = situation.metadata.primary_of(node.group).is_some_and(|row| row.is_active);
        is_read_only(node) && is_secondary && has_primary
    };
    let is_missing = |node: &&FormationNode| situation.metadata.at(&address(node)).is_none();
    let add = |node: &FormationNode| Action::AddSecondary {
        group: node.group,
        address: address(node),
        cluster: node.cluster.clone(),
    };
    situation.nodes.iter().filter(is_ready).filter(is_missing).map(add).collect()
}

fn departures(situation: Situation<'_>) -> Vec<Action> {
    let has_left = |row: &&NodeRow| {
        if row.is_primary {
            let is_group_there = situation.nodes.iter().any(|node| node.group == row.group);
            return row.group != GroupId::COORDINATOR
                && !is_group_there
                && situation.known.groups.contains(&row.group);
        }
        let is_there = situation.nodes.iter().any(|node| address(node) == row.address);
        !is_there && situation.known.secondaries.contains(&row.address)
    };
    situation.metadata.rows.iter().filter(has_left).cloned().map(Action::Remove).collect()
}

#[cfg(test)]
mod tests {
    use pgaf_core::{Epoch, NodeId, Peer};

    use super::*;
    use ReplicationState::{CatchingUp, Draining, PreparePromotion, Primary, Secondary, WaitPrimary};

    fn node(id: i64, group: i32, goal: ReplicationState, reported: ReplicationState) -> FormationNode {
        FormationNode {
            peer: Peer { node: NodeId(id), name: format!("n{id}"), host: format!("h{id}"), port: 5432 },
            group: GroupId(group),
            goal,
            reported,
            cluster: DEFAULT_CLUSTER.to_owned(),
        }
    }

    fn at(id: i64) -> Address {
        Address { host: format!("h{id}"), port: 5432 }
    }

    fn row(id: i32, group: i32, node: i64) -> NodeRow {
        NodeRow {
            id,
            group: GroupId(group),
            address: at(node),
            is_primary: true,
            is_active: true,
            is_synced: true,
            cluster: DEFAULT_CLUSTER.to_owned(),
        }
    }

    fn hold(group: i32, node: i64) -> HoldName {
        HoldName { group: GroupId(group), node: NodeId(node), epoch: Epoch(4) }
    }

    /// A coordinator and two workers, all with a standby, and a coordinator that knows them.
    fn formation() -> (Vec<FormationNode>, Metadata) {
        let pair = |id, group| [node(id, group, Primary, Primary), node(id + 1, group, Secondary, Secondary)];
        let nodes = [pair(1, 0), pair(3, 1), pair(5, 2)].concat();
        let rows = vec![row(1, 0, 1), row(2, 1, 3), row(3, 2, 5)];
        (nodes, Metadata { rows, holds: Vec::new() })
    }

    fn check(nodes: &[FormationNode], metadata: &Metadata, old_holds: &[HoldName], expected: &[Action]) {
        let mut known = Known::default();
        known.note(&formation().0);
        known.note(nodes);
        let found = actions(Situation { nodes, known: &known, metadata, old_holds });
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_is_done_when_all_is_known() {
        let (nodes, metadata) = formation();
        check(&nodes, &metadata, &[], &[]);
    }

    #[test]
    fn nodes_are_added_in_the_order_of_their_groups_once_they_write() {
        let (mut nodes, _) = formation();
        nodes.reverse();
        nodes[1].reported = ReplicationState::Init;
        let add = Action::AddWorker { group: GroupId(1), address: at(3) };
        check(&nodes, &Metadata::default(), &[], &[Action::SetCoordinator(at(1)), add]);
        let workers: Vec<FormationNode> =
            nodes.into_iter().filter(|node| node.group != GroupId::COORDINATOR).collect();
        check(&workers, &Metadata::default(), &[], &[]);
    }

    #[test]
    fn an_added_worker_that_is_not_active_is_activated() {
        let (nodes, mut metadata) = formation();
        metadata.rows[1].is_active = false;
        check(&nodes, &metadata, &[], &[Action::AddWorker { group: GroupId(1), address: at(3) }]);
    }

    #[test]
    fn both_a_coordinator_and_a_worker_have_moved() {
        let (mut nodes, metadata) = formation();
        (nodes[0].goal, nodes[1].goal, nodes[1].reported) = (CatchingUp, WaitPrimary, WaitPrimary);
        (nodes[4].goal, nodes[5].goal, nodes[5].reported) = (CatchingUp, WaitPrimary, WaitPrimary);
        let moves = [
            Action::Move { row: metadata.rows[0].clone(), to: at(2) },
            Action::Move { row: metadata.rows[2].clone(), to: at(6) },
        ];
        check(&nodes, &metadata, &[], &moves);
    }

    #[test]
    fn a_hold_ends_as_its_candidate_did() {
        let (mut nodes, mut metadata) = formation();
        metadata.holds = vec![hold(2, 6)];
        // Newer than what the monitor said: not judged yet.
        check(&nodes, &metadata, &[], &[]);
        check(&nodes, &metadata, &[hold(2, 6)], &[Action::DropHold(hold(2, 6))]);
        // Being promoted.
        nodes[5].goal = PreparePromotion;
        check(&nodes, &metadata, &[hold(2, 6)], &[]);
        nodes[4].goal = Draining;
        nodes[5].goal = WaitPrimary;
        check(&nodes, &metadata, &[hold(2, 6)], &[]);
        nodes[5].reported = WaitPrimary;
        let moved = Action::Move { row: metadata.rows[2].clone(), to: at(6) };
        check(&nodes, &metadata, &[], &[Action::FinishHold(hold(2, 6)), moved]);
        // A candidate that is gone, and one that is of another group now.
        nodes.retain(|node| node.peer.node != NodeId(6));
        check(&nodes, &metadata, &[hold(2, 6)], &[Action::DropHold(hold(2, 6))]);
    }

    #[test]
    fn readers_are_added_when_they_stream_and_removed_when_they_leave() {
        let (mut nodes, mut metadata) = formation();
        let mut reader = node(7, 2, Secondary, CatchingUp);
        reader.cluster = "reports".to_owned();
        nodes.push(reader);
        check(&nodes, &metadata, &[], &[]);
        nodes[6].reported = Secondary;
        let cluster = "reports".to_owned();
        check(&nodes, &metadata, &[], &[Action::AddSecondary { group: GroupId(2), address: at(7), cluster }]);
        let reader = NodeRow { is_primary: false, ..row(4, 2, 7) };
        metadata.rows.push(reader.clone());
        check(&nodes, &metadata, &[], &[]);
        let mut known = Known::default();
        known.note(&nodes);
        nodes.pop();
        let situation = Situation { nodes: &nodes, known: &known, metadata: &metadata, old_holds: &[] };
        assert_eq!(actions(situation), [Action::Remove(reader)]);
        // What this keeper has never seen belongs to somebody else.
        let known = Known::default();
        assert_eq!(actions(Situation { known: &known, ..situation }), []);
    }

    #[test]
    fn a_group_without_nodes_is_removed_and_one_without_a_primary_is_left() {
        let (mut nodes, metadata) = formation();
        nodes[2].goal = CatchingUp;
        check(&nodes, &metadata, &[], &[]);
        nodes.retain(|node| node.group != GroupId(1));
        check(&nodes, &metadata, &[], &[Action::Remove(metadata.rows[1].clone())]);
    }
}
