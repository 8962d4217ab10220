//! At most one node of a group is told to accept writes.

use pgaf_core::Group;

use super::Verdict;

pub(crate) fn check_goals(group: &Group) -> Verdict {
    let writers: Vec<String> =
        group.nodes.iter().filter(|node| node.goal.is_writer()).map(|node| node.label()).collect();
    if writers.len() <= 1 { Ok(()) } else { Err(format!("more than one writer: {}", writers.join(", "))) }
}
