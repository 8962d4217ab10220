//! Moments as people on this machine read them.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in the time zone of this machine; prints as HH:MM:SS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocalTime {
    /// Year, month from 1, and day of the month from 1.
    pub(super) date: [i32; 3],
    /// Hour, minute and second.
    pub(super) time: [i32; 3],
}

impl LocalTime {
    /// This moment.
    pub(super) fn now() -> Self {
        Self::of(SystemTime::now())
    }

    /// Any moment.
    pub(super) fn of(moment: SystemTime) -> Self {
        let whole_seconds = |duration: std::time::Duration| {
            libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX)
        };
        let seconds_since_epoch = match moment.duration_since(UNIX_EPOCH) {
            Ok(since) => whole_seconds(since),
            Err(before) => -whole_seconds(before.duration()),
        };
        // SAFETY: `tm` is plain data for which zeroes are valid, and both pointers are to live locals.
        let parts = unsafe {
            let mut parts: libc::tm = std::mem::zeroed();
            libc::localtime_r(&raw const seconds_since_epoch, &raw mut parts);
            parts
        };
        Self {
            date: [parts.tm_year.saturating_add(1900), parts.tm_mon + 1, parts.tm_mday],
            time: [parts.tm_hour, parts.tm_min, parts.tm_sec],
        }
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hour, minute, second] = self.time;
        write!(f, "{hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_a_date_and_a_time() {
        let moment = LocalTime { date: [2026, 11, 3], time: [9, 4, 5] };
        assert_eq!(moment.to_string(), "09:04:05");
        // Whatever the time zone is, it is near the epoch.
        let [year, month, day] = LocalTime::of(UNIX_EPOCH).date;
        assert!(matches!((year, month, day), (1970, 1, 1) | (1969, 12, 31)), "{year}-{month}-{day}");
    }
}
