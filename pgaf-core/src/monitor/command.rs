//! What operators ask for: carried out at once, or refused with the reason.

use crate::group::Node;
use crate::id::NodeId;
use crate::state::ReplicationState::{
    self, CatchingUp, Draining, Maintenance, PrepareMaintenance, PreparePromotion, ReportLsn, Secondary,
    WaitMaintenance,
};

use super::{Draft, Event, Refusal, rules};

/// Changes the draft as the event says; reports and ticks change nothing here.
pub(super) fn carry_out(draft: &mut Draft, event: &Event) -> Result<(), Refusal> {
    match *event {
        Event::FailoverWithDataLoss { ref who } => draft.give_up_commits(who),
        Event::AcceptTimeline { timeline, ref who } => draft.accept_timeline(timeline, who),
        Event::Reported(node) => draft.known(node).map(|_| ()),
        Event::Tick => Ok(()),
        Event::Registered(node) => draft.register(node),
        Event::Remove { node, force } => draft.remove_on_command(node, force),
        Event::PerformFailover => draft.fail_over(),
        Event::PerformPromotion(node) => draft.promote_on_command(node),
        Event::StartMaintenance(node) => draft.start_maintenance(node),
        Event::StopMaintenance(node) => draft.stop_maintenance(node),
        Event::SetCandidatePriority(node, priority) => draft.set_priority(node, priority),
        Event::SetReplicationQuorum(node, is_member) => draft.set_quorum(node, is_member),
        Event::SetNumberSyncStandbys(number) => draft.set_number_sync_standbys(number),
        Event::Restart { node, ref restart } => draft.restart(node, restart),
        Event::CancelRestart(node) => draft.cancel_restart(node),
        Event::NodeMoved(node) => {
            let goal = draft.known(node)?.goal;
            draft.assign(node, goal, "node_moved", "its name, host or port has changed");
            Ok(())
        }
    }
}

impl Draft {
    pub(super) fn known(&self, id: NodeId) -> Result<&Node, Refusal> {
        self.group.node(id).ok_or(Refusal::UnknownNode(id))
    }

    pub(super) fn role_change_under_way(&self) -> Result<(), Refusal> {
        let group = &self.group;
        let is_busy = |node: &&Node| {
            let is_retiring = node.goal.is_retiring() && !group.is_silent(node);
            is_retiring || (node.goal == ReportLsn && group.writer().is_none())
        };
        let busy = group.candidate().or_else(|| group.nodes.iter().find(is_busy));
        match busy {
            Some(node) => Err(Refusal::RoleChangeUnderWay {
                formation: group.formation.clone(),
                group: group.id,
                what: format!("{} is {}, with goal {}", node.label(), node.reported, node.goal),
            }),
            None => Ok(()),
        }
    }

    /// Has another node take over: from a primary that serves, or, while automatic failover is paused, from one that
    /// does not, as it would have been without the pause.
    fn fail_over(&mut self) -> Result<(), Refusal> {
        let is_gone = |writer: &Node| self.group.is_down(writer) || self.group.is_lost(writer);
        if self.group.is_failover_paused && self.group.writer().is_some_and(is_gone) {
            self.group.is_failover_paused = false;
            let may_begin = rules::first_match(&self.group).is_some_and(|(rule, _)| rule.is_automatic());
            if may_begin {
                return Ok(());
            }
            self.group.is_failover_paused = true;
        }
        self.hand_over(None, Draining, "perform_failover")
    }

    /// The writer gives up for a standby: the named one, or the one that is preferred. One that is far behind, or was
    /// when it last reported, catches up first; one whose writes can be held has that done first, and one that has a hook
    /// to ask asks it first.
    fn hand_over(
        &mut self,
        wanted: Option<NodeId>,
        retire_to: ReplicationState,
        rule: &'static str,
    ) -> Result<(), Refusal> {
        let group = &self.group;
        if let Some(what) = group.why_no_primary() {
            return Err(Refusal::Waiting(what));
        }
        self.role_change_under_way()?;
        let writer = group
            .writer()
            .ok_or_else(|| Refusal::NoPrimary { formation: group.formation.clone(), group: group.id })?;
        let writer_id = writer.id;
        if group.is_silent(writer) || !writer.has_reported {
            return Err(Refusal::PrimaryDoesNotReport(writer_id));
        }
        let candidate = match wanted.and_then(|id| group.node(id)) {
            Some(node) => Some(node).filter(|node| group.why_not_switchover(node).is_none()),
            None if retire_to == Draining => group.hand_over_target(),
            None => group.switchover_target(),
        };
        let candidate = candidate.ok_or_else(|| self.nobody_to_hand_over_to(wanted))?;
        let candidate_id = candidate.id;
        let why = match wanted {
            Some(_) => "an operator asked for it".to_owned(),
            None => format!("an operator asked for it{}", self.passed_over(candidate)),
        };
        let is_near = group.is_near(candidate);
        let prepares = group.holds_writes() || candidate.asks_before_promotion;
        let may_begin = is_near && !(prepares && retire_to == Draining);
        if !is_near && retire_to != Draining {
            return Err(Refusal::NotPromotable { node: candidate_id, reason: self.why_not(candidate) });
        }
        if may_begin {
            self.assign(writer_id, retire_to, rule, &why);
        }
        self.assign(candidate_id, PreparePromotion, rule, &why);
        Ok(())
    }

