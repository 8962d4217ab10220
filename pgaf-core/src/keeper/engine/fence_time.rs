//! How long a primary serves without a word of anybody: never longer than the monitor knows.
//!
//! The monitor promotes another node only when the longest time that this keeper has reported is over. So a longer time
//! comes into force when a report with it was answered, and the monitor hears of a shorter one only when the state file
//! has it. Without that, a monitor whose time-outs are shortened while a primary is cut off would promote before that
//! primary has fenced itself.

use std::time::Duration;

use super::Engine;

/// What was reported, and what a keeper that is started again may find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FenceTime {
    /// The last report said this.
    reported: Duration,
    /// The state file has this, or less.
    on_disk: Duration,
    /// The write that is under way has this.
    being_saved: Duration,
}

impl FenceTime {
    /// With this in the state file.
    pub(super) const fn new(on_disk: Duration) -> Self {
        Self { reported: on_disk, on_disk, being_saved: on_disk }
    }

    /// A write with this is begun: from now on either may be on disk.
    pub(super) fn saving(&mut self, granted: Duration) {
        self.being_saved = granted;
        self.on_disk = self.on_disk.max(granted);
    }

    /// It has ended well.
    pub(super) const fn saved(&mut self) {
        self.on_disk = self.being_saved;
    }
}

impl Engine {
    /// After how long without a word of the monitor and the standbys a primary fences itself.
    pub(super) fn fence_limit(&self) -> Duration {
        self.wanted_fence_limit().min(self.state.granted_fence_time())
    }

    /// The same as soon as the monitor knows of it: what is configured, or what the monitor has said, if that is less.
    fn wanted_fence_limit(&self) -> Duration {
        let of_monitor = self.assignment().and_then(|assignment| assignment.network_partition_timeout_ms);
        let own = self.settings.network_partition_timeout;
        of_monitor.map_or(own, |limit| own.min(Duration::from_millis(limit)))
    }

    /// What this keeper, or one that is started in its place, may have in force.
    pub(super) fn fence_time_to_report(&self) -> Duration {
        self.wanted_fence_limit().max(self.fence_time.on_disk)
    }

    pub(super) fn note_fence_time_reported(&mut self) {
        self.fence_time.reported = self.fence_time_to_report();
    }

    /// The last report was recorded.
    pub(super) fn note_fence_time_answered(&mut self) {
        if self.state.granted_fence_time() < self.fence_time.reported {
            self.grant(self.fence_time.reported);
        }
    }

    /// A shorter time is in force at once.
    pub(super) fn shorten_fence_time(&mut self) {
        if self.wanted_fence_limit() < self.state.granted_fence_time() {
            self.grant(self.wanted_fence_limit());
        }
    }

    fn grant(&mut self, time: Duration) {
        self.state.granted_fence_time_ms = u64::try_from(time.as_millis()).ok();
        self.saving.state_changed();
    }
}
