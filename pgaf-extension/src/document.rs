//! A `jsonb` argument as its text, for a reader that has its own words for what is wrong with it: not every number of
//! a `jsonb` is one to a Rust program.

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{FromDatum, pg_sys};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// The text of a `jsonb`.
pub(crate) struct Document(String);

impl Document {
    /// Reads it as a value; `what` names it in the error.
    pub(crate) fn read<T: DeserializeOwned>(&self, what: &str) -> Result<T, Error> {
        serde_json::from_str(&self.0).map_err(|error| Error::Invalid {
            what: format!("{what} cannot be read: {error}"),
            hint: "The keeper and the monitor must be of the same version.",
        })
    }
}

impl FromDatum for Document {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the datum is a jsonb, which the server prints into the memory of the call.
        let printed = unsafe {
            let printed = pg_sys::OidOutputFunctionCall(pg_sys::F_JSONB_OUT.into(), datum);
            std::ffi::CStr::from_ptr(printed)
        };
        Some(Self(printed.to_string_lossy().into_owned()))
    }
}

// SAFETY: the datum is copied, so that the value depends on no memory of the server.
unsafe impl<'fcx> ArgAbi<'fcx> for Document {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as above. The function is strict: the argument is not NULL.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or(Self("null".to_owned()))
    }
}

// SAFETY: only says what it is called in SQL that is not generated.
unsafe impl SqlTranslatable for Document {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Document);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
