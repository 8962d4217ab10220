//! Carrying out steps: each has one place where it is done.

use std::rc::Rc;

use pgaf_core::keeper::Step;
use pgaf_core::{GroupId, NodeId, Peer, Position};

use super::companions::Companions;
use crate::citus::Citus;
use crate::postgres::{Instance, PostgresError};

/// Does to this node, and asks of a coordinator, what the engine wants.
#[derive(Clone)]
pub(super) struct Executor {
    instance: Rc<Instance>,
    /// On workers of a Citus formation.
    citus: Option<Rc<Citus>>,
    companions: Rc<Companions>,
    /// Of this node, in this group.
    place: (NodeId, GroupId),
}

impl Executor {
    pub(super) const fn new(
        instance: Rc<Instance>,
        citus: Option<Rc<Citus>>,
        companions: Rc<Companions>,
        place: (NodeId, GroupId),
    ) -> Self {
        Self { instance, citus, companions, place }
    }

    /// One step. Dropping the future interrupts it.
    pub(super) async fn execute(&self, step: &Step) -> Result<(), PostgresError> {
        match step {
            Step::BeforePromote { timeline } => return self.companions.ask(self.place, *timeline).await,
            Step::PausePoolers => return self.companions.pause_poolers().await,
            Step::RoutePoolers => return self.companions.route_poolers().await,
            _ => {}
        }
        let is_for_coordinator =
            matches!(step, Step::HoldWrites { .. } | Step::ReleaseWrites | Step::RouteWrites { .. });
        match self.citus.as_ref().filter(|_| is_for_coordinator) {
            Some(citus) => citus.execute(step).await,
            None => self.instance.execute(step).await,
        }
    }

    /// Stops Postgres as if it crashed, whatever else is under way.
    pub(super) async fn fence(&self) -> Result<(), PostgresError> {
        self.instance.fence().await
    }

    /// Keeps what the peers need, and admits them first where that is wanted.
    pub(super) async fn maintain(
        &self,
        peers: Vec<Peer>,
        positions: &[Position],
        admits: bool,
    ) -> Result<(), PostgresError> {
        if admits {
            self.instance.execute(&Step::AdmitStandbys { peers: peers.clone() }).await?;
        }
        self.instance.maintain_peers(&peers, positions).await
    }

    /// Writes the settings of Postgres, and has it take them over.
    pub(super) async fn apply_settings(&self) -> Result<(), PostgresError> {
        self.instance.apply_settings().await
    }
}
