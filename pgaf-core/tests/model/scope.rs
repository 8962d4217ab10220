//! What may happen in one check: a check with fewer kinds of things goes deeper into them.

use pgaf_core::NodeId;
use pgaf_core::monitor::Event;

use super::action::{Action, Fate};
use super::world::{Budget, World};

/// A kind of thing that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Postgres, a keeper, or a whole host ends.
    Crashes,
    /// Links are cut, one way or with the monitor.
    Cuts,
    /// What the monitor sends is rejected on the way, as if nobody listened.
    Rejections,
    /// Hosts stand still, and go on.
    Freezes,
    /// Answers and reports are lost or late.
    Messages,
    /// The monitor ends, and starts again; on older rows.
    Monitor,
    /// Of three monitors another one leads, whatever the former one believes.
    Leadership,
    /// A data directory is gone; a copy is interrupted.
    Data,
    /// Failover and promotion.
    HandOvers,
    /// Maintenance.
    Maintenance,
    /// Nodes are removed.
    Removals,
    /// One more node, once.
    Additions,
    /// Priorities, the quorum, number_sync_standbys.
    Settings,
    /// A person gives up commits.
    LastResort,
    /// The monitor's time-outs, shorter and longer, and hosts that lose every link.
    Timeouts,
}

/// What the monitor's time-out may become.
const UNHEALTHY_TICKS: [u8; 2] = [2, LONG_UNHEALTHY_TICKS];
const LONG_UNHEALTHY_TICKS: u8 = 4;

/// One check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) nodes: usize,
    pub(crate) number_sync_standbys: u32,
    pub(crate) kinds: &'static [Kind],
    pub(crate) budget: Budget,
}

impl Scope {
    /// When the monitor calls a node silent at first, if not as always.
    pub(crate) fn unhealthy_ticks(&self) -> Option<u8> {
        self.has(Kind::Timeouts).then_some(LONG_UNHEALTHY_TICKS)
    }

    fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Links are cut by one of its kinds of trouble.
    fn has_cuts(&self) -> bool {
        [Kind::Cuts, Kind::Rejections, Kind::Timeouts, Kind::Leadership]
            .into_iter()
            .any(|kind| self.has(kind))
    }

    /// Everything that may happen, whether or not it can.
    pub(crate) fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        for index in 0..world.hosts.len() {
            actions.extend([Action::Turn(index, Fate::Answered), Action::Receive(index)]);
            if world.budget.commits > 0 {
                actions.push(Action::Commit(index));
            }
            if self.has(Kind::Messages) {
                actions.extend([Action::AnswerArrives(index), Action::StrayReportArrives(index)]);
            }
            if self.has(Kind::Crashes) {
                actions.extend([
                    Action::KeeperStarts(index),
                    Action::StreamEnds(index),
                    Action::SessionEnds(index),
                ]);
            }
            if self.has(Kind::Crashes) || self.has(Kind::Rejections) {
                actions.push(Action::ProbeTwice(index));
            }
            if self.has(Kind::Freezes) {
                actions.push(Action::Thaw(index));
            }
            if self.has(Kind::Leadership) && world.deposed.is_some() {
                actions.push(Action::TurnAtDeposed(index));
            }
        }
        if self.has(Kind::Monitor) {
            actions.push(Action::MonitorStarts);
        }
        if self.has_cuts() {
            actions.push(Action::Mend);
        }
        if world.budget.faults > 0 {
            self.faults(world, actions);
        }
        if world.budget.commands > 0 {
            self.commands(world, actions);
        }
    }

    fn faults(&self, world: &World, actions: &mut Vec<Action>) {
        if self.has(Kind::Monitor) {
            actions.extend([Action::MonitorDies, Action::BackUpRows, Action::RestoreRows]);
        }
        if self.has(Kind::Leadership) {
            actions.push(Action::AnotherLeads(None));
        }
        for index in 0..world.hosts.len() {
            if self.has(Kind::Leadership) {
                actions.push(Action::AnotherLeads(Some(index)));
            }
            if self.has(Kind::Crashes) {
                actions.extend([
                    Action::PostgresCrashes(index),
                    Action::KeeperDies(index),
                    Action::HostDies(index),
                ]);
            }
            if self.has(Kind::Messages) {
                let fates = [Fate::AnswerLost, Fate::AnswerDelayed, Fate::ReportDelayed];
                actions.extend(fates.map(|fate| Action::Turn(index, fate)));
            }
            if self.has(Kind::Data) {
                actions.extend([Action::DataIsLost(index), Action::LookInterrupted(index)]);
            }
            if self.has(Kind::Freezes) {
                actions.push(Action::Freeze(index));
            }
            if self.has(Kind::Rejections) {
                actions.push(Action::RejectMonitor(index));
            }
            if self.has(Kind::Timeouts) {
                actions.push(Action::Isolate(index));
            }
            if self.has(Kind::Cuts) {
                actions.push(Action::CutFromMonitor(index));
                let others = (0..world.hosts.len()).filter(|other| *other != index);
                actions.extend(others.map(|other| Action::Cut(index, other)));
            }
        }
    }

    fn commands(&self, world: &World, actions: &mut Vec<Action>) {
        if self.has(Kind::Additions) && world.hosts.len() == self.nodes {
            actions.push(Action::AddNode);
        }
        if self.has(Kind::Timeouts) {
            actions.extend(UNHEALTHY_TICKS.map(Action::SetUnhealthyTicks));
        }
        let mut command = |kind, event| {
            if self.has(kind) {
                actions.push(Action::Command(event));
            }
        };
        command(Kind::HandOvers, Event::PerformFailover);
        command(Kind::LastResort, Event::FailoverWithDataLoss { who: "operator".to_owned() });
        for number in 0..=2 {
            command(Kind::Settings, Event::SetNumberSyncStandbys(number));
        }
        for node in &world.group.nodes {
            let id: NodeId = node.id;
            command(Kind::HandOvers, Event::PerformPromotion(id));
            command(Kind::Maintenance, Event::StartMaintenance(id));
            command(Kind::Maintenance, Event::StopMaintenance(id));
            command(Kind::Settings, Event::SetCandidatePriority(id, 0));
            command(Kind::Settings, Event::SetCandidatePriority(id, 90));
            command(Kind::Settings, Event::SetReplicationQuorum(id, !node.replication_quorum));
            command(Kind::Removals, Event::Remove { node: id, force: false });
            command(Kind::Removals, Event::Remove { node: id, force: true });
        }
    }
}
