//! Everything that a dashboard of all formations shows, read in one go.

use std::time::{Duration, SystemTime};

use pgaf_core::{CommitRule, GroupId, Health, Lsn, NodeId, ReplicationState, Timeline};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::connection::{MonitorConnection, column, parsed};
use super::error::MonitorError;

/// Events that are read at a time, the newest of them at first.
const EVENTS_AT_A_TIME: i64 = 2_000;

const FORMATIONS: &str = "SELECT formationid, number_sync_standbys, pg_catalog.pg_is_in_recovery() AS is_in_recovery \
     FROM pgautofailover.formation ORDER BY formationid";
const GROUPS: &str = "SELECT formationid, groupid, waitsfor, commitrules FROM pgautofailover.group_status";
const NODES: &str = "SELECT formationid, groupid, nodeid, nodename, nodehost, nodeport, reportedstate::text, goalstate::text, \
     coalesce(reportedpgisrunning, false) AS is_running, reporttime, reportedtli, reportedlsn::text, health, healthchecktime, \
     candidatepriority, replicationquorum, now() AS asked, reportdetail ->> 'progress' AS progress, \
     coalesce((reportdetail #>> '{upstream,is_streaming}')::boolean, false) AS is_streaming, \
     coalesce((reportdetail ->> 'is_gated')::boolean, false) AS is_gated \
     FROM pgautofailover.node ORDER BY formationid, groupid, nodeid";
const EVENTS: &str = "SELECT * FROM (SELECT eventid, eventtime, formationid, groupid, nodeid, nodename, \
     reportedstate::text, goalstate::text, coalesce(description, '') AS description \
     FROM pgautofailover.event WHERE eventid > $1::bigint ORDER BY eventid DESC LIMIT $2::bigint) AS newest ORDER BY eventid";

/// The monitor's tables.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// This monitor's Postgres is a standby: another one decides.
    pub is_in_recovery: bool,
    /// By name.
    pub formations: Vec<BoardFormation>,
    /// Those after the one that was asked for, the newest last.
    pub events: Vec<BoardEvent>,
}

/// A formation.
#[derive(Clone, Debug, Default)]
pub struct BoardFormation {
    /// Its name.
    pub name: String,
    /// How many acknowledgements a commit never goes without.
    pub number_sync_standbys: i32,
    /// By number; only those that have nodes.
    pub groups: Vec<BoardGroup>,
}

/// A group.
#[derive(Clone, Debug)]
pub struct BoardGroup {
    /// Its number.
    pub group: GroupId,
    /// What it waits for before it can have a primary.
    pub waits_for: Option<String>,
    /// The newest rule under which its commits are acknowledged.
    pub commit_rule: Option<CommitRule>,
    /// By id.
    pub nodes: Vec<BoardNode>,
}

/// A node.
#[derive(Clone, Debug)]
pub struct BoardNode {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Its address.
    pub host: String,
    /// Its port.
    pub port: i32,
    /// What it is.
    pub reported: ReplicationState,
    /// What it should become.
    pub goal: ReplicationState,
    /// Its Postgres runs, as it reports.
    pub is_running: bool,
    /// Clients cannot connect, as it reports.
    pub is_gated: bool,
    /// It receives WAL, as it reports.
    pub is_streaming: bool,
    /// When it last reported, on the monitor's clock.
    pub reported_at: SystemTime,
    /// How long before the tables were read that was.
    pub silent_for: Duration,
    /// The same for its health.
    pub probed_ago: Duration,
    /// The timeline it reported.
    pub timeline: Timeline,
    /// The position it reported.
    pub lsn: Lsn,
    /// What the probes say.
    pub health: Health,
    /// 0 to 100; 0 is never promoted.
    pub candidate_priority: i32,
    /// Commits may wait for it.
    pub replication_quorum: bool,
    /// What it is busy with.
    pub progress: Option<String>,
}

/// A row of the event table.
#[derive(Clone, Debug)]
pub struct BoardEvent {
    /// Its number.
    pub event: i64,
    /// When.
    pub at: SystemTime,
    /// In which formation.
    pub formation: String,
    /// In which group.
    pub group: GroupId,
    /// Whose.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// What it was.
    pub reported: ReplicationState,
    /// What it should become.
    pub goal: ReplicationState,
    /// What happened.
    pub description: String,
}

