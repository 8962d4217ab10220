//! Reads a group: everything that a decision depends on, in one query.

use std::time::Duration;

use pgaf_core::{
    CommitRule, Epoch, FormationKind, Group, GroupId, Health, Lsn, Node, NodeId, ReplicationState,
    ReportDetail, Timeline, Upstream,
};
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::spi::{SpiClient, SpiHeapTupleData};
use serde_json as json;

use crate::clock;
use crate::error::Error;
use crate::gucs;
use crate::plan::plans;
use crate::step;

plans! {
    // One row a node, and one row without a node for a group that has none.
    GROUP(TEXTOID, INT4OID) = "
        SELECT n.nodeid, n.nodename, n.nodehost, n.nodeport, n.goalstate::text, n.goalepoch, n.reportedstate::text,
               n.reportedepoch, n.reportedpgisrunning, n.reportedtli, n.reportedlsn::text, n.reportdetail::text,
               n.reportclock, n.reportserverstart = pg_catalog.pg_postmaster_start_time(), n.health,
               n.candidatepriority, n.replicationquorum,
               f.kind, f.dbname::text, f.opt_secondary, f.number_sync_standbys,
               (SELECT json_agg(json_build_object('standbys', r.standbys, 'acks', r.acks) ORDER BY r.position)::text
                  FROM pgautofailover.commit_rule AS r
                 WHERE r.formationid = $1 AND r.groupid = $2),
               (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pgautofailover')
          FROM pgautofailover.formation AS f
     LEFT JOIN pgautofailover.node AS n ON n.formationid = $1 AND n.groupid = $2
         WHERE f.formationid = $1
      ORDER BY n.nodeid";
    GROUPS(TEXTOID) = "
        SELECT DISTINCT groupid FROM pgautofailover.node WHERE formationid = $1 ORDER BY groupid";
}

/// Reads a group, which may have no nodes. The caller has locked it.
pub(crate) fn group(client: &mut SpiClient<'_>, formation: &str, id: GroupId) -> Result<Group, Error> {
    let started = clock::started().ok_or(Error::NotPreloaded)?;
    let clocks = Clocks { now: clock::now(), started };
    let rows = GROUP.with(|plan| plan.run(client, &[formation.into(), id.0.into()]))?;
    let mut rows = rows.map(|row| Row { row, what: "a node" }).peekable();
    let first = rows.peek().ok_or_else(|| Error::UnknownFormation(formation.to_owned()))?;
    step::check_version(first.get_nullable(23)?)?;
    let kind: String = first.get(18)?;
    let rules: Option<String> = first.get_nullable(22)?;
    let mut group = Group {
        formation: formation.to_owned(),
        kind: if kind == FormationKind::Citus.as_str() { FormationKind::Citus } else { FormationKind::Pgsql },
        id,
        dbname: first.get(19)?,
        has_secondary: first.get(20)?,
        number_sync_standbys: first.get::<i32>(21)?.unsigned_abs(),
        rejected_timelines: Vec::new(),
        waits_for: None,
        commit_rules: rules.map_or_else(|| Ok(Vec::new()), |text| commit_rules(&text))?,
        nodes: Vec::new(),
        timeouts: gucs::timeouts(),
        monitor_uptime: clocks.now.saturating_sub(started),
    };
    for row in rows {
        if row.get_nullable::<i64>(1)?.is_some() {
            group.nodes.push(node(&row, clocks)?);
        }
    }
    Ok(group)
}

/// The groups of a formation that have nodes.
pub(crate) fn groups(client: &mut SpiClient<'_>, formation: &str) -> Result<Vec<GroupId>, Error> {
    let rows = GROUPS.with(|plan| plan.run(client, &[formation.into()]))?;
    rows.map(|row| Ok(GroupId(Row { row, what: "a node" }.get(1)?))).collect()
}

/// Reads commit rules from a JSON array.
pub(crate) fn commit_rules(text: &str) -> Result<Vec<CommitRule>, Error> {
    json::from_str(text).map_err(|error| damaged("a commit rule", error))
}

#[derive(Clone, Copy)]
struct Clocks {
    now: Duration,
    started: Duration,
}

fn node(row: &Row<'_>, clocks: Clocks) -> Result<Node, Error> {
    let state = |ordinal| -> Result<ReplicationState, Error> {
        row.get::<String>(ordinal)?.parse().map_err(|error| damaged("a node", error))
    };
    let detail: Option<String> = row.get_nullable(12)?;
    let detail: ReportDetail = detail
        .map_or_else(|| Ok(ReportDetail::default()), |text| json::from_str(&text))
        .map_err(|error| damaged("a node", error))?;
    let reported_at = reported_at(row, clocks.now)?;
    let silent_for = clocks.now.saturating_sub(reported_at.unwrap_or(clocks.started));
    Ok(Node {
        id: NodeId(row.get(1)?),
        name: row.get(2)?,
        host: row.get(3)?,
        port: u16::try_from(row.get::<i32>(4)?).map_err(|error| damaged("a node", error))?,
        goal: state(5)?,
        goal_epoch: Epoch(row.get(6)?),
        reported: state(7)?,
        reported_epoch: Epoch(row.get(8)?),
        is_running: row.get_nullable(9)?.unwrap_or(false),
        timeline: Timeline(row.get::<i32>(10)?.unsigned_abs()),
        lsn: row.get::<String>(11)?.parse::<Lsn>().map_err(|error| damaged("a node", error))?,
        upstream: detail.upstream.map(|upstream| aged(upstream, silent_for)),
        is_stopping: detail.is_stopping,
        is_hung: detail.is_hung,
        silent_for,
        has_reported: reported_at.is_some(),
        health: Health::from_i32(row.get(15)?),
        candidate_priority: row.get(16)?,
        replication_quorum: row.get(17)?,
        ..Node::new(NodeId(row.get(1)?))
    })
}

/// When the node reported to this run of the monitor, if it has.
fn reported_at(row: &Row<'_>, now: Duration) -> Result<Option<Duration>, Error> {
    let clock: Option<i64> = row.get_nullable(13)?;
    let is_of_this_run: Option<bool> = row.get_nullable(14)?;
    let clock = clock.filter(|_| is_of_this_run == Some(true));
    Ok(clock.and_then(|clock| u64::try_from(clock).ok()).map(Duration::from_millis).filter(|at| *at <= now))
}

/// A standby that heard nothing when it reported has gone on hearing nothing, for all that is known.
fn aged(upstream: Upstream, since_report: Duration) -> Upstream {
    let more = u64::try_from(since_report.as_millis()).unwrap_or(u64::MAX);
    let silent_ms =
        if upstream.is_streaming { upstream.silent_ms } else { upstream.silent_ms.saturating_add(more) };
    Upstream { silent_ms, ..upstream }
}

/// A row of a query, whose columns are read by their place.
pub(crate) struct Row<'conn> {
    pub(crate) row: SpiHeapTupleData<'conn>,
    /// What it is about, for errors.
    pub(crate) what: &'static str,
}

impl Row<'_> {
    /// A column that cannot be NULL.
    pub(crate) fn get<T: IntoDatum + FromDatum>(&self, ordinal: usize) -> Result<T, Error> {
        self.get_nullable(ordinal)?.ok_or_else(|| damaged(self.what, format!("column {ordinal} is NULL")))
    }

    /// A column that can be NULL.
    pub(crate) fn get_nullable<T: IntoDatum + FromDatum>(&self, ordinal: usize) -> Result<Option<T>, Error> {
        Ok(self.row.get(ordinal)?)
    }
}

fn damaged(what: &str, why: impl std::fmt::Display) -> Error {
    Error::Damaged { what: what.to_owned(), why: why.to_string() }
}
