//! What a group waits for, in words for the operator: for a primary, or for a standby that commits need.

use crate::group::{Group, Node};
use crate::message::CommitRule;
use crate::state::ReplicationState;

impl Group {
    /// Why there is no primary, and which nodes would change that; `None` when there is one, or will be soon. The
    /// sentence changes only when what it is about does.
    pub fn why_no_primary(&self) -> Option<String> {
        if let Some(what) = self.why_paused() {
            return Some(what);
        }
        let writer = self.writer();
        let has_lost_data = |writer: &Node| !writer.has_data && writer.reported.is_writer();
        let is_over = writer.is_some_and(|writer| !has_lost_data(writer) && !self.is_out(writer))
            || self.candidate().is_some_and(|candidate| !self.is_stuck(candidate));
        if is_over || self.is_election_possible() {
            return None;
        }
        if self.commit_rules.is_empty() {
            return self.why_no_primary_yet();
        }
        let is_awaited = |node: &&Node| node.goal.is_writer() || (node.is_complete && !self.is_alive(node));
        let awaited = self.nodes.iter().filter(is_awaited);
        let is_back = |node: &Node| match node.has_data {
            true => format!("until {} is back", node.label()),
            false => format!("until {} has its data again", node.label()),
        };
        let mut ways: Vec<String> = awaited.map(is_back).collect();
        ways.extend(self.way_of_election());
        let group = format!("group {} of formation \"{}\"", self.id, self.formation);
        Some(if ways.is_empty() {
            format!(
                "{group} has no primary, and no node that is left is known to have every acknowledged commit"
            )
        } else {
            format!("{group} has no primary and waits {}", ways.join(", or "))
        })
    }

    /// The primary is lost, and nobody takes over because a person has said so.
    fn why_paused(&self) -> Option<String> {
        let lost = self.writer().filter(|writer| self.is_failover_paused && self.is_lost(writer))?;
        Some(format!(
            "group {} of formation \"{}\" has no primary and waits until {} is back, or until a person has a standby take \
             over with \"pg_autoctl perform failover\": automatic failover is paused",
            self.id,
            self.formation,
            lost.label()
        ))
    }

    /// Why commits wait although there is a primary, and which nodes would change that: fewer standbys can acknowledge than
    /// the newest commit rule asks for. `None` while commits go on.
    pub fn why_commits_wait(&self) -> Option<String> {
        let writer = self.writer().filter(|writer| writer.goal != ReplicationState::WaitPrimary)?;
        let rule = self.commit_rules.last().filter(|rule| rule.is_synchronous())?;
        let streams = |node: &Node| self.is_alive(node) && node.upstream.is_some_and(|it| it.is_streaming);
        let acknowledges = |node: &Node| {
            matches!(node.goal, ReplicationState::Secondary | ReplicationState::PreparePromotion)
                || streams(node)
        };
        let members = || self.nodes.iter().filter(|node| rule.standbys.contains(&node.id));
        if rule.is_met_by(members().filter(|node| acknowledges(node)).map(|node| node.id)) {
            return None;
        }
        let missing: Vec<String> = members().filter(|node| !acknowledges(node)).map(Node::label).collect();
        let needed = if rule.acks == 1 { "a standby acknowledges" } else { "enough standbys acknowledge" };
        let number = match self.number_sync_standbys {
            0 => String::new(),
            number => format!("number_sync_standbys is {number}, and "),
        };
        let are = if missing.len() == 1 { "is" } else { "are" };
        Some(format!(
            "commits on {} wait until {needed}: {number}{} {are} not streaming",
            writer.label(),
            missing.join(" and ")
        ))
    }

    /// Standbys have moved here from another monitor, and no primary with them.
    fn why_no_primary_yet(&self) -> Option<String> {
        let is_standby = |node: &&Node| node.goal == ReplicationState::CatchingUp && node.has_data;
        self.nodes.iter().find(is_standby)?;
        Some(format!(
            "group {} of formation \"{}\" has no primary: none of its nodes has registered as one",
            self.id, self.formation
        ))
    }

    /// A candidate that will not be promoted by itself: it is lost, has no data, or lacks commits that nobody who reports
    /// has.
    fn is_stuck(&self, candidate: &Node) -> bool {
        let lacks_commits = candidate.goal == ReplicationState::StopReplication
            && candidate.has_reached_goal()
            && !self.has_every_commit(candidate);
        !candidate.has_data || self.is_out(candidate) || lacks_commits
    }

    /// Which nodes an election waits for.
    fn way_of_election(&self) -> Option<String> {
        let voters: Vec<&Node> = self.nodes.iter().filter(|node| self.is_voter(node)).collect();
        let heard: Vec<_> =
            voters.iter().filter(|node| node.has_data && self.is_alive(node)).map(|node| node.id).collect();
        if self.is_enough_for_election(&heard) {
            return Some("until a standby that may be promoted reports: those that report have candidate priority 0, or \
                         the formation's secondaries are disabled".to_owned());
        }
        let is_open = |rule: &&CommitRule| {
            let members = rule.standbys.iter().filter(|node| heard.contains(node)).count();
            rule.needed_for_election().is_some_and(|needed| members < needed)
        };
        if self.commit_rules.iter().any(|rule| !rule.is_synchronous()) {
            return None;
        }
        let open: Vec<&CommitRule> = self.commit_rules.iter().filter(is_open).collect();
        let is_stopped =
            |node: &Node| node.goal.is_retiring() && node.has_reached_goal() && !self.is_silent(node);
        let is_member = |node: &Node| open.iter().any(|rule| rule.standbys.contains(&node.id));
        let missing: Vec<String> = self
            .nodes
            .iter()
            .filter(|node| is_member(node) && !heard.contains(&node.id) && !is_stopped(node))
            .map(Node::label)
            .collect();
        let all_or_any = if open.iter().any(|rule| rule.acks > 1) { "enough of" } else { "all of" };
        match missing.as_slice() {
            [] => None,
            [one] => Some(format!("until {one} reports, which may have acknowledged commits")),
            more => Some(format!(
                "until {all_or_any} {} report, which may have acknowledged commits",
                more.join(" and ")
            )),
        }
    }
}
