//! What an operator has configured, as far as the engine depends on it.

use std::time::Duration;

use crate::node_kind::NodeKind;

/// From the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// There is a monitor to report to: nobody has disabled it.
    pub is_monitored: bool,
    /// How long a primary goes on that hears neither the monitor nor its standbys, unless the monitor says less.
    pub network_partition_timeout: Duration,
    /// The database that the formation serves.
    pub dbname: String,
    /// What the node is in its formation.
    pub kind: NodeKind,
    /// There are hooks to call.
    pub has_hooks: bool,
    /// One of them is asked before a planned promotion.
    pub has_before_promote: bool,
    /// There are poolers to be told who the primary is.
    pub has_poolers: bool,
}
