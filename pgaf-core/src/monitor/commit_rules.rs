//! Which standbys a commit waits for, and which rules may still be in force.

use crate::group::Group;
use crate::message::CommitRule;
use crate::state::ReplicationState;

/// Rules kept while the primary has not confirmed the newest one; a bound, far above what happens.
const MAX_UNCONFIRMED: usize = 64;

impl Group {
    /// The rule that the writer shall follow when it has this goal.
    pub fn wanted_commit_rule(&self, goal: ReplicationState) -> CommitRule {
        use ReplicationState::{PreparePromotion, Secondary};
        if !goal.is_synchronous_writer() {
            return CommitRule::ASYNCHRONOUS;
        }
        let standbys: Vec<_> = self
            .nodes
            .iter()
            // A candidate goes on receiving, and acknowledging, until the writer stops for it.
            .filter(|node| {
                (node.goal == Secondary && node.reported == Secondary) || node.goal == PreparePromotion
            })
            .filter(|node| node.replication_quorum)
            .map(|node| node.id)
            .collect();
        let acks = self.number_sync_standbys.max(1);
        let is_enough = u32::try_from(standbys.len()).is_ok_and(|count| count >= acks);
        match self.commit_rules.last() {
            _ if is_enough => CommitRule { standbys, acks },
            // Fewer than the formation insists on: commits wait for the ones that were there.
            Some(current) if self.number_sync_standbys > 0 && current.is_synchronous() => current.clone(),
            _ if standbys.is_empty() => CommitRule::ASYNCHRONOUS,
            _ => CommitRule { acks: 1, standbys },
        }
    }

    /// Records that the writer was given this rule: from now on it may be in force.
    pub(super) fn push_commit_rule(&mut self, rule: CommitRule) {
        if self.commit_rules.last() != Some(&rule) {
            self.commit_rules.push(rule);
        }
        if self.commit_rules.len() > MAX_UNCONFIRMED {
            // Forgetting a synchronous rule only makes elections harder when an asynchronous one stays.
            self.commit_rules = vec![CommitRule::ASYNCHRONOUS, self.commit_rules.remove(MAX_UNCONFIRMED)];
        }
    }

    /// A writer that was told to wait for standbys, and says under this assignment that it is `wait_primary`, acknowledges
    /// commits without them: somebody has changed its settings. It may have all along since its last report.
    pub(super) fn note_unfollowed_rule(&mut self) {
        let is_unfollowed = self.writer().is_some_and(|node| {
            node.goal != ReplicationState::WaitPrimary
                && node.reported == ReplicationState::WaitPrimary
                && node.reported_epoch == node.goal_epoch
        });
        let is_synchronous = self.commit_rules.last().is_some_and(CommitRule::is_synchronous);
        if is_unfollowed && is_synchronous && !self.commit_rules.contains(&CommitRule::ASYNCHRONOUS) {
            self.commit_rules.insert(0, CommitRule::ASYNCHRONOUS);
        }
    }

    /// Forgets older rules once the writer has confirmed the newest.
    pub(super) fn confirm_commit_rule(&mut self) {
        let is_confirmed = self
            .writer()
            .is_some_and(|writer| writer.has_reached_goal() && !writer.confirms_no_commit_rule());
        if is_confirmed && self.commit_rules.len() > 1 {
            self.commit_rules.drain(..self.commit_rules.len() - 1);
        }
    }
}
