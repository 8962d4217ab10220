//! A keeper: the clockwork around the shipped plans, authority and memory, as the agent has it, in simulated time.

mod look;
mod report;
mod work;

use std::time::Duration;

use pgaf_core::keeper::{
    Authority, Hold, Memory, Moment, Numbering, Observed, Plan, Server, Step, StopMode, plan_isolated,
};
use pgaf_core::{Answer, Assignment, Epoch, Peer, ReplicationState, Report, TimelineHistory, Upstream};

use super::postgres::Postgres;
pub(crate) use look::{Sight, quorum_heard_at};
pub(crate) use work::Work;

pub(crate) const FENCE_LIMIT: Duration = Duration::from_secs(4);
const LOOK_PERIOD_MS: u64 = 500;
const WAITING_LOOK_PERIOD_MS: u64 = 50;
/// What takes longer is no longer worth looking that often.
const IMPATIENT_FOR_MS: u64 = 5000;
const REPORT_PERIOD_MS: u64 = 1000;
/// A request that is not answered in this time has failed.
pub(crate) const REPORT_DEADLINE_MS: u64 = 2000;
const CONTACT_RETRY_MS: u64 = 300;
/// A Postgres that ended cleanly by itself is restarted without asking, unless it was so this recently.
const QUICK_RESTART_PERIOD_MS: u64 = 30_000;

pub(crate) fn moment(now: u64) -> Moment {
    Moment::after_boot(Duration::from_millis(now))
}

/// The request that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) number: u64,
    pub(crate) sent: u64,
    pub(crate) fails_at: u64,
}

pub(crate) struct Keeper {
    pub(crate) is_up: bool,
    /// In the state file, with what was reached last.
    pub(crate) assignment: Option<Assignment>,
    pub(crate) reported: ReplicationState,
    pub(crate) reported_epoch: Epoch,
    authority: Authority,
    recall: Memory,
    coordinator: Option<Peer>,
    pub(crate) work: Work,
    sight: Option<Sight>,
    is_sight_stale: bool,
    is_considered: bool,
    next_look: u64,
    pub(crate) next_report: u64,
    pub(crate) exchange: Option<Exchange>,
    exchanges: u64,
    starts: u64,
    numbering: Numbering,
    is_monitor_failing: bool,
    last_report: Option<Report>,
    told_history: Option<TimelineHistory>,
    waiting_since: Option<u64>,
    was_running: bool,
    quick_restart: Option<u64>,
    /// The value of `synchronous_standby_names` that all backends were seen to follow.
    followed_names: Option<String>,
    is_rewind_hopeless: bool,
    streaming_since: Option<u64>,
    /// What only a person can help with, and since when.
    pub(crate) blocked: Option<(&'static str, u64)>,
}

impl Keeper {
    /// Of a node that was just registered; a worker's knows the coordinator.
    pub(crate) fn new(coordinator: Option<Peer>) -> Self {
        Self {
            coordinator,
            is_up: false,
            assignment: None,
            reported: ReplicationState::Init,
            reported_epoch: Epoch(0),
            authority: Authority::new(moment(0)),
            recall: Memory::default(),
            work: Work::default(),
            sight: None,
            is_sight_stale: true,
            is_considered: true,
            next_look: 0,
            next_report: 0,
            exchange: None,
            exchanges: 0,
            starts: 0,
            numbering: Numbering::of_start(0),
            is_monitor_failing: false,
            last_report: None,
            told_history: None,
            waiting_since: None,
            was_running: false,
            quick_restart: None,
            followed_names: None,
            is_rewind_hopeless: false,
            streaming_since: None,
            blocked: None,
        }
    }

