//! The writes that a Citus coordinator sends to the group of this node, while the group's primary changes.
//!
//! A candidate has them held at the coordinator before the old primary stops, and sent to itself once it is promoted: a
//! client that writes through the coordinator waits, and sees no error. All of this is best effort. A promotion never
//! depends on it, and the coordinator's own keeper sets right what a candidate could not.

use super::step::Step;
use crate::message::{Assignment, Peer};
use crate::state::ReplicationState as State;

/// What a node of a worker group knows of its coordinator, and has asked of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Routing {
    /// The primary of the coordinator's group; absent on a node that is no worker, and while there is none.
    pub coordinator: Option<Peer>,
    /// Whether the coordinator holds writes to the group for this node.
    pub hold: Hold,
    /// Whether the coordinator was told to send them to this node.
    pub route: Route,
}

/// Writes to the shards of a group wait at the coordinator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Not asked for.
    #[default]
    None,
    /// They wait.
    Open,
    /// The coordinator did not answer, or did not get its locks: it is gone on without.
    Failed,
}

/// Writes to the shards of a group go to this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Route {
    /// Not asked for.
    #[default]
    Unknown,
    /// This coordinator sends them here.
    To(Peer),
    /// This coordinator could not be told.
    Failed(Peer),
}

impl Routing {
    /// The step that asks a coordinator for a hold, when one has not been asked for yet.
    pub(super) fn hold_step(&self, assignment: &Assignment) -> Option<Step> {
        let coordinator = self.coordinator.clone().filter(|_| self.hold == Hold::None)?;
        Some(Step::HoldWrites { coordinator, primary: assignment.upstream.clone(), epoch: assignment.epoch })
    }

    /// The step that tells the present coordinator to send writes here, when it has not been told yet.
    pub(super) fn route_step(&self) -> Option<Step> {
        let coordinator = self.coordinator.as_ref()?;
        let is_told = match &self.route {
            Route::Unknown => false,
            Route::To(told) | Route::Failed(told) => told == coordinator,
        };
        (!is_told).then(|| Step::RouteWrites { coordinator: coordinator.clone() })
    }

    /// The assignment that is planned for: what was asked under another goal does not count.
    pub(super) fn wants(&mut self, goal: State) {
        if self.hold == Hold::Failed && !goal.is_being_promoted() {
            self.hold = Hold::None;
        }
        if !goal.is_writer() {
            self.route = Route::Unknown;
        }
    }

    /// A step ended, well or not.
    pub(super) fn did(&mut self, step: &Step, is_done: bool) {
        match step {
            Step::HoldWrites { .. } => self.hold = if is_done { Hold::Open } else { Hold::Failed },
            // What could not be taken back is taken back by the coordinator's keeper.
            Step::ReleaseWrites => self.hold = Hold::None,
            Step::RouteWrites { coordinator } => {
                self.hold = Hold::None;
                let coordinator = coordinator.clone();
                self.route = if is_done { Route::To(coordinator) } else { Route::Failed(coordinator) };
            }
            _ => {}
        }
    }
}
