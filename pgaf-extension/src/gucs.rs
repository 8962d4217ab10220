//! The monitor's settings: all can be changed with a reload.

use std::ffi::{CStr, CString, c_void};
use std::time::Duration;

use pgaf_core::Timeouts;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_guard, pg_sys};

static HEALTH_CHECK_PERIOD: GucSetting<i32> = GucSetting::<i32>::new(1_000);
static HEALTH_CHECK_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(1_000);
static HEALTH_CHECK_MAX_RETRIES: GucSetting<i32> = GucSetting::<i32>::new(2);
static HEALTH_CHECK_RETRY_DELAY: GucSetting<i32> = GucSetting::<i32>::new(300);
static LOSS_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(2_800);
static NODE_CONSIDERED_UNHEALTHY_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(LEAST_LOSS_TIMEOUT_MS);
static STARTUP_GRACE_PERIOD: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static PRIMARY_DEMOTE_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(30_000);
static ENABLE_SYNC_WAL_LOG_THRESHOLD: GucSetting<i32> = GucSetting::<i32>::new(16 << 20);
static PROMOTE_WAL_LOG_THRESHOLD: GucSetting<i32> = GucSetting::<i32>::new(16 << 20);
static FAILOVER_WAIT_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static EVENT_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(90 * 24 * 3_600);
static MONITOR_DATABASE: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"pg_auto_failover"));

/// How nodes are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probing {
    /// From the end of one round to the start of the next.
    pub(crate) period: Duration,
    /// For one attempt.
    pub(crate) timeout: Duration,
    /// Attempts after the first.
    pub(crate) max_retries: u32,
    /// From the beginning of an attempt that has no answer to that of the next.
    pub(crate) retry_delay: Duration,
}

/// Declares every setting.
pub(crate) fn define() {
    for (name, about, setting, least, unit) in INTEGERS {
        GucRegistry::define_int_guc(name, about, c"", setting, *least, i32::MAX, GucContext::Sighup, *unit);
    }
    GucRegistry::define_int_guc(
        c"pgautofailover.health_check_max_retries",
        c"Attempts after a failed probe before the node counts as unreachable.",
        c"",
        &HEALTH_CHECK_MAX_RETRIES,
        0,
        100,
        GucContext::Sighup,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"pgautofailover.failover_wait_timeout",
        c"How long a failover on command waits for a standby that is coming back; 0 refuses at once.",
        c"",
        &FAILOVER_WAIT_TIMEOUT,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_MS,
    );
    // SAFETY: the hook is guarded.
    unsafe {
        GucRegistry::define_int_guc_with_hooks(
            c"pgautofailover.event_retention",
            c"Events older than this are deleted; 0 keeps them for ever.",
            c"",
            &EVENT_RETENTION,
            0,
            i32::MAX,
            GucContext::Sighup,
            GucFlags::UNIT_S,
            Some(check_event_retention),
            None,
            None,
        );
    }
    GucRegistry::define_string_guc(
        c"pgautofailover.monitor_database",
        c"The database that has the extension, for the worker that probes the nodes.",
        c"",
        &MONITOR_DATABASE,
        GucContext::Sighup,
        GucFlags::empty(),
    );
}

