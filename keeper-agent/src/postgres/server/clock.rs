//! The boot-time clock: it goes on while the machine is suspended, and nobody can set it.

use std::time::Duration;

use pgaf_core::keeper::Moment;
use rustix::time::{ClockId, clock_gettime};

/// A moment since the machine booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    /// Now.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
        Self(Duration::new(seconds, nanoseconds))
    }

    /// How long ago that moment was; zero for one in the future.
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }

    /// How long after the other moment this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment so long before; not before the boot.
    pub const fn before(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(time))
    }

    /// That much later.
    #[must_use]
    pub const fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// How long after the boot that moment is.
    pub(super) const fn since_boot(self) -> Duration {
        self.0
    }

    /// As the state machines know it.
    pub const fn moment(self) -> Moment {
        Moment::after_boot(self.0)
    }
}

impl From<Moment> for BootTime {
    fn from(moment: Moment) -> Self {
        Self(moment.since_boot())
    }
}
