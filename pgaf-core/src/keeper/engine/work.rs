//! The plan that is being carried out, step by step.

use std::collections::VecDeque;
use std::time::Duration;

use super::Engine;
use super::command::Command;
use super::event::{Outcome, StepId};
use super::notice::Notice;
use crate::keeper::moment::Moment;
use crate::keeper::step::{Step, StopMode};
use crate::message::{Assignment, Peer};
use crate::state::ReplicationState;

/// After a step has failed it is tried again after this long, and twice as long each time, up to the limit.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// What a plan is for: when this changes, its remaining steps are moot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Purpose {
    goal: ReplicationState,
    upstream: Option<Peer>,
}

impl Purpose {
    fn of(assignment: &Assignment) -> Self {
        Self { goal: assignment.goal, upstream: assignment.upstream.clone() }
    }

    fn is_of(&self, assignment: &Assignment) -> bool {
        self.goal == assignment.goal && self.upstream == assignment.upstream
    }
}

/// A step that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Current {
    id: StepId,
    step: Step,
    began: Moment,
}

/// One plan at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Work {
    last: StepId,
    purpose: Option<Purpose>,
    current: Option<Current>,
    rest: VecDeque<Step>,
    retry: Duration,
    /// After a failure, the next attempt does not begin before.
    not_before: Option<Moment>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            last: StepId(0),
            purpose: None,
            current: None,
            rest: VecDeque::new(),
            retry: FIRST_RETRY,
            not_before: None,
        }
    }
}

impl Work {
    /// A step is under way.
    pub(super) const fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    /// The step that is under way.
    pub(super) fn current(&self) -> Option<&Step> {
        self.current.as_ref().map(|current| &current.step)
    }

    /// A failed step is not tried again yet.
    pub(super) const fn is_backing_off(&self) -> bool {
        self.not_before.is_some()
    }

    /// When it is.
    pub(super) const fn not_before(&self) -> Option<Moment> {
        self.not_before
    }

    /// The time to try again has come; says whether that is news.
    pub(super) fn backs_off_until(&mut self, now: Moment) -> bool {
        self.not_before.take_if(|moment| *moment <= now).is_some()
    }

    /// Postgres is being stopped by a step.
    pub(super) fn is_stopping_postgres(&self) -> bool {
        matches!(self.current(), Some(Step::StopPostgres(_)))
    }

    /// Postgres is being started by a step.
    pub(super) fn is_starting_postgres(&self) -> bool {
        matches!(self.current(), Some(Step::StartPostgres | Step::StartGated))
    }

    /// A step is under way after which Postgres may accept writes.
    pub(super) fn may_begin_to_write(&self) -> bool {
        matches!(self.current(), Some(Step::StartPostgres | Step::Promote))
    }

    /// Postgres is being stopped without waiting for anybody.
    pub(super) fn is_fencing(&self) -> bool {
        matches!(self.current(), Some(Step::StopPostgres(StopMode::Immediate)))
    }

    /// A number for something to do.
    pub(super) const fn next_id(&mut self) -> StepId {
        self.last.0 += 1;
        self.last
    }

    pub(super) fn rest(&mut self) {
        *self = Self::default();
    }

    pub(super) fn age(&mut self, by: Duration) {
        self.not_before = self.not_before.map(|moment| moment.before(by));
        if let Some(current) = &mut self.current {
            current.began = current.began.before(by);
        }
    }
}

impl Engine {
    /// Starts a plan for the present goal.
    pub(super) fn begin(&mut self, steps: Vec<Step>) {
        self.work.purpose = self.state.assignment.as_ref().map(Purpose::of);
        self.work.rest = steps.into();
        self.next_step();
    }

    fn next_step(&mut self) {
        let Some(step) = self.work.rest.pop_front() else { return };
        self.cancel_maintenance();
        self.tell(Notice::StepStarts(step.clone()));
        let id = self.work.next_id();
        self.work.current = Some(Current { id, step: step.clone(), began: self.now() });
        self.order(Command::RunStep { id, step });
    }

    /// Stops Postgres at once, whatever else is under way.
    pub(super) fn fence(&mut self) {
        self.give_up_work();
        self.cancel_maintenance();
        let id = self.work.next_id();
        let step = Step::StopPostgres(StopMode::Immediate);
        self.tell(Notice::StepStarts(step.clone()));
        self.work.purpose = None;
        self.work.current = Some(Current { id, step, began: self.now() });
        self.order(Command::Fence(id));
    }

    /// Gives up a plan that was for something else. A server that is being fenced goes down in any case.
    pub(super) fn give_up_work_unless_for(&mut self, assignment: &Assignment) {
        let is_for = self.work.purpose.as_ref().is_some_and(|purpose| purpose.is_of(assignment));
        if is_for || self.work.is_fencing() {
            return;
        }
        if let Some(step) = self.work.current().cloned() {
            self.tell(Notice::StepMoot(step));
        }
        self.give_up_work();
    }

    /// Gives up whatever is being done, and forgets earlier failures.
    pub(super) fn give_up_work(&mut self) {
        if self.work.current.take().is_some() {
            self.order(Command::CancelStep);
        }
        self.work.rest.clear();
        self.work.retry = FIRST_RETRY;
        self.work.not_before = None;
    }

    pub(super) fn on_step_ended(&mut self, id: StepId, outcome: Outcome) {
        let Some(Current { step, began, .. }) = self.work.current.take_if(|current| current.id == id) else {
            return;
        };
        let now = self.now();
        let after = now.since(began);
        match outcome {
            Ok(()) => {
                self.memory.did(&step);
                self.note_admitted(&step);
                self.tell(Notice::StepDone(step, after));
                self.work.retry = FIRST_RETRY;
                self.next_step();
            }
            Err(reason) => {
                self.memory.failed(&step);
                let goes_on = step.is_best_effort();
                let retry = self.work.retry;
                let next_attempt_in = (!goes_on).then_some(retry);
                self.tell(Notice::StepFailed { step, after, reason, next_attempt_in });
                if goes_on {
                    self.next_step();
                } else {
                    self.work.rest.clear();
                    self.work.not_before = Some(now.after(retry));
                    self.work.retry = LAST_RETRY.min(retry * 2);
                }
                self.reporting.make_due(now);
            }
        }
        self.looking.look_again();
    }
}
