//! Programs of the user that are told what becomes of a node: when, and with what.
//!
//! The engine decides when one is called, the agent runs it. Nothing waits for it, with one exception: a candidate asks
//! its `before_promote` hook before a planned hand-over, while the old primary still
//! serves. Refused then, the old primary goes on.

use std::fmt;

use super::server::Server;
use crate::id::{GroupId, NodeId};
use crate::lsn::Timeline;

/// What a node is to its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The keeper has not looked yet.
    #[default]
    Unknown,
    /// Nothing: Postgres is stopped, or admits only its keeper and standbys.
    None,
    /// A server in recovery, that can be read from.
    Standby,
    /// The server that accepts writes.
    Primary,
}

impl Role {
    /// The word that a hook is told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Standby => "standby",
            Self::Primary => "primary",
        }
    }

    /// What this server is; `None` while that cannot be told.
    pub const fn of(server: &Server) -> Option<Self> {
        match server {
            Server::Stopped => Some(Self::None),
            Server::Running(running) if running.is_in_recovery => Some(Self::Standby),
            Server::Running(running) if running.is_gated => Some(Self::None),
            Server::Running(_) => Some(Self::Primary),
            Server::Starting | Server::Unresponsive | Server::Refusing => None,
        }
    }

    /// Clients can connect.
    pub const fn is_serving(self) -> bool {
        matches!(self, Self::Standby | Self::Primary)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// When a program is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// The node is another thing to its clients.
    RoleChange,
    /// Postgres serves, and did not before.
    Start,
    /// Postgres serves no more.
    Stop,
    /// The node stops Postgres to fence itself, or its dead man's switch has.
    Fence,
    /// The node is about to take over on command.
    BeforePromote,
    /// The monitor has recorded an event.
    Event,
}

impl HookKind {
    /// The key in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoleChange => "on_role_change",
            Self::Start => "on_start",
            Self::Stop => "on_stop",
            Self::Fence => "on_fence",
            Self::BeforePromote => "before_promote",
            Self::Event => "on_event",
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One call of a hook of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HookCall {
    /// Which hook.
    pub kind: HookKind,
    /// What the node was.
    pub old_role: Role,
    /// What it is, or is about to become.
    pub new_role: Role,
    /// Which node.
    pub node: NodeId,
    /// Its group.
    pub group: GroupId,
    /// The timeline of its data; absent without data.
    pub timeline: Option<Timeline>,
}

/// What the candidate's hook says about a planned hand-over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Consent {
    /// There is no such hook.
    #[default]
    NotNeeded,
    /// It has not been asked about the present hand-over.
    NotAsked,
    /// It agrees.
    Given,
    /// It refuses, or could not be asked.
    Refused,
}
