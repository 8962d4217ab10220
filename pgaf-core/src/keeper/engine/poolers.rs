//! Looking after the poolers: one that was restarted, or did not answer in time, is told again who the primary is.

use std::time::Duration;

use super::Engine;
use super::command::Command;
use crate::keeper::moment::Moment;
use crate::keeper::pooling::Poolers;

/// The poolers are looked at this often.
const PERIOD: Duration = Duration::from_secs(5);

/// When the poolers are looked at next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PoolerCheck {
    next: Moment,
    is_under_way: bool,
}

impl PoolerCheck {
    pub(super) const fn new(now: Moment) -> Self {
        Self { next: now, is_under_way: false }
    }

    pub(super) const fn is_over(&mut self) {
        self.is_under_way = false;
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
    /// On a primary that is to go on, and has told them once.
    pub(super) fn check_poolers_if_due(&mut self) {
        let now = self.now();
        let is_due = self.memory.poolers == Poolers::Routed && self.pooler_check.next <= now;
        let may = self.is_known_primary() && !self.looking.is_stale() && !self.shutdown.is_wanted();
        if !is_due || !may || self.work.is_busy() || self.pooler_check.is_under_way {
            return;
        }
        self.pooler_check = PoolerCheck { next: now.after(PERIOD), is_under_way: true };
        self.order(Command::CheckPoolers);
    }
}