    /// Who would have been preferred to this candidate, and why it is not taken; empty when nobody would.
    fn passed_over(&self, candidate: &Node) -> String {
        let group = &self.group;
        let rank = |node: &Node| (node.candidate_priority, node.replication_quorum);
        let preferred = group.nodes.iter().filter(|node| !node.goal.is_writer());
        let reasons = preferred.filter(|node| rank(node) > rank(candidate)).map(|node| self.why_not(node));
        reasons.fold(String::new(), |list, reason| format!("{list}; {reason}"))
    }

    /// What keeps a standby from taking over now, in words.
    fn why_not(&self, node: &Node) -> String {
        self.group.why_not_switchover(node).unwrap_or_else(|| {
            let end = self.group.writer().map(|writer| writer.lsn).unwrap_or_default();
            format!("{} is {} bytes of WAL behind the primary", node.label(), node.lsn.bytes_behind(end))
        })
    }

    pub(super) fn nobody_to_hand_over_to(&self, wanted: Option<NodeId>) -> Refusal {
        let group = &self.group;
        if let Some(node) = wanted.and_then(|id| group.node(id)) {
            return Refusal::NotPromotable { node: node.id, reason: self.why_not(node) };
        }
        let standbys = group.nodes.iter().filter(|node| !node.goal.is_writer());
        let mut reasons: Vec<String> = standbys.map(|node| self.why_not(node)).collect();
        if reasons.is_empty() {
            reasons.push("the group has no standby".to_owned());
        }
        Refusal::NoCandidate { formation: group.formation.clone(), group: group.id, reasons }
    }

    fn promote_on_command(&mut self, id: NodeId) -> Result<(), Refusal> {
        if self.known(id)?.goal.is_writer() {
            return Ok(());
        }
        self.hand_over(Some(id), Draining, "perform_promotion")
    }

    fn start_maintenance(&mut self, id: NodeId) -> Result<(), Refusal> {
        const RULE: &str = "start_maintenance";
        let node = self.known(id)?;
        match node.goal {
            Maintenance | WaitMaintenance | PrepareMaintenance => Ok(()),
            goal if goal.is_writer() => self.hand_over(None, PrepareMaintenance, RULE),
            Secondary | CatchingUp => {
                self.keep_quorum_without(id)?;
                self.assign(id, WaitMaintenance, RULE, "an operator asked for it");
                Ok(())
            }
            goal => Err(Refusal::WrongState {
                node: id,
                action: "go to maintenance",
                reported: node.reported,
                goal,
            }),
        }
    }

    fn stop_maintenance(&mut self, id: NodeId) -> Result<(), Refusal> {
        let node = self.known(id)?;
        if !matches!(node.goal, Maintenance | WaitMaintenance) {
            return Err(Refusal::WrongState {
                node: id,
                action: "leave maintenance",
                reported: node.reported,
                goal: node.goal,
            });
        }
        self.assign(id, CatchingUp, "stop_maintenance", "an operator asked for it");
        Ok(())
    }

    /// Refuses to take a node out of the quorum when too few would be left.
    fn keep_quorum_without(&self, id: NodeId) -> Result<(), Refusal> {
        let needed = self.group.number_sync_standbys as usize;
        let stays = |node: &&Node| {
            node.id != id && !matches!(node.goal, Maintenance | WaitMaintenance | PrepareMaintenance)
        };
        let left = self.group.quorum_standbys().filter(stays).count();
        if needed > 0 && left < needed {
            return Err(Refusal::InvalidSetting(format!(
                "without node {id} the quorum has {left} standbys, and number_sync_standbys is {needed}"
            )));
        }
        Ok(())
    }

    fn set_priority(&mut self, id: NodeId, priority: i32) -> Result<(), Refusal> {
        if !(0..=100).contains(&priority) {
            return Err(Refusal::InvalidSetting(format!(
                "candidate priority {priority} is not between 0 and 100"
            )));
        }
        if priority == 0 && self.known(id)?.goal.is_candidate() {
            self.role_change_under_way()?;
        }
        self.known(id)?;
        let has_candidate = priority > 0 || self.group.others(id).any(|node| node.candidate_priority > 0);
        if !has_candidate {
            return Err(Refusal::InvalidSetting(format!(
                "without node {id} no node of group {} may be promoted: all others have candidate priority 0",
                self.group.id
            )));
        }
        self.change(id, |node| node.candidate_priority = priority, "set_node_candidate_priority")
    }

    fn set_quorum(&mut self, id: NodeId, is_member: bool) -> Result<(), Refusal> {
        self.known(id)?;
        if !is_member {
            self.keep_quorum_without(id)?;
        }
        self.change(id, |node| node.replication_quorum = is_member, "set_node_replication_quorum")
    }

    /// Changes a property under a new epoch: the node's older reports do not count as knowing of it.
    fn change(
        &mut self,
        id: NodeId,
        edit: impl FnOnce(&mut Node),
        rule: &'static str,
    ) -> Result<(), Refusal> {
        let node = self.group.nodes.iter_mut().find(|node| node.id == id);
        let node = node.ok_or(Refusal::UnknownNode(id))?;
        edit(node);
        let goal = node.goal;
        self.assign(id, goal, rule, "an operator changed its settings");
        Ok(())
    }

    fn set_number_sync_standbys(&mut self, number: u32) -> Result<(), Refusal> {
        let standbys = self.group.quorum_standbys().count();
        let has_nodes = !self.group.nodes.is_empty();
        if has_nodes && number as usize > standbys {
            return Err(Refusal::InvalidSetting(format!(
                "number_sync_standbys {number} needs as many standbys in the quorum of group {}, which has \
                 {standbys}",
                self.group.id
            )));
        }
        self.group.number_sync_standbys = number;
        Ok(())
    }
}
