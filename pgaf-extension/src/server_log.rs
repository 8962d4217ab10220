//! Lines in the server's log that say what happened and no more: not the statement, not its call stack.

use std::ffi::{CStr, CString, c_char, c_int};

use pgrx::{PgLogLevel, pg_sys};

/// Writes one line at level LOG. Nothing of it reaches a client.
pub(crate) fn line(text: &str) {
    // Declared here because pgrx keeps them to itself.
    unsafe extern "C-unwind" {
        fn errstart(level: c_int, domain: *const c_char) -> bool;
        fn errmsg_internal(format: *const c_char, ...) -> c_int;
        fn errhidestmt(hide: bool) -> c_int;
        fn errhidecontext(hide: bool) -> c_int;
        fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
    }
    const FILE: &CStr = c"pgautofailover";
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    // SAFETY: the calls that `ereport(LOG, …)` makes, in its order. The last one looks for interrupts, and any may run out
    // of memory: a jump becomes a panic here, and passes no frame of Rust.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            if errstart(PgLogLevel::LOG as c_int, std::ptr::null()) {
                errmsg_internal(c"%s".as_ptr(), text.as_ptr());
                errhidestmt(true);
                errhidecontext(true);
                errfinish(FILE.as_ptr(), 0, FILE.as_ptr());
            }
        });
    }
}
