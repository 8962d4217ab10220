//! The keeper agent: everything behind `pg_autoctl`, on data nodes and on the monitor's node.

pub mod agent;
pub mod citus;
pub mod cli;
pub mod client;
pub mod config;
pub mod exit;
pub mod files;
pub mod hooks;
pub mod http;
mod instance_config;
pub mod monitor;
pub mod monitor_database;
mod monitor_events;
pub mod monitor_peer;
pub mod monitor_server;
mod monitor_watch;
mod monitors;
mod own_address;
pub mod pooler;
pub mod postgres;
mod process_group;
pub mod supervisor;
pub mod upgrade;
mod user;
