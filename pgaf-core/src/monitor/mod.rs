//! The monitor: from what is known of a group, and what happens to it, to the goals of its nodes.
//!
//! [`decide`] is the one entry. A command of an operator is carried out or refused first (`command`); then the
//! [`rules`] are read until they rest. What is not a lookup stands beside them: the `election` and the commit rules.
//! A decision depends on its arguments alone.

pub mod rules;

mod adopt;
mod assignment;
mod branch;
mod command;
mod commit_rules;
pub mod document;
mod election;
mod event;
mod fact;
mod gone;
mod last_resort;
mod membership;
pub mod older_keeper;
mod phrase;
pub mod picture;
mod refusal;
mod restart;
mod view;
mod waiting;

pub use assignment::{answer_for, assignment_for};
pub use election::Outcome;
pub use event::{Change, Decision, Event};
pub use fact::{Fact, Who};
pub use refusal::{Refusal, RefusalKind};

use std::time::Duration;

use crate::group::Group;
use crate::id::NodeId;
use crate::state::ReplicationState;

/// Decides what to do about an event.
///
/// # Errors
/// A command that cannot be carried out now, with the reason; the group stays as it is.
pub fn decide(group: &Group, event: &Event) -> Result<Decision, Refusal> {
    let mut draft = Draft::new(group.clone());
    if let Event::Reported(node) = event {
        draft.adopt_newer_epoch(*node)?;
        // What it was told before, it has heard or will not hear.
        draft.note_answer(*node, false);
    }
    draft.group.note_unfollowed_rule();
    draft.group.confirm_commit_rule();
    command::carry_out(&mut draft, event)?;
    draft.follow_rules()?;
    if let Event::Reported(node) = event {
        let is_writer = draft.group.node(*node).is_some_and(|node| node.goal.is_writer());
        draft.note_answer(*node, is_writer);
    }
    // A person may have asked for one failover in spite of the pause.
    draft.group.is_failover_paused = group.is_failover_paused;
    draft.group.waits_for = draft.group.why_no_primary().or_else(|| draft.group.why_commits_wait());
    Ok(Decision { group: draft.group, changes: draft.changes, removed: draft.removed })
}

/// A decision in the making.
struct Draft {
    group: Group,
    changes: Vec<Change>,
    removed: Vec<(NodeId, String)>,
}

impl Draft {
    const fn new(group: Group) -> Self {
        Self { group, changes: Vec::new(), removed: Vec::new() }
    }

    /// Reads the table of rules until none matches.
    fn follow_rules(&mut self) -> Result<(), Refusal> {
        let limit = 8 * (self.group.nodes.len() + 1);
        for _ in 0..limit {
            self.group.note_complete();
            self.remove_departed();
            let Some((rule, subject)) = rules::first_match(&self.group) else {
                return Ok(());
            };
            let subject = subject.id;
            for (who, goal) in rule.then {
                for node in self.everybody(*who, subject) {
                    self.assign(node, *goal, rule.name, rule.why);
                }
            }
        }
        Err(Refusal::RulesDoNotRest(self.changes.len()))
    }

    /// What the answer to the report of this node says.
    fn note_answer(&mut self, id: NodeId, is_writer: bool) {
        for node in self.group.nodes.iter_mut().filter(|node| node.id == id) {
            node.was_told_to_write = is_writer;
        }
    }

    fn everybody(&self, who: Who, subject: NodeId) -> Vec<NodeId> {
        let meant = self.group.nodes.iter().filter(|node| who.is(&self.group, node, subject));
        meant.map(|node| node.id).collect()
    }

    /// Gives a node a goal, under a new epoch; a writer's rule for commits may be in force from now on.
    fn assign(&mut self, id: NodeId, goal: ReplicationState, rule: &'static str, why: &str) {
        let Some(node) = self.group.nodes.iter_mut().find(|node| node.id == id) else {
            return;
        };
        // Whoever wrote last has everything, until somebody else is told to write.
        let gives_up = goal.is_retiring() || goal == ReplicationState::Dropped;
        node.is_complete |= node.goal.is_writer() && gives_up;
        node.goal_age = if node.goal == goal { node.goal_age } else { Duration::ZERO };
        node.goal = goal;
        node.goal_epoch = node.goal_epoch.max(node.reported_epoch).next();
        self.changes.push(Change {
            node: id,
            goal,
            epoch: node.goal_epoch,
            rule,
            description: format!("Setting goal state of {} to {goal} because {why} [{rule}]", node.label()),
        });
        if goal.is_writer() {
            self.group.nodes.iter_mut().for_each(|node| node.is_complete = false);
            let wanted = self.group.wanted_commit_rule(goal);
            self.group.push_commit_rule(wanted);
        }
    }

    fn remove(&mut self, id: NodeId, why: &str) {
        if let Some(index) = self.group.nodes.iter().position(|node| node.id == id) {
            let node = self.group.nodes.remove(index);
            self.removed.push((id, format!("Removing {} because {why}", node.label())));
        }
    }

    fn remove_departed(&mut self) {
        // Whether one may go can depend on who is left.
        while let Some(departed) = self.group.nodes.iter().find(|node| self.group.has_left(node)) {
            self.remove(departed.id, "it has left its group");
        }
    }
}

#[cfg(test)]
mod tests;
