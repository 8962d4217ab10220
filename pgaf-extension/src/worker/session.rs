//! What a background process needs that a backend has from Postgres: transactions that survive an error, reloads.

use std::ffi::CStr;
use std::panic::AssertUnwindSafe;

use pgrx::bgworkers::BackgroundWorker;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgTryBuilder, pg_sys};

use crate::error::Error;
use crate::server_log;

/// Runs `body` in a transaction of its own. An error is logged with what was being done, and nothing of it is kept.
pub(super) fn transaction<T>(doing: &str, body: impl FnOnce() -> Result<T, Error>) -> Option<T> {
    let run = || {
        // SAFETY: no transaction is open; each start has its end, here or in `abort`.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        match body() {
            Ok(value) => {
                // SAFETY: as above.
                unsafe {
                    pg_sys::PopActiveSnapshot();
                    pg_sys::CommitTransactionCommand();
                }
                Some(value)
            }
            Err(error) => abort(doing, &error.to_string()),
        }
    };
    PgTryBuilder::new(AssertUnwindSafe(run))
        .catch_others(|error| abort(doing, &message(&error)))
        .catch_rust_panic(|error| abort(doing, &message(&error)))
        .execute()
}

fn abort<T>(doing: &str, why: &str) -> Option<T> {
    // SAFETY: ends the transaction that `transaction` opened, with its snapshots and locks.
    unsafe { pg_sys::AbortCurrentTransaction() };
    server_log::line(&format!("Error while {doing}: {why}; retrying"));
    None
}

fn message(error: &CaughtError) -> String {
    match error {
        CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. } => report.message().to_owned(),
    }
}

/// Reads the configuration again after a SIGHUP.
pub(super) fn reload_if_asked() {
    if BackgroundWorker::sighup_received() {
        // SAFETY: outside of any transaction, in the main loop, where Postgres's own workers do it.
        unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
    }
}

/// Fixes a setting for the life of this process.
pub(super) fn set(name: &CStr, value: &CStr) {
    // SAFETY: two strings that end with a zero byte, which Postgres copies.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
}

/// What any process of ours depends on, whatever files, roles and databases say. A timeout would end a step of the ticker,
/// and a transaction that only reads could write nothing.
pub(super) fn set_common() {
    for (name, value) in [
        (c"default_transaction_read_only", c"off"),
        (c"default_transaction_isolation", c"read committed"),
        (c"default_transaction_deferrable", c"off"),
        (c"statement_timeout", c"0"),
        (c"idle_in_transaction_session_timeout", c"0"),
        (c"standard_conforming_strings", c"on"),
        (c"row_security", c"on"),
        (c"DateStyle", c"ISO, MDY"),
        (c"IntervalStyle", c"postgres"),
        (c"session_replication_role", c"origin"),
    ] {
        set(name, value);
    }
}
