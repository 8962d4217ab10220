//! Time: when the engine is to be woken, and what time does to it for those who let the present stand still.

use std::time::Duration;

use super::fence_time::FenceTime;
use super::{Engine, Outbox};
use crate::keeper::engine::command::Command;
use crate::keeper::moment::Moment;

impl Engine {
    pub(super) const fn on_woken(&mut self) {
        self.outbox.wakes_at = None;
    }

    /// A step that has failed is tried again after another look.
    pub(super) fn end_back_off(&mut self) {
        if self.work.backs_off_until(self.now()) {
            self.looking.look_again();
        }
    }

    /// When something is due by itself; what is under way wakes the engine when it ends.
    pub(super) fn ask_to_be_woken(&mut self) {
        let may_report = !self.is_unmonitored() && !self.looking.is_stale();
        let due = [
            self.looking.due(),
            self.reporting.due().filter(|_| may_report),
            self.fence_due(),
            self.work.not_before(),
            self.saving.due(),
            self.shutdown.due(),
        ];
        let next = due.into_iter().flatten().min();
        if next != self.outbox.wakes_at {
            self.outbox.wakes_at = next;
            if let Some(moment) = next {
                self.order(Command::WakeAt(moment));
            }
        }
    }

    /// The same as if everything had happened so much earlier: what time does to it, for those who let the present moment
    /// stand still instead of a clock run.
    pub fn age(&mut self, by: Duration) {
        self.authority = self.authority.aged(by);
        self.looking.age(by);
        self.planning.age(by);
        self.work.age(by);
        self.reporting.age(by);
        self.maintenance.age(by);
        self.formation.age(by);
        self.pooler_check.age(by);
        self.tuning.age(by);
    }

    /// The same with nothing under way, a look and a report due, and everything forgotten that a look and an answer bring
    /// again: for those who explore what happens in every order, and let each look and report take no time.
    pub fn rest(&mut self, now: Moment) {
        self.looking.rest(now);
        self.planning.rest(now);
        self.work.rest();
        self.reporting.rest(now);
        self.maintenance.rest(now);
        self.formation.rest(now);
        self.pooler_check.rest(now);
        self.tuning.rest(now);
        self.saving.rest();
        self.fence_time = FenceTime::new(self.state.granted_fence_time());
        self.is_ready = true;
        self.outbox = Outbox { now, ..Outbox::default() };
    }

    /// Has the next report be the first of this start of the keeper: for those to whom the numbers mean nothing but which
    /// is higher.
    pub fn renumber_reports(&mut self, keeper_start: u64) {
        self.state.keeper_start = keeper_start;
        self.reporting.renumber(keeper_start);
    }

    /// Gives the assignment and what was reached under it other numbers, in the same order.
    pub fn renumber_epochs(&mut self, mut visit: impl FnMut(&mut crate::id::Epoch)) {
        visit(&mut self.state.reported_epoch);
        if let Some(assignment) = &mut self.state.assignment {
            visit(&mut assignment.epoch);
        }
    }
}
