//! Ages are measured on the boot-time clock: it goes on while the machine sleeps, and nobody can set it. Only how long
//! a node has had its goal comes from a column that people read, and so from the wall clock.

use std::sync::OnceLock;
use std::time::Duration;

use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
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

/// How long ago that was by the server's wall clock; nothing when it is still to come.
pub(crate) fn since(time: TimestampWithTimeZone) -> Duration {
    // SAFETY: reads the clock.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    let microseconds = now.saturating_sub(i64::from(time));
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
}

/// Remembers that the monitor starts now.
pub(crate) fn remember_start() {
    STARTED.get_or_init(now);
}

/// When the monitor started; `None` in a server that does not preload the library.
pub(crate) fn started() -> Option<Duration> {
    STARTED.get().copied()
}
