//! Reads a group: everything that a decision depends on, in one query.

use std::time::Duration;

use pgaf_core::{
    Epoch, FormationKind, Group, GroupId, Health, Lsn, MonitorId, Node, NodeId, RegistrationId,
    ReplicationState, ReportDetail, RestartId, Timeline, TimelineHistory, Upstream,
};
use pgrx::datum::{FromDatum, IntoDatum, TimestampWithTimeZone};
use pgrx::spi::{SpiClient, SpiHeapTupleData};
use serde::de::DeserializeOwned;
use serde_json as json;

use crate::clock;
use crate::error::Error;
use crate::gucs;
use crate::statement::statements;
use crate::version;

statements! {
    // One row a node, and one row without a node for a group that has none. The group is compared as bigint because the
    // index of the exclusion constraint cannot be used for that: it costs as much as all the rest.
    GROUP(TEXTOID, INT4OID, INT8OID) = "
        SELECT n.nodeid, n.nodename, n.nodehost, n.nodeport, n.goalstate::text, n.goalepoch, n.statechangetime,
               n.reportedstate::text, n.reportedepoch, n.reportedpgisrunning, n.reportedtli, n.reportedlsn::text,
               n.reportdetail::text, n.reportedhistory::text, n.reportclock,
               n.reportserverstart = pg_catalog.pg_postmaster_start_time(), n.sysidentifier IS NOT NULL, n.iscomplete,
               n.health, n.candidatepriority, n.replicationquorum,
               f.kind, f.dbname::text, f.opt_secondary, f.number_sync_standbys,
               s.commitrules::text, s.rejectedtimelines::text, s.waitsfor, n.toldtowrite,
               (SELECT identity::text FROM pgautofailover.monitor ORDER BY createtime, identity LIMIT 1),
               CASE WHEN n.nodeid = $3 THEN n.registration::text END,
               p.formationid IS NOT NULL AND coalesce(p.endtime > pg_catalog.clock_timestamp(), true),
               n.hangupclock, n.isrefusing, n.restartid::text, n.restartepoch,
               (SELECT pg_catalog.jsonb_object_agg(t.name, t.value)::text
                  FROM pgautofailover.postgres_setting AS t WHERE t.formationid = $1)
          FROM pgautofailover.formation AS f
     LEFT JOIN pgautofailover.group_status AS s ON s.formationid = $1 AND s.groupid = $2
     LEFT JOIN pgautofailover.failover_pause AS p ON p.formationid = $1
     LEFT JOIN pgautofailover.node AS n ON n.formationid = $1 AND n.groupid = $2::bigint
         WHERE f.formationid = $1";
    GROUPS(TEXTOID) = "
        SELECT DISTINCT groupid FROM pgautofailover.node WHERE formationid = $1 ORDER BY groupid";
}

/// Reads a group, which may have no nodes. The caller has locked it.
pub(crate) fn group(client: &mut SpiClient<'_>, formation: &str, id: GroupId) -> Result<Group, Error> {
    group_of(client, formation, id, NodeId(0)).map(|(group, _)| group)
}

/// Who answers a node, and as whom the node is known.
#[derive(Default)]
pub(crate) struct Identity {
    /// Which monitor this is, unless nobody knows.
    pub(crate) monitor: Option<MonitorId>,
    /// Which registration the node's row is of, when there is one.
    pub(crate) registration: Option<RegistrationId>,
}

/// Reads the group that a node says it is in, and who the two are.
pub(crate) fn group_of(
    client: &mut SpiClient<'_>,
    formation: &str,
    id: GroupId,
    member: NodeId,
) -> Result<(Group, Identity), Error> {
    let started = clock::started().ok_or(Error::NotPreloaded)?;
    version::check()?;
    let clocks = Clocks { now: clock::now(), started };
    let rows =
        GROUP.with(|statement| statement.run(client, &[formation.into(), id.0.into(), member.0.into()]))?;
    let mut rows = rows.map(|row| Row { row, what: "a node" }).peekable();
    let first = rows.peek().ok_or_else(|| Error::UnknownFormation(formation.to_owned()))?;
    let kind: String = first.get(22)?;
    let mut group = Group {
        formation: formation.to_owned(),
        kind: if kind == FormationKind::Citus.as_str() { FormationKind::Citus } else { FormationKind::Pgsql },
        id,
        dbname: first.get(23)?,
        has_secondary: first.get(24)?,
        is_failover_paused: first.get(32)?,
        postgres_settings: first.get_json(37)?.unwrap_or_default(),
        number_sync_standbys: first.get::<i32>(25)?.unsigned_abs(),
        fewest_standbys_elsewhere: None,
        commit_rules: first.get_json(26)?.unwrap_or_default(),
        rejected_timelines: first.get_json(27)?.unwrap_or_default(),
        waits_for: first.get_nullable(28)?,
        nodes: Vec::new(),
        timeouts: gucs::timeouts(),
        monitor_uptime: clocks.now.saturating_sub(started),
    };
    let mut identity = Identity { monitor: first.get_nullable(30)?.map(MonitorId), registration: None };
    for row in rows {
        identity.registration = identity.registration.or(row.get_nullable(31)?.map(RegistrationId));
        if row.get_nullable::<i64>(1)?.is_some() {
            group.nodes.push(node(&row, clocks)?);
        }
    }
    group.nodes.sort_unstable_by_key(|node| node.id);
    Ok((group, identity))
}

