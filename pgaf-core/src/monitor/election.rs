//! Who may be promoted without losing an acknowledged commit.
//!
//! Two ways lead to a new primary. On command the old primary is stopped cleanly first, and the chosen standby has
//! everything once its log goes past the end of the old one's. When the primary is lost, the standbys stand still
//! (`report_lsn`) and are counted: enough of them for every [commit rule](crate::CommitRule) that may have been in
//! force have, between them, every acknowledged commit, and the one that is farthest has them all.

use std::cmp::Reverse;

use crate::group::{Group, Node};
use crate::id::NodeId;
use crate::lsn::{Lineage, Lsn};
use crate::state::ReplicationState::{
    CatchingUp, Dropped, FastForward, JoinSecondary, PreparePromotion, ReportLsn, Secondary, StopReplication,
    WaitMaintenance,
};

/// How an election among standbys that stand still has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Who takes over.
    pub winner: NodeId,
    /// It lacks WAL that must be fetched from the node that is farthest.
    pub lacks_wal: bool,
}

impl Group {
    /// It takes part in elections: it has been told to stream, to stand still, or to take over. A standby that was sent
    /// to catch up or to leave counts as long as a commit may be waiting for it.
    pub fn is_voter(&self, node: &Node) -> bool {
        match node.goal {
            Secondary | PreparePromotion | StopReplication | ReportLsn | FastForward | JoinSecondary => true,
            CatchingUp | WaitMaintenance => {
                node.is_complete || self.commit_rules.iter().any(|rule| rule.standbys.contains(&node.id))
            }
            _ => false,
        }
    }

