//! What a look calls for: the plan, whether it may be followed, and what is reached.

use std::time::Duration;

use super::Engine;
use super::notice::Notice;
use super::shutdown::Shutdown;
use crate::keeper::isolated::plan_unmonitored;
use crate::keeper::moment::Moment;
use crate::keeper::server::Server;
use crate::keeper::step::{Plan, Step, StopMode};
use crate::state::ReplicationState;

/// What takes longer is no longer worth looking often.
const IMPATIENT_FOR: Duration = Duration::from_secs(5);
/// A Postgres that answers nothing for this long is ended, when a standby can take over,
const HUNG_AFTER: Duration = Duration::from_secs(4);
/// or for this long, when there is nobody who could.
const HUNG_ALONE_AFTER: Duration = Duration::from_secs(30);
/// A primary whose disk has not answered for this long is ended, when a standby can take over. A disk that stalls for some
/// seconds is no reason.
const DISK_HUNG_AFTER: Duration = Duration::from_secs(8);

/// What stands between a node and its goal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Nothing.
    #[default]
    None,
    /// Something that comes by itself.
    Waiting(&'static str),
    /// Something that a person has to do.
    Blocked(&'static str),
    /// A step that is under way, or was the last.
    Step(Step),
}

/// When to plan, and what the last plan said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Planning {
    /// Something has changed since the last plan was made.
    pub(super) is_due: bool,
    progress: Progress,
    /// When what is awaited began to be.
    since: Moment,
}

impl Planning {
    pub(super) const fn new(now: Moment) -> Self {
        Self { is_due: false, progress: Progress::None, since: now }
    }

    /// What is awaited or being done, for people to read.
    pub(super) fn describe(&self, copied_percent: Option<u8>) -> Option<String> {
        let text = match &self.progress {
            Progress::None => return None,
            Progress::Waiting(what) | Progress::Blocked(what) => (*what).to_owned(),
            Progress::Step(step) => step.to_string(),
        };
        Some(match copied_percent {
            Some(percent) => format!("{text}: {percent} %"),
            None => text,
        })
    }

    pub(super) fn rest(&mut self, now: Moment) {
        *self = Self::new(now);
    }

    pub(super) fn age(&mut self, by: Duration) {
        self.since = self.since.before(by);
    }
}

impl Engine {
    /// What stands between this node and its goal, as the newest plan says.
    pub const fn progress(&self) -> &Progress {
        &self.planning.progress
    }

    /// Plans when something has changed, on a look that counts, under an assignment that is saved.
    pub(super) fn plan_if_due(&mut self) {
        // What stops Postgres needs no assignment.
        let is_unsaved = self.saving.is_assignment_unsaved() && !self.shutdown.is_past_hand_over();
        if !self.planning.is_due || self.looking.is_stale() || is_unsaved {
            return;
        }
        self.planning.is_due = false;
        if let (Some(assignment), Some(seen)) = (&self.state.assignment, self.looking.newest()) {
            self.memory.wants(assignment, &seen.observed.server);
        }
        match self.next_plan() {
            Some(plan) => {
                let plan = self.without_disk(plan);
                self.follow(plan);
            }
            None => self.await_something("waiting for the monitor"),
        }
    }

    /// What the newest look calls for; `None` without an assignment.
    fn next_plan(&mut self) -> Option<Plan> {
        if let Some(plan) = self.plan_of_shutdown() {
            return Some(plan);
        }
        let assignment = self.state.assignment.as_ref()?;
        let (limit, now) = (self.fence_limit(), self.now());
        let is_isolated = self.authority.is_isolated(limit, now);
        let patience = if self.is_synchronous_writer() { HUNG_AFTER } else { HUNG_ALONE_AFTER };
        let is_awaited = self.looking.unresponsive_for(now).is_some_and(|time| time < patience);
        if is_awaited && (self.is_unmonitored() || !is_isolated) {
            return Some(Plan::Wait("Postgres does not answer"));
        }
        let is_unmonitored = self.is_unmonitored();
        let observed = &mut self.looking.newest_mut()?.observed;
        std::mem::swap(&mut observed.memory, &mut self.memory);
        let plan = if self.shutdown.is_past_hand_over() {
            let mut assignment = assignment.clone();
            assignment.goal = ReplicationState::Demoted;
            if is_unmonitored {
                plan_unmonitored(&assignment, observed)
            } else {
                self.authority.plan(&assignment, observed, limit, now)
            }
        } else if is_unmonitored {
            plan_unmonitored(assignment, observed)
        } else {
            self.authority.plan(assignment, observed, limit, now)
        };
        std::mem::swap(&mut observed.memory, &mut self.memory);
        Some(plan)
    }

