//! Facts about a group and its nodes: the words in which the rules are written.

use std::time::Duration;

use crate::group::{FormationKind, Group, Health, Node};
use crate::id::{GroupId, NodeId};
use crate::state::ReplicationState;

use super::assignment::FENCE_MARGIN;

impl Node {
    /// It said that it is what it should be, knowing its newest assignment.
    pub fn has_reached_goal(&self) -> bool {
        self.reported == self.goal && self.reported_epoch == self.goal_epoch
    }

    /// `node 1 "a" (host:5432)`.
    pub fn label(&self) -> String {
        format!("node {} \"{}\" ({}:{})", self.id, self.name, self.host, self.port)
    }
}

impl Group {
    /// The node with this id.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The node that is told to accept writes. There is at most one.
    pub fn writer(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.goal.is_writer())
    }

    /// The standby that was chosen and may not write yet. There is at most one.
    pub fn candidate(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.goal.is_candidate())
    }

    /// It was told to leave the group and has done so, or will not be heard of. The row of an old primary is kept until somebody else writes:
    /// the candidate is compared with the end of its log, and without one its data is all there is.
    pub fn has_left(&self, node: &Node) -> bool {
        let is_needed = node.is_complete && self.writer().is_none() && self.others(node.id).next().is_some();
        let is_gone = node.has_reached_goal() || self.is_out(node);
        node.goal == ReplicationState::Dropped && is_gone && !is_needed
    }

    /// All nodes but this one.
    pub fn others(&self, id: NodeId) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.id != id)
    }

    /// It is a group of workers: clients write to it through the coordinator.
    pub fn holds_writes(&self) -> bool {
        self.kind == FormationKind::Citus && self.id != GroupId::COORDINATOR
    }

    /// Everybody has reported to this run of the monitor, or has had the time to.
    pub fn is_settled(&self) -> bool {
        self.monitor_uptime >= self.timeouts.startup_grace || self.nodes.iter().all(|node| node.has_reported)
    }

    /// Its keeper has not reported for so long that a primary would have fenced itself.
    pub fn is_silent(&self, node: &Node) -> bool {
        self.monitor_uptime >= self.timeouts.startup_grace && node.silent_for >= self.timeouts.unhealthy_after
    }

    /// For how long nobody must have heard of it until it has certainly fenced itself: it may still have been told a
    /// longer time than the settings of the monitor now lead to.
    pub fn lost_after(&self, node: &Node) -> Duration {
        let fenced_after = node.fence_after.map_or(Duration::ZERO, |time| time.saturating_add(FENCE_MARGIN));
        self.timeouts.unhealthy_after.max(fenced_after)
    }

    /// Nobody hears of it: its keeper is silent, the probes fail, and not enough standbys receive from it to keep it
    /// from fencing itself.
    pub fn is_lost(&self, node: &Node) -> bool {
        self.is_silent(node)
            && node.silent_for >= self.lost_after(node)
            && !node.is_silent_too_shortly()
            && node.health == Health::Bad
            && !self.is_heard_by_quorum(node)
    }

    /// It is lost, or its Postgres is known to be gone: without a word of its keeper it accepts writes no more.
    pub fn is_out(&self, node: &Node) -> bool {
        self.is_lost(node) || self.is_gone(node)
    }

    /// Its keeper says that Postgres does not run.
    pub fn is_down(&self, node: &Node) -> bool {
        node.has_reported && !node.is_running && !self.is_silent(node)
    }

    /// Its keeper reports and its Postgres answers.
    pub fn is_alive(&self, node: &Node) -> bool {
        node.has_reported && node.is_running && !node.is_hung && !self.is_silent(node)
    }

    /// It is alive, and so lately was that it will most likely hear what is decided now. A primary that died a
    /// moment ago must not be told to go on alone: it would never say whether it has, and could not be succeeded.
    pub fn is_heard(&self, node: &Node) -> bool {
        self.is_alive(node) && node.silent_for < self.timeouts.unhealthy_after * 2 / 5
    }

    /// As many standbys as a commit waits for have lately received something from this node, while it was to write.
    fn is_heard_by_quorum(&self, node: &Node) -> bool {
        let had_standbys = node.goal.is_writer() || node.is_complete;
        let lost_after = self.lost_after(node);
        let hears = |other: &&Node| {
            self.is_alive(other)
                && may_follow_primary(other)
                // It does not tell whether it receives.
                && !other.is_older
                && other.upstream.is_some_and(|upstream| {
                    upstream.is_streaming || Duration::from_millis(upstream.silent_ms) < lost_after
                })
        };
        had_standbys
            && self.commit_rules.iter().any(|rule| {
                let hearing = self.others(node.id).filter(hears).map(|other| other.id);
                rule.is_synchronous() && rule.is_met_by(hearing)
            })
    }

    /// A standby that reports, but has not received anything for long.
    pub fn is_cut_from_upstream(&self, node: &Node) -> bool {
        node.upstream.is_some_and(|upstream| !upstream.is_streaming && self.is_long(upstream.silent_ms))
    }

    /// It can acknowledge no commit and is not told to: it stopped, it is gone, or it has been silent for so long that it
    /// fenced itself.
    ///
    /// A keeper that has reported a stopped Postgres starts it as a primary only on a newer word of the monitor; the
    /// answer to that report may have been such a word.
    pub fn is_fenced(&self, node: &Node) -> bool {
        !node.goal.is_writer()
            && ((node.has_reported && !node.is_running && !node.was_told_to_write)
                || (!node.reported.is_writer() && node.has_reached_goal())
                || self.is_out(node))
    }

    /// It was told to write, or said that it does, and nothing proves that it has stopped.
    pub fn may_write(&self, node: &Node) -> bool {
        let was_told = node.goal.is_writer() || node.goal.is_retiring() || node.reported.is_writer();
        was_told && !self.is_fenced(node) && !self.is_out(node)
    }

    /// Every node that may have been told to write, other than this one, is fenced.
    pub fn are_others_fenced(&self, id: NodeId) -> bool {
        self.others(id)
            .filter(|node| {
                node.goal.is_writer()
                    || node.goal.is_retiring()
                    || node.goal == ReplicationState::Dropped
                    || node.reported.is_writer()
            })
            .all(|node| self.is_fenced(node))
    }

    /// Closer to the writer than the threshold, on its timeline.
    pub fn is_caught_up(&self, node: &Node) -> bool {
        self.is_behind_at_most(node, self.timeouts.enable_sync_lag_bytes)
    }

    /// So close to the writer that it may take over from it: what is left is sent while the writer stops.
    pub fn is_near(&self, node: &Node) -> bool {
        self.is_behind_at_most(node, self.timeouts.promote_lag_bytes)
    }

    fn is_behind_at_most(&self, node: &Node, bytes: u64) -> bool {
        self.writer().is_some_and(|writer| {
            node.timeline == writer.timeline
                && !self.has_forked(node)
                && node.lsn.bytes_behind(writer.lsn) <= bytes
        })
    }

    fn is_long(&self, milliseconds: u64) -> bool {
        Duration::from_millis(milliseconds) >= self.timeouts.unhealthy_after
    }
}

/// Who fetches WAL, or has been counted in an election, receives from another standby or from nobody.
pub(super) fn may_follow_primary(node: &Node) -> bool {
    node.goal != ReplicationState::FastForward && !node.is_complete
}
