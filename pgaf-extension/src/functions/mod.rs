//! The SQL functions: one file for what keepers say, one for each kind of thing that operators ask for.
//!
//! Arguments of type `replication_state` come as the oid of the label, those of type `pg_lsn` as 8 bytes, those of
//! type `name` as a C string.

mod cluster;
mod formation;
mod metadata;
mod operate;
mod pause;
mod postgres_settings;
mod register;
mod remove;
mod report;
mod restart;
mod schedule;
mod settings;
