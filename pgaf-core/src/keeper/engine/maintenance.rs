//! Between failovers: every other node can connect here and find the WAL it needs.

use std::time::Duration;

use super::Engine;
use super::command::Command;
use super::event::{Outcome, StepId};
use super::notice::Notice;
use crate::keeper::moment::Moment;
use crate::keeper::server::Server;
use crate::keeper::step::Step;
use crate::message::Peer;

/// Slots are moved on this often.
const PERIOD: Duration = Duration::from_secs(5);

/// What is kept ready for the peers, and when next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Maintenance {
    next: Moment,
    under_way: Option<StepId>,
    /// The peers of the last round.
    peers: Option<Vec<Peer>>,
    /// The hosts of the formation that were admitted last, beside the peers.
    admitted_hosts: Vec<String>,
}

impl Maintenance {
    pub(super) const fn new(now: Moment) -> Self {
        Self { next: now, under_way: None, peers: None, admitted_hosts: Vec::new() }
    }

    pub(super) const fn make_due(&mut self, now: Moment) {
        self.next = now;
    }

    /// At rest, with nothing due.
    pub(super) fn rest(&mut self, now: Moment) {
        *self = Self::new(now);
    }

    pub(super) fn age(&mut self, by: Duration) {
        self.next = self.next.before(by);
    }
}

impl Engine {
    /// Admits the peers, keeps a slot for each and moves it on, while nothing else is to be done: whatever is done for
    /// a goal comes first, and ends this.
    pub(super) fn maintain_peers_if_due(&mut self) {
        let (Some(Server::Running(running)), Some(assignment)) = (self.server(), self.assignment()) else {
            return;
        };
        // What is gated has not been told yet what it is.
        let is_settled = !running.is_gated && !self.looking.is_stale() && !self.shutdown.is_wanted();
        let is_disk_hung = self.looking.disk_hung_for(self.now()).is_some();
        let is_idle = !is_disk_hung && !self.work.is_busy() && !self.work.is_backing_off();
        let is_new = self.maintenance.peers.as_ref() != Some(&assignment.peers);
        let is_due = is_new || self.maintenance.next <= self.now();
        if !is_due || !is_settled || !is_idle || self.maintenance.under_way.is_some() {
            return;
        }
        let peers = assignment.peers.clone();
        let admits = self.memory.admitted.as_ref() != Some(&peers) || !self.admits_formation();
        let positions = self.reporting.positions.clone();
        let id = self.work.next_id();
        self.maintenance.next = self.now().after(PERIOD);
        self.maintenance.under_way = Some(id);
        self.maintenance.peers = Some(peers.clone());
        self.order(Command::MaintainPeers { id, peers, positions, admits });
    }

    /// Something is to be done for a goal.
    pub(super) fn cancel_maintenance(&mut self) {
        if self.maintenance.under_way.take().is_some() {
            self.order(Command::CancelMaintenance);
        }
    }

    pub(super) fn on_peers_maintained(&mut self, id: StepId, outcome: Outcome) {
        if self.maintenance.under_way.take_if(|under_way| *under_way == id).is_none() {
            return;
        }
        match outcome {
            Ok(()) => {
                let admitted =
                    Step::AdmitStandbys { peers: self.maintenance.peers.clone().unwrap_or_default() };
                self.memory.did(&admitted);
                self.note_admitted(&admitted);
            }
            Err(reason) => self.tell(Notice::MaintenanceFailed(reason)),
        }
    }

    /// A step has ended well: with the peers it has admitted all hosts of the formation.
    pub(super) fn note_admitted(&mut self, step: &Step) {
        if matches!(step, Step::AdmitStandbys { .. }) && !self.admits_formation() {
            self.maintenance.admitted_hosts = self.formation.hosts().to_vec();
        }
    }

    fn admits_formation(&self) -> bool {
        self.maintenance.admitted_hosts == self.formation.hosts()
    }
}
