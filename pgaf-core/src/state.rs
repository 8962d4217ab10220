//! The states a node can be in, as `pgautofailover.replication_state` spells and orders them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a node is, or what it should become.
///
/// The same words serve for what a keeper reports and for the goal that the monitor assigns.
/// Declaration order is the order of the SQL enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicationState {
    /// Nothing is known yet.
    Unknown,
    /// Registered, nothing done yet.
    Init,
    /// The only node of its group, accepts writes.
    Single,
    /// Accepts writes, waits for no standby.
    WaitPrimary,
    /// Accepts writes, a commit waits for its quorum.
    Primary,
    /// A primary that stops cleanly so that a standby can take over.
    Draining,
    /// A primary that did not answer when it was told to stop.
    DemoteTimeout,
    /// Was primary, its Postgres is stopped.
    Demoted,
    /// A standby that fetches what it lacks.
    #[serde(rename = "catchingup")]
    CatchingUp,
    /// A standby that streams and may be promoted.
    Secondary,
    /// The chosen standby, about to be promoted.
    PreparePromotion,
    /// The chosen standby, cut from its old primary.
    StopReplication,
    /// Registered as a standby, has no data yet.
    WaitStandby,
    /// Taken out by an operator.
    Maintenance,
    /// A primary that a standby is joining.
    JoinPrimary,
    /// A primary that puts changed settings in force.
    ApplySettings,
    /// A primary on its way to maintenance.
    PrepareMaintenance,
    /// A standby on its way to maintenance, until the primary no longer waits for it.
    WaitMaintenance,
    /// A standby that has stopped receiving and says how far it got.
    ReportLsn,
    /// The chosen standby, fetching WAL from the most advanced one.
    FastForward,
    /// A standby that lost the election and waits for the new primary.
    JoinSecondary,
    /// Removed from its group.
    Dropped,
}

impl ReplicationState {
    /// Every state, in the order of the SQL enum.
    pub const ALL: [Self; 22] = [
        Self::Unknown,
        Self::Init,
        Self::Single,
        Self::WaitPrimary,
        Self::Primary,
        Self::Draining,
        Self::DemoteTimeout,
        Self::Demoted,
        Self::CatchingUp,
        Self::Secondary,
        Self::PreparePromotion,
        Self::StopReplication,
        Self::WaitStandby,
        Self::Maintenance,
        Self::JoinPrimary,
        Self::ApplySettings,
        Self::PrepareMaintenance,
        Self::WaitMaintenance,
        Self::ReportLsn,
        Self::FastForward,
        Self::JoinSecondary,
        Self::Dropped,
    ];

    /// The label of the SQL enum.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Init => "init",
            Self::Single => "single",
            Self::WaitPrimary => "wait_primary",
            Self::Primary => "primary",
            Self::Draining => "draining",
            Self::DemoteTimeout => "demote_timeout",
            Self::Demoted => "demoted",
            Self::CatchingUp => "catchingup",
            Self::Secondary => "secondary",
            Self::PreparePromotion => "prepare_promotion",
            Self::StopReplication => "stop_replication",
            Self::WaitStandby => "wait_standby",
            Self::Maintenance => "maintenance",
            Self::JoinPrimary => "join_primary",
            Self::ApplySettings => "apply_settings",
            Self::PrepareMaintenance => "prepare_maintenance",
            Self::WaitMaintenance => "wait_maintenance",
            Self::ReportLsn => "report_lsn",
            Self::FastForward => "fast_forward",
            Self::JoinSecondary => "join_secondary",
            Self::Dropped => "dropped",
        }
    }

    /// A node in this state accepts writes.
    pub const fn is_writer(self) -> bool {
        matches!(
            self,
            Self::Single | Self::WaitPrimary | Self::Primary | Self::JoinPrimary | Self::ApplySettings
        )
    }

    /// A commit on a node with this goal waits for its quorum.
    pub const fn is_synchronous_writer(self) -> bool {
        matches!(self, Self::Primary | Self::JoinPrimary | Self::ApplySettings)
    }

    /// A node with this goal has been chosen to take over, and is not told to write yet.
    pub const fn is_candidate(self) -> bool {
        matches!(self, Self::FastForward) || self.is_being_promoted()
    }

    /// A node with this goal is a candidate that lacks no WAL any more.
    pub const fn is_being_promoted(self) -> bool {
        matches!(self, Self::PreparePromotion | Self::StopReplication)
    }

    /// A node that reports this may have no data, and no system identifier.
    pub const fn may_lack_data(self) -> bool {
        matches!(self, Self::Init | Self::WaitStandby | Self::CatchingUp | Self::Dropped)
    }

    /// A node with this goal gives up being the primary.
    pub const fn is_retiring(self) -> bool {
        matches!(self, Self::Draining | Self::DemoteTimeout | Self::Demoted | Self::PrepareMaintenance)
    }
}

impl fmt::Display for ReplicationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a state of a node")]
pub struct UnknownState(pub String);

impl FromStr for ReplicationState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_parses_back_and_serde_spells_it_alike() {
        for state in ReplicationState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            let json = serde_json::to_string(&state).expect("a state is JSON");
            assert_eq!(json, format!("\"{state}\""));
        }
    }

    /// The states of the list that follows these words in a script of the extension.
    fn listed(script: &str, words: &str) -> Vec<ReplicationState> {
        let (_, rest) = script.split_once(&format!("{words} IN (")).expect("a list");
        let (list, _) = rest.split_once(')').expect("an end");
        let states = list.split(", ").map(|word| word.trim_matches('\'').parse().expect("a state"));
        let mut states: Vec<_> = states.collect();
        states.sort_unstable();
        states
    }

    #[test]
    fn sql_has_the_same_lists() {
        let of = |is_listed: fn(ReplicationState) -> bool| -> Vec<ReplicationState> {
            ReplicationState::ALL.into_iter().filter(|state| is_listed(*state)).collect()
        };
        let functions = include_str!("../../sql/pgautofailover--3.0-tables--3.0.sql");
        let tables = include_str!("../../sql/pgautofailover--3.0-tables.sql");
        let update = include_str!("../../sql/pgautofailover--2.x--3.0-tables.sql");
        assert_eq!(listed(functions, "SELECT goal"), of(ReplicationState::is_writer));
        assert_eq!(listed(update, "WHERE writer.goalstate"), of(ReplicationState::is_writer));
        assert_eq!(listed(tables, "AND reportedstate"), of(ReplicationState::may_lack_data));
    }

    #[test]
    fn all_is_in_declaration_order() {
        assert!(ReplicationState::ALL.is_sorted());
    }
}
