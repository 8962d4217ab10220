//! What an operator reads in the log about what the engine decides.

use std::fmt;
use std::time::Duration;

use super::event::PostgresExit;
use crate::id::ReportNumber;
use crate::keeper::step::Step;
use crate::state::ReplicationState;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Only a person can help.
    Error,
    /// Something went wrong, and the keeper goes on.
    Warning,
    /// What the keeper does.
    Info,
    /// For those who look for a fault.
    Debug,
}

/// One message; `Display` is its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The goal has changed.
    Goal {
        /// The new one.
        goal: ReplicationState,
        /// The state that was reached last.
        reached: ReplicationState,
    },
    /// The goal was reached.
    Reached(ReplicationState),
    /// What was reached does not hold any more.
    NoLongerHolds {
        /// What it was.
        reached: ReplicationState,
        /// What it is.
        holds: ReplicationState,
    },
    /// A step starts.
    StepStarts(Step),
    /// A step has ended well.
    StepDone(Step, Duration),
    /// A step has failed.
    StepFailed {
        /// Which.
        step: Step,
        /// After how long.
        after: Duration,
        /// Why.
        reason: String,
        /// When it is tried again; `None` when the plan goes on without it.
        next_attempt_in: Option<Duration>,
    },
    /// A step is given up, because the goal is another now.
    StepMoot(Step),
    /// The plan waits for something.
    Waiting(&'static str),
    /// Only a person can help.
    Blocked(&'static str),
    /// The data directory has begun not to answer.
    DiskHangs,
    /// The data directory answers again.
    DiskAnswers,
    /// The primary fences itself.
    Fencing,
    /// Postgres has ended, and not by a step.
    PostgresEnded(PostgresExit),
    /// The monitor has begun not to answer.
    MonitorSilent(String),
    /// The monitor answers again.
    MonitorAnswers,
    /// The monitor does not know this node.
    UnknownToMonitor(String),
    /// The monitor has recorded a later report.
    Overtaken(ReportNumber),
    /// The node was removed from its formation.
    Dropped,
    /// The peers could not be maintained.
    MaintenanceFailed(String),
    /// The state file could not be written.
    SaveFailed {
        /// Why.
        reason: String,
        /// When it is tried again.
        next_attempt_in: Duration,
    },
    /// The state file was written after it could not be.
    SavedAgain,
    /// A signal asks for the end.
    ToldToStop {
        /// At once.
        immediately: bool,
    },
    /// No standby takes over before Postgres is stopped.
    NoHandOver,
    /// The configuration is read again.
    Reloading,
    /// Postgres follows the configuration.
    SettingsApplied,
    /// It does not.
    SettingsNotApplied(String),
    /// This node does not follow a setting of its formation.
    SettingNotApplied {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// Postgres was restarted, as a person has asked.
    Restarted,
    /// The monitor was disabled.
    MonitorDisabled,
    /// A monitor was enabled.
    MonitorEnabled,
    /// A person has assigned something.
    AssignedByPerson,
    /// The keeper ends.
    Ends,
}

impl Notice {
    /// How much it matters.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Blocked(_)
            | Self::DiskHangs
            | Self::UnknownToMonitor(_)
            | Self::Dropped
            | Self::SaveFailed { .. }
            | Self::SettingNotApplied { .. }
            | Self::SettingsNotApplied(_) => Severity::Error,
            Self::StepFailed { .. }
            | Self::Fencing
            | Self::NoLongerHolds { .. }
            | Self::PostgresEnded(_)
            | Self::MonitorSilent(_)
            | Self::Overtaken(_)
            | Self::MaintenanceFailed(_) => Severity::Warning,
            Self::Waiting(_) => Severity::Debug,
            _ => Severity::Info,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Goal { goal, reached } => write!(f, "goal: {goal} (was {reached})"),
            Self::Reached(goal) => write!(f, "reached {goal}"),
            Self::NoLongerHolds { reached, holds } => write!(
                f,
                "commits do not wait for the standbys that the monitor has assigned: reporting {holds} instead of {reached}"
            ),
            Self::StepStarts(step) => write!(f, "starting: {step}"),
            Self::StepDone(step, after) => write!(f, "done after {} ms: {step}", after.as_millis()),
            Self::StepFailed { step, after, reason, next_attempt_in } => {
                write!(f, "failed after {} ms: {step}: {reason}; ", after.as_millis())?;
                match next_attempt_in {
                    Some(time) => write!(f, "next attempt in {} ms", time.as_millis()),
                    None => f.write_str("continuing without"),
                }
            }
            Self::StepMoot(step) => write!(f, "no longer needed: {step}"),
            Self::Waiting(why) => write!(f, "waiting: {why}"),
            Self::Blocked(why) => f.write_str(why),
            Self::DiskHangs => f.write_str(
                "the disk of the data directory does not answer: only a stop of Postgres is possible until it does",
            ),
            Self::DiskAnswers => f.write_str("the disk of the data directory answers again"),
            Self::Fencing => f.write_str(
                "neither the monitor nor the standbys answer: stopping Postgres to fence this primary",
            ),
            Self::PostgresEnded(PostgresExit::Clean) => {
                f.write_str("Postgres was shut down by somebody else")
            }
            Self::PostgresEnded(PostgresExit::Crashed) => f.write_str("Postgres has crashed"),
            Self::MonitorSilent(reason) => {
                write!(f, "the monitor does not answer: {reason}; continuing with the last assignment")
            }
            Self::MonitorAnswers => f.write_str("the monitor answers again"),
            Self::UnknownToMonitor(reason) => f.write_str(reason),
            Self::Overtaken(number) => {
                write!(
                    f,
                    "the monitor has already recorded the later report {number} of this node; reporting again"
                )
            }
            Self::Dropped => f.write_str("this node was dropped from its formation: stopping Postgres"),
            Self::MaintenanceFailed(reason) => {
                write!(f, "could not update pg_hba.conf and replication slots for the other nodes: {reason}")
            }
            Self::SaveFailed { reason, next_attempt_in } => {
                write!(f, "{reason}; next attempt in {} ms", next_attempt_in.as_millis())
            }
            Self::SavedAgain => f.write_str("the state file was written again"),
            Self::ToldToStop { immediately: true } => f.write_str("told to stop immediately"),
            Self::ToldToStop { immediately: false } => f.write_str("told to stop"),
            Self::NoHandOver => f.write_str("no standby can take over: stopping Postgres"),
            Self::Reloading => f.write_str("reloading the configuration"),
            Self::SettingsApplied => f.write_str("configuration reloaded"),
            Self::SettingsNotApplied(reason) => {
                write!(f, "Postgres has not applied the changed configuration: {reason}")
            }
            Self::SettingNotApplied { name, reason } => {
                write!(f, "could not apply \"{name}\", a setting of the formation: {reason}")
            }
            Self::Restarted => f.write_str("Postgres was restarted as asked for"),
            Self::MonitorDisabled => {
                f.write_str("the monitor is disabled: this node keeps its state and reports to nobody")
            }
            Self::MonitorEnabled => f.write_str("a monitor is enabled: this node reports to it from now on"),
            Self::AssignedByPerson => f.write_str("following what was assigned to this node by hand"),
            Self::Ends => f.write_str("keeper ends"),
        }
    }
}
