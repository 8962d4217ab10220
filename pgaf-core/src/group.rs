//! One group as the monitor knows it at one moment: what a decision is made from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, GroupId, NodeId, ReportNumber, RestartId};
use crate::lsn::{Lsn, Timeline, TimelineHistory};
use crate::message::{CommitRule, Report, ReportDetail, Upstream};
use crate::postgres_settings::PostgresSettings;
use crate::state::ReplicationState;

/// What the last probes of a node said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Health {
    /// Not probed yet: neither good nor bad.
    #[default]
    Unknown,
    /// The last probes all failed.
    Bad,
    /// The server answered.
    Good,
}

impl Health {
    /// The value of `pgautofailover.node.health`: -1, 0, 1.
    pub const fn as_i32(self) -> i32 {
        match self {
            Self::Unknown => -1,
            Self::Bad => 0,
            Self::Good => 1,
        }
    }

    /// Reads the column; anything that is neither 0 nor 1 is unknown.
    pub const fn from_i32(value: i32) -> Self {
        match value {
            0 => Self::Bad,
            1 => Self::Good,
            _ => Self::Unknown,
        }
    }

    /// The word used in notifications.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Bad => "bad",
            Self::Good => "good",
        }
    }
}

/// A node's row, with every time as an age on the monitor's boot-time clock.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its name, unique in the formation.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// Port of its Postgres.
    pub port: u16,
    /// What it should become.
    pub goal: ReplicationState,
    /// Which assignment that goal is.
    pub goal_epoch: Epoch,
    /// For how long it has had this goal.
    pub goal_age: Duration,
    /// What it last said it is.
    pub reported: ReplicationState,
    /// The assignment under which it said so.
    pub reported_epoch: Epoch,
    /// The number of the report in which it said so, if its keeper numbers them.
    pub report_number: Option<ReportNumber>,
    /// Its Postgres ran at its last report.
    pub is_running: bool,
    /// It has a data directory that can be used.
    pub has_data: bool,
    /// It has every acknowledged commit, as long as nobody has been told to write since. Set by decisions: for a
    /// writer that retires, and for those who won or tied an election.
    pub is_complete: bool,
    /// The answer to its last report was a goal in which it accepts writes: it may have begun to since.
    pub was_told_to_write: bool,
    /// Where its log ends, when it was a primary that was shut down cleanly.
    pub shutdown_lsn: Option<Lsn>,
    /// The timeline it last reported.
    pub timeline: Timeline,
    /// The history of that timeline, once it has told it.
    pub history: Option<TimelineHistory>,
    /// The LSN it last reported.
    pub lsn: Lsn,
    /// What it said of its upstream; absent for a node that follows nobody.
    pub upstream: Option<Upstream>,
    /// It was told to stop and asks for a hand-over.
    pub is_stopping: bool,
    /// Its Postgres runs as a primary, and lets in only its keeper and standbys.
    pub is_gated: bool,
    /// Its Postgres runs and does not answer, or the disk under it does not.
    pub is_hung: bool,
    /// A hook of it is asked before it takes over as planned.
    pub asks_before_promotion: bool,
    /// That hook has refused.
    pub refuses_promotion: bool,
    /// For how long at most it accepts writes without a word of anybody, as it last reported.
    pub fence_after: Option<Duration>,
    /// Its keeper is of pg_auto_failover 2.x, which says less.
    pub is_older: bool,
    /// How long ago it reported; counted from the monitor's start when that is later.
    pub silent_for: Duration,
    /// It has reported since the monitor started.
    pub has_reported: bool,
    /// What the probes say.
    pub health: Health,
    /// How long ago the session in which it last reported ended, although its keeper had not said that it would go: the
    /// keeper's process is gone. Absent as long as that session goes on, and when it ended in any other way.
    pub session_ended_for: Option<Duration>,
    /// Since its last report its port has refused connections, twice and not at the same moment, and accepted none.
    pub is_refusing: bool,
    /// 0 to 100; 0 is never promoted.
    pub candidate_priority: i32,
    /// A commit may wait for this node.
    pub replication_quorum: bool,
    /// A restart of its Postgres that a person has asked for, and the assignment under which: it counts under no other.
    pub restart: Option<(RestartId, Epoch)>,
    /// The restart that it has carried out last.
    pub restarted: Option<RestartId>,
}

