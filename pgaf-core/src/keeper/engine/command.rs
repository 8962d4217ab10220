//! What the engine wants done.

use super::event::{LookId, SaveId, StepId};
use super::notice::Notice;
use crate::formation::FormationNode;
use crate::keeper::hook::HookCall;
use crate::keeper::moment::Moment;
use crate::keeper::saved::KeeperState;
use crate::keeper::step::Step;
use crate::message::{Peer, Position, Report};
use crate::postgres_settings::PostgresSettings;

/// One thing to do. Whoever carries it out decides nothing, and waits for nothing before the next: what comes of it is an
/// event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Look at Postgres; a look that is under way is given up.
    Observe {
        /// Its number.
        look: LookId,
        /// Whose history the local log is compared with.
        upstream: Option<Peer>,
    },
    /// Send a report to the monitor; one that is under way is given up.
    Report(Box<Report>),
    /// Give up the report that is under way.
    AbandonReport,
    /// Carry out a step. None is under way.
    RunStep {
        /// Its number.
        id: StepId,
        /// What.
        step: Step,
    },
    /// Give up the step that is under way; steps are safe to be interrupted.
    CancelStep,
    /// Stop Postgres as if it crashed, at once: nothing that is under way is waited for, and steps and maintenance of the
    /// peers are given up. Ends as a step does.
    Fence(StepId),
    /// Keep a slot for each peer, moved on to where the peer is, and the password of the replication role.
    MaintainPeers {
        /// Its number.
        id: StepId,
        /// The other nodes of the group.
        peers: Vec<Peer>,
        /// How far they are.
        positions: Vec<Position>,
        /// Carry out [`Step::AdmitStandbys`] for them first.
        admits: bool,
    },
    /// Give that up.
    CancelMaintenance,
    /// From now on these hosts are admitted beside the peers: those of all nodes of a Citus formation.
    KnowFormation {
        /// In ascending order.
        hosts: Vec<String>,
    },
    /// Have the local coordinator of a Citus formation agree with what the monitor says.
    Reconcile {
        /// All nodes of the formation.
        nodes: Vec<FormationNode>,
        /// When they were asked for.
        read_at: Moment,
    },
    /// Call a hook; nothing comes of it.
    RunHook(HookCall),
    /// Look whether the poolers send clients here, and see to it.
    CheckPoolers,
    /// Write the state file. None is being written.
    Save {
        /// Its number.
        save: SaveId,
        /// Its content.
        state: Box<KeeperState>,
    },
    /// Read the configuration again.
    ReadConfiguration,
    /// Write the settings of Postgres, and have it take them over.
    ApplySettings,
    /// Write the settings that the formation has for Postgres, and have it take them over.
    ApplyPostgresSettings(PostgresSettings),
    /// The dead man's switch: kill Postgres at this moment unless told otherwise before; `None` disarms it.
    Arm(Option<Moment>),
    /// Say [`super::Event::Woken`] at this moment, and not at an earlier one that was asked for before.
    WakeAt(Moment),
    /// Tell the supervisor that the service is up.
    TellReady,
    /// Tell the supervisor that the service is about to end.
    TellStopping,
    /// Something for the log.
    Log(Notice),
    /// End the keeper. Nothing follows.
    Exit(Ending),
}

/// Why a keeper ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It was told to stop.
    Stopped,
    /// Its node was removed from the formation.
    Dropped,
}
