//! Nodes come and go: what registering and removing a node does to the others.

use crate::group::{Group, Node};
use crate::id::NodeId;
use crate::state::ReplicationState::{
    CatchingUp, Dropped, Maintenance, PreparePromotion, ReportLsn, Secondary, Single, WaitPrimary,
};

use super::{Draft, Refusal};

impl Group {
    /// The standbys that are in the quorum, or will be: no more acknowledgements can be asked for.
    pub fn quorum_standbys(&self) -> impl Iterator<Item = &Node> {
        self.nodes
            .iter()
            .filter(|node| node.replication_quorum && !node.goal.is_writer() && node.goal != Dropped)
    }
}

impl Draft {
    /// A node was added. One that moves here from another monitor has a role already and keeps it.
    pub(super) fn register(&mut self, id: NodeId) -> Result<(), Refusal> {
        const RULE: &str = "register_node";
        let reported = self.known(id)?.reported;
        let is_alone = self.group.others(id).next().is_none();
        if !is_alone && !self.group.has_secondary {
            return Err(Refusal::SecondariesDisabled(self.group.formation.clone()));
        }
        match reported {
            role if role.is_writer() => {
                if let Some(writer) = self.group.writer() {
                    return Err(Refusal::InvalidSetting(format!(
                        "{} is the primary of group {} already",
                        writer.label(),
                        self.group.id
                    )));
                }
                let goal = if is_alone { Single } else { WaitPrimary };
                self.assign(id, goal, RULE, "it is a primary already");
            }
            Secondary | CatchingUp => self.assign(id, CatchingUp, RULE, "it is a standby already"),
            Maintenance => self.assign(id, Maintenance, RULE, "it is in maintenance already"),
            _ => {}
        }
        self.writer_admits(id);
        Ok(())
    }

    /// The writer has to let a new node connect, and to say so. With the third node of every group a commit is never
    /// without an acknowledgement again, as in 2.2; before that, a group of two would wait for its only standby.
    fn writer_admits(&mut self, id: NodeId) {
        let writer = self.group.writer().filter(|writer| writer.id != id && writer.goal != Single);
        let Some((writer, goal)) = writer.map(|writer| (writer.id, writer.goal)) else {
            return;
        };
        let mut why = format!("node {id} joins its group");
        let is_wide_elsewhere = self.group.fewest_standbys_elsewhere.is_none_or(|standbys| standbys >= 2);
        if self.group.number_sync_standbys == 0
            && self.group.quorum_standbys().count() == 2
            && is_wide_elsewhere
        {
            self.group.number_sync_standbys = 1;
            why.push_str(", which has two standbys in the quorum now: number_sync_standbys becomes 1");
        }
        self.assign(writer, goal, "register_node", &why);
    }

    pub(super) fn remove_on_command(&mut self, id: NodeId, force: bool) -> Result<(), Refusal> {
        const RULE: &str = "remove_node";
        let why = "an operator removed it";
        let node = self.known(id)?;
        let is_writer = node.goal.is_writer();
        let may_write = self.group.may_write(node);
        let answers = node.has_reported && !self.group.is_silent(node);
        let has_others = self.group.others(id).next().is_some();
        if node.goal.is_candidate() && self.group.writer().is_none() && !force {
            self.role_change_under_way()?;
        }
        if is_writer && has_others {
            self.find_successor(answers, force)?;
        }
        // Nobody takes over from a node that may still accept writes, whatever an operator believes.
        if force && !(may_write && (has_others || answers)) {
            self.remove(id, why);
        } else {
            self.assign(id, Dropped, RULE, why);
        }
        self.lower_number_sync_standbys();
        Ok(())
    }

    /// The primary is removed: a standby takes over, or standbys are counted. By force it may go without.
    fn find_successor(&mut self, primary_answers: bool, force: bool) -> Result<(), Refusal> {
        const RULE: &str = "remove_node";
        let why = "the primary is removed";
        let target = self.group.switchover_target().filter(|_| primary_answers);
        let target = target.or_else(|| self.group.sole_successor()).map(|node| node.id);
        if let Some(target) = target {
            self.assign(target, PreparePromotion, RULE, why);
        } else if self.group.is_election_possible() {
            let voters = self.group.nodes.iter().filter(|node| self.group.is_voter(node));
            for voter in voters.map(|node| node.id).collect::<Vec<_>>() {
                self.assign(voter, ReportLsn, RULE, why);
            }
        } else if !force {
            return Err(self.nobody_to_hand_over_to(None));
        }
        Ok(())
    }

    /// With fewer standbys than before, as many acknowledgements may be too many: one standby may always be lost. A
    /// group that nobody is left in asks for nothing.
    fn lower_number_sync_standbys(&mut self) {
        if self.group.nodes.iter().all(|node| node.goal == Dropped) {
            return;
        }
        let standbys = u32::try_from(self.group.quorum_standbys().count()).unwrap_or(u32::MAX);
        if self.group.number_sync_standbys < standbys || self.group.number_sync_standbys == 0 {
            return;
        }
        self.group.number_sync_standbys = standbys.saturating_sub(1);
        let why = format!(
            "its group has {standbys} standbys in the quorum now: number_sync_standbys becomes {}",
            self.group.number_sync_standbys
        );
        let writer = self.group.writer().map(|writer| (writer.id, writer.goal));
        if let Some((writer, goal)) = writer {
            self.assign(writer, goal, "remove_node", &why);
        }
    }
}