/// The timeouts and thresholds a decision depends on; settings of the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timeouts {
    /// Silence, together with failed probes, after which a node counts as lost.
    pub unhealthy_after: Duration,
    /// After the monitor's start, nobody counts as lost for this long.
    pub startup_grace: Duration,
    /// A standby closer than this many bytes may become secondary.
    pub enable_sync_lag_bytes: u64,
    /// A standby farther behind than this many bytes is not promoted on command.
    pub promote_lag_bytes: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            unhealthy_after: Duration::from_millis(2800),
            startup_grace: Duration::from_secs(10),
            enable_sync_lag_bytes: 16 << 20,
            promote_lag_bytes: 16 << 20,
        }
    }
}

/// The Citus cluster whose nodes may become primaries; those of all others are only read from.
pub const DEFAULT_CLUSTER: &str = "default";

/// What `pgautofailover.formation.kind` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FormationKind {
    /// Groups of plain Postgres.
    #[default]
    Pgsql,
    /// A coordinator in group 0 and workers in the others.
    Citus,
}

impl FormationKind {
    /// The value of the column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pgsql => "pgsql",
            Self::Citus => "citus",
        }
    }
}

/// Everything a decision may depend on, read once under the group's lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Group {
    /// Which formation.
    pub formation: String,
    /// Its kind.
    pub kind: FormationKind,
    /// Which group of it.
    pub id: GroupId,
    /// The formation's database.
    pub dbname: String,
    /// Standbys may be promoted at all (`opt_secondary`).
    pub has_secondary: bool,
    /// A person has paused automatic failover: nobody takes over until a person says so.
    pub is_failover_paused: bool,
    /// Settings of Postgres that all nodes of the formation shall have.
    #[serde(default, skip_serializing_if = "PostgresSettings::is_empty")]
    pub postgres_settings: PostgresSettings,
    /// How many acknowledgements a commit never goes without.
    pub number_sync_standbys: u32,
    /// How many standbys are in the smallest quorum of the formation's other groups; read when a node registers, and
    /// `None` when there is no other group.
    pub fewest_standbys_elsewhere: Option<usize>,
    /// Every rule under which a commit may have been acknowledged since the last one was confirmed; the
    /// newest last. Empty before there was a primary.
    pub commit_rules: Vec<CommitRule>,
    /// Timelines of this group that a person has said to be wrong: their beginnings (the timeline, and where it left
    /// its parent).
    pub rejected_timelines: Vec<(Timeline, Lsn)>,
    /// What the group waits for before it can have a primary again, in words for the operator, as last written.
    pub waits_for: Option<String>,
    /// The nodes, by ascending id.
    pub nodes: Vec<Node>,
    /// The monitor's settings.
    pub timeouts: Timeouts,
    /// How long the monitor has been up.
    pub monitor_uptime: Duration,
}

impl Group {
    /// A group without nodes, in a formation of plain Postgres, under a monitor that has been up for an hour.
    pub fn new(formation: impl Into<String>, id: GroupId) -> Self {
        Self {
            formation: formation.into(),
            kind: FormationKind::Pgsql,
            id,
            dbname: "postgres".to_owned(),
            has_secondary: true,
            is_failover_paused: false,
            postgres_settings: PostgresSettings::new(),
            number_sync_standbys: 0,
            fewest_standbys_elsewhere: None,
            commit_rules: Vec::new(),
            rejected_timelines: Vec::new(),
            waits_for: None,
            nodes: Vec::new(),
            timeouts: Timeouts::default(),
            monitor_uptime: Duration::from_secs(3600),
        }
    }
}

