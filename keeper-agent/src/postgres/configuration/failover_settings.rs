//! The settings of a data node that failover depends on, in one table: in the file that its owner may overrule, and, where
//! another value would break a failover, on the command line of the server.

/// A standby that is promoted keeps a walsender and a slot for each of the others, and some to copy from it.
pub(crate) const LEAST_SENDERS: u32 = 12;

/// What becomes of another value that the owner of the server has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Override {
    /// It counts.
    Allowed,
    /// It counts unless it means for ever.
    Bounded,
    /// It has no effect.
    Never,
}

/// A setting, our value, and who overrules whom.
pub(crate) const FAILOVER_SETTINGS: [(&str, &str, Override); 11] = [
    ("wal_level", "replica", Override::Allowed),
    ("wal_log_hints", "on", Override::Never),
    ("wal_keep_size", "512MB", Override::Allowed),
    ("hot_standby", "on", Override::Never),
    ("hot_standby_feedback", "on", Override::Allowed),
    ("synchronous_commit", "on", Override::Allowed),
    // A commit that waits for a standby becomes visible when the server recovers by itself. So it ends instead, and the
    // monitor says who goes on.
    ("restart_after_crash", "off", Override::Never),
    ("wal_sender_timeout", "5s", Override::Bounded),
    ("wal_receiver_timeout", "2s", Override::Bounded),
    // The primary would take its standbys for silent, and fence itself.
    ("wal_receiver_status_interval", "1s", Override::Never),
    // At its default of 5 s, a promotion just after the upstream is lost waits for its end.
    ("wal_retrieve_retry_interval", "100ms", Override::Never),
];
