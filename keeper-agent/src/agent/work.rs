//! The plan that is being carried out, step by step.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pgaf_core::keeper::{Step, StopMode};
use pgaf_core::{Assignment, Peer, ReplicationState};
use tracing::{info, warn};

use super::slot::Slot;
use crate::citus::Citus;
use crate::postgres::{Instance, PostgresError};

/// After a step has failed it is tried again after this long, and twice as long each time, up to the limit.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// What a plan is for: when this changes, its remaining steps are moot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Purpose {
    goal: ReplicationState,
    upstream: Option<Peer>,
}

impl From<&Assignment> for Purpose {
    fn from(assignment: &Assignment) -> Self {
        Self { goal: assignment.goal, upstream: assignment.upstream.clone() }
    }
}

/// How a step ended.
pub(super) enum Ended {
    /// It reached what it is for.
    Well(Step),
    /// It did not.
    Failed(Step),
}

/// Executes one plan at a time.
pub(super) struct Work {
    instance: Rc<Instance>,
    citus: Option<Rc<Citus>>,
    purpose: Option<Purpose>,
    current: Option<(Step, Instant)>,
    rest: VecDeque<Step>,
    running: Slot<Result<(), PostgresError>>,
    retry: Duration,
    not_before: Option<Instant>,
}

impl Work {
    pub(super) const fn new(instance: Rc<Instance>, citus: Option<Rc<Citus>>) -> Self {
        Self {
            instance,
            citus,
            purpose: None,
            current: None,
            rest: VecDeque::new(),
            running: Slot::empty(),
            retry: FIRST_RETRY,
            not_before: None,
        }
    }

    /// A step is being executed.
    pub(super) const fn is_busy(&self) -> bool {
        self.running.is_busy()
    }

    /// The step that is being executed.
    pub(super) fn current(&self) -> Option<&Step> {
        self.current.as_ref().map(|(step, _)| step)
    }

    /// When the next attempt may begin after a failure.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before.filter(|moment| *moment > Instant::now())
    }

    /// Starts a plan.
    pub(super) fn begin(&mut self, purpose: Option<Purpose>, steps: Vec<Step>) {
        self.purpose = purpose;
        self.rest = steps.into();
        self.next();
    }

    /// Gives up a plan that was for something else. Steps are safe to be interrupted.
    pub(super) fn drop_unless_for(&mut self, purpose: &Purpose) {
        if self.purpose.as_ref() != Some(purpose) {
            if let Some(step) = self.current() {
                info!("no longer needed: {step}");
            }
            self.give_up();
        }
    }

    /// Gives up whatever is being done, and forgets earlier failures.
    pub(super) fn give_up(&mut self) {
        self.running.cancel();
        self.current = None;
        self.rest.clear();
        self.retry = FIRST_RETRY;
        self.not_before = None;
    }

    /// Postgres is being stopped by a step of ours.
    pub(super) fn is_stopping_postgres(&self) -> bool {
        matches!(self.current(), Some(Step::StopPostgres(_)))
    }

    /// Postgres is being started by a step of ours.
    pub(super) fn is_starting_postgres(&self) -> bool {
        matches!(self.current(), Some(Step::StartPostgres | Step::StartGated))
    }

    /// Postgres is being stopped without waiting for anybody.
    pub(super) fn is_fencing(&self) -> bool {
        matches!(self.current(), Some(Step::StopPostgres(StopMode::Immediate)))
    }

    /// Waits for the end of the current step; `None` when it was given up.
    pub(super) async fn step_done(&mut self) -> Option<Ended> {
        let result = self.running.done().await;
        let (step, started) = self.current.take()?;
        let milliseconds = started.elapsed().as_millis();
        match result {
            Ok(()) => {
                info!("done after {milliseconds} ms: {step}");
                self.retry = FIRST_RETRY;
                self.next();
                Some(Ended::Well(step))
            }
            Err(error) if step.is_best_effort() => {
                warn!("failed after {milliseconds} ms: {step}: {error}; going on without");
                self.next();
                Some(Ended::Failed(step))
            }
            Err(error) => {
                warn!(
                    "failed after {milliseconds} ms: {step}: {error}; next attempt in {} ms",
                    self.retry.as_millis()
                );
                self.rest.clear();
                self.not_before = Some(Instant::now() + self.retry);
                self.retry = LAST_RETRY.min(self.retry * 2);
                Some(Ended::Failed(step))
            }
        }
    }

    fn next(&mut self) {
        if let Some(step) = self.rest.pop_front() {
            info!("starting: {step}");
            self.current = Some((step.clone(), Instant::now()));
            let instance = Rc::clone(&self.instance);
            let citus = self.citus.clone().filter(|_| step.is_best_effort());
            self.running.start(async move {
                match citus {
                    Some(citus) => citus.execute(&step).await,
                    None => instance.execute(&step).await,
                }
            });
        }
    }
}
