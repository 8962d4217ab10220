//! What a keeper sees of its own Postgres at one moment.

use super::memory::Memory;
use super::server::{DataDirectory, Server};
use crate::lsn::Lineage;

/// Everything a plan may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Observed {
    /// The files.
    pub data: DataDirectory,
    /// The processes.
    pub server: Server,
    /// How the local log relates to the log of the assigned upstream; `None` when that could not be asked.
    pub lineage: Option<Lineage>,
    /// pg_rewind was tried for the present situation and said that it cannot work.
    pub is_rewind_hopeless: bool,
    /// What the keeper remembers of its own doing.
    pub memory: Memory,
}
