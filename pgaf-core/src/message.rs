//! What a keeper and the monitor say to each other in one call of `node_active`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, GroupId, MonitorId, NodeId, RegistrationId, ReportNumber, RestartId};
use crate::lsn::{Lsn, Timeline, TimelineHistory};
use crate::postgres_settings::{PostgresSettings, SettingsStatus};
use crate::state::ReplicationState;

/// What a keeper reports: the state it has reached, and what it sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Report {
    /// The state the keeper observes to hold.
    pub state: ReplicationState,
    /// Postgres answers, or is on its way to.
    pub is_running: bool,
    /// The timeline of the local Postgres.
    pub timeline: Timeline,
    /// How far it got: written for a primary, the greater of received and replayed for a standby.
    pub lsn: Lsn,
    /// The `sync_state` that the primary gives its standbys, for people to read; may be empty.
    pub sync_state: String,
    /// What the plain arguments of `node_active` have no room for.
    pub detail: ReportDetail,
}

/// The part of a report that travels as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportDetail {
    /// The assignment under which the state was seen to hold.
    pub epoch: Epoch,
    /// Tells which of two reports of a keeper is the older one; absent in reports that nobody can overtake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<ReportNumber>,
    /// Of the local data, when there is any: equal on all nodes of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<u64>,
    /// The goal of the newest assignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<ReplicationState>,
    /// Whom a standby follows and since when it has heard nothing; absent on a primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// The keeper was told to stop this node and asks for a hand-over first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_stopping: bool,
    /// A primary runs, and lets in only its keeper and standbys.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_gated: bool,
    /// A hook of the node is asked before it takes over as planned, while the primary still serves.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asks_before_promotion: bool,
    /// That hook has refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refuses_promotion: bool,
    /// Postgres runs and does not answer, or the disk under it does not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_hung: bool,
    /// For how long a primary on this node would accept writes without a word of the monitor and its standbys, in
    /// milliseconds. A longer time is in force only once a report with it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fence_after_ms: Option<u64>,
    /// Where the log of a primary ends that was shut down cleanly: its last record begins here. Absent when Postgres
    /// runs, has crashed, or is a standby.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_lsn: Option<Lsn>,
    /// The history of the timeline; sent when it has changed, and with the first report on a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<TimelineHistory>,
    /// The step that the keeper is busy with or that failed, in words for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Whom the report is for, once the node knows its monitor: no other takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<MonitorId>,
    /// Which registration it is of, once the node knows: it is not taken for that of another node with the same id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<RegistrationId>,
    /// The restart of Postgres that the node has carried out last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarted: Option<RestartId>,
    /// What the node has made of the settings of its formation.
    #[serde(skip_serializing_if = "SettingsStatus::is_settled")]
    pub settings: SettingsStatus,
}

/// What a standby knows of the node it receives WAL from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Upstream {
    /// A walreceiver is streaming now.
    pub is_streaming: bool,
    /// Milliseconds since the last message of the upstream, on the keeper's boot-time clock.
    pub silent_ms: u64,
}

impl Upstream {
    /// What can be said this long after the report: a standby that heard nothing then has gone on hearing nothing, for all
    /// that is known.
    #[must_use]
    pub fn aged(self, since_report: Duration) -> Self {
        if self.is_streaming {
            return self;
        }
        let more = u64::try_from(since_report.as_millis()).unwrap_or(u64::MAX);
        Self { silent_ms: self.silent_ms.saturating_add(more), ..self }
    }
}

/// What the monitor answers: the goal, and all that is needed to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Assignment {
    /// The node this is for.
    pub node: NodeId,
    /// The group it belongs to.
    pub group: GroupId,
    /// Higher for every new assignment to this node.
    pub epoch: Epoch,
    /// What the node should become.
    pub goal: ReplicationState,
    /// 0 to 100; 0 is never promoted.
    pub candidate_priority: i32,
    /// The primary waits for this node.
    pub replication_quorum: bool,
    /// Which standbys a commit on this node waits for while it is primary.
    pub commit_rule: CommitRule,
    /// Whom to receive WAL from; absent while there is nobody, and for a writer.
    pub upstream: Option<Peer>,
    /// Every other node of the group.
    pub peers: Vec<Peer>,
    /// How far a node that fetches WAL from its upstream (`fast_forward`) has to get; absent for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch_up_to: Option<Lsn>,
    /// The database that the formation serves.
    pub dbname: String,
    /// How long a primary waits for the monitor and its standbys before it fences itself, in milliseconds,
    /// if the monitor has an opinion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_partition_timeout_ms: Option<u64>,
}

