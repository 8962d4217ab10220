//! What operators do.

use pgaf_core::ReplicationState::{Maintenance, WaitMaintenance};
use pgaf_core::monitor::Event;
use pgaf_core::{Node, NodeId};

use super::super::keeper::Keeper;
use super::super::postgres::Postgres;
use super::World;

impl World {
    /// One command, at random; a refusal is an answer, too.
    pub(super) fn operator_commands(&mut self) {
        let nodes = self.monitor.group.nodes.len();
        if !self.monitor.is_up || nodes == 0 {
            return;
        }
        let node = self.random.index(nodes);
        let node = self.monitor.group.nodes[node].id;
        let event = match self.random.below(17) {
            0 | 1 => Event::PerformFailover,
            2 | 3 => Event::PerformPromotion(node),
            4 | 5 => Event::StartMaintenance(node),
            6..=8 => return self.end_maintenance(),
            9 => Event::SetCandidatePriority(node, [0, 50, 50, 90][self.random.index(4)]),
            10 | 11 => Event::SetReplicationQuorum(node, self.random.per_mille(600)),
            12 => Event::SetNumberSyncStandbys(self.random.below(3) as u32),
            13 if self.profile.loses_nodes => return self.drop_node(node),
            14 if self.profile.loses_nodes => return self.add_again(),
            16 => {
                let is_paused = self.random.per_mille(500);
                return self.pause_failover(is_paused);
            }
            15 if self.profile.allows_data_loss => Event::FailoverWithDataLoss { who: "operator".to_owned() },
            _ => return,
        };
        self.command(&event);
    }

    pub(super) fn command(&mut self, event: &Event) {
        if !self.monitor.is_up {
            return;
        }
        self.tell(|_| format!("COMMAND: {event:?}"));
        match self.monitor.event(event, self.now) {
            Ok(decision) => self.note(&decision),
            Err(refusal) => self.tell(|_| format!("    refused: {refusal}")),
        }
    }

    /// Pauses automatic failover, or ends the pause.
    pub(super) fn pause_failover(&mut self, is_paused: bool) {
        if self.monitor.is_up && self.monitor.group.is_failover_paused != is_paused {
            self.monitor.group.is_failover_paused = is_paused;
            self.tell(|_| format!("automatic failover is paused: {is_paused}"));
            self.command(&Event::Tick);
        }
    }

    /// Brings back whoever was taken out.
    pub(super) fn end_maintenance(&mut self) {
        let group = &self.monitor.group;
        let is_out = |node: &&Node| matches!(node.goal, Maintenance | WaitMaintenance);
        let Some(node) = group.nodes.iter().find(is_out) else { return };
        let writer = group.writer().filter(|_| group.is_on_foreign_branch(node));
        let may_decide = self.profile.allows_data_loss || self.profile.restores_rows;
        let event = match writer {
            Some(writer) if may_decide => {
                Event::AcceptTimeline { timeline: writer.timeline, who: "operator".to_owned() }
            }
            _ => Event::StopMaintenance(node.id),
        };
        self.command(&event);
    }

    /// Goes on without those that are waited for, where that is allowed.
    pub(super) fn give_up_waiting(&mut self) {
        if self.profile.allows_data_loss
            && self.monitor.group.waits_for.as_deref().is_some_and(|text| text.contains("no primary"))
        {
            self.command(&Event::FailoverWithDataLoss { who: "operator".to_owned() });
        }
    }

    fn drop_node(&mut self, node: NodeId) {
        if self.monitor.group.nodes.len() > 1 {
            self.has_lost_nodes = true;
            let force = self.random.per_mille(400);
            self.command(&Event::Remove { node, force });
        }
    }

    /// On a host whose keeper knows that it was dropped, under a new id, without data.
    fn add_again(&mut self) {
        let Some(index) = self.hosts.iter().position(|host| host.node.is_none()) else { return };
        let count = self.hosts.len();
        let host = &mut self.hosts[index];
        if host.postgres.is_stopped() && !host.is_frozen && !self.monitor.group.nodes.is_empty() {
            host.postgres = Postgres::without_data(count);
            self.add_node(index);
        }
    }

    /// The keeper has heard that its node was dropped, has stopped Postgres, and ends.
    pub(super) fn leave(&mut self, index: usize) {
        self.tell(|_| format!("host {index} has left its group"));
        let host = &mut self.hosts[index];
        host.node = None;
        host.keeper = Keeper::new(NodeId(0), None);
    }
}
