//! When a node knows a newer assignment than the monitor's rows: the monitor was restored from an older copy.

use crate::group::Node;
use crate::id::NodeId;
use crate::message::CommitRule;
use crate::state::ReplicationState::{CatchingUp, Demoted, Secondary, WaitPrimary};

use super::{Draft, Refusal};

const RULE: &str = "rows_are_older_than_node";

impl Draft {
    /// Believes the node, not the rows: what it is becomes its goal, or a state from which it proves itself.
    ///
    /// The commit rules of the rows are forgotten: until a writer confirms a new one, any node may be the only one that
    /// has some acknowledged commit. So is whatever the rows say of elections before the monitor was restored.
    pub(super) fn adopt_newer_epoch(&mut self, id: NodeId) -> Result<(), Refusal> {
        let node = self.group.node(id).ok_or(Refusal::UnknownNode(id))?;
        if node.reported_epoch <= node.goal_epoch {
            return Ok(());
        }
        let (reported, timeline) = (node.reported, node.timeline);
        self.forget_the_past(id);
        let why = "it has acted on an assignment that the monitor does not remember";
        if !reported.is_writer() {
            let goal = if reported == Secondary { CatchingUp } else { reported };
            self.assign(id, goal, RULE, why);
            self.is_not_known_to_be_complete(id);
            return Ok(());
        }
        let rivals = self.group.others(id).filter(|node| node.goal.is_writer());
        let (newer, older): (Vec<_>, Vec<_>) =
            rivals.map(|node| (node.id, node.timeline)).partition(|rival| rival.1 > timeline);
        for (rival, _) in older {
            self.assign(rival, Demoted, RULE, "another node is the primary, and the rows did not know");
            self.is_not_known_to_be_complete(rival);
        }
        let goal = if newer.is_empty() { WaitPrimary } else { Demoted };
        self.assign(id, goal, RULE, why);
        self.is_not_known_to_be_complete(id);
        Ok(())
    }

    /// What was decided in this run of the monitor is remembered.
    fn forget_the_past(&mut self, id: NodeId) {
        let started_ago = self.group.monitor_uptime;
        let is_of_this_run = |node: &Node| node.goal_age < started_ago;
        let has_writer = self.group.others(id).any(|node| node.goal.is_writer() && is_of_this_run(node));
        if !has_writer {
            let standbys = self.group.nodes.iter().map(|node| node.id).collect();
            self.group.commit_rules = vec![CommitRule { standbys, acks: 1 }];
        }
        for node in self.group.nodes.iter_mut().filter(|node| !is_of_this_run(node)) {
            node.is_complete = false;
        }
    }

    fn is_not_known_to_be_complete(&mut self, id: NodeId) {
        for node in self.group.nodes.iter_mut().filter(|node| node.id == id) {
            node.is_complete = false;
        }
    }
}
