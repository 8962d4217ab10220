//! The keeper's hands and eyes: everything that touches the local Postgres.
//!
//! `Instance` is one server. `observe` looks at its files and processes and asks it, in one round trip, what it is;
//! `execute` does one named step, each in the file of its verb. Steps are idempotent and may be interrupted anywhere:
//! what must not be started is marked, files are replaced as a whole, and the truth is what is observed next.
//!
//! Only this module runs Postgres's programs. It never decides: which step is due, and what its failure means, is the
//! business of the plan. Everything that waits has a limit.
//!
//! The rooms, from the bottom up; each knows those below it.

mod server;

mod configuration;

mod data;

mod replication;

mod observe;

mod instance;

pub use configuration::{
    HbaAddress, HbaEntry, REPLICATION_ROLE, RoleAttributes, SETTINGS_FILE, STANDBY_FILE,
};
pub(crate) use configuration::{resolve, settings_of_this_machine};
pub use data::{ClusterState, ControlData, Layout, RecoverySettings};
pub use instance::Instance;
pub use server::{
    BootTime, InstanceConfig, LocalServer, LocalSession, Measured, PostgresError, PostmasterStatus, Pulse,
    ServerKind, ServerSsl, SocketDir, local_address,
};
