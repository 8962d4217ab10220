//! The local server as a process: how it is configured, reached, run and stopped; files, programs, clock and errors.
//! What it is told, and what is in its files, is for the rooms above.

mod clock;
mod config;
mod error;

pub(super) mod files;
pub(super) mod process;
pub(super) mod program;
pub(super) mod progress;
pub(super) mod ram;

mod dead_mans_switch;
pub(super) mod owners_commands;
mod postmaster;
pub(super) mod startup_log;

pub(super) mod connection;

mod reserve;

mod local_server;

mod shutdown;
pub(super) mod stop;
pub(super) mod version;

mod close_connections;

#[cfg(test)]
pub(super) mod testing;

pub use clock::BootTime;
pub use config::{InstanceConfig, REPLICATION_ROLE, ServerKind, ServerSsl, SocketDir};
pub use connection::{LocalSession, PostmasterStatus, local_address};
pub use error::PostgresError;
pub(super) use error::says_disk_full;
pub use local_server::{LocalServer, Measured, Pulse};
pub(super) use postmaster::Postmaster;
pub(super) use program::{Limit, Program};
pub(super) use reserve::Session;
