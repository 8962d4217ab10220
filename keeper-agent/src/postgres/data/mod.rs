//! The data directory: what is in it, how one is made, and how a server is started on it.

pub(super) mod control_data;
pub(super) mod history;
pub(super) mod wal;

pub(super) mod marker;

pub(super) mod assemble;
pub(super) mod own_files;
pub(super) mod tablespaces;

pub(super) mod checkpoint;
mod command_line;
mod configure;
mod initdb;
mod layout;
mod locale;
pub(super) mod start;

pub use control_data::{ClusterState, ControlData, RecoverySettings};
pub use layout::Layout;
