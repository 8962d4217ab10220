//! The state file: nothing is done under an assignment that a restarted keeper would not know of.

use std::time::Duration;

use super::Engine;
use super::command::Command;
use super::event::SaveId;
use super::notice::Notice;
use crate::keeper::moment::Moment;

/// After a failed write, the next is begun this much later, and twice as long each time, up to the limit.
const FIRST_RETRY: Duration = Duration::from_millis(300);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// What of the state is not on disk yet. One write at a time: of two at once, the older could be the one that stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Saving {
    last: SaveId,
    is_under_way: bool,
    /// The state has changed since the last write was begun, or that has failed.
    is_changed: bool,
    /// The newest assignment is not known to be on disk.
    is_assignment_unsaved: bool,
    /// Since the last write that ended well: when the next attempt is due, how long the one after waits, and why.
    failure: Option<Failure>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Failure {
    next_attempt: Moment,
    retry: Duration,
    reason: String,
}

impl Saving {
    /// The state is another.
    pub(super) const fn state_changed(&mut self) {
        self.is_changed = true;
    }

    /// The assignment is another.
    pub(super) const fn assignment_changed(&mut self) {
        self.is_changed = true;
        self.is_assignment_unsaved = true;
    }

    /// The newest assignment is not known to be on disk.
    pub(super) const fn is_assignment_unsaved(&self) -> bool {
        self.is_assignment_unsaved
    }

    /// When a write that failed is tried again.
    pub(super) fn due(&self) -> Option<Moment> {
        let failure = self.failure.as_ref().filter(|_| self.is_changed && !self.is_under_way);
        failure.map(|failure| failure.next_attempt)
    }

    /// With its newest write ended and numbered anew.
    pub(super) fn rest(&mut self) {
        *self = Self::default();
    }
}

impl Engine {
    pub(super) fn save_if_due(&mut self) {
        let is_waiting =
            self.saving.failure.as_ref().is_some_and(|failure| failure.next_attempt > self.outbox.now);
        if !self.saving.is_changed || self.saving.is_under_way || is_waiting {
            return;
        }
        self.saving.is_changed = false;
        self.saving.is_under_way = true;
        self.saving.last.0 += 1;
        self.fence_time.saving(self.state.granted_fence_time());
        let (save, state) = (self.saving.last, Box::new(self.state.clone()));
        self.order(Command::Save { save, state });
    }

    pub(super) fn on_saved(&mut self, save: SaveId) {
        if save != self.saving.last || !std::mem::take(&mut self.saving.is_under_way) {
            return;
        }
        self.fence_time.saved();
        if self.saving.failure.take().is_some() {
            self.tell(Notice::SavedAgain);
        }
        if !self.saving.is_changed && std::mem::take(&mut self.saving.is_assignment_unsaved) {
            self.planning.is_due = true;
        }
    }

    pub(super) fn on_save_failed(&mut self, save: SaveId, reason: String) {
        if save != self.saving.last || !std::mem::take(&mut self.saving.is_under_way) {
            return;
        }
        self.saving.is_changed = true;
        let before = self.saving.failure.take();
        let next_attempt_in = before.as_ref().map_or(FIRST_RETRY, |failure| failure.retry);
        if before.is_none_or(|failure| failure.reason != reason) {
            self.tell(Notice::SaveFailed { reason: reason.clone(), next_attempt_in });
        }
        self.saving.failure = Some(Failure {
            next_attempt: self.now().after(next_attempt_in),
            retry: LAST_RETRY.min(next_attempt_in * 2),
            reason,
        });
    }
}
