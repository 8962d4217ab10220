//! Who may be promoted without losing an acknowledged commit.

use crate::group::{Group, Node};
use crate::id::NodeId;
use crate::state::ReplicationState;

/// Nodes of a group that this version elects among: the primary and one standby.
pub const MAX_NODES: usize = 2;

/// The standby that takes over now, if there is one: highest candidate priority, then most WAL, then lowest id.
pub fn elect(group: &Group) -> Option<&Node> {
    group
        .nodes
        .iter()
        .filter(|node| why_not_promotable(group, node).is_none())
        .max_by_key(|node| (node.candidate_priority, node.lsn, std::cmp::Reverse(node.id)))
}

/// What keeps this standby from being promoted; `None` when nothing does.
///
/// It must have been told to be `secondary` and be so, it must be alive, and the commit rules that may have been
/// in force must all say that hearing it alone is enough to have every acknowledged commit.
pub fn why_not_promotable(group: &Group, node: &Node) -> Option<String> {
    let label = node.label();
    let because = |reason: &str| Some(format!("{label} {reason}"));
    if node.goal != ReplicationState::Secondary || !node.has_reached_goal() {
        return Some(format!("{label} is {}, with goal {}", node.reported, node.goal));
    }
    if !group.has_secondary {
        return because("belongs to a formation whose secondaries are disabled");
    }
    if node.candidate_priority <= 0 {
        return because("has candidate priority 0");
    }
    if group.is_silent(node) || !node.has_reported {
        return because("does not report");
    }
    if !node.is_running {
        return because("does not run Postgres");
    }
    if group.others(node.id).any(|other| other.timeline > node.timeline) {
        return because("is on an older timeline than another node of the group");
    }
    if !is_enough_for_election(group, &[node.id]) {
        return because("may lack commits that the primary has acknowledged without waiting for it");
    }
    None
}

/// One of the nodes that were heard has every acknowledged commit, under whichever rule it was acknowledged.
pub fn is_enough_for_election(group: &Group, heard: &[NodeId]) -> bool {
    !group.commit_rules.is_empty()
        && group.commit_rules.iter().all(|rule| {
            let members = rule.standbys.iter().filter(|node| heard.contains(node)).count();
            rule.needed_for_election().is_some_and(|needed| members >= needed)
        })
}
