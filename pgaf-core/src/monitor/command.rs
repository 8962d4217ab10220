//! What operators ask for: carried out at once, or refused with the reason.

use crate::group::Node;
use crate::id::NodeId;
use crate::state::ReplicationState::{
    self, CatchingUp, Draining, Dropped, Maintenance, PrepareMaintenance, PreparePromotion, Secondary,
    WaitMaintenance,
};

use super::{Draft, Event, Refusal, election};

/// Changes the draft as the event says; reports and ticks change nothing here.
pub(super) fn carry_out(draft: &mut Draft, event: &Event) -> Result<(), Refusal> {
    match *event {
        Event::FailoverWithDataLoss { .. } | Event::AcceptTimeline { .. } => {
            Err(Refusal::NotSupported("this is not supported yet".to_owned()))
        }
        Event::Reported(node) => draft.known(node).map(|_| ()),
        Event::Tick => Ok(()),
        Event::Registered(node) => draft.register(node),
        Event::Remove { node, force } => draft.remove_on_command(node, force),
        Event::PerformFailover => draft.hand_over(None, Draining, "perform_failover"),
        Event::PerformPromotion(node) => draft.promote_on_command(node),
        Event::StartMaintenance(node) => draft.start_maintenance(node),
        Event::StopMaintenance(node) => draft.stop_maintenance(node),
        Event::SetCandidatePriority(node, priority) => draft.set_priority(node, priority),
        Event::SetReplicationQuorum(node, is_member) => draft.set_quorum(node, is_member),
        Event::SetNumberSyncStandbys(number) => draft.set_number_sync_standbys(number),
        Event::NodeMoved(node) => {
            let goal = draft.known(node)?.goal;
            draft.assign(node, goal, "node_moved", "its name, host or port has changed");
            Ok(())
        }
    }
}

impl Draft {
    fn known(&self, id: NodeId) -> Result<&Node, Refusal> {
        self.group.node(id).ok_or(Refusal::UnknownNode(id))
    }

    fn register(&self, id: NodeId) -> Result<(), Refusal> {
        self.known(id)?;
        if self.group.nodes.len() > election::MAX_NODES {
            return Err(Refusal::NotSupported(format!(
                "group {} of formation \"{}\" has {} nodes, and more are not supported yet",
                self.group.id,
                self.group.formation,
                election::MAX_NODES
            )));
        }
        Ok(())
    }

    fn role_change_under_way(&self) -> Result<(), Refusal> {
        let busy = self
            .group
            .nodes
            .iter()
            .find(|node| Some(node.id) == self.group.candidate().map(|candidate| candidate.id))
            .or_else(|| self.group.nodes.iter().find(|node| node.goal.is_retiring()));
        match busy {
            Some(node) => Err(Refusal::RoleChangeUnderWay {
                formation: self.group.formation.clone(),
                group: self.group.id,
                what: format!("{} is {}, with goal {}", node.label(), node.reported, node.goal),
            }),
            None => Ok(()),
        }
    }

    /// The writer gives up for a standby: the named one, or the one that the election gives.
    fn hand_over(
        &mut self,
        wanted: Option<NodeId>,
        retire_to: ReplicationState,
        rule: &'static str,
    ) -> Result<(), Refusal> {
        self.role_change_under_way()?;
        let group = &self.group;
        let writer = group
            .writer()
            .ok_or_else(|| Refusal::NoPrimary { formation: group.formation.clone(), group: group.id })?;
        let writer_id = writer.id;
        if group.is_silent(writer) || !writer.has_reported {
            return Err(Refusal::PrimaryDoesNotReport(writer_id));
        }
        let elected = election::elect(group).filter(|node| wanted.is_none_or(|id| id == node.id));
        let candidate = elected.ok_or_else(|| self.nobody_elected(wanted))?;
        let behind = candidate.lsn.bytes_behind(writer.lsn);
        if behind > group.timeouts.promote_lag_bytes {
            return Err(Refusal::NotPromotable {
                node: candidate.id,
                reason: format!("it is {behind} bytes of WAL behind the primary"),
            });
        }
        let candidate_id = candidate.id;
        self.assign(writer_id, retire_to, rule, "an operator asked for it");
        self.assign(candidate_id, PreparePromotion, rule, "an operator asked for it");
        Ok(())
    }

    fn nobody_elected(&self, wanted: Option<NodeId>) -> Refusal {
        let group = &self.group;
        let reasons = |node: &Node| election::why_not_promotable(group, node);
        if let Some(node) = wanted.and_then(|id| group.node(id)) {
            let reason =
                reasons(node).unwrap_or_else(|| "another standby is preferred by the election".to_owned());
            return Refusal::NotPromotable { node: node.id, reason };
        }
        let writer = group.writer().map(|node| node.id);
        let standbys = group.nodes.iter().filter(|node| Some(node.id) != writer);
        let mut reasons: Vec<String> = standbys.filter_map(reasons).collect();
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

    fn remove_on_command(&mut self, id: NodeId, force: bool) -> Result<(), Refusal> {
        const RULE: &str = "remove_node";
        let why = "an operator removed it";
        let node = self.known(id)?;
        let is_writer = node.goal.is_writer();
        let answers = node.has_reported && !self.group.is_silent(node);
        if is_writer && self.group.others(id).next().is_some() {
            match election::elect(&self.group).map(|candidate| candidate.id) {
                Some(candidate) => {
                    self.assign(candidate, PreparePromotion, RULE, "the primary is removed");
                }
                None if !force => return Err(self.nobody_elected(None)),
                None => {}
            }
        }
        if force && !(is_writer && answers) {
            self.remove(id, why);
        } else {
            self.assign(id, Dropped, RULE, why);
        }
        Ok(())
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
        let left = self.quorum_standbys().filter(|node| node.id != id).count();
        if needed > 0 && left < needed {
            return Err(Refusal::InvalidSetting(format!(
                "without node {id} the quorum has {left} standbys, and number_sync_standbys is {needed}"
            )));
        }
        Ok(())
    }

    fn quorum_standbys(&self) -> impl Iterator<Item = &Node> {
        self.group
            .nodes
            .iter()
            .filter(|node| node.replication_quorum && !node.goal.is_writer() && node.goal != Dropped)
    }

    fn set_priority(&mut self, id: NodeId, priority: i32) -> Result<(), Refusal> {
        if !(0..=100).contains(&priority) {
            return Err(Refusal::InvalidSetting(format!(
                "candidate priority {priority} is not between 0 and 100"
            )));
        }
        self.known(id)?;
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
        let standbys = self.quorum_standbys().count();
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