    /// The voters whose keepers report and whose Postgres runs.
    fn alive_voters(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| self.is_voter(node) && node.has_data && self.is_alive(node))
    }

    /// One of these nodes has every acknowledged commit, under whichever rule it was acknowledged.
    pub fn is_enough_for_election(&self, heard: &[NodeId]) -> bool {
        let is_complete = |id: &NodeId| self.node(*id).is_some_and(|node| node.is_complete);
        heard.iter().any(is_complete)
            || !self.commit_rules.is_empty()
                && self.commit_rules.iter().all(|rule| {
                    let members = rule.standbys.iter().filter(|node| heard.contains(node)).count();
                    rule.needed_for_election().is_some_and(|needed| members >= needed)
                })
    }

    /// An election that begins now would end with a new primary, if nobody fails meanwhile.
    pub fn is_election_possible(&self) -> bool {
        let ids: Vec<NodeId> = self.alive_voters().map(|node| node.id).collect();
        self.is_enough_for_election(&ids) && self.alive_voters().any(|node| self.may_be_promoted(node))
    }

    /// Its settings and those of its formation allow it.
    fn may_be_promoted(&self, node: &Node) -> bool {
        self.has_secondary && node.candidate_priority > 0
    }

    /// The votes that count: nodes that stand still, on the branch of the one that is farthest.
    fn votes(&self) -> Vec<&Node> {
        let has_voted =
            |node: &&Node| node.goal == ReportLsn && node.has_reached_goal() && !node.may_still_replay();
        let standing: Vec<&Node> = self.alive_voters().filter(has_voted).collect();
        let Some(best) = standing.iter().copied().max_by_key(|node| (node.timeline, node.lsn)) else {
            return Vec::new();
        };
        standing.into_iter().filter(|node| is_on_branch_of(node, best)).collect()
    }

    /// How the election has ended; `None` while too few have been counted, or somebody is about to be.
    pub fn election_outcome(&self) -> Option<Outcome> {
        let is_awaited = |node: &Node| {
            node.goal == ReportLsn
                && !node.has_reached_goal()
                && node.goal_age < self.timeouts.unhealthy_after
        };
        if self.alive_voters().any(is_awaited) {
            return None;
        }
        let votes = self.votes();
        let ids: Vec<NodeId> = votes.iter().map(|node| node.id).collect();
        if !self.is_enough_for_election(&ids) {
            return None;
        }
        let farthest = votes.iter().map(|node| node.lsn).max()?;
        let winner = votes
            .iter()
            .filter(|node| self.may_be_promoted(node))
            .max_by_key(|node| (node.candidate_priority, node.lsn, Reverse(node.id)))?;
        Some(Outcome { winner: winner.id, lacks_wal: winner.lsn < farthest })
    }

    /// Notes who has every acknowledged commit: those who are farthest when enough have been counted, and the
    /// candidate that has fetched as much.
    pub(super) fn note_complete(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| !node.has_data) {
            node.is_complete = false;
        }
        if self.writer().is_some() {
            return;
        }
        let votes = self.votes();
        let ids: Vec<NodeId> = votes.iter().map(|node| node.id).collect();
        let farthest = votes.iter().map(|node| node.lsn).max().unwrap_or_default();
        let mut complete: Vec<NodeId> = Vec::new();
        if self.is_enough_for_election(&ids) {
            complete.extend(votes.iter().filter(|node| node.lsn == farthest).map(|node| node.id));
        }
        complete.extend(self.returned_old_primary());
        let fetched = self.nodes.iter().filter(|node| node.goal == FastForward && node.has_reached_goal());
        let has_target = |node: &&Node| self.fetch_target().is_some_and(|target| node.lsn >= target);
        complete.extend(fetched.filter(has_target).map(|node| node.id));
        for node in self.nodes.iter_mut().filter(|node| complete.contains(&node.id)) {
            node.is_complete = true;
        }
    }

    /// A primary that has stopped, when it takes its word to have heard everybody who may have an acknowledged commit,
    /// and nobody has a newer timeline.
    fn returned_old_primary(&self) -> Option<NodeId> {
        let has_stopped = |node: &&Node| {
            node.goal.is_retiring() && node.has_reached_goal() && node.has_data && !self.is_silent(node)
        };
        // One that is to stand still and does not yet may have been promoted meanwhile.
        let is_heard = |node: &&Node| node.goal != ReportLsn || node.has_reached_goal();
        let mut heard: Vec<&Node> = self.alive_voters().filter(is_heard).collect();
        let without: Vec<NodeId> = heard.iter().map(|node| node.id).collect();
        heard.extend(self.nodes.iter().filter(has_stopped));
        let ids: Vec<NodeId> = heard.iter().map(|node| node.id).collect();
        let newest = heard.iter().map(|node| node.timeline).max()?;
        let mut stopped = self.nodes.iter().filter(has_stopped).filter(|node| node.timeline == newest);
        let only = stopped.next().filter(|_| stopped.next().is_none())?;
        (!self.is_enough_for_election(&without) && self.is_enough_for_election(&ids)).then_some(only.id)
    }

    /// Whom a candidate that lacks WAL fetches it from: a voter that stands still and has every acknowledged commit.
    pub fn fetch_source(&self) -> Option<&Node> {
        self.alive_voters().find(|node| is_source(node))
    }

    /// How far that candidate has to get.
    pub fn fetch_target(&self) -> Option<Lsn> {
        let sources = self.nodes.iter().filter(|node| is_source(node));
        sources.map(|node| node.lsn).min()
    }

    /// It has every acknowledged commit: the count of an election says so, or it alone is enough for one, or it has
    /// received the end of the log of a primary that was shut down cleanly.
    pub fn has_every_commit(&self, node: &Node) -> bool {
        self.is_enough_for_election(&[node.id]) || self.has_all_of_old_primary(node)
    }

    fn has_all_of_old_primary(&self, node: &Node) -> bool {
        let has_stopped = |old: &&Node| {
            old.is_complete && !old.is_running && !old.goal.is_writer() && old.has_reached_goal()
        };
        self.others(node.id)
            .filter(has_stopped)
            .any(|old| old.shutdown_lsn.is_some_and(|end| node.timeline == old.timeline && node.lsn > end))
    }

    /// The standby that a command makes the primary when it names none: highest candidate priority, then a member of
    /// the quorum, then one that is near, then lowest id, so that people know who it will be. It may be behind, or may
    /// only have been when it last reported.
    pub fn hand_over_target(&self) -> Option<&Node> {
        self.first_in_line(|node| self.why_not_switchover(node).is_none())
    }

    /// The same, of those for whom the primary may stop at once.
    pub fn switchover_target(&self) -> Option<&Node> {
        self.first_in_line(|node| self.why_not_switchover(node).is_none() && self.is_near(node))
    }

    /// Nothing is lost whoever takes over from a primary that is stopped cleanly, and those who are near differ by what
    /// is on its way to them: how far each is decides nothing among them.
    fn first_in_line(&self, is_fit: impl Fn(&Node) -> bool) -> Option<&Node> {
        let rank = |node: &&Node| {
            (node.candidate_priority, node.replication_quorum, self.is_near(node), Reverse(node.id))
        };
        self.nodes.iter().filter(|node| is_fit(node)).max_by_key(rank)
    }

    /// The secondary that takes over from a primary that was removed, once it has proved to have the end of its log.
    pub fn heir(&self) -> Option<&Node> {
        let is_left = self.nodes.iter().any(|node| node.goal == Dropped && node.is_complete);
        let can_follow = |node: &Node| {
            node.goal == Secondary
                && node.has_reached_goal()
                && node.has_data
                && self.is_alive(node)
                && self.may_be_promoted(node)
        };
        self.preferred(can_follow).filter(|_| is_left && self.writer().is_none())
    }

    fn preferred(&self, is_fit: impl Fn(&Node) -> bool) -> Option<&Node> {
        self.nodes
            .iter()
            .filter(|node| is_fit(node))
            .max_by_key(|node| (node.candidate_priority, node.replication_quorum, node.lsn, Reverse(node.id)))
    }

    /// What keeps this standby from taking over from a primary that is stopped for it; `None` when nothing does.
    pub fn why_not_switchover(&self, node: &Node) -> Option<String> {
        let because = |reason: &str| Some(format!("{} {reason}", node.label()));
        if node.goal != Secondary || !node.has_reached_goal() {
            return Some(format!("{} is {}, with goal {}", node.label(), node.reported, node.goal));
        }
        if !self.has_secondary {
            return because("belongs to a formation whose secondaries are disabled");
        }
        if node.candidate_priority <= 0 {
            return because("has candidate priority 0");
        }
        if self.is_silent(node) || !node.has_reported {
            return because("does not report");
        }
        if !node.is_running {
            return because("does not run Postgres");
        }
        if self.writer().is_some_and(|writer| writer.timeline != node.timeline) {
            return because("is not on the timeline of the primary");
        }
        if node.upstream.is_some_and(|upstream| !upstream.is_streaming) {
            return because("does not stream from the primary");
        }
        None
    }

    /// A standby that cannot take over now, and probably can in a moment: its keeper reports, and its Postgres is being
    /// started, or does not stream yet. `wanted` is whom a command names.
    pub fn has_returning_standby(&self, wanted: Option<NodeId>) -> bool {
        let is_returning = |node: &Node| {
            matches!(node.goal, Secondary | CatchingUp)
                && node.has_data
                && node.has_reported
                && !self.is_silent(node)
                && self.may_be_promoted(node)
        };
        let mut meant = self.nodes.iter().filter(|node| wanted.is_none_or(|id| node.id == id));
        self.writer().is_some() && meant.any(is_returning)
    }

    /// The only standby there is, when it may take over from a primary that is gone without being asked where it is:
    /// every commit waited for it.
    pub fn sole_successor(&self) -> Option<&Node> {
        let mut voters = self.nodes.iter().filter(|node| self.is_voter(node));
        let only = voters.next().filter(|_| voters.next().is_none())?;
        let is_ready = only.goal == Secondary
            && only.has_reached_goal()
            && only.is_running
            && only.has_reported
            && !self.is_silent(only)
            && self.may_be_promoted(only)
            && self.others(only.id).all(|other| other.timeline <= only.timeline)
            && self.is_enough_for_election(&[only.id]);
        is_ready.then_some(only)
    }
}

/// It has every acknowledged commit, and has said where its log ends.
fn is_source(node: &Node) -> bool {
    node.goal == ReportLsn && node.has_reached_goal() && node.is_complete
}

/// All that `node` has is in the history of `of`.
fn is_on_branch_of(node: &Node, of: &Node) -> bool {
    if node.timeline == of.timeline {
        return node.fork().zip(of.fork()).is_none_or(|(one, two)| one == two);
    }
    let Some(history) = of.known_history() else {
        return false;
    };
    let lineage = match node.known_history() {
        Some(own) => history.lineage_of_log(own, node.lsn),
        None => history.lineage_of(node.timeline, node.lsn),
    };
    lineage == Lineage::Behind
}