    /// What is left of a plan while the disk does not answer: a stop of Postgres, which needs none, and then as if it
    /// crashed. Commits wait for that disk, so a standby that can take over is let do that.
    fn without_disk(&self, plan: Plan) -> Plan {
        let Some(hung_for) = self.looking.disk_hung_for(self.now()) else { return plan };
        let is_up = self.server().is_some_and(|server| *server != Server::Stopped);
        let stops =
            matches!(&plan, Plan::Steps(steps) if matches!(steps.last(), Some(Step::StopPostgres(_))));
        let is_past_hope = self.is_synchronous_writer() && hung_for >= DISK_HUNG_AFTER;
        if is_up && (stops || is_past_hope) {
            return Plan::Steps(vec![Step::StopPostgres(StopMode::Immediate)]);
        }
        match plan {
            Plan::Steps(_) | Plan::Blocked(_) => Plan::Wait("the disk of the data directory does not answer"),
            plan => plan,
        }
    }

    /// What comes before any assignment, once the keeper was told to end.
    fn plan_of_shutdown(&self) -> Option<Plan> {
        let is_up = self.server().is_some_and(|server| *server != Server::Stopped);
        match self.shutdown {
            Shutdown::Stopping { immediately: true, .. } if is_up => {
                Some(Plan::Steps(vec![Step::StopPostgres(StopMode::Immediate)]))
            }
            Shutdown::Stopping { .. } if is_up && self.state.assignment.is_none() => {
                Some(Plan::Steps(vec![Step::StopPostgres(StopMode::Fast)]))
            }
            // Postgres is stopped, and stays so, whatever the assignment says.
            Shutdown::Farewell { .. } => Some(Plan::Wait("telling the monitor that this node is stopping")),
            _ => None,
        }
    }

    fn follow(&mut self, plan: Plan) {
        if self.work.is_busy() {
            return;
        }
        match plan {
            Plan::Reached => {
                self.on_reached();
                self.restart_if_wanted();
            }
            Plan::Wait(what) => {
                self.await_something(what);
                self.look_soon_for_a_while();
            }
            Plan::Blocked(why) => {
                if self.planning.progress != Progress::Blocked(why) {
                    self.tell(Notice::Blocked(why));
                    self.planning.progress = Progress::Blocked(why);
                    self.planning.since = self.now();
                }
            }
            Plan::Steps(steps) => {
                if !self.work.is_backing_off() {
                    self.planning.progress = steps.first().cloned().map_or(Progress::None, Progress::Step);
                    self.begin(steps);
                }
            }
        }
    }

    fn await_something(&mut self, what: &'static str) {
        if self.planning.progress != Progress::Waiting(what) {
            self.tell(Notice::Waiting(what));
            self.planning.progress = Progress::Waiting(what);
            self.planning.since = self.now();
        }
    }

    /// The next look comes early, unless what is awaited has been for long.
    fn look_soon_for_a_while(&mut self) {
        let now = self.now();
        if now.since(self.planning.since) < IMPATIENT_FOR {
            self.looking.look_soon(now);
        }
    }

    fn on_reached(&mut self) {
        self.planning.progress = Progress::None;
        if matches!(self.shutdown, Shutdown::Stopping { .. }) {
            return;
        }
        let Some(assignment) = &self.state.assignment else { return };
        let (goal, epoch) = (assignment.goal, assignment.epoch);
        self.memory.reached(assignment);
        if (self.state.reported, self.state.reported_epoch) != (goal, epoch) {
            self.state.reported = goal;
            self.state.reported_epoch = epoch;
            self.saving.state_changed();
            self.tell(Notice::Reached(goal));
            self.planning.since = self.now();
            self.reporting.make_due(self.now());
        }
        // The end of the stream from the primary that stops for it says where the log ends.
        if goal == ReplicationState::PreparePromotion {
            self.look_soon_for_a_while();
        }
    }
}
