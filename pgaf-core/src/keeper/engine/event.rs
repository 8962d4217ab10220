//! What happens to a keeper.

use super::settings::Settings;
use crate::formation::FormationNode;
use crate::id::ReportNumber;
use crate::keeper::manual::ManualAssignment;
use crate::keeper::moment::Moment;
use crate::keeper::observed::Observed;
use crate::lsn::{Lsn, TimelineHistory};
use crate::message::{Answer, Upstream};
use crate::postgres_settings::SettingsStatus;

/// Which look at Postgres one is: a later one has a higher number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookId(pub u64);

/// Which piece of work one is: a step, a fence, or a round of maintenance of the peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u64);

/// Which write of the state file one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaveId(pub u64);

/// How what was tried has ended; an error is for people to read.
pub type Outcome = Result<(), String>;

/// One thing that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The keeper begins to work. The first event of every keeper.
    Started,
    /// The moment of [`super::Command::WakeAt`] has come.
    Woken,
    /// A look at Postgres has ended.
    Observed {
        /// Which one.
        look: LookId,
        /// What was seen.
        observation: Box<Observation>,
    },
    /// The monitor has answered a report.
    Answered {
        /// Which one.
        report: ReportNumber,
        /// When the request was sent.
        sent: Moment,
        /// What it says.
        answer: Box<Answer>,
        /// All nodes of the formation right after that, for a node of a Citus formation.
        formation: Option<Vec<FormationNode>>,
    },
    /// The monitor could not be asked, or did not answer.
    Unanswered {
        /// Which report it was about.
        report: ReportNumber,
        /// For people to read.
        reason: String,
    },
    /// The monitor says that this node was removed from its formation.
    Dropped {
        /// Which report it answers.
        report: ReportNumber,
    },
    /// A monitor answers that does not know this node, and that is another than the one this node was registered at.
    UnknownNode {
        /// Which report it answers.
        report: ReportNumber,
        /// For people to read.
        reason: String,
    },
    /// The monitor has something new for this node, or the connection to it was lost.
    Notified,
    /// A step or a fence has ended.
    StepEnded {
        /// Which one.
        step: StepId,
        /// How.
        outcome: Outcome,
    },
    /// Postgres has ended.
    PostgresExited(PostgresExit),
    /// A round of maintenance of the peers has ended.
    PeersMaintained {
        /// Which one.
        step: StepId,
        /// How.
        outcome: Outcome,
    },
    /// A run of the reconciler has ended.
    Reconciled {
        /// Nothing was left to be done.
        is_complete: bool,
    },
    /// The poolers have been looked after.
    PoolersTended,
    /// The state file was written.
    Saved(SaveId),
    /// It could not be written.
    SaveFailed {
        /// Which write.
        save: SaveId,
        /// For people to read.
        reason: String,
    },
    /// The keeper received a signal.
    Signal(Signal),
    /// The configuration was read again.
    Reconfigured {
        /// What it says now.
        settings: Box<Settings>,
        /// It names another monitor than before.
        has_other_monitor: bool,
    },
    /// Postgres was told about changed settings.
    SettingsApplied(Outcome),
    /// The settings of the formation were written, and the server was asked for what has become of them.
    PostgresSettingsApplied(Result<SettingsStatus, String>),
    /// What a person has assigned, as it is written down; it counts while the monitor is disabled.
    Assigned(ManualAssignment),
}

/// Everything that is seen in one look at the local Postgres.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Observation {
    /// What a plan depends on; its memory is the engine's and left empty.
    pub observed: Observed,
    /// What a standby knows of its upstream; `None` for one that is not in recovery.
    pub upstream: Option<Upstream>,
    /// When as many standbys as a commit waits for had last replied; `None` when they have not since this keeper
    /// started.
    pub quorum_contact: Option<Moment>,
    /// How the standbys are replicated to, for people to read; may be empty.
    pub sync_state: String,
    /// Where the last record begins of a primary that was shut down cleanly and does not run.
    pub shutdown_lsn: Option<Lsn>,
    /// The history of the timeline it is on, as far as its files tell.
    pub history: Option<TimelineHistory>,
    /// What an operator has to see: a setting of the server that stands in the way.
    pub notice: Option<String>,
    /// How much of a base backup has been copied, while one is made.
    pub copied_percent: Option<u8>,
    /// When the server was started that answers, in microseconds, as it says.
    pub server_start: Option<i64>,
    /// The data directory has not answered in time: what is told of it is the last that was known.
    pub is_disk_hung: bool,
}

/// How a postmaster ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PostgresExit {
    /// It was asked to, and shut down.
    Clean,
    /// It died, or gave up.
    Crashed,
}

/// What a supervisor or a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Hand over if possible, stop Postgres cleanly, and end.
    Stop,
    /// The same without asking for a hand-over first.
    StopFast,
    /// Stop Postgres as if it crashed, and end.
    StopImmediately,
    /// Read the configuration again.
    Reload,
}
