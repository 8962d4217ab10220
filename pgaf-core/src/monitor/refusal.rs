//! Why the monitor does not do what it was asked for.

use crate::id::{GroupId, NodeId};
use crate::lsn::Timeline;
use crate::state::ReplicationState;

/// A request that cannot be carried out; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such node in the group.
    #[error("node {0} is not in this group")]
    UnknownNode(NodeId),
    /// The group has no primary that could hand over.
    #[error("group {group} of formation \"{formation}\" has no primary now")]
    NoPrimary {
        /// Which formation.
        formation: String,
        /// Which group.
        group: GroupId,
    },
    /// The primary's keeper does not answer, so that it cannot be told to stop.
    #[error("the keeper of the primary, node {0}, does not report")]
    PrimaryDoesNotReport(NodeId),
    /// The group has no primary, and cannot have one before certain nodes are back.
    #[error("{0}")]
    Waiting(String),
    /// Nothing needs to be given up: the primary reports.
    #[error("the primary, node {0}, is not lost: no commit needs to be given up")]
    PrimaryIsThere(NodeId),
    /// A failover or another change of roles is under way.
    #[error("group {group} of formation \"{formation}\" is changing roles already: {what}")]
    RoleChangeUnderWay {
        /// Which formation.
        formation: String,
        /// Which group.
        group: GroupId,
        /// Who is doing what.
        what: String,
    },
    /// Nobody can take over.
    #[error("no standby of group {group} in formation \"{formation}\" can be promoted: {}", reasons.join("; "))]
    NoCandidate {
        /// Which formation.
        formation: String,
        /// Which group.
        group: GroupId,
        /// One sentence per standby.
        reasons: Vec<String>,
    },
    /// The named node cannot be promoted.
    #[error("node {node} cannot be promoted: {reason}")]
    NotPromotable {
        /// Which node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// The node is not in a state in which this can be done.
    #[error("node {node} cannot {action} while its state is {reported} and its goal {goal}")]
    WrongState {
        /// Which node.
        node: NodeId,
        /// What was asked for.
        action: &'static str,
        /// What it reported.
        reported: ReplicationState,
        /// What it shall be.
        goal: ReplicationState,
    },
    /// Somebody is missing, or on the way to be something else.
    #[error("group {group} of formation \"{formation}\" is not whole: {what}")]
    NotWhole {
        /// Which formation.
        formation: String,
        /// Which group.
        group: GroupId,
        /// Who, and why.
        what: String,
    },
    /// A person has paused automatic failover.
    #[error("automatic failover of formation \"{0}\" is paused")]
    Paused(String),
    /// The primary of a group with standbys is not restarted in place.
    #[error("node {0} is the primary of a group with standbys")]
    IsPrimary(NodeId),
    /// The setting does not fit the group.
    #[error("{0}")]
    InvalidSetting(String),
    /// A group of such a formation has one node.
    #[error("formation \"{0}\" does not allow secondary nodes")]
    SecondariesDisabled(String),
    /// Nobody is on that timeline.
    #[error("no node of group {group} is on timeline {timeline}")]
    UnknownTimeline {
        /// Which group.
        group: GroupId,
        /// Which timeline.
        timeline: Timeline,
    },
    /// The rules did not come to rest: a defect of this program.
    #[error("the rules did not come to rest after {0} assignments")]
    RulesDoNotRest(usize),
}

/// The family a refusal belongs to; each has a SQLSTATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Something named does not exist.
    UndefinedObject,
    /// It would be right at another time.
    WrongState,
    /// It would be right in a moment: something else is under way, and ends by itself.
    Busy,
    /// A value that cannot be.
    InvalidValue,
    /// A defect.
    Internal,
}

impl Refusal {
    /// Its family.
    pub const fn kind(&self) -> RefusalKind {
        match self {
            Self::UnknownNode(_) | Self::UnknownTimeline { .. } => RefusalKind::UndefinedObject,
            Self::NoPrimary { .. }
            | Self::PrimaryDoesNotReport(_)
            | Self::Waiting(_)
            | Self::PrimaryIsThere(_)
            | Self::SecondariesDisabled(_)
            | Self::NoCandidate { .. }
            | Self::NotPromotable { .. }
            | Self::NotWhole { .. }
            | Self::Paused(_)
            | Self::IsPrimary(_)
            | Self::WrongState { .. } => RefusalKind::WrongState,
            Self::RoleChangeUnderWay { .. } => RefusalKind::Busy,
            Self::InvalidSetting(_) => RefusalKind::InvalidValue,
            Self::RulesDoNotRest(_) => RefusalKind::Internal,
        }
    }

    /// What the operator can do.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::UnknownNode(_) => "List the nodes with: pg_autoctl show state",
            Self::NoPrimary { .. } | Self::RoleChangeUnderWay { .. } => {
                "Wait until the group has a primary again, see: pg_autoctl show state"
            }
            Self::PrimaryDoesNotReport(_) => {
                "Start the keeper on the primary with: pg_autoctl run. If its host is lost, the standby takes \
                 over by itself."
            }
            Self::Waiting(_) => {
                "Bring one of these nodes back. If they are gone for good, and only then, go on without the commits \
                 they may have: pg_autoctl perform failover --allow-data-loss"
            }
            Self::PrimaryIsThere(_) => "Change the primary with: pg_autoctl perform failover",
            Self::NoCandidate { .. } | Self::NotPromotable { .. } => {
                "A standby can be promoted when it is secondary, healthy, streams from the primary, and has a \
                 candidate priority above 0, see: pg_autoctl show state"
            }
            Self::WrongState { .. } => "See what the node is doing with: pg_autoctl show events",
            Self::NotWhole { .. } => {
                "Wait until every node is primary or secondary, see: pg_autoctl show state"
            }
            Self::Paused(_) => "Resume it first with: pg_autoctl resume",
            Self::IsPrimary(_) => "Have it hand over first, with: pg_autoctl perform switchover",
            Self::InvalidSetting(_) => "See what is set now with: pg_autoctl show settings",
            Self::SecondariesDisabled(_) => "Allow them with: pg_autoctl enable secondary",
            Self::UnknownTimeline { .. } => "See who is on which with: pg_autoctl show timeline",
            Self::RulesDoNotRest(_) => {
                "Please report this, together with the output of: pg_autoctl show state --json"
            }
        }
    }
}
