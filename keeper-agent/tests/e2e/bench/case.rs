//! What is measured: a loss, in a group of some size, with one writer alone or beside a load.

use super::loss::Loss;

/// How much longer a loss may take in a group of three than in one of two, in seconds.
const ALLOWED_FOR_AN_ELECTION_S: f64 = 0.3;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// Data nodes; with three, a commit never goes without one acknowledgement.
    pub(super) nodes: usize,
    pub(super) loss: Loss,
    /// `pgbench` runs beside the writer.
    pub(super) is_under_load: bool,
}

impl Case {
    /// All of them, those of one group together.
    pub(super) fn all() -> Vec<Self> {
        let of_group = |nodes| Loss::ALL.map(|loss| Self { nodes, loss, is_under_load: false });
        let under_load = Self { nodes: 3, loss: Loss::Switchover, is_under_load: true };
        [of_group(2).as_slice(), of_group(3).as_slice(), &[under_load]].concat()
    }

    /// One word, for the command line and for programs.
    pub(super) fn name(self) -> String {
        let nodes = if self.nodes == 2 { "" } else { "three-nodes-" };
        let load = if self.is_under_load { "-under-load" } else { "" };
        format!("{nodes}{}{load}", self.loss.name())
    }

    /// What happens, for people.
    pub(super) fn description(self) -> String {
        let load = if self.is_under_load { ", under pgbench" } else { "" };
        format!("{}{load}", self.loss.description())
    }

    /// The pause, in seconds, that must not be exceeded, when the same loss takes so long in a group of two.
    pub(super) fn goal_s(self, with_two_nodes_s: Option<f64>) -> f64 {
        if self.is_under_load {
            1.0
        } else if self.nodes == 2 {
            self.loss.goal_s()
        } else {
            with_two_nodes_s.unwrap_or(self.loss.goal_s()) + ALLOWED_FOR_AN_ELECTION_S
        }
    }
}
