//! When a node knows a newer assignment than the monitor's rows: the monitor was restored from an older copy.

use crate::id::NodeId;
use crate::message::CommitRule;
use crate::state::ReplicationState::{CatchingUp, Demoted, Secondary, WaitPrimary};

use super::{Draft, Refusal};

const RULE: &str = "rows_are_older_than_node";

impl Draft {
    /// Believes the node, not the rows: what it is becomes its goal, or a state from which it proves itself.
    ///
    /// The commit rules of the rows are forgotten: until a writer confirms a new one, nobody is elected.
    pub(super) fn adopt_newer_epoch(&mut self, id: NodeId) -> Result<(), Refusal> {
        let node = self.group.node(id).ok_or(Refusal::UnknownNode(id))?;
        if node.reported_epoch <= node.goal_epoch {
            return Ok(());
        }
        let (reported, timeline) = (node.reported, node.timeline);
        self.group.commit_rules = vec![CommitRule::ASYNCHRONOUS];
        let why = "it has acted on an assignment that the monitor does not remember";
        if !reported.is_writer() {
            let goal = if reported == Secondary { CatchingUp } else { reported };
            self.assign(id, goal, RULE, why);
            return Ok(());
        }
        let rivals = self.group.others(id).filter(|node| node.goal.is_writer());
        let (newer, older): (Vec<_>, Vec<_>) =
            rivals.map(|node| (node.id, node.timeline)).partition(|rival| rival.1 > timeline);
        for (rival, _) in older {
            self.assign(rival, Demoted, RULE, "another node is the primary, and the rows did not know");
        }
        let goal = if newer.is_empty() { WaitPrimary } else { Demoted };
        self.assign(id, goal, RULE, why);
        Ok(())
    }
}
