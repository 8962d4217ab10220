//! Moments as people on this machine read them.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

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
        // A moment that no calendar has is shown as the epoch.
        let local = Timestamp::try_from(moment).unwrap_or_default().to_zoned_datetime(TimeZone::system());
        Self {
            date: [local.year().into(), local.month().into(), local.day().into()],
            time: [local.hour().into(), local.minute().into(), local.second().into()],
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
    use std::time::UNIX_EPOCH;

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
