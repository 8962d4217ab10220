//! What is measured: a loss, in a group of some size or of a Citus formation, with one writer alone or beside a load.

use crate::harness::{Loss, Setup};

/// How much longer a loss may take in a group of three than in one of two, in seconds.
const ALLOWED_FOR_AN_ELECTION_S: f64 = 0.3;
/// What clients of the coordinator may wait while a worker is switched over.
const WORKER_SWITCHOVER_S: f64 = 1.0;
/// Until everything is as it was after that.
const WORKER_WHOLE_S: f64 = 3.0;

/// Whose primary is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// One group of so many nodes; with three, a commit never goes without one acknowledgement.
    Alone(usize),
    /// A group of workers, of two; clients write through the coordinator.
    Worker,
    /// The coordinator's, of two.
    Coordinator,
}

impl Group {
    pub(super) fn setup(self) -> Setup {
        match self {
            Self::Alone(nodes) => Setup::nodes(nodes),
            Self::Worker | Self::Coordinator => Setup::citus(2),
        }
    }

    /// Its number.
    pub(super) const fn number(self) -> i32 {
        match self {
            Self::Alone(_) | Self::Coordinator => 0,
            Self::Worker => 2,
        }
    }

    pub(super) const fn is_citus(self) -> bool {
        matches!(self, Self::Worker | Self::Coordinator)
    }

    pub(super) const fn nodes(self) -> usize {
        match self {
            Self::Alone(nodes) => nodes,
            Self::Worker | Self::Coordinator => 2,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) group: Group,
    pub(super) loss: Loss,
    /// `pgbench` runs beside the writer.
    pub(super) is_under_load: bool,
}

impl Case {
    /// All of them, those of one group together.
    pub(super) fn all() -> Vec<Self> {
        let alone = |nodes| Loss::ALL.map(|loss| Self::of(Group::Alone(nodes), loss));
        let under_load = Self { is_under_load: true, ..Self::of(Group::Alone(3), Loss::Switchover) };
        let citus = [
            Self::of(Group::Worker, Loss::Switchover),
            Self::of(Group::Worker, Loss::PostmasterKilled),
            Self::of(Group::Worker, Loss::HostKilled),
            Self::of(Group::Coordinator, Loss::PostmasterKilled),
            Self::of(Group::Coordinator, Loss::HostKilled),
        ];
        [alone(2).as_slice(), alone(3).as_slice(), &[under_load], &citus].concat()
    }

    const fn of(group: Group, loss: Loss) -> Self {
        Self { group, loss, is_under_load: false }
    }

    /// Clients must see no error at all: writes are held.
    pub(super) fn is_held(self) -> bool {
        self.group == Group::Worker && self.loss == Loss::Switchover
    }

    /// One word, for the command line and for programs.
    pub(super) fn name(self) -> String {
        let group = match self.group {
            Group::Alone(3) => "three-nodes-",
            Group::Alone(_) => "",
            Group::Worker => "citus-worker-",
            Group::Coordinator => "citus-coordinator-",
        };
        let load = if self.is_under_load { "-under-load" } else { "" };
        format!("{group}{}{load}", self.loss.name())
    }

    /// What happens, for people.
    pub(super) fn description(self) -> String {
        let group = match self.group {
            Group::Alone(_) => "",
            Group::Worker => "worker: ",
            Group::Coordinator => "coordinator: ",
        };
        let load = if self.is_under_load { ", under pgbench" } else { "" };
        format!("{group}{}{load}", self.loss.description())
    }

    /// The pause, in seconds, that must not be exceeded, when the same loss takes so long in a group of two.
    pub(super) fn goal_s(self, with_two_nodes_s: Option<f64>) -> f64 {
        match self.group {
            _ if self.is_under_load => 1.0,
            Group::Worker if self.loss == Loss::Switchover => WORKER_SWITCHOVER_S,
            Group::Alone(2) | Group::Worker | Group::Coordinator => pause_of_two_s(self.loss),
            Group::Alone(_) => {
                with_two_nodes_s.unwrap_or(pause_of_two_s(self.loss)) + ALLOWED_FOR_AN_ELECTION_S
            }
        }
    }

    /// The time until everything is as it was, in seconds, that must not be exceeded.
    pub(super) fn whole_goal_s(self) -> Option<f64> {
        self.is_held().then_some(WORKER_WHOLE_S)
    }
}

/// The pause, in seconds, that must not be exceeded in a group of two.
const fn pause_of_two_s(loss: Loss) -> f64 {
    match loss {
        Loss::Switchover => 0.4,
        Loss::PostmasterKilled => 0.6,
        Loss::ControlFileLost => 1.5,
        Loss::HostKilled => 1.0,
        Loss::HostCut => 4.0,
        Loss::HostFrozen => 5.0,
    }
}
