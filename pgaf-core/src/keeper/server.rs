//! The local Postgres: its files, and its processes.

use crate::id::NodeId;
use crate::lsn::{Lsn, Timeline};

/// The state of PGDATA.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DataDirectory {
    /// Not there, or empty.
    Missing,
    /// A copy or a rewind did not end: it must never be started.
    Incomplete,
    /// `global/pg_control` is missing or unreadable.
    Damaged,
    /// A cluster.
    Present(Cluster),
}

/// What `pg_controldata` and the signal files say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    /// Equal on all nodes of a group.
    pub system_identifier: u64,
    /// The timeline of the latest checkpoint.
    pub timeline: Timeline,
    /// The latest checkpoint; the end of the log when the cluster was shut down as a primary.
    pub checkpoint: Lsn,
    /// Shut down cleanly, as a primary or as a standby.
    pub is_clean: bool,
    /// `standby.signal` is there: Postgres starts, or has started, in recovery.
    pub is_standby: bool,
}

/// The local Postgres server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// No postmaster.
    Stopped,
    /// A postmaster that does not accept connections yet: it recovers, and makes progress.
    Starting,
    /// A postmaster that accepts connections but does not answer within the deadline.
    Unresponsive,
    /// It answers, and gives the keeper no session: the role cannot log in, no rule of pg_hba.conf admits it, or all
    /// connections are taken. An answer is a sign of life, and others may well be served.
    Refusing,
    /// It answers.
    Running(Running),
}

/// What a server that answers says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Running {
    /// `pg_is_in_recovery()`.
    pub is_in_recovery: bool,
    /// Started so that only the keeper and standbys may connect.
    pub is_gated: bool,
    /// The timeline it writes or replays.
    pub timeline: Timeline,
    /// Flushed on a primary; the greater of received and replayed on a standby, and replayed once that is over.
    pub lsn: Lsn,
    /// Replayed, on a standby; as `lsn` on a primary.
    pub replayed: Lsn,
    /// `synchronous_standby_names` as a new session sees it, and as all backends follow it.
    pub synchronous_standby_names: String,
    /// The node named in `primary_conninfo`, with host and port; `None` when it is empty or foreign.
    pub follows: Option<Following>,
    /// A walreceiver process exists, and whether it streams.
    pub receiver: Receiver,
    /// A standby that receives nothing, nor will, and has replayed all it can: proved for this server since it was last
    /// told to follow nobody. Then `lsn` is where its log ends; before, it may have more than it says.
    pub is_replay_over: bool,
    /// A standby whose replay has paused for good, because a setting is lower here than the WAL requires: it goes on
    /// only when Postgres is restarted, with higher ones.
    pub is_short_of_settings: bool,
    /// Walsenders of this group's nodes.
    pub standbys: Vec<StreamingStandby>,
    /// Nodes for which a physical slot exists.
    pub slots: Vec<NodeId>,
}

/// Whom a standby is configured to receive from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Following {
    /// `host` of `primary_conninfo`.
    pub host: String,
    /// `port` of `primary_conninfo`.
    pub port: u16,
}

/// The walreceiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Receiver {
    /// There is none.
    Absent,
    /// It starts, waits or stops.
    Idle,
    /// It streams.
    Streaming,
}

/// A row of `pg_stat_replication` whose application_name is one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamingStandby {
    /// Which node.
    pub node: NodeId,
    /// Its state is `streaming`, and it has replied within the last seconds.
    pub is_streaming: bool,
    /// `sync_state` is `quorum` or `sync`.
    pub is_synchronous: bool,
    /// What it has flushed.
    pub flushed: Lsn,
}
