//! The keeper's hands and eyes: everything that touches the local Postgres.
//!
//! `Instance` is one server. `observe` looks at its files and processes and asks it, in one round trip, what it is;
//! `execute` does one named step, each in the file of its verb. Steps are idempotent and may be interrupted anywhere:
//! what must not be started is marked, files are replaced as a whole, and the truth is what is observed next.
//!
//! Only this module runs Postgres's programs. It never decides: which step is due, and what its failure means, is the
//! business of the plan. Everything that waits has a limit.

mod clock;
mod config;
mod error;

mod instance;
mod observe;

mod contact;
mod lineage;
mod listening;
mod remote;
mod running;
mod wal;

mod admit;
mod base_backup;
mod checkpoint;
mod follow;
mod promote;
mod reload;
mod rewind;
mod start;
mod stop;
mod synchronous_standby_names;

mod certificate;
mod initdb;
mod roles;
mod version;

mod assemble;
mod conninfo;
mod hba;
mod history;
mod kept;
mod logical_slots;
mod marker;
mod settings;
mod slots;
mod tablespaces;

mod connection;
mod control_data;
mod files;
mod network;
mod postmaster;
mod process;
mod program;
mod progress;
mod sever;
mod startup_log;

#[cfg(test)]
mod testing;

pub use clock::BootTime;
pub use config::{InstanceConfig, ServerKind, ServerSsl, SocketDir};
pub(crate) use connection::within;
pub use connection::{LocalSession, local_address};
pub use conninfo::REPLICATION_ROLE;
pub use control_data::{ClusterState, ControlData};
pub use error::PostgresError;
pub(crate) use hba::resolve;
pub use hba::{HbaAddress, HbaEntry, MONITOR_ROLE};
pub use instance::Instance;
pub use observe::Sight;
pub use postmaster::Exit;
pub use roles::RoleAttributes;
pub use settings::{SETTINGS_FILE, STANDBY_FILE};
