//! No automatic promotion of a node that may lack acknowledged commits: it has them all when it is told to write. Only a
//! person goes on without, and the events say who.

use pgaf_core::monitor::{Decision, Event};
use pgaf_core::{Group, NodeId};

use super::Verdict;
use crate::server::Data;
use crate::world::World;

pub(crate) const NAME: &str = "no promotion of a node that may lack acknowledged commits";

/// What was decided on the group as it was before.
pub(crate) fn check(world: &World, before: &Group, event: &Event, decision: &Decision) -> Verdict {
    if let Event::FailoverWithDataLoss { who } = event
        && !decision.changes.iter().any(|change| change.description.contains(who))
    {
        return Err(format!("no event says that {who} has given up commits"));
    }
    if world.may_lose {
        return Ok(());
    }
    let wrote = |id: NodeId| before.node(id).is_some_and(|node| node.goal.is_writer());
    for node in decision.group.nodes.iter().filter(|node| node.goal.is_writer() && !wrote(node.id)) {
        let server = &world.hosts[node.id.0 as usize - 1].server;
        // Whose data is gone since its last report starts nothing.
        let missing = server.first_missing(&world.acknowledged).filter(|_| server.data == Data::Whole);
        if let Some(commit) = missing {
            return Err(format!("node {} lacks acknowledged commit {commit} and is told to write", node.id));
        }
    }
    Ok(())
}
