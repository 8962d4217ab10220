//! What a look calls for: the plan, whether it may be followed, and what is reached.

use std::time::{Duration, Instant};

use pgaf_core::keeper::{Plan, Server, Step, StopMode, plan_unmonitored};
use pgaf_core::{Assignment, ReplicationState};
use tracing::{debug, error, info};

use super::Keeper;
use crate::agent::shutdown::Shutdown;
use crate::agent::work::{Ended, Purpose};
use crate::postgres::BootTime;

/// The local Postgres is looked at this often when the plan has begun to wait for something.
const WAITING_LOOK_PERIOD: Duration = Duration::from_millis(50);
/// What takes longer is no longer worth looking that often.
const IMPATIENT_FOR: Duration = Duration::from_secs(5);
/// A Postgres that answers nothing for this long is ended, when a standby can take over,
const HUNG_AFTER: Duration = Duration::from_secs(4);
/// or for this long, when there is nobody who could.
const HUNG_ALONE_AFTER: Duration = Duration::from_secs(30);

impl Keeper {
    pub(super) fn assignment(&self) -> Option<&Assignment> {
        self.state.assignment.as_ref()
    }

    pub(super) fn is_synchronous_writer(&self) -> bool {
        self.assignment()
            .is_some_and(|assignment| assignment.goal.is_writer() && assignment.commit_rule.is_synchronous())
    }

    pub(super) fn consider(&mut self) {
        if self.is_considered || self.is_sight_stale || self.saving.is_busy() {
            return;
        }
        self.is_considered = true;
        if let (Some(assignment), Some(sight)) = (&self.state.assignment, &self.sight) {
            self.recall.wants(assignment, &sight.observed.server);
        }
        match self.next_plan() {
            Some(plan) => self.follow(plan),
            None => self.tell_progress("waiting for the monitor"),
        }
    }

    /// What the present sight calls for; `None` without an assignment.
    pub(super) fn next_plan(&self) -> Option<Plan> {
        let mut observed = self.sight.as_ref()?.observed.clone();
        observed.memory = self.recall.memory();
        let mut assignment = self.assignment().cloned();
        if let Shutdown::Stopping { immediately, .. } = self.shutdown {
            if immediately && observed.server != Server::Stopped {
                return Some(Plan::Steps(vec![Step::StopPostgres(StopMode::Immediate)]));
            }
            if assignment.is_none() && observed.server != Server::Stopped {
                return Some(Plan::Steps(vec![Step::StopPostgres(StopMode::Fast)]));
            }
            if let Some(assignment) = &mut assignment {
                assignment.goal = ReplicationState::Demoted;
            }
        }
        if matches!(self.shutdown, Shutdown::Farewell { .. }) {
            // Postgres is stopped, and stays so, whatever the assignment says.
            return Some(Plan::Wait("the monitor is told that this node ends"));
        }
        let assignment = assignment?;
        let limit = self.fence_limit();
        let now = BootTime::now().moment();
        let patience = if self.is_synchronous_writer() { HUNG_AFTER } else { HUNG_ALONE_AFTER };
        let is_awaited = self.unresponsive_since.is_some_and(|since| since.elapsed() < patience);
        if is_awaited && (self.is_unmonitored() || !self.authority.is_isolated(limit, now)) {
            return Some(Plan::Wait("Postgres does not answer"));
        }
        if self.is_unmonitored() {
            return Some(plan_unmonitored(&assignment, &observed));
        }
        Some(self.authority.plan(&assignment, &observed, limit, now))
    }

    pub(super) fn follow(&mut self, plan: Plan) {
        if self.work.is_busy() {
            return;
        }
        match plan {
            Plan::Reached => self.on_reached(),
            Plan::Wait(reason) => {
                self.tell_progress(reason);
                self.look_soon();
            }
            Plan::Blocked(reason) => {
                if self.progress.as_deref() != Some(reason) {
                    error!("{reason}");
                }
                self.progress = Some(reason.to_owned());
            }
            Plan::Steps(steps) => {
                if self.work.not_before().is_some() {
                    return;
                }
                self.begin_for_goal(steps);
                self.progress = self.work.current().map(ToString::to_string);
            }
        }
    }

    pub(super) fn begin_for_goal(&mut self, steps: Vec<Step>) {
        let purpose = self.assignment().map(Purpose::from);
        self.work.begin(purpose, steps);
    }

    pub(super) fn tell_progress(&mut self, reason: &str) {
        if self.progress.as_deref() != Some(reason) {
            debug!("waiting: {reason}");
            self.waiting_since = Instant::now();
            self.progress = Some(reason.to_owned());
        }
    }

    /// Something is awaited: the next look comes early, unless it has been awaited for long.
    fn look_soon(&mut self) {
        if self.waiting_since.elapsed() < IMPATIENT_FOR {
            self.next_look = self.next_look.min(Instant::now() + WAITING_LOOK_PERIOD);
        }
    }

    pub(super) fn on_reached(&mut self) {
        self.progress = None;
        if matches!(self.shutdown, Shutdown::Stopping { .. }) {
            return;
        }
        let Some(assignment) = self.state.assignment.clone() else {
            return;
        };
        self.recall.reached(&assignment);
        if (self.state.reported, self.state.reported_epoch) != (assignment.goal, assignment.epoch) {
            info!("reached {}", assignment.goal);
            self.state.reported = assignment.goal;
            self.state.reported_epoch = assignment.epoch;
            self.waiting_since = Instant::now();
            self.save();
            self.next_report = Instant::now();
        }
        // The end of the stream from the primary that stops for it says where the log ends.
        if assignment.goal == ReplicationState::PreparePromotion {
            self.look_soon();
        }
    }

    pub(super) fn on_step(&mut self, ended: Option<Ended>) {
        match ended {
            Some(Ended::Well(step)) => self.recall.did(&step),
            Some(Ended::Failed(step)) => {
                self.recall.failed(&step);
                self.next_report = Instant::now();
            }
            None => self.next_report = Instant::now(),
        }
        self.look_again();
    }
}
