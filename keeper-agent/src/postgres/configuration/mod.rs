//! What a server is told: settings, pg_hba.conf, certificates, roles, and how it connects to the other nodes.

pub(super) mod conninfo;

mod lines;

pub(super) mod fresh;
pub(super) mod hba;
mod ident;
pub(super) mod route;
pub(super) mod settings;
pub(super) mod written;

pub(super) mod failover_settings;

pub(super) mod opt_outs;
pub(super) mod overruled;

mod alter_system;
mod certificate;
mod formation;
mod roles;

pub(super) mod reload;

pub use conninfo::REPLICATION_ROLE;
pub(crate) use fresh::settings_of_this_machine;
pub(crate) use hba::resolve;
pub use hba::{HbaAddress, HbaEntry};
pub use roles::RoleAttributes;
pub use settings::{SETTINGS_FILE, STANDBY_FILE};