    /// A new process: only the state file is left.
    pub(crate) fn start(&mut self, now: u64) {
        let coordinator = self.coordinator.clone();
        let old = std::mem::replace(self, Self::new(None));
        *self = Self {
            is_up: true,
            assignment: old.assignment,
            reported: old.reported,
            reported_epoch: old.reported_epoch,
            authority: Authority::new(moment(now)),
            exchanges: old.exchanges,
            starts: old.starts + 1,
            numbering: Numbering::of_start(old.starts + 1),
            next_look: now,
            next_report: now,
            ..Self::new(coordinator)
        };
    }

    fn is_synchronous_writer(&self) -> bool {
        self.assignment.as_ref().is_some_and(|it| it.goal.is_writer() && it.commit_rule.is_synchronous())
    }

    fn look_again(&mut self) {
        self.is_sight_stale = true;
    }

    /// The monitor has answered a request that was sent then. Says whether the assignment is another.
    pub(crate) fn answered(&mut self, answer: Answer, sent: u64, now: u64) -> bool {
        if let Some(number) = answer.overtaken_by {
            self.starts = self.numbering.overtaken_by(number);
            self.next_report = now;
            return false;
        }
        self.authority.answered(moment(sent));
        self.is_monitor_failing = false;
        self.is_considered = false;
        if let Some(Report { detail, .. }) = &mut self.last_report {
            self.told_history = detail.history.take().or_else(|| self.told_history.take());
        }
        if self.assignment.as_ref() == Some(&answer.assignment) {
            return false;
        }
        self.work.drop_unless_for(&answer.assignment);
        self.assignment = Some(answer.assignment);
        self.look_again();
        true
    }

    /// The monitor has not answered.
    pub(crate) fn unanswered(&mut self, now: u64) {
        self.authority.failed();
        self.is_monitor_failing = true;
        self.next_report = now + CONTACT_RETRY_MS;
        self.last_report = None;
        self.told_history = None;
        self.is_considered = false;
    }

    /// The connection to the monitor is closed: on the next one all is told again.
    pub(crate) fn is_disconnected(&mut self) {
        self.told_history = None;
        self.last_report = None;
    }

    /// Notices that its child has ended.
    pub(crate) fn watch_child(&mut self, postgres: &Postgres, now: u64) {
        let is_running = !postgres.is_stopped();
        let has_ended = self.was_running && !is_running;
        self.was_running = is_running;
        if !has_ended {
            return;
        }
        self.followed_names = None;
        let is_expected = matches!(self.work.current(), Some(Step::StopPostgres(_)));
        let is_recent = self.quick_restart.is_some_and(|at| now - at < QUICK_RESTART_PERIOD_MS);
        let may_restart = postgres.is_clean
            && !is_expected
            && !is_recent
            && self.authority.is_fresh(FENCE_LIMIT / 2, moment(now));
        if may_restart && self.is_synchronous_writer() {
            self.quick_restart = Some(now);
            self.work.give_up();
            self.begin(vec![Step::StartPostgres]);
        } else {
            self.authority.goes_down(moment(now));
        }
        self.look_again();
    }

    /// A look is due.
    pub(crate) fn is_look_due(&self, now: u64) -> bool {
        self.is_sight_stale || self.next_look <= now
    }

    /// Takes what was seen.
    pub(crate) fn saw(&mut self, sight: Sight, quorum: Option<u64>, now: u64) {
        self.next_look = now + LOOK_PERIOD_MS;
        self.recall.saw(&sight.observed.server);
        if let Some(at) = quorum {
            self.authority.standbys_seen(moment(at));
        }
        let is_streaming = sight.upstream.is_some_and(|upstream| upstream.is_streaming);
        self.streaming_since = self.streaming_since.or(Some(now)).filter(|_| is_streaming);
        self.sight = Some(sight);
        self.is_sight_stale = false;
        self.is_considered = false;
        self.report_news(now);
    }

