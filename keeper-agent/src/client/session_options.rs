//! What every session of ours sets when it connects: on somebody else's server, files, databases and roles may say
//! anything. What a client asks for wins over all of them.

/// For any role, in any version. A space in a value has a backslash before it.
const FOR_ALL: [&str; 20] = [
    "standard_conforming_strings=on",
    "default_transaction_read_only=off",
    "default_transaction_isolation=read\\ committed",
    "default_transaction_deferrable=off",
    "statement_timeout=0",
    "lock_timeout=0",
    "idle_in_transaction_session_timeout=0",
    "idle_session_timeout=0",
    "search_path=pg_catalog,pg_temp",
    "role=none",
    "row_security=on",
    "DateStyle=ISO,MDY",
    "IntervalStyle=postgres",
    "bytea_output=hex",
    "extra_float_digits=1",
    "quote_all_identifiers=off",
    "transform_null_equals=off",
    "local_preload_libraries=",
    "default_tablespace=",
    "jit=off",
];

/// What only a superuser may set: no library and no trigger of the user's runs in a session of the keeper's.
const FOR_SUPERUSERS: [&str; 2] = ["session_preload_libraries=", "session_replication_role=origin"];

/// Since version 17.
const FOR_SUPERUSERS_SINCE_17: [&str; 2] = ["transaction_timeout=0", "event_triggers=off"];

/// The value of `options` for any role.
pub(super) fn any_role() -> String {
    render(&FOR_ALL)
}

/// The value of `options` for a superuser of a server of this major version.
pub fn superuser_options(major: Option<u32>) -> String {
    let newer: &[&str] = if major.is_some_and(|major| major >= 17) { &FOR_SUPERUSERS_SINCE_17 } else { &[] };
    [render(&FOR_ALL), render(&FOR_SUPERUSERS), render(newer)].concat()
}

fn render(settings: &[&str]) -> String {
    settings.iter().map(|setting| format!("-c {setting} ")).collect()
}
