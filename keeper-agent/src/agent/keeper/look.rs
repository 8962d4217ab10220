//! Looking at the local Postgres, and noticing its end.

use std::rc::Rc;
use std::time::{Duration, Instant};

use pgaf_core::keeper::{Server, Step, state_to_report};
use pgaf_core::{Peer, ReplicationState};
use tracing::warn;

use super::Keeper;
use crate::postgres::{BootTime, Exit, Sight};

/// The local Postgres is looked at this often when nothing is awaited.
const LOOK_PERIOD: Duration = Duration::from_millis(500);
/// A Postgres that ended cleanly by itself is restarted without asking, unless it was so this recently.
const QUICK_RESTART_PERIOD: Duration = Duration::from_secs(30);

impl Keeper {
    pub(super) fn look(&mut self) {
        let is_due = self.is_sight_stale || self.next_look <= Instant::now();
        if self.observing.is_busy() || !is_due {
            return;
        }
        self.next_look = Instant::now() + LOOK_PERIOD;
        let instance = Rc::clone(&self.instance);
        let upstream = self.upstream_to_ask();
        self.observing.start(async move { instance.observe(upstream.as_ref()).await });
    }

    /// Whose history the local log is compared with. A secondary that runs has proved itself, and when its upstream
    /// is gone it must not lose time with asking it.
    pub(super) fn upstream_to_ask(&self) -> Option<Peer> {
        let assignment = self.assignment()?;
        let runs =
            self.sight.as_ref().is_some_and(|sight| matches!(sight.observed.server, Server::Running(_)));
        let is_proved = assignment.goal == ReplicationState::Secondary && runs;
        assignment.upstream.clone().filter(|_| !is_proved)
    }

    /// Something happened: what was seen before does not count, nor does a look that is under way.
    pub(super) fn look_again(&mut self) {
        self.observing.cancel();
        self.is_sight_stale = true;
    }

    pub(super) fn on_sight(&mut self, sight: Sight) {
        self.recall.saw(&sight.observed.server);
        if let Some(age) = sight.quorum_contact {
            self.authority.standbys_seen(BootTime::now().before(age).moment());
        }
        if sight.observed.server == Server::Unresponsive {
            self.unresponsive_since.get_or_insert_with(Instant::now);
        } else {
            self.unresponsive_since = None;
        }
        if matches!(sight.observed.server, Server::Running(_)) {
            self.tell_supervisor_ready();
        }
        self.withdraw_claim(&sight);
        self.sight = Some(sight);
        self.is_sight_stale = false;
        self.is_considered = false;
        self.report_news();
    }

    /// What was reached is not so any more: remembered, also over a crash of Postgres, until it is reached again.
    fn withdraw_claim(&mut self, sight: &Sight) {
        let (reported, epoch) = (self.state.reported, self.state.reported_epoch);
        let holds = state_to_report(reported, epoch, self.state.assignment.as_ref(), &sight.observed);
        if holds != reported {
            warn!("commits on this node do not wait as the monitor has told: no longer {reported}, but {holds}");
            self.state.reported = holds;
            self.save();
            self.next_report = Instant::now();
        }
    }

    pub(super) fn tell_supervisor_ready(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            crate::supervisor::ready();
        }
    }

    pub(super) fn on_exit(&mut self, exit: Exit) {
        let is_expected = self.work.is_stopping_postgres();
        if !is_expected {
            warn!("Postgres has ended {}", if exit == Exit::Clean { "by itself" } else { "in a crash" });
        }
        let is_recent = self.quick_restart.is_some_and(|at| at.elapsed() < QUICK_RESTART_PERIOD);
        let may_restart = exit == Exit::Clean
            && !is_expected
            && !is_recent
            && !self.shutdown.is_wanted()
            && self.authority.is_fresh(self.fence_limit() / 2, BootTime::now().moment());
        if may_restart && self.is_synchronous_writer() {
            self.quick_restart = Some(Instant::now());
            self.work.give_up();
            self.begin_for_goal(vec![Step::StartPostgres]);
        } else {
            self.authority.goes_down(BootTime::now().moment());
        }
        self.look_again();
    }
}
