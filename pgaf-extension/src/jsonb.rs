//! An argument of type jsonb, which is read as text, and stored as it came.

use std::ffi::CStr;

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::datum::{DatumWithOid, FromDatum};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{direct_function_call_as_datum, pg_sys};
use serde::de::DeserializeOwned;

/// The argument, for as long as the call lasts.
#[derive(Clone, Copy)]
pub(crate) struct Jsonb(pg_sys::Datum);

impl Jsonb {
    /// Reads it.
    pub(crate) fn parse<T: DeserializeOwned>(self) -> serde_json::Result<T> {
        // SAFETY: the function takes the one argument that this is, and returns a string that ends with a zero byte.
        let text = unsafe { direct_function_call_as_datum(pg_sys::jsonb_out, &[Some(self.0)]) };
        // SAFETY: as above.
        let text = text.map(|text| unsafe { CStr::from_ptr(text.cast_mut_ptr()) }.to_bytes());
        serde_json::from_slice(text.unwrap_or(b"null"))
    }

    /// The value as an argument of a query.
    pub(crate) fn argument(self) -> DatumWithOid<'static> {
        // SAFETY: the datum is of this type.
        unsafe { DatumWithOid::new(self.0, pg_sys::JSONBOID) }
    }
}

impl FromDatum for Jsonb {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        (!is_null).then_some(Self(datum))
    }
}

// SAFETY: the value is not looked into.
unsafe impl<'fcx> ArgAbi<'fcx> for Jsonb {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as the caller promises; the function is strict.
        let value = unsafe { arg.unbox_arg_using_from_datum() };
        value.unwrap_or(Self(pg_sys::Datum::null()))
    }
}

// SAFETY: only says what it is called in SQL that is not generated.
unsafe impl SqlTranslatable for Jsonb {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Jsonb);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
