//! Ages are measured on the boot-time clock: it goes on while the machine sleeps, and nobody can set it.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// When the postmaster loaded this library. Backends inherit it.
static STARTED: OnceLock<Duration> = OnceLock::new();

/// The time since the machine was started.
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

/// [`now`] in the unit of the column `reportclock`.
pub(crate) fn now_ms() -> i64 {
    as_ms(now())
}

/// Whole milliseconds, as the tables keep them.
pub(crate) fn as_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Remembers that the monitor starts now.
pub(crate) fn remember_start() {
    STARTED.get_or_init(now);
}

/// When the monitor started; `None` in a server that does not preload the library.
pub(crate) fn started() -> Option<Duration> {
    STARTED.get().copied()
}
