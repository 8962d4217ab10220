//! What must happen once faults stop: everybody does what is due, and nothing else goes wrong.

use pgaf_core::ReplicationState::Maintenance;
use pgaf_core::monitor::Event;

use super::action::{Action, Fate};
use super::invariants::{Verdict, group_becomes_whole};
use super::world::{Budget, World};

/// A group that is not whole after so many seconds without faults never will be.
const ROUNDS: usize = 60;

/// Lets everything mend; says what the group looks like in the end when it has not become whole.
pub(crate) fn heal(world: &World) -> Verdict {
    let mut world = world.clone();
    world.budget = Budget { commits: 0, faults: 0, commands: u8::MAX };
    let mut mending = vec![Action::MonitorStarts, Action::Mend];
    for index in 0..world.hosts.len() {
        mending.extend([Action::KeeperStarts(index), Action::Thaw(index)]);
    }
    for action in mending {
        apply(&mut world, &action);
    }
    world.deposed = None;
    settle(&mut world)?;
    match world.violation {
        None => Ok(()),
        Some(violation) => Err(format!("{}: {}", violation.invariant, violation.what)),
    }
}

/// Everybody does what is due, until the group is whole.
pub(crate) fn settle(world: &mut World) -> Verdict {
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
        if group_becomes_whole::is_whole(world) {
            return Ok(());
        }
        apply(world, &Action::Tick);
    }
    group_becomes_whole::check(world)
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
