//! The named steps a plan is made of. Each is idempotent and safe to repeat after it was interrupted.

use std::fmt;

use crate::id::{Epoch, NodeId};
use crate::lsn::Timeline;
use crate::message::Peer;

/// One thing the keeper does to its node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Write dirty buffers while writes still go on, so that the stop that follows is short.
    Checkpoint,
    /// Stop the server.
    StopPostgres(StopMode),
    /// Start the server; it becomes a standby when the signal file is there, else a primary. One that was started
    /// gated is opened to everybody as it runs.
    StartPostgres,
    /// Start the server as a primary that only the keeper and the group's standbys may connect to.
    StartGated,
    /// Replace the data by a copy of the upstream's.
    BaseBackup {
        /// Whom to copy.
        upstream: Peer,
    },
    /// Take back what the upstream does not have. The server must be stopped.
    Rewind {
        /// Whose history is right.
        upstream: Peer,
    },
    /// Make this a standby that receives from the upstream, or from nobody: settings and signal file; a server
    /// that runs in recovery takes it over at once.
    Follow {
        /// Whom to receive from.
        upstream: Option<Peer>,
    },
    /// End recovery on a new timeline.
    Promote,
    /// Let the peers connect for replication, and keep a slot for each; drop our slots of nodes that are gone.
    AdmitStandbys {
        /// The other nodes of the group.
        peers: Vec<Peer>,
    },
    /// Set `synchronous_standby_names` and wait until every backend follows it.
    SetSynchronousStandbyNames(String),
    /// Ask the hook of this node whether it may take over as planned.
    BeforePromote {
        /// The timeline that it would leave.
        timeline: Timeline,
    },
    /// Have the poolers keep their clients waiting.
    PausePoolers,
    /// Have the poolers send their clients here, those that wait first.
    RoutePoolers,
    /// Have a Citus coordinator hold the writes to this node's group, for this node to take over.
    HoldWrites {
        /// Whom to ask.
        coordinator: Peer,
        /// The primary that goes on until they are held; absent when it is gone.
        primary: Option<Peer>,
        /// The assignment that this is for: no two holds have the same name.
        epoch: Epoch,
    },
    /// Have a Citus coordinator go on as before, without this node.
    ReleaseWrites,
    /// Have a Citus coordinator send the writes to this node's group here, those that are held first.
    RouteWrites {
        /// Whom to ask.
        coordinator: Peer,
    },
}

impl Step {
    /// A failure changes nothing for this node: its plan goes on without.
    pub const fn is_best_effort(&self) -> bool {
        matches!(
            self,
            Self::BeforePromote { .. }
                | Self::PausePoolers
                | Self::RoutePoolers
                | Self::HoldWrites { .. }
                | Self::ReleaseWrites
                | Self::RouteWrites { .. }
        )
    }
}

/// How `StopPostgres` stops; each escalates to the next when it takes too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopMode {
    /// Roll back, shut down cleanly, with all WAL sent to the standbys.
    Fast,
    /// As if it crashed.
    Immediate,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// The goal holds.
    Reached,
    /// Do this, then look again.
    Steps(Vec<Step>),
    /// Nothing to do but to look again: the sentence says what is awaited.
    Wait(&'static str),
    /// Only a person can help: the sentence says how.
    Blocked(&'static str),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |peer: &Peer| format!("node {} \"{}\" ({}:{})", peer.node, peer.name, peer.host, peer.port);
        match self {
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::StopPostgres(StopMode::Fast) => f.write_str("stop Postgres"),
            Self::StopPostgres(StopMode::Immediate) => f.write_str("stop Postgres immediately"),
            Self::StartPostgres => f.write_str("start Postgres"),
            Self::StartGated => f.write_str("start Postgres for its standbys only"),
            Self::BaseBackup { upstream } => write!(f, "base backup from {}", at(upstream)),
            Self::Rewind { upstream } => write!(f, "rewind to {}", at(upstream)),
            Self::Follow { upstream: Some(upstream) } => write!(f, "follow {}", at(upstream)),
            Self::Follow { upstream: None } => f.write_str("stop receiving WAL"),
            Self::Promote => f.write_str("promote"),
            Self::AdmitStandbys { peers } => {
                let nodes: Vec<NodeId> = peers.iter().map(|peer| peer.node).collect();
                write!(f, "allow standbys {nodes:?} in pg_hba.conf")
            }
            Self::SetSynchronousStandbyNames(names) => {
                write!(f, "set synchronous_standby_names to '{names}'")
            }
            Self::BeforePromote { .. } => f.write_str("ask hook before_promote"),
            Self::PausePoolers => f.write_str("pause the poolers"),
            Self::RoutePoolers => f.write_str("have the poolers send clients here"),
            Self::HoldWrites { coordinator, .. } => {
                write!(f, "hold writes at the coordinator, {}", at(coordinator))
            }
            Self::ReleaseWrites => f.write_str("release the writes held at the coordinator"),
            Self::RouteWrites { coordinator } => {
                write!(f, "route writes to this node at the coordinator, {}", at(coordinator))
            }
        }
    }
}
