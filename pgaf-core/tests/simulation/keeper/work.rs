//! The plan that is being carried out, step by step.

use std::collections::VecDeque;

use pgaf_core::keeper::{Step, StopMode};
use pgaf_core::{Assignment, NodeId, ReplicationState};

const FIRST_RETRY_MS: u64 = 100;
const LAST_RETRY_MS: u64 = 5000;

/// What a plan is for: when this changes, its remaining steps are moot.
type Purpose = Option<(ReplicationState, Option<NodeId>)>;

fn purpose(assignment: Option<&Assignment>) -> Purpose {
    assignment.map(|it| (it.goal, it.upstream.as_ref().map(|peer| peer.node)))
}

/// Executes one plan at a time.
pub(crate) struct Work {
    purpose: Purpose,
    steps: VecDeque<Step>,
    /// When the first step was begun, and when it may end.
    pub(crate) under_way: Option<(u64, u64)>,
    retry_ms: u64,
    not_before: u64,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            purpose: None,
            steps: VecDeque::new(),
            under_way: None,
            retry_ms: FIRST_RETRY_MS,
            not_before: 0,
        }
    }
}

impl Work {
    /// The step that is being executed, or comes next.
    pub(crate) fn current(&self) -> Option<&Step> {
        self.steps.front()
    }

    pub(crate) fn is_busy(&self) -> bool {
        !self.steps.is_empty()
    }

    pub(super) const fn may_begin(&self, now: u64) -> bool {
        self.not_before <= now
    }

    pub(super) fn begin(&mut self, assignment: Option<&Assignment>, steps: Vec<Step>) {
        self.purpose = purpose(assignment);
        self.steps = steps.into();
        self.under_way = None;
    }

    pub(super) fn drop_unless_for(&mut self, assignment: &Assignment) {
        if self.purpose != purpose(Some(assignment)) {
            self.give_up();
        }
    }

    /// Gives up whatever is being done, and forgets earlier failures.
    pub(crate) fn give_up(&mut self) {
        *self = Self::default();
    }

    pub(super) fn ended(&mut self, is_good: bool, now: u64) {
        self.under_way = None;
        if is_good {
            self.steps.pop_front();
            self.retry_ms = FIRST_RETRY_MS;
        } else {
            self.steps.clear();
            self.not_before = now + self.retry_ms;
            self.retry_ms = LAST_RETRY_MS.min(self.retry_ms * 2);
        }
    }

    pub(super) fn is_fencing(&self) -> bool {
        matches!(self.current(), Some(Step::StopPostgres(StopMode::Immediate)))
    }

    pub(super) fn is_starting_postgres(&self) -> bool {
        matches!(self.current(), Some(Step::StartPostgres | Step::StartGated))
    }
}
