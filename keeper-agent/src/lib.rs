//! The keeper agent: everything behind `pg_autoctl`, on data nodes and on the monitor's node.

pub mod client;
pub mod config;
pub mod exit;
pub mod monitor;
