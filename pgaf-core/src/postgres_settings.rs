//! Settings of Postgres that the monitor keeps for a whole formation, and what a node has made of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names in lower case, and values as a configuration file has them.
pub type PostgresSettings = BTreeMap<String, String>;

/// What a node has made of the settings of its formation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SettingsStatus {
    /// Those of this server that count only after a restart, in ascending order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending_restart: Vec<String>,
    /// Those that this node does not follow, by name, each with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub not_applied: BTreeMap<String, String>,
}

impl SettingsStatus {
    /// Everything is in force.
    pub fn is_settled(&self) -> bool {
        *self == Self::default()
    }
}

/// What the keeper sets itself, or each node has for itself.
const OURS: [&str; 39] = [
    "cluster_name",
    "config_file",
    "data_directory",
    "external_pid_file",
    "fsync",
    "full_page_writes",
    "hba_file",
    "hot_standby",
    "ident_file",
    "listen_addresses",
    "port",
    "primary_conninfo",
    "primary_slot_name",
    "promote_trigger_file",
    "recovery_min_apply_delay",
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
    "restart_after_crash",
    "ssl",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_crl_dir",
    "ssl_crl_file",
    "ssl_key_file",
    "sync_replication_slots",
    "synchronized_standby_slots",
    "synchronous_commit",
    "synchronous_standby_names",
    "unix_socket_directories",
    "wal_level",
    "wal_log_hints",
    "wal_receiver_status_interval",
    "wal_retrieve_retry_interval",
];

/// What has Postgres run a program, or load a library: whoever may talk to the monitor must not become the user that runs
/// Postgres on every node.
const PROGRAMS: [&str; 15] = [
    "archive_cleanup_command",
    "archive_command",
    "archive_library",
    "dynamic_library_path",
    "extension_control_path",
    "jit_provider",
    "krb_server_keyfile",
    "local_preload_libraries",
    "oauth_validator_libraries",
    "recovery_end_command",
    "restore_command",
    "session_preload_libraries",
    "shared_preload_libraries",
    "ssl_passphrase_command",
    "ssl_passphrase_command_supports_reload",
];

/// Why a setting cannot be one of a formation; `None` when it can.
pub fn why_not_of_formation(name: &str) -> Option<&'static str> {
    if OURS.binary_search(&name).is_ok()
        || name.starts_with("pgautofailover.")
        || name.starts_with("pg_autoctl.")
    {
        return Some("it is set by pg_autoctl on each node");
    }
    if PROGRAMS.binary_search(&name).is_ok() {
        return Some("it names a program or a library: set it on each node");
    }
    if !is_name(name) || name.starts_with("include") {
        return Some("that is not the name of a setting");
    }
    None
}

/// Letters, digits and underscores; with one dot for a setting of an extension.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let mut parts = name.split('.');
    name.len() <= crate::id::MAX_NAME_BYTES
        && parts.next().is_some_and(is_part)
        && parts.next().is_none_or(is_part)
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_and_what_runs_programs_is_refused() {
        assert!(OURS.is_sorted() && PROGRAMS.is_sorted(), "they are searched");
        for name in ["work_mem", "max_connections", "pg_stat_statements.max", "wal_sender_timeout"] {
            assert_eq!(why_not_of_formation(name), None, "{name}");
        }
        for name in [
            "synchronous_commit",
            "port",
            "archive_command",
            "shared_preload_libraries",
            "pgautofailover.loss_timeout",
            "a.b.c",
            "include_dir",
            "x y",
            "",
            "Work_mem",
        ] {
            assert!(why_not_of_formation(name).is_some(), "{name}");
        }
    }
}