/// The groups of a formation that have nodes.
pub(crate) fn groups(client: &mut SpiClient<'_>, formation: &str) -> Result<Vec<GroupId>, Error> {
    let rows = GROUPS.with(|statement| statement.run(client, &[formation.into()]))?;
    rows.map(|row| Ok(GroupId(Row { row, what: "a node" }.get(1)?))).collect()
}

#[derive(Clone, Copy)]
struct Clocks {
    now: Duration,
    started: Duration,
}

fn node(row: &Row<'_>, clocks: Clocks) -> Result<Node, Error> {
    let state = |ordinal| -> Result<ReplicationState, Error> {
        row.get::<String>(ordinal)?.parse().map_err(|error| damaged(row.what, error))
    };
    let reported_at = reported_at(row, clocks.now)?;
    // Of a session with this run of the monitor, in which the node has reported since.
    let hung_up_at = row.get_nullable::<i64>(33)?.filter(|_| reported_at.is_some());
    let hung_up_at = hung_up_at.and_then(|clock| u64::try_from(clock).ok()).map(Duration::from_millis);
    let mut node = Node {
        name: row.get(2)?,
        host: row.get(3)?,
        port: u16::try_from(row.get::<i32>(4)?).map_err(|error| damaged(row.what, error))?,
        goal: state(5)?,
        goal_epoch: Epoch(row.get(6)?),
        goal_age: clock::since(row.get::<TimestampWithTimeZone>(7)?),
        reported: state(8)?,
        reported_epoch: Epoch(row.get(9)?),
        is_running: row.get_nullable(10)?.unwrap_or(false),
        timeline: Timeline(row.get::<i32>(11)?.unsigned_abs()),
        lsn: row.get::<String>(12)?.parse::<Lsn>().map_err(|error| damaged(row.what, error))?,
        history: row.get_json::<TimelineHistory>(14)?,
        silent_for: clocks.now.saturating_sub(reported_at.unwrap_or(clocks.started)),
        has_reported: reported_at.is_some(),
        has_data: row.get(17)?,
        is_complete: row.get(18)?,
        was_told_to_write: row.get(29)?,
        health: Health::from_i32(row.get(19)?),
        session_ended_for: hung_up_at.map(|at| clocks.now.saturating_sub(at)),
        is_refusing: row.get(34)?,
        restart: match (row.get_nullable(35)?, row.get_nullable(36)?) {
            (Some(id), Some(epoch)) => Some((RestartId(id), Epoch(epoch))),
            _ => None,
        },
        candidate_priority: row.get(20)?,
        replication_quorum: row.get(21)?,
        ..Node::new(NodeId(row.get(1)?))
    };
    let has_ever_reported = row.get_nullable::<i64>(15)?.is_some();
    match row.get_json::<ReportDetail>(13)? {
        Some(detail) => {
            node.hear_detail(&detail);
            node.upstream = node.upstream.map(|upstream| upstream.aged(node.silent_for));
        }
        None if has_ever_reported => undetailed(&mut node),
        None => {}
    }
    Ok(node)
}

/// What can be presumed when a report is without detail: keepers of 2.x do not say whether their standby streams.
pub(crate) fn undetailed(node: &mut Node) {
    let is_standby = matches!(node.reported, ReplicationState::CatchingUp | ReplicationState::Secondary);
    let upstream = Upstream { is_streaming: node.is_running, silent_ms: 0 };
    node.report_number = None;
    node.upstream = is_standby.then(|| upstream.aged(node.silent_for));
    node.is_stopping = false;
    node.is_gated = false;
    node.is_hung = false;
    node.asks_before_promotion = false;
    node.refuses_promotion = false;
    node.fence_after = None;
    node.is_older = true;
    node.shutdown_lsn = None;
    node.restarted = None;
}

/// When the node reported to this run of the monitor, if it has.
fn reported_at(row: &Row<'_>, now: Duration) -> Result<Option<Duration>, Error> {
    let clock: Option<i64> = row.get_nullable(15)?;
    let is_of_this_run: Option<bool> = row.get_nullable(16)?;
    let clock = clock.filter(|_| is_of_this_run == Some(true));
    Ok(clock.and_then(|clock| u64::try_from(clock).ok()).map(Duration::from_millis).filter(|at| *at <= now))
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

    /// A column of JSON, selected as text, that can be NULL.
    pub(crate) fn get_json<T: DeserializeOwned>(&self, ordinal: usize) -> Result<Option<T>, Error> {
        let text: Option<String> = self.get_nullable(ordinal)?;
        text.map(|text| json::from_str(&text)).transpose().map_err(|error| damaged(self.what, error))
    }
}

fn damaged(what: &str, why: impl std::fmt::Display) -> Error {
    Error::Damaged { what: what.to_owned(), why: why.to_string() }
}