/// Name, description, setting, the least that works, unit. Postgres refuses less in ALTER SYSTEM; when a file has less,
/// it says so in the log and keeps the value of before, at a start the default.
type Integer = (&'static CStr, &'static CStr, &'static GucSetting<i32>, i32, GucFlags);

/// A primary fences itself shortly before: several reports must fit in, and a moment in which its host stands still.
const LEAST_LOSS_TIMEOUT_MS: i32 = 2_500;
/// More probes than this only keep the monitor busy,
const LEAST_PERIOD_MS: i32 = 100;
/// and a server on a busy machine does not answer within less.
const LEAST_PROBE_TIMEOUT_MS: i32 = 100;
/// With less, a standby of a busy primary would never be near enough.
const LEAST_LAG_BYTES: i32 = 8_192;

const INTEGERS: &[Integer] = &[
    (
        c"pgautofailover.health_check_period",
        c"Time between two probes of a node.",
        &HEALTH_CHECK_PERIOD,
        LEAST_PERIOD_MS,
        GucFlags::UNIT_MS,
    ),
    (
        c"pgautofailover.health_check_timeout",
        c"How long one probe waits for a node's Postgres to answer.",
        &HEALTH_CHECK_TIMEOUT,
        LEAST_PROBE_TIMEOUT_MS,
        GucFlags::UNIT_MS,
    ),
    (
        c"pgautofailover.health_check_retry_delay",
        c"Time from the beginning of a probe that has no answer to the next attempt.",
        &HEALTH_CHECK_RETRY_DELAY,
        1,
        GucFlags::UNIT_MS,
    ),
    (
        c"pgautofailover.loss_timeout",
        c"A node of which nobody has heard for this long counts as lost; reports and fencing follow it.",
        &LOSS_TIMEOUT,
        LEAST_LOSS_TIMEOUT_MS,
        GucFlags::UNIT_MS,
    ),
    (
        c"pgautofailover.node_considered_unhealthy_timeout",
        c"Accepted from older configurations: takes the place of loss_timeout where it is longer.",
        &NODE_CONSIDERED_UNHEALTHY_TIMEOUT,
        LEAST_LOSS_TIMEOUT_MS,
        GucFlags::UNIT_MS,
    ),
    (
        c"pgautofailover.startup_grace_period",
        c"No node counts as lost for this long after the monitor has started.",
        &STARTUP_GRACE_PERIOD,
        1,
        GucFlags::UNIT_MS,
    ),
    (
        c"pgautofailover.primary_demote_timeout",
        c"Accepted from older configurations and not used: a primary that counts as lost has fenced itself.",
        &PRIMARY_DEMOTE_TIMEOUT,
        1,
        GucFlags::UNIT_MS,
    ),
    (
        c"pgautofailover.enable_sync_wal_log_threshold",
        c"A standby that is at most this many bytes of WAL behind may become secondary.",
        &ENABLE_SYNC_WAL_LOG_THRESHOLD,
        LEAST_LAG_BYTES,
        GucFlags::empty(),
    ),
    (
        c"pgautofailover.promote_wal_log_threshold",
        c"A standby that is more than this many bytes of WAL behind is not promoted on command.",
        &PROMOTE_WAL_LOG_THRESHOLD,
        LEAST_LAG_BYTES,
        GucFlags::empty(),
    ),
];

/// With less, a failover could not be looked into on the next morning.
const LEAST_EVENT_RETENTION_S: i32 = 24 * 3_600;

/// Refuses what is between "for ever" and the least.
#[pg_guard]
unsafe extern "C-unwind" fn check_event_retention(
    value: *mut i32,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: Postgres gives a pointer to the value that is being set, and reads the detail at once when it refuses.
    unsafe {
        let is_valid = *value == 0 || *value >= LEAST_EVENT_RETENTION_S;
        if !is_valid {
            pg_sys::GUC_check_errdetail_string = pg_sys::pstrdup(
                c"Valid values are 0, which keeps events for ever, and at least one day.".as_ptr(),
            );
        }
        is_valid
    }
}

/// How long events are kept; `None` for ever.
pub(crate) fn event_retention() -> Option<Duration> {
    let seconds = EVENT_RETENTION.get().unsigned_abs();
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// What a decision depends on.
pub(crate) fn timeouts() -> Timeouts {
    Timeouts {
        unhealthy_after: milliseconds(&LOSS_TIMEOUT).max(milliseconds(&NODE_CONSIDERED_UNHEALTHY_TIMEOUT)),
        startup_grace: milliseconds(&STARTUP_GRACE_PERIOD),
        enable_sync_lag_bytes: u64::from(ENABLE_SYNC_WAL_LOG_THRESHOLD.get().unsigned_abs()),
        promote_lag_bytes: u64::from(PROMOTE_WAL_LOG_THRESHOLD.get().unsigned_abs()),
    }
}

/// How nodes are probed.
pub(crate) fn probing() -> Probing {
    Probing {
        period: milliseconds(&HEALTH_CHECK_PERIOD),
        timeout: milliseconds(&HEALTH_CHECK_TIMEOUT),
        max_retries: HEALTH_CHECK_MAX_RETRIES.get().unsigned_abs(),
        retry_delay: milliseconds(&HEALTH_CHECK_RETRY_DELAY),
    }
}

/// The database of the worker.
/// How long a failover on command waits for a standby that is coming back.
pub(crate) fn failover_wait_timeout() -> Duration {
    milliseconds(&FAILOVER_WAIT_TIMEOUT)
}

pub(crate) fn monitor_database() -> CString {
    MONITOR_DATABASE.get().unwrap_or_default()
}

fn milliseconds(setting: &GucSetting<i32>) -> Duration {
    Duration::from_millis(u64::from(setting.get().unsigned_abs()))
}
