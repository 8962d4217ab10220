//! Results with several OUT columns, and the enum of states.

use std::ffi::CString;

use pgaf_core::ReplicationState;
use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{datum, enum_helper, pg_sys};

use crate::error::Error;

/// One row of a function's OUT columns.
pub(crate) struct Record(pg_sys::Datum);

impl Record {
    /// Builds the row from the text of each column; `None` is NULL.
    pub(crate) fn new(fcinfo: pg_sys::FunctionCallInfo, columns: &[Option<String>]) -> Result<Self, Error> {
        let damaged = |why: &str| Error::Damaged { what: "the result".to_owned(), why: why.to_owned() };
        let texts: Result<Vec<Option<CString>>, _> =
            columns.iter().map(|column| column.as_deref().map(CString::new).transpose()).collect();
        let texts = texts.map_err(|_| damaged("a column has a zero byte"))?;
        let mut values: Vec<*mut std::ffi::c_char> = texts
            .iter()
            .map(|text| text.as_ref().map_or(std::ptr::null_mut(), |text| text.as_ptr().cast_mut()))
            .collect();
        let mut description: pg_sys::TupleDesc = std::ptr::null_mut();
        // SAFETY: `fcinfo` is that of the call; `values` has a pointer for each column, checked against the
        // description, and the texts outlive the call that copies them.
        unsafe {
            let class = pg_sys::get_call_result_type(fcinfo, std::ptr::null_mut(), &mut description);
            let is_composite = class == pg_sys::TypeFuncClass::TYPEFUNC_COMPOSITE;
            if !is_composite || usize::try_from((*description).natts) != Ok(values.len()) {
                return Err(damaged("its declaration in SQL has other columns"));
            }
            let inputs = pg_sys::TupleDescGetAttInMetadata(description);
            let tuple = pg_sys::BuildTupleFromCStrings(inputs, values.as_mut_ptr());
            Ok(Self(pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)))
        }
    }
}

// SAFETY: the datum is a composite value in the memory of the call.
unsafe impl BoxRet for Record {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> datum::Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.0) }
    }
}

// SAFETY: only says what it is called in SQL that is not generated.
unsafe impl SqlTranslatable for Record {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Record);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("record"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("record")));
}

/// Reads a value of `pgautofailover.replication_state`.
pub(crate) fn state(value: pg_sys::Oid) -> Result<ReplicationState, Error> {
    let (label, _, _) = enum_helper::lookup_enum_by_oid(value);
    label.parse().map_err(|error: pgaf_core::state::UnknownState| Error::Damaged {
        what: "a state".to_owned(),
        why: error.to_string(),
    })
}
