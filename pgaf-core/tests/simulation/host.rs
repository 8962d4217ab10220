//! A machine: a Postgres, its keeper, and the node of the group that they are, if any.

use pgaf_core::NodeId;

use super::keeper::Keeper;
use super::postgres::Postgres;

pub(crate) struct Host {
    /// `None` after the node was dropped, until it is added again under another id.
    pub(crate) node: Option<NodeId>,
    pub(crate) keeper: Keeper,
    pub(crate) postgres: Postgres,
    /// All its processes are stopped; the kernel goes on.
    pub(crate) is_frozen: bool,
    /// Since when its keeper has been able to act.
    pub(crate) able_since: u64,
}
