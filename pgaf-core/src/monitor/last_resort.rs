//! What only a person may decide: to go on without nodes that may have acknowledged commits, and which of two
//! branches of the log is right. Every event says who decided.

use crate::group::Node;
use crate::id::NodeId;
use crate::lsn::Timeline;
use crate::message::CommitRule;
use crate::state::ReplicationState::{
    CatchingUp, DemoteTimeout, Demoted, FastForward, JoinSecondary, Maintenance, PreparePromotion, ReportLsn,
    Secondary, StopReplication,
};

use super::{Draft, Refusal};

impl Draft {
    /// Goes on with the standbys that can be heard, whatever commits others may have.
    pub(super) fn give_up_commits(&mut self, who: &str) -> Result<(), Refusal> {
        const RULE: &str = "failover_with_data_loss";
        let group = &self.group;
        if let Some(writer) = group.writer().filter(|writer| !group.is_out(writer) && !group.is_down(writer))
        {
            return Err(Refusal::PrimaryIsThere(writer.id));
        }
        let is_back = |node: &&Node| {
            node.goal.is_retiring() && node.is_complete && node.has_reported && !group.is_silent(node)
        };
        if let Some(old_primary) = group.nodes.iter().find(is_back) {
            return Err(Refusal::PrimaryIsThere(old_primary.id));
        }
        let is_usable = |node: &&Node| {
            let stands_by = matches!(
                node.goal,
                Secondary
                    | CatchingUp
                    | ReportLsn
                    | JoinSecondary
                    | FastForward
                    | PreparePromotion
                    | StopReplication
            );
            stands_by && node.has_data && group.is_alive(node)
        };
        let heard: Vec<NodeId> = group.nodes.iter().filter(is_usable).map(|node| node.id).collect();
        let has_candidate =
            heard.iter().any(|id| group.node(*id).is_some_and(|node| node.candidate_priority > 0));
        if !has_candidate || !group.has_secondary {
            return Err(self.nobody_to_hand_over_to(None));
        }
        let others: Vec<String> =
            group.nodes.iter().filter(|node| !heard.contains(&node.id)).map(Node::label).collect();
        let why = format!("{who} allowed to lose commits that only {} may have", others.join(" and "));
        self.reject_branches_of_all_but(&heard);
        self.elect_among(&heard, RULE, &why);
        Ok(())
    }

    /// Says that the branch which ends in this timeline is right: whoever wrote on another one is rewound to it.
    pub(super) fn accept_timeline(&mut self, timeline: Timeline, who: &str) -> Result<(), Refusal> {
        const RULE: &str = "accept_timeline";
        let group = &self.group;
        // Two branches may have the same number; when the primary is on one of them, that one is meant.
        let writer = group.writer().filter(|writer| writer.timeline == timeline);
        let is_on_it = |node: &&Node| {
            node.timeline == timeline
                && node.has_data
                && writer.is_none_or(|writer| node.id == writer.id || node.fork() == writer.fork())
        };
        let right: Vec<NodeId> = group.nodes.iter().filter(is_on_it).map(|node| node.id).collect();
        if right.is_empty() {
            return Err(Refusal::UnknownTimeline { group: group.id, timeline });
        }
        let why = format!("{who} accepted timeline {timeline}");
        self.reject_branches_of_all_but(&right);
        if self.group.writer().is_none_or(|writer| !right.contains(&writer.id)) {
            self.elect_among(&right, RULE, &why);
        }
        let waiting = self.group.nodes.iter().filter(|node| node.goal == Maintenance);
        let waiting = waiting
            .filter(|node| node.fork().is_some_and(|fork| self.group.rejected_timelines.contains(&fork)));
        for node in waiting.map(|node| node.id).collect::<Vec<_>>() {
            self.assign(node, CatchingUp, RULE, &why);
        }
        Ok(())
    }

    fn reject_branches_of_all_but(&mut self, right: &[NodeId]) {
        let nodes = self.group.nodes.clone();
        let (right, wrong): (Vec<&Node>, Vec<&Node>) =
            nodes.iter().partition(|node| right.contains(&node.id));
        let right: Vec<_> = right.into_iter().filter_map(Node::fork).collect();
        self.group.reject_branches(wrong.into_iter(), &right);
    }

    /// From now on these nodes, each for itself, count as having everything; they stand still, and the best takes over.
    fn elect_among(&mut self, standbys: &[NodeId], rule: &'static str, why: &str) {
        let acks = u32::try_from(standbys.len()).unwrap_or(u32::MAX);
        if let Some((writer, is_silent)) =
            self.group.writer().map(|writer| (writer.id, self.group.is_silent(writer)))
        {
            self.assign(writer, if is_silent { DemoteTimeout } else { Demoted }, rule, why);
        }
        self.group.nodes.iter_mut().for_each(|node| node.is_complete = false);
        self.group.commit_rules = vec![CommitRule { standbys: standbys.to_vec(), acks }];
        for node in standbys {
            self.assign(*node, ReportLsn, rule, why);
        }
    }
}
