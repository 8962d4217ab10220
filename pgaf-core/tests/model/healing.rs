//! What must happen once faults stop: everybody does what is due, and nothing else goes wrong.

use pgaf_core::ReplicationState::{Demoted, Dropped, Maintenance, Primary, Secondary, Single, WaitPrimary};
use pgaf_core::monitor::Event;

use super::action::{Action, Fate};
use super::world::{Budget, World};

/// A group that is not whole after so many seconds without faults never will be.
const ROUNDS: usize = 60;

/// Lets everything mend; says what the group looks like in the end when it has not become whole.
pub(crate) fn heal(world: &World) -> Result<(), String> {
    let mut world = world.clone();
    world.budget = Budget { commits: 0, faults: 0, commands: u8::MAX };
    let mut mending = vec![Action::MonitorStarts, Action::Mend];
    for index in 0..world.hosts.len() {
        mending.extend([Action::KeeperStarts(index), Action::Thaw(index)]);
    }
    for action in mending {
        apply(&mut world, &action);
    }
    settle(&mut world)
}

/// Everybody does what is due, until the group is whole.
pub(crate) fn settle(world: &mut World) -> Result<(), String> {
    for _ in 0..ROUNDS {
        for index in 0..world.hosts.len() {
            // A node that was dropped stays away.
            if world.node(index).is_none() {
                continue;
            }
            for action in [
                Action::AnswerArrives(index),
                Action::StrayReportArrives(index),
                Action::Receive(index),
                Action::Look(index),
                Action::Look(index),
                Action::Turn(index, Fate::Answered),
                Action::Turn(index, Fate::Answered),
            ] {
                apply(world, &action);
            }
        }
        end_maintenance(world);
        if is_whole(world) {
            return Ok(());
        }
        apply(world, &Action::Tick);
    }
    if is_excused(world) {
        return Ok(());
    }
    let states: Vec<String> = world
        .group
        .nodes
        .iter()
        .map(|node| format!("{}: {}/{}", node.id, node.reported, node.goal))
        .collect();
    Err(format!("{}; {:?}", states.join(", "), world.group.waits_for))
}

fn apply(world: &mut World, action: &Action) {
    if let Some(next) = world.after(action) {
        *world = next;
    }
}

/// An operator brings back whoever was taken out.
fn end_maintenance(world: &mut World) {
    let out = world.group.nodes.iter().find(|node| node.goal == Maintenance && node.has_reached_goal());
    if let Some(id) = out.map(|node| node.id) {
        apply(world, &Action::Command(Event::StopMaintenance(id)));
    }
}

/// One primary, and the rest secondary.
fn is_whole(world: &World) -> bool {
    let nodes = &world.group.nodes;
    let are_settled = nodes.iter().all(|node| node.has_reached_goal());
    let writers = nodes.iter().filter(|node| matches!(node.goal, Primary | Single)).count();
    let standbys = nodes.iter().filter(|node| node.goal == Secondary).count();
    are_settled && writers == 1 && writers + standbys == nodes.len()
}

/// The group waits for a person, because the data of a node that may have acknowledged commits is gone, or the node
/// was removed; and it says so.
fn is_excused(world: &World) -> bool {
    let nodes = &world.group.nodes;
    let is_data_lost = world.hosts.iter().any(|host| host.server.log.is_empty());
    let is_removed = nodes.len() < world.hosts.len() || nodes.iter().any(|node| node.goal == Dropped);
    let has_blocked_writer =
        nodes.iter().any(|node| matches!(node.goal, WaitPrimary | Primary | Single) && !node.has_data);
    let is_said = world.group.waits_for.is_some() || has_blocked_writer;
    nodes.is_empty()
        || ((is_data_lost || is_removed) && is_said)
        || (is_removed && nodes.iter().all(|node| !node.goal.is_writer() && node.goal != Demoted))
}
