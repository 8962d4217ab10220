//! When a node knows a newer assignment than the monitor's rows: the monitor was restored from an older copy.

use crate::group::Node;
use crate::id::NodeId;
use crate::message::CommitRule;
use crate::state::ReplicationState as State;
use crate::state::ReplicationState::{
    CatchingUp, Demoted, Dropped, FastForward, Init, JoinSecondary, PreparePromotion, ReportLsn, Secondary,
    StopReplication, Unknown, WaitPrimary, WaitStandby,
};

use super::{Draft, Refusal};

const RULE: &str = "rows_are_older_than_node";

impl Draft {
    /// Believes the node, not the rows: what it is becomes its goal, or a state from which it proves itself.
    ///
    /// The commit rules of the rows are forgotten: until a writer confirms a new one, any node may be the only one that
    /// has some acknowledged commit. So are the goals of the others, which stay as they are until they say what that is.
    pub(super) fn adopt_newer_epoch(&mut self, id: NodeId) -> Result<(), Refusal> {
        let node = self.group.node(id).ok_or(Refusal::UnknownNode(id))?;
        let is_newer = node.reported_epoch > node.goal_epoch;
        if !is_newer && node.goal != Unknown {
            return Ok(());
        }
        let reported = node.reported;
        let serves = self.serves_alone(id);
        if is_newer {
            self.forget_the_past(id, serves);
        }
        let goal = match reported {
            _ if serves => WaitPrimary,
            role if role.is_writer() => Demoted,
            Secondary => CatchingUp,
            ReportLsn | FastForward | PreparePromotion | StopReplication | JoinSecondary => ReportLsn,
            other => other,
        };
        self.assign(id, goal, RULE, "it has acted on an assignment that the monitor does not remember");
        self.is_not_known_to_be_complete(id);
        Ok(())
    }

    /// It accepts writes, as it would not if somebody else had been promoted; nobody is told to write in this run of the
    /// monitor, and nobody is known to have been promoted after it.
    fn serves_alone(&self, id: NodeId) -> bool {
        let is_older = |node: &Node, timeline| {
            !(node.goal.is_writer() && self.is_of_this_run(node)) && node.timeline <= timeline
        };
        self.group.node(id).is_some_and(|node| {
            let is_open = node.reported.is_writer() && node.is_running && !node.is_gated;
            is_open && self.group.others(id).all(|other| is_older(other, node.timeline))
        })
    }

    /// Its goal was assigned since the monitor started.
    fn is_of_this_run(&self, node: &Node) -> bool {
        node.goal_age < self.group.monitor_uptime
    }

    /// What was decided in this run of the monitor is remembered.
    fn forget_the_past(&mut self, id: NodeId, serves: bool) {
        let has_writer = self.group.others(id).any(|node| node.goal.is_writer() && self.is_of_this_run(node));
        if has_writer {
            return;
        }
        let standbys = self.group.nodes.iter().map(|node| node.id).collect();
        self.group.commit_rules = vec![CommitRule { standbys, acks: 1 }];
        let past: Vec<(NodeId, State)> = self
            .group
            .others(id)
            .filter(|node| !self.is_of_this_run(node) && !matches!(node.goal, Init | WaitStandby | Dropped))
            .map(|node| (node.id, node.goal))
            .collect();
        for (other, goal) in past {
            self.is_not_known_to_be_complete(other);
            let why = "the rows of the monitor are older than what its nodes know";
            match goal {
                goal if serves && goal.is_writer() => self.assign(other, Demoted, RULE, why),
                _ if serves => {}
                _ => self.assign(other, Unknown, RULE, why),
            }
            self.is_not_known_to_be_complete(other);
        }
    }

    fn is_not_known_to_be_complete(&mut self, id: NodeId) {
        for node in self.group.nodes.iter_mut().filter(|node| node.id == id) {
            node.is_complete = false;
        }
    }
}