impl MonitorConnection {
    /// Reads it, with the events after this one.
    ///
    /// # Errors
    /// As for any call.
    pub async fn board(&self, after_event: i64) -> Result<Board, MonitorError> {
        let which_events: [super::connection::Parameter<'_>; 2] = [&after_event, &EVENTS_AT_A_TIME];
        let (formations, groups, nodes, events) = tokio::try_join!(
            self.query("the formations", FORMATIONS, &[]),
            self.query("the groups", GROUPS, &[]),
            self.query("the nodes", NODES, &[]),
            self.query("the events", EVENTS, &which_events),
        )?;
        let mut board = Board::default();
        for row in &formations {
            board.is_in_recovery = column(row, "is_in_recovery")?;
            let (name, number_sync_standbys) =
                (column(row, "formationid")?, column(row, "number_sync_standbys")?);
            board.formations.push(BoardFormation { name, number_sync_standbys, groups: Vec::new() });
        }
        for row in &nodes {
            let (formation, group): (String, _) =
                (column(row, "formationid")?, GroupId(column(row, "groupid")?));
            if let Some(group) = board.group(&formation, group) {
                group.nodes.push(read_node(row)?);
            }
        }
        for row in &groups {
            let (formation, group): (String, _) =
                (column(row, "formationid")?, GroupId(column(row, "groupid")?));
            let formation = board.formations.iter_mut().find(|known| known.name == formation);
            let known =
                formation.and_then(|formation| formation.groups.iter_mut().find(|it| it.group == group));
            if let Some(known) = known {
                known.waits_for = column(row, "waitsfor")?;
                let Json(mut rules) = column::<Json<Vec<CommitRule>>>(row, "commitrules")?;
                known.commit_rule = rules.pop();
            }
        }
        board.events = events.iter().map(read_event).collect::<Result<_, _>>()?;
        Ok(board)
    }
}

impl Board {
    /// That group, made where it is not there yet; `None` for a formation that was made a moment ago.
    fn group(&mut self, formation: &str, group: GroupId) -> Option<&mut BoardGroup> {
        let groups = &mut self.formations.iter_mut().find(|known| known.name == formation)?.groups;
        // Rows come by group.
        if groups.last().is_none_or(|last| last.group != group) {
            groups.push(BoardGroup { group, waits_for: None, commit_rule: None, nodes: Vec::new() });
        }
        groups.last_mut()
    }
}

fn read_node(row: &Row) -> Result<BoardNode, MonitorError> {
    let (reported_at, asked): (SystemTime, SystemTime) = (column(row, "reporttime")?, column(row, "asked")?);
    let before = |at: SystemTime| asked.duration_since(at).unwrap_or_default();
    Ok(BoardNode {
        node: NodeId(column(row, "nodeid")?),
        name: column(row, "nodename")?,
        host: column(row, "nodehost")?,
        port: column(row, "nodeport")?,
        reported: parsed(row, "reportedstate")?,
        goal: parsed(row, "goalstate")?,
        is_running: column(row, "is_running")?,
        is_gated: column(row, "is_gated")?,
        is_streaming: column(row, "is_streaming")?,
        reported_at,
        silent_for: before(reported_at),
        probed_ago: before(column(row, "healthchecktime")?),
        timeline: Timeline(column::<i32>(row, "reportedtli")?.unsigned_abs()),
        lsn: parsed(row, "reportedlsn")?,
        health: Health::from_i32(column(row, "health")?),
        candidate_priority: column(row, "candidatepriority")?,
        replication_quorum: column(row, "replicationquorum")?,
        progress: column(row, "progress")?,
    })
}

fn read_event(row: &Row) -> Result<BoardEvent, MonitorError> {
    Ok(BoardEvent {
        event: column(row, "eventid")?,
        at: column(row, "eventtime")?,
        formation: column(row, "formationid")?,
        group: GroupId(column(row, "groupid")?),
        node: NodeId(column(row, "nodeid")?),
        name: column(row, "nodename")?,
        reported: parsed(row, "reportedstate")?,
        goal: parsed(row, "goalstate")?,
        description: column(row, "description")?,
    })
}