impl Node {
    /// A node that has registered and not reported yet.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            name: format!("node_{id}"),
            host: format!("host{id}"),
            port: 5432,
            goal: ReplicationState::Init,
            goal_epoch: Epoch(0),
            goal_age: Duration::ZERO,
            reported: ReplicationState::Init,
            reported_epoch: Epoch(0),
            report_number: None,
            is_running: true,
            has_data: true,
            is_complete: false,
            was_told_to_write: false,
            shutdown_lsn: None,
            timeline: Timeline::FIRST,
            history: None,
            lsn: Lsn::ZERO,
            upstream: None,
            is_stopping: false,
            is_gated: false,
            is_hung: false,
            asks_before_promotion: false,
            refuses_promotion: false,
            fence_after: None,
            is_older: false,
            silent_for: Duration::ZERO,
            has_reported: false,
            health: Health::Unknown,
            session_ended_for: None,
            is_refusing: false,
            candidate_priority: 50,
            replication_quorum: true,
            restart: None,
            restarted: None,
        }
    }

    /// The number of the report that is recorded, when that was sent after this one: what is said here is not true any
    /// more, and must not be recorded. A report that its keeper has given up may wait for the group's lock, or for the
    /// network, longer than those that follow it.
    pub fn overtaker_of(&self, report: &ReportDetail) -> Option<ReportNumber> {
        self.report_number.filter(|recorded| report.number.is_some_and(|number| number <= *recorded))
    }

    /// The restart of its Postgres that was asked for under its present assignment, and that it has not carried out.
    pub fn due_restart(&self) -> Option<&RestartId> {
        let (restart, epoch) = self.restart.as_ref()?;
        (*epoch == self.goal_epoch && self.restarted.as_ref() != Some(restart)).then_some(restart)
    }

    /// Makes it the node that is known once it has reported this, just now.
    pub fn hear(&mut self, report: &Report) {
        self.reported = report.state;
        self.reported_epoch = report.detail.epoch;
        self.is_running = report.is_running;
        self.timeline = report.timeline;
        self.lsn = report.lsn;
        self.mark_heard();
        self.hear_detail(&report.detail);
    }

    /// It has just reported, whatever that was.
    pub fn mark_heard(&mut self) {
        self.silent_for = Duration::ZERO;
        self.has_reported = true;
        self.session_ended_for = None;
        self.is_refusing = false;
    }

    /// Takes over what the detail of its last report says, as of then. The history is not in every detail: what was known
    /// of it stays.
    pub fn hear_detail(&mut self, detail: &ReportDetail) {
        if detail.history.is_some() {
            self.history.clone_from(&detail.history);
        }
        self.report_number = detail.number;
        self.has_data = detail.system_identifier.is_some();
        self.upstream = detail.upstream;
        self.is_stopping = detail.is_stopping;
        self.is_gated = detail.is_gated;
        self.is_hung = detail.is_hung;
        self.asks_before_promotion = detail.asks_before_promotion;
        self.refuses_promotion = detail.refuses_promotion;
        self.fence_after = detail.fence_after_ms.map(Duration::from_millis);
        self.is_older = false;
        self.shutdown_lsn = detail.shutdown_lsn;
        self.restarted.clone_from(&detail.restarted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_overtaken_by_what_was_sent_after_it() {
        let number = |(start, sequence)| ReportNumber { start, sequence };
        let overtaker = |recorded: Option<(u64, u64)>, said: Option<(u64, u64)>| {
            let node = Node { report_number: recorded.map(number), ..Node::new(NodeId(1)) };
            node.overtaker_of(&ReportDetail { number: said.map(number), ..ReportDetail::default() })
        };
        assert_eq!(overtaker(Some((2, 7)), Some((2, 6))), Some(number((2, 7))));
        assert_eq!(overtaker(Some((2, 7)), Some((2, 7))), Some(number((2, 7))));
        assert_eq!(overtaker(Some((2, 7)), Some((1, 9))), Some(number((2, 7))));
        assert_eq!(overtaker(Some((2, 7)), Some((2, 8))), None);
        assert_eq!(overtaker(Some((2, 7)), Some((3, 1))), None);
        assert_eq!(overtaker(Some((2, 7)), None), None);
        assert_eq!(overtaker(None, Some((1, 1))), None);
    }
}
