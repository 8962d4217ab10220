//! Once faults stop, the group becomes one primary and its secondaries; or it waits for a person, because the data of a
//! node that may have acknowledged commits is gone, or the node was removed; and says so.

use pgaf_core::ReplicationState::{Demoted, Dropped, Primary, Single, WaitPrimary};

use super::Verdict;
use crate::rows::check_whole;
use crate::world::World;

pub(crate) const NAME: &str = "once faults stop, the group becomes whole";

pub(crate) fn is_whole(world: &World) -> bool {
    check_whole(&world.group).is_ok()
}

/// What has become of it in the end.
pub(crate) fn check(world: &World) -> Verdict {
    if is_excused(world) { Ok(()) } else { check_whole(&world.group) }
}

fn is_excused(world: &World) -> bool {
    let nodes = &world.group.nodes;
    let is_data_lost = world.hosts.iter().any(|host| host.server.log.is_empty());
    let is_removed = nodes.len() < world.hosts.len() || nodes.iter().any(|node| node.goal == Dropped);
    let has_blocked_writer =
        nodes.iter().any(|node| matches!(node.goal, WaitPrimary | Primary | Single) && !node.has_data);
    let is_said = world.group.waits_for.as_deref().is_some_and(|text| text.contains("no primary"))
        || has_blocked_writer;
    nodes.is_empty()
        || ((is_data_lost || is_removed) && is_said)
        || (is_removed && nodes.iter().all(|node| !node.goal.is_writer() && node.goal != Demoted))
}
