//! The version of the installed extension, which has to be that of this library.

use std::cell::Cell;

use pgrx::datum::FromDatum;
use pgrx::pg_sys;

use crate::error::Error;

/// The version of the extension that this library belongs to.
pub(crate) const OURS: &str = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

thread_local! {
    /// This backend has seen the extension of this library's version.
    static IS_SEEN: Cell<bool> = const { Cell::new(false) };
}

/// As [`check`], once in the life of a backend: before its first query, which other tables might not understand.
pub(crate) fn check_once() -> Result<(), Error> {
    if !IS_SEEN.get() {
        check()?;
        IS_SEEN.set(true);
    }
    Ok(())
}

/// The installed extension, if there is one, is the one that this library belongs to.
///
/// Asked with every group that is read, because the extension can be updated while backends of an older library live.
pub(crate) fn check() -> Result<(), Error> {
    match installed() {
        Some(extension) if extension != OURS => Err(Error::VersionMismatch { library: OURS, extension }),
        _ => Ok(()),
    }
}

/// The version of the installed extension. It is read as Postgres reads its catalogs: a query would cost more than all
/// else that a report without news needs.
pub(crate) fn installed() -> Option<String> {
    let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: a scan of a catalog by its index, inside a transaction; the value is copied before the scan ends.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::ExtensionRelationId, mode);
        pg_sys::ScanKeyInit(
            &mut key,
            pg_sys::Anum_pg_extension_extname as pg_sys::AttrNumber,
            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
            pg_sys::F_NAMEEQ.into(),
            pg_sys::Datum::from(c"pgautofailover".as_ptr()),
        );
        let index = pg_sys::ExtensionNameIndexId.into();
        let scan = pg_sys::systable_beginscan(relation, index, true, std::ptr::null_mut(), 1, &mut key);
        let tuple = pg_sys::systable_getnext(scan);
        let mut is_null = true;
        let mut version = None;
        if !tuple.is_null() {
            let attribute = pg_sys::Anum_pg_extension_extversion as i32;
            let value = pg_sys::heap_getattr(tuple, attribute, (*relation).rd_att, &mut is_null);
            version = String::from_datum(value, is_null);
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, mode);
        version
    }
}
