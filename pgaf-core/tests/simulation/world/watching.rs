//! What the monitor finds out by itself: probes, the ends of sessions, and that time has run out.

use pgaf_core::NodeId;
use pgaf_core::monitor;

use super::super::network::End;
use super::super::postgres::Mode;
use super::World;

/// The worker probes each node so often.
const PROBE_PERIOD_MS: u64 = 1000;
/// One whose session has ended it probes so often.
const QUICK_PROBE_PERIOD_MS: u64 = 200;
/// It looks so often whether time has run out.
const WATCH_PERIOD_MS: u64 = 200;

/// What comes back from the port of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    Answer,
    Refusal,
    Silence,
}

impl World {
    pub(super) fn monitor_watches(&mut self) {
        if !self.monitor.is_up {
            return;
        }
        self.sessions_end();
        let mut has_changed = false;
        if self.now.is_multiple_of(PROBE_PERIOD_MS) {
            has_changed |= self.probe_all();
        }
        if self.now.is_multiple_of(QUICK_PROBE_PERIOD_MS) {
            has_changed |= self.probe_who_has_hung_up();
        }
        if has_changed || self.now.is_multiple_of(WATCH_PERIOD_MS) {
            self.monitor_decides();
        }
    }

    fn monitor_decides(&mut self) {
        let decision = self.monitor.event(&monitor::Event::Tick, self.now).expect("a tick is never refused");
        self.note(&decision);
    }

    /// The kernel of a host tells the monitor that a process is gone, as soon as it can.
    fn sessions_end(&mut self) {
        for index in 0..self.hosts.len() {
            if !self.network.passes(End::Host(index), End::Monitor) {
                continue;
            }
            let host = &mut self.hosts[index];
            let (Some(ended), Some(node)) = (host.keeper.ended.take(), host.node) else { continue };
            if ended.run == self.monitor.run && self.monitor.session_ended(node, ended.start, self.now) {
                self.tell(|_| format!("the session of node {node} has ended"));
                for other in self.monitor.others(node) {
                    self.notify(other);
                }
                self.monitor_decides();
            }
        }
    }

    fn probe_all(&mut self) -> bool {
        let mut has_changed = false;
        for (index, node) in self.members() {
            let is_answered = self.echo(index) == Echo::Answer;
            has_changed |= self.monitor.probed(node, is_answered, self.now);
        }
        has_changed
    }

    fn probe_who_has_hung_up(&mut self) -> bool {
        let mut has_changed = false;
        for (index, node) in self.members() {
            let is_refused = self.echo(index) == Echo::Refusal;
            has_changed |= self.monitor.probed_quickly(node, is_refused, self.now);
        }
        has_changed
    }

    /// Hosts with nodes that the monitor knows.
    fn members(&self) -> Vec<(usize, NodeId)> {
        let nodes = self.hosts.iter().enumerate().filter_map(|(index, host)| Some((index, host.node?)));
        nodes.filter(|(_, node)| self.monitor.group.node(*node).is_some()).collect()
    }

    fn echo(&self, index: usize) -> Echo {
        let host = &self.hosts[index];
        if !self.network.connects(End::Host(index), End::Monitor) {
            return if self.network.rejects(index) { Echo::Refusal } else { Echo::Silence };
        }
        match host.postgres.mode {
            Mode::Stopped => Echo::Refusal,
            Mode::Up(_) if !host.is_frozen => Echo::Answer,
            _ => Echo::Silence,
        }
    }

    /// Its processes are gone, or nobody can tell, or they were started again and serve nobody until the monitor says so.
    pub(super) fn serves_nobody_or_is_hidden(&self, node: NodeId) -> bool {
        let Some(index) = self.hosts.iter().position(|host| host.node == Some(node)) else { return true };
        let postgres = &self.hosts[index].postgres;
        postgres.is_stopped() || postgres.is_gated() || self.network.rejects(index)
    }
}
