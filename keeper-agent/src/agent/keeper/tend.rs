//! Between failovers: every other node can connect here and find the WAL it needs.

use std::rc::Rc;
use std::time::{Duration, Instant};

use pgaf_core::keeper::{Server, Step};
use tracing::warn;

use super::Keeper;
use crate::postgres::PostgresError;

/// Slots are moved on this often.
const PERIOD: Duration = Duration::from_secs(5);

/// Letting the peers in, and whether that and the rest went well.
pub(super) struct Tended {
    admit: Step,
    result: Result<(), PostgresError>,
}

impl Keeper {
    /// Lets the peers in, keeps a slot for each and moves it on, while nothing else is to be done: whatever is done for
    /// a goal comes first, and ends this.
    pub(super) fn tend(&mut self) {
        if self.work.is_busy() {
            self.tending.cancel();
            return;
        }
        let server = self.sight.as_ref().map(|sight| &sight.observed.server);
        let (Some(Server::Running(running)), Some(assignment)) = (server, &self.state.assignment) else {
            return;
        };
        // What is gated has not been told yet what it is.
        let is_settled = !running.is_gated && !self.is_sight_stale && !self.shutdown.is_wanted();
        let is_new = self.tended_for.as_ref() != Some(&assignment.peers);
        let is_due = is_new || self.next_tending <= Instant::now();
        if !is_settled || !is_due || self.tending.is_busy() || self.work.not_before().is_some() {
            return;
        }
        self.next_tending = Instant::now() + PERIOD;
        let (instance, positions) = (Rc::clone(&self.instance), self.positions.clone());
        let peers = assignment.peers.clone();
        let is_admitted =
            self.recall.memory().admitted.as_ref() == Some(&peers) && self.instance.admits_formation();
        self.tended_for = Some(peers.clone());
        self.tending.start(async move {
            let admit = Step::AdmitStandbys { peers: peers.clone() };
            let mut result = if is_admitted { Ok(()) } else { instance.execute(&admit).await };
            if result.is_ok() {
                result = instance.tend(&peers, &positions).await;
            }
            Tended { admit, result }
        });
    }

    pub(super) fn on_tended(&mut self, tended: Tended) {
        match tended.result {
            Ok(()) => self.recall.did(&tended.admit),
            Err(error) => warn!("the other nodes cannot be prepared for: {error}"),
        }
    }
}
