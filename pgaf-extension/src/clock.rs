//! Ages are measured on the boot-time clock: it goes on while the machine sleeps, and nobody can set it. Only how long
//! a node has had its goal comes from a column that people read, and so from the wall clock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use pgrx::{PgAtomic, pg_shmem_init, pg_sys};
use rustix::time::{ClockId, clock_gettime};

/// When the postmaster loaded this library. Backends inherit it.
static STARTED: OnceLock<Duration> = OnceLock::new();

/// Since when this server decides, in milliseconds; 0 while it does not. A standby that follows another monitor loads the
/// library long before it is promoted.
// SAFETY: the name is that of no other piece of shared memory.
static DECIDES_SINCE_MS: PgAtomic<AtomicU64> = unsafe { PgAtomic::new(c"pgautofailover_decides_since") };

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

/// Remembers that the server is starting, in the postmaster.
#[allow(unexpected_cfgs, reason = "pgrx asks for versions that this crate has no feature for")]
pub(crate) fn remember_start() {
    STARTED.get_or_init(now);
    pg_shmem_init!(DECIDES_SINCE_MS);
}

/// Since when the monitor decides: since its start, or its promotion; `None` in a server that does not preload the library.
/// Whoever asks first makes it known.
pub(crate) fn started() -> Option<Duration> {
    STARTED.get()?;
    // SAFETY: reads a flag in shared memory.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Some(now());
    }
    let since = DECIDES_SINCE_MS.get();
    let begin = u64::try_from(now_ms()).unwrap_or(0).max(1);
    let first = since.compare_exchange(0, begin, Ordering::Relaxed, Ordering::Relaxed);
    Some(Duration::from_millis(first.map_or_else(|known| known, |_| begin)))
}
