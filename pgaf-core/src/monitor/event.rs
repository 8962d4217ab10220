//! What happens to a group, and what is decided about it.

use crate::group::Group;
use crate::id::{Epoch, NodeId, RestartId};
use crate::lsn::Timeline;
use crate::state::ReplicationState;

/// Something that happened, or that somebody asked for. The group is read after it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A node reported.
    Reported(NodeId),
    /// A probe's verdict or the passing of time changed something.
    Tick,
    /// A node was added, with goal `init`.
    Registered(NodeId),
    /// An operator removes a node; `force` does not wait for the node itself.
    Remove {
        /// Which node.
        node: NodeId,
        /// The node is gone and will not report.
        force: bool,
    },
    /// An operator wants another primary.
    PerformFailover,
    /// An operator gives up on nodes that may have acknowledged commits: whoever can be heard takes over.
    FailoverWithDataLoss {
        /// Who allowed it, for the event table.
        who: String,
    },
    /// An operator says which of two branches of the log is right.
    AcceptTimeline {
        /// The newest timeline of the right branch.
        timeline: Timeline,
        /// Who said so, for the event table.
        who: String,
    },
    /// An operator wants this node to be the primary.
    PerformPromotion(NodeId),
    /// An operator takes a node out.
    StartMaintenance(NodeId),
    /// An operator brings it back.
    StopMaintenance(NodeId),
    /// An operator sets a node's candidate priority.
    SetCandidatePriority(NodeId, i32),
    /// An operator puts a node into the quorum or takes it out.
    SetReplicationQuorum(NodeId, bool),
    /// An operator sets how many acknowledgements a commit never goes without.
    SetNumberSyncStandbys(u32),
    /// An operator has the Postgres of a node restarted: a standby's, or that of a node that is alone.
    Restart {
        /// Which node.
        node: NodeId,
        /// Which restart.
        restart: RestartId,
    },
    /// An operator does not want that any more.
    CancelRestart(NodeId),
    /// A node's name, host or port changed: everybody must hear of it.
    NodeMoved(NodeId),
}

/// One goal that was assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// To whom.
    pub node: NodeId,
    /// The new goal.
    pub goal: ReplicationState,
    /// The number of this assignment.
    pub epoch: Epoch,
    /// The rule or the command that assigned it.
    pub rule: &'static str,
    /// The sentence for the event table.
    pub description: String,
}

/// What is decided: the group as it shall be written, and what led there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The group with all changes made. Removed nodes are no longer in it.
    pub group: Group,
    /// The assignments, in order; a node may have several, the last one stands.
    pub changes: Vec<Change>,
    /// Nodes whose rows go, each with the sentence for the event table.
    pub removed: Vec<(NodeId, String)>,
}