    /// Stops a primary that nobody vouches for, whatever else is under way.
    pub(crate) fn fence_if_due(&mut self, now: u64) {
        let is_concerned = self.is_synchronous_writer() && !self.work.is_fencing();
        let is_due = is_concerned && self.authority.ends(FENCE_LIMIT) <= moment(now);
        let just_changed = self.is_sight_stale && !self.work.is_busy();
        let (Some(sight), Some(assignment), true, false) =
            (&self.sight, &self.assignment, is_due, just_changed)
        else {
            return;
        };
        let stop = vec![Step::StopPostgres(StopMode::Immediate)];
        let silence = self.authority.silence(FENCE_LIMIT, moment(now));
        if plan_isolated(assignment, &sight.observed, silence) == Plan::Steps(stop.clone()) {
            self.work.give_up();
            self.begin(stop);
        }
    }

    /// What the newest look calls for.
    pub(crate) fn consider(&mut self, now: u64) {
        if self.is_considered || self.is_sight_stale {
            return;
        }
        self.is_considered = true;
        let (Some(assignment), Some(sight)) = (&self.assignment, &mut self.sight) else { return };
        self.recall.coordinator_is(self.coordinator.clone());
        self.recall.wants(assignment, &sight.observed.server);
        sight.observed.memory = self.recall.clone();
        let plan = self.authority.plan(assignment, &sight.observed, FENCE_LIMIT, moment(now));
        if self.work.is_busy() {
            return;
        }
        self.blocked = match plan {
            Plan::Blocked(why) => Some(self.blocked.filter(|(other, _)| *other == why).unwrap_or((why, now))),
            // Between two answers of the monitor nothing is planned.
            Plan::Wait(_) => self.blocked,
            _ => None,
        };
        self.waiting_since = match plan {
            Plan::Wait(_) => self.waiting_since.or(Some(now)),
            _ => None,
        };
        match plan {
            Plan::Reached => self.reached(now),
            Plan::Steps(steps) if self.work.may_begin(now) => self.begin(steps),
            Plan::Wait(_) if self.waiting_since.is_some_and(|since| now - since < IMPATIENT_FOR_MS) => {
                self.next_look = self.next_look.min(now + WAITING_LOOK_PERIOD_MS);
            }
            Plan::Steps(_) | Plan::Wait(_) | Plan::Blocked(_) => {}
        }
    }

    fn reached(&mut self, now: u64) {
        let Some(assignment) = &self.assignment else { return };
        self.recall.reached(assignment);
        if (self.reported, self.reported_epoch) != (assignment.goal, assignment.epoch) {
            self.reported = assignment.goal;
            self.reported_epoch = assignment.epoch;
            self.next_report = now;
        }
    }

    fn begin(&mut self, steps: Vec<Step>) {
        self.work.begin(self.assignment.as_ref(), steps);
    }

    /// A step has ended.
    pub(crate) fn step_done(&mut self, step: &Step, is_good: bool, now: u64) {
        self.work.ended(is_good || step.is_best_effort(), now);
        if is_good {
            self.recall.did(step);
            match step {
                Step::SetSynchronousStandbyNames(names) => self.followed_names = Some(names.clone()),
                Step::BaseBackup { .. } | Step::Rewind { .. } => self.is_rewind_hopeless = false,
                _ => {}
            }
        } else {
            self.recall.failed(step);
            self.next_report = now;
        }
        self.look_again();
    }

    /// A coordinator holds writes for this node, as far as it knows.
    pub(crate) fn holds_writes(&self) -> bool {
        self.recall.clone().routing.hold == Hold::Open
    }

    /// pg_rewind has said that it cannot work.
    pub(crate) const fn rewind_is_hopeless(&mut self) {
        self.is_rewind_hopeless = true;
    }

    /// What it saw last of its Postgres.
    pub(crate) fn observed(&self) -> Option<&Observed> {
        self.sight.as_ref().map(|sight| &sight.observed)
    }

    fn is_stopped_in_sight(&self) -> bool {
        self.observed().is_some_and(|observed| observed.server == Server::Stopped)
    }

    fn upstream_in_sight(&self) -> Option<Upstream> {
        self.sight.as_ref().and_then(|sight| sight.upstream)
    }
}
