//! The monitor: tables, functions and a probing worker inside Postgres.
//!
//! Nothing is decided here. Every function that decides has the same lines: take the group's lock, load the group
//! once, record what was reported, [`pgaf_core::monitor::decide`], write and notify. The SQL objects are
//! declared in `sql/`; each function there is bound to a `…_wrapper` of [`functions`].

// pgrx's error type is what its functions return; it is built once, on the way out.
#![allow(clippy::result_large_err)]

mod catalog;
mod clock;
mod error;
mod functions;
mod gucs;
mod hang_up;
mod jsonb;
mod lock;
mod record;
mod server_log;
mod statement;
mod transition;
mod version;
mod worker;

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

/// Called by Postgres when it loads the library.
#[allow(non_snake_case)]
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    gucs::define();
    // SAFETY: a flag that the postmaster sets before it loads libraries.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        clock::remember_start();
        if let Err(error) = hang_up::prepare() {
            server_log::line(&format!("The end of a keeper is noticed by its silence only: {error}"));
        }
        worker::register();
    }
}
