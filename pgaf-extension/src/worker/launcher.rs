//! The launcher: starts the worker once its database is there.

use std::ffi::CStr;

use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BackgroundWorkerStatus, DynamicBackgroundWorker,
    SignalWakeFlags,
};
use pgrx::prelude::*;
use pgrx::{IntoDatum, pg_sys};

use super::{LIBRARY, RESTART_AFTER, session};
use crate::{clock, gucs, lock};

/// The process. Postgres calls it by this name.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn pgautofailover_launcher_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    BackgroundWorker::connect_worker_to_spi(None, None);
    session::set_common();
    // It runs from the moment at which the server accepts writes.
    clock::started();
    let mut worker: Option<DynamicBackgroundWorker> = None;
    while BackgroundWorker::wait_latch(Some(RESTART_AFTER)) {
        session::reload_if_asked();
        if worker.as_ref().is_none_or(has_ended) {
            worker = database().and_then(start_worker);
        }
    }
    // Postgres starts a worker again only when it has not ended with 0.
    // SAFETY: ends the process.
    unsafe { pg_sys::proc_exit(1) }
}

fn has_ended(worker: &DynamicBackgroundWorker) -> bool {
    matches!(worker.pid(), Err(BackgroundWorkerStatus::Stopped))
}

/// The monitor's database, when it is there and nobody is dropping it.
fn database() -> Option<pg_sys::Oid> {
    session::transaction("looking for the monitor's database", || {
        let found = find_database(&gucs::monitor_database());
        Ok(found.filter(|database| !lock::is_database_wanted(*database)))
    })
    .flatten()
}

/// Reads the list of databases from its first page to its last: without a database there is no index to use.
fn find_database(name: &CStr) -> Option<pg_sys::Oid> {
    let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    let mut found = None;
    // SAFETY: a scan of a shared catalog, whose rows are read before the next one is asked for.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, mode);
        let scan = pg_sys::systable_beginscan(
            relation,
            pg_sys::InvalidOid,
            false,
            std::ptr::null_mut(),
            0,
            std::ptr::null_mut(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            if CStr::from_ptr((*row).datname.data.as_ptr()) == name {
                found = Some((*row).oid);
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, mode);
    }
    found
}

/// `None` when all of `max_worker_processes` run: it is tried again.
fn start_worker(database: pg_sys::Oid) -> Option<DynamicBackgroundWorker> {
    BackgroundWorkerBuilder::new("pgautofailover worker")
        .set_library(LIBRARY)
        .set_function("pgautofailover_worker_main")
        .enable_spi_access()
        .set_argument(database.into_datum())
        // SAFETY: the id of this process.
        .set_notify_pid(unsafe { pg_sys::MyProcPid })
        .load_dynamic()
        .ok()
}
