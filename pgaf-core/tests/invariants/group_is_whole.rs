//! Once faults have stopped, one node is the primary and all others are secondaries.

use pgaf_core::ReplicationState::{Primary, Secondary, Single};
use pgaf_core::{Group, Node};

use super::Verdict;

pub(crate) fn check_whole(group: &Group) -> Verdict {
    let is = |node: &Node, state| {
        let has_reached = node.reported == state && node.reported_epoch == node.goal_epoch;
        node.goal == state && has_reached && node.is_running && node.has_data
    };
    let writer = if group.nodes.len() == 1 { Single } else { Primary };
    let writers = group.nodes.iter().filter(|node| is(node, writer)).count();
    let secondaries = group.nodes.iter().filter(|node| is(node, Secondary)).count();
    if writers == 1 && writers + secondaries == group.nodes.len() {
        return Ok(());
    }
    let states: Vec<String> = group
        .nodes
        .iter()
        .map(|node| {
            format!("{}={}/{} {}/{}", node.id, node.reported, node.goal, node.reported_epoch, node.goal_epoch)
        })
        .collect();
    let waits = group.waits_for.as_deref().unwrap_or("nothing");
    Err(format!("the group is not whole: {}; it waits for {waits}", states.join(", ")))
}
