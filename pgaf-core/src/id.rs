//! Names and numbers of things, each a type of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// As long as a name in Postgres: formations, nodes and Citus clusters.
pub const MAX_NAME_BYTES: usize = 63;

/// A node of a formation; assigned by the monitor, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub i64);

/// Which monitor one is: another one may be found at the same address. Made with it, and kept by every node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MonitorId(pub String);

impl fmt::Display for MonitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which registration of a node one is: a monitor that was restored from a backup may give the id of a node to another.
/// Made with the node's row, and kept by the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegistrationId(pub String);

/// Which restart of a node's Postgres one is: the monitor makes a new one for each that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RestartId(pub String);

/// How the names of the nodes' slots begin; all others are the user's.
const SLOT_PREFIX: &str = "pgautofailover_standby_";

impl NodeId {
    /// The name of this node's replication slot on every other node, and its `application_name`.
    pub fn slot_name(self) -> String {
        format!("{SLOT_PREFIX}{self}")
    }

    /// The node a slot or an application name is for; `None` when it is not one of ours.
    pub fn of_slot_name(name: &str) -> Option<Self> {
        name.strip_prefix(SLOT_PREFIX)?.parse().ok().map(Self)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A group of a formation: one primary and its standbys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(pub i32);

impl GroupId {
    /// That of the coordinator, in a Citus formation; the only one of plain Postgres.
    pub const COORDINATOR: Self = Self(0);
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which assignment a report answers: every new assignment to a node has a higher one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i64);

impl Epoch {
    /// The epoch of the next assignment.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Which report of its keeper one is: higher than that of every report that was sent before for this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReportNumber {
    /// Which start of the keeper.
    pub start: u64,
    /// Which report of that process.
    pub sequence: u64,
}

impl fmt::Display for ReportNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.start, self.sequence)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