/// What the monitor answers to a report: the assignment, and what changes all the time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// What the node shall be.
    #[serde(flatten)]
    pub assignment: Assignment,
    /// How far the other nodes that have data are: their slots on this node need not hold back more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<Position>,
    /// The report was not recorded, because one with this number has been: the answer confirms nothing, and the keeper
    /// goes on after this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overtaken_by: Option<ReportNumber>,
    /// It is still to accept writes, and another node of the group is about to take over from it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_handing_over: bool,
    /// Who answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<MonitorId>,
    /// As whom the node is known there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<RegistrationId>,
    /// The node shall restart its Postgres once, as long as its assignment stays what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartId>,
    /// Settings that its Postgres shall have, as all nodes of the formation.
    #[serde(default, skip_serializing_if = "PostgresSettings::is_empty")]
    pub postgres_settings: PostgresSettings,
}

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Which node.
    pub node: NodeId,
    /// The LSN it last reported.
    pub lsn: Lsn,
}

/// Another node of the group, as one connects to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// Its id; its slot is named after it.
    pub node: NodeId,
    /// Its name, unique in the formation.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// Port of its Postgres.
    pub port: u16,
}

/// Which standbys a commit waits for: `acks` of `standbys`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommitRule {
    /// The quorum members, in ascending order.
    pub standbys: Vec<NodeId>,
    /// How many of them must have flushed; 0 means that a commit waits for nobody.
    pub acks: u32,
}

impl CommitRule {
    /// A commit waits for nobody.
    pub const ASYNCHRONOUS: Self = Self { standbys: Vec::new(), acks: 0 };

    /// A commit waits for one or more standbys.
    pub const fn is_synchronous(&self) -> bool {
        self.acks > 0
    }

    /// These nodes are enough for a commit: as many of its standbys as it asks for. A node that is named twice, because it
    /// has just connected anew, is one.
    pub fn is_met_by(&self, nodes: impl Iterator<Item = NodeId>) -> bool {
        let nodes: Vec<NodeId> = nodes.collect();
        let count = self.standbys.iter().filter(|member| nodes.contains(member)).count();
        u32::try_from(count).is_ok_and(|count| count >= self.acks)
    }

    /// The value of `synchronous_standby_names` that makes Postgres follow this rule.
    pub fn synchronous_standby_names(&self) -> String {
        if !self.is_synchronous() {
            return String::new();
        }
        let names: Vec<String> = self.standbys.iter().map(|node| node.slot_name()).collect();
        format!("ANY {} ({})", self.acks, names.join(", "))
    }

    /// How many members must be heard so that at least one of them has every acknowledged commit;
    /// `None` when no number of standbys is enough.
    pub fn needed_for_election(&self) -> Option<usize> {
        let acks = usize::try_from(self.acks).ok().filter(|acks| *acks > 0)?;
        Some((self.standbys.len() + 1).saturating_sub(acks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_slots() {
        let rule = CommitRule { standbys: vec![NodeId(2), NodeId(3)], acks: 1 };
        assert_eq!(
            rule.synchronous_standby_names(),
            "ANY 1 (pgautofailover_standby_2, pgautofailover_standby_3)"
        );
        assert_eq!(CommitRule::ASYNCHRONOUS.synchronous_standby_names(), "");
    }

    #[test]
    fn an_election_hears_all_but_one_less_than_the_acks() {
        let rule = |members: i64, acks| CommitRule { standbys: (1..=members).map(NodeId).collect(), acks };
        assert_eq!(rule(1, 1).needed_for_election(), Some(1));
        assert_eq!(rule(3, 1).needed_for_election(), Some(3));
        assert_eq!(rule(3, 2).needed_for_election(), Some(2));
        assert_eq!(CommitRule::ASYNCHRONOUS.needed_for_election(), None);
    }

    #[test]
    fn a_node_that_is_named_twice_acknowledges_once() {
        let rule = CommitRule { standbys: vec![NodeId(2), NodeId(3)], acks: 2 };
        let is_met = |nodes: &[i64]| rule.is_met_by(nodes.iter().copied().map(NodeId));
        assert!(is_met(&[3, 2]));
        assert!(!is_met(&[2, 2]));
        assert!(!is_met(&[2, 4]));
        assert!(CommitRule::ASYNCHRONOUS.is_met_by(std::iter::empty()));
    }

    #[test]
    fn an_empty_detail_is_valid() {
        assert_eq!(serde_json::from_str("{}").ok(), Some(ReportDetail::default()));
    }
}
