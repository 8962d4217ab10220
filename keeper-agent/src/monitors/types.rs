//! What openraft replicates, and between whom.

use std::io::Cursor;

use pgaf_core::monitors::Monitors;
use serde::{Deserialize, Serialize};

use crate::config::Member;

openraft::declare_raft_types!(
    /// The types of the monitors' consensus.
    pub(crate) Types:
        D = pgaf_core::monitors::Entry,
        R = Outcome,
        NodeId = u64,
        Node = Member,
        Entry = openraft::Entry<Types>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = openraft::TokioRuntime,
);

/// What comes of an entry; nothing for those of openraft itself.
pub(crate) type Outcome = Option<pgaf_core::monitors::Reply>;

/// How an agent sees the monitors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Whose view this is.
    pub(crate) id: u64,
    /// Who leads the consensus, as far as it knows.
    pub(crate) leader: Option<u64>,
    /// In which term.
    pub(crate) term: u64,
    /// The last entry that it has applied.
    pub(crate) applied: u64,
    /// A majority has been heard lately.
    pub(crate) has_majority: bool,
    /// It has no server.
    pub(crate) is_witness: bool,
    /// All monitors.
    pub(crate) members: Vec<(u64, Member)>,
    /// Those of them that vote.
    pub(crate) voters: Vec<u64>,
    /// The group.
    pub(crate) monitors: Monitors,
}
