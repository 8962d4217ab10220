//! `node_active`: a keeper reports, and hears what it should become.

use pgaf_core::monitor::{self, Event};
use pgaf_core::{Group, GroupId, Lsn, NodeId, ReplicationState, Report, ReportDetail, Timeline, Upstream};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use pgrx::{JsonB, pg_sys};

use crate::catalog::load::{self, Row};
use crate::catalog::{locate, notify, store};
use crate::clock;
use crate::error::Error;
use crate::lock::{self, Wait};
use crate::plan::plans;
use crate::record::{self, Record};
use crate::step;

plans! {
    RECORD(INT8OID, TEXTOID, INT4OID, TEXTOID, BOOLOID, INT4OID, TEXTOID, TEXTOID, INT8OID, INT8OID, JSONBOID, INT8OID) = "
        UPDATE pgautofailover.node AS n
           SET reportedstate = $4::pgautofailover.replication_state,
               reportedpgisrunning = $5,
               reportedtli = $6,
               reportedlsn = $7::pg_catalog.pg_lsn,
               reportedrepstate = $8,
               reportedepoch = coalesce($9, n.goalepoch),
               reportclock = $10,
               reportserverstart = pg_catalog.pg_postmaster_start_time(),
               reportdetail = $11,
               sysidentifier = coalesce(n.sysidentifier, $12),
               reporttime = pg_catalog.clock_timestamp(),
               walreporttime = CASE WHEN n.reportedlsn = $7::pg_catalog.pg_lsn THEN n.walreporttime
                                    ELSE pg_catalog.clock_timestamp()
                               END
          FROM pgautofailover.node AS old
         WHERE n.nodeid = $1 AND n.formationid = $2 AND n.groupid = $3 AND old.nodeid = $1
           AND (coalesce(n.sysidentifier, $12) IS NOT NULL
                OR $4 IN ('init', 'wait_standby', 'catchingup', 'dropped'))
           AND coalesce(n.sysidentifier = $12, true)
     RETURNING old.reportedstate::text <> $4, old.reportedepoch <> n.reportedepoch";
}

/// Who reports.
struct Sender<'a> {
    formation: &'a str,
    node: NodeId,
    group: GroupId,
}

/// Whether the report names the assignment it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// The one whose epoch is in the detail.
    Named,
    /// The newest: keepers of 2.2 do not know of epochs.
    Newest,
}

/// The assignment of the node, and the columns that both forms of the function return.
struct Answer {
    columns: Vec<Option<String>>,
    assignment: Option<String>,
}

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn node_active(
    formation_id: &str,
    node_id: i64,
    group_id: i32,
    state: pg_sys::Oid,
    is_running: bool,
    timeline: i32,
    lsn: i64,
    sync_state: &str,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Record, ErrorReport> {
    let sender = Sender { formation: formation_id, node: NodeId(node_id), group: GroupId(group_id) };
    let answer = step::run(|client| {
        let state = record::state(state)?;
        let report = Report {
            state,
            is_running,
            timeline: checked_timeline(timeline)?,
            lsn: lsn_of(lsn),
            sync_state: sync_state.to_owned(),
            detail: ReportDetail {
                upstream: presumed_upstream(state, is_running),
                ..ReportDetail::default()
            },
        };
        answer(client, &sender, &report, Answers::Newest)
    })?;
    Ok(Record::new(fcinfo, &answer.columns)?)
}

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn node_active_with_detail(
    formation_id: &str,
    node_id: i64,
    group_id: i32,
    state: pg_sys::Oid,
    is_running: bool,
    timeline: i32,
    lsn: i64,
    sync_state: &str,
    detail: JsonB,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Record, ErrorReport> {
    let sender = Sender { formation: formation_id, node: NodeId(node_id), group: GroupId(group_id) };
    let mut answer = step::run(|client| {
        let report = Report {
            state: record::state(state)?,
            is_running,
            timeline: checked_timeline(timeline)?,
            lsn: lsn_of(lsn),
            sync_state: sync_state.to_owned(),
            detail: serde_json::from_value(detail.0).map_err(|error| Error::Invalid {
                what: format!("the detail of the report cannot be read: {error}"),
                hint: "The keeper and the monitor must be of the same version.",
            })?,
        };
        answer(client, &sender, &report, Answers::Named)
    })?;
    answer.columns.push(answer.assignment);
    Ok(Record::new(fcinfo, &answer.columns)?)
}

/// One report: locked, recorded, decided, answered.
fn answer(
    client: &mut SpiClient<'_>,
    sender: &Sender<'_>,
    report: &Report,
    answers: Answers,
) -> Result<Answer, Error> {
    if report.state == ReplicationState::Unknown {
        return Err(Error::Invalid {
            what: format!("node {} reports that its state is unknown", sender.node),
            hint: "A keeper reports a state that its node is in.",
        });
    }
    lock::group(sender.formation, sender.group, Wait::Blocking);
    let news = record(client, sender, report, answers)?;
    let before = load::group(client, sender.formation, sender.group)?;
    if news.is_new_state {
        announce(client, &before, sender.node)?;
    }
    let step = step::decide(client, &before, &Event::Reported(sender.node))?;
    if news.is_new_state || news.is_new_epoch {
        // SAFETY: sets a flag of this transaction. A confirmation is on disk before anybody relies on it.
        unsafe { pg_sys::ForceSyncCommit() };
    } else if !step.is_changed {
        commit_lazily();
    }
    let assignment = monitor::assignment_for(&step.group, sender.node);
    // A node that has just left its group is told so.
    let (goal, priority, quorum) =
        assignment.as_ref().map_or((ReplicationState::Dropped, 0, false), |assignment| {
            (assignment.goal, assignment.candidate_priority, assignment.replication_quorum)
        });
    let columns = [
        sender.node.to_string(),
        sender.group.to_string(),
        goal.to_string(),
        priority.to_string(),
        quorum.to_string(),
    ];
    let assignment = assignment.map(|assignment| serde_json::to_string(&assignment)).transpose();
    Ok(Answer {
        columns: columns.into_iter().map(Some).collect(),
        assignment: assignment
            .map_err(|error| Error::Damaged { what: "an assignment".to_owned(), why: error.to_string() })?,
    })
}

/// How a report differs from the one before.
struct News {
    is_new_state: bool,
    is_new_epoch: bool,
}

fn record(
    client: &mut SpiClient<'_>,
    sender: &Sender<'_>,
    report: &Report,
    answers: Answers,
) -> Result<News, Error> {
    let epoch = (answers == Answers::Named).then_some(report.detail.epoch.0);
    let detail = serde_json::to_value(&report.detail)
        .map_err(|error| Error::Damaged { what: "a report".to_owned(), why: error.to_string() })?;
    let arguments = [
        sender.node.0.into(),
        sender.formation.into(),
        sender.group.0.into(),
        report.state.as_str().into(),
        report.is_running.into(),
        i32::try_from(report.timeline.0).unwrap_or(i32::MAX).into(),
        report.lsn.to_string().into(),
        report.sync_state.as_str().into(),
        epoch.into(),
        clock::now_ms().into(),
        JsonB(detail).into(),
        report.detail.system_identifier.map(u64::cast_signed).into(),
    ];
    match RECORD.with(|plan| plan.run(client, &arguments))?.next() {
        Some(row) => {
            let row = Row { row, what: "a node" };
            Ok(News { is_new_state: row.get(1)?, is_new_epoch: row.get(2)? })
        }
        None => Err(why_not_recorded(client, sender, report)),
    }
}

/// Why no row took the report.
fn why_not_recorded(client: &mut SpiClient<'_>, sender: &Sender<'_>, report: &Report) -> Error {
    match locate::by_id(client, sender.node) {
        Err(error) => error,
        Ok(place) if place.formation != sender.formation || place.group != sender.group => {
            Error::OtherGroup { node: place.node, formation: place.formation, group: place.group }
        }
        Ok(_) if report.detail.system_identifier.is_some() => Error::WrongState {
            what: format!("the data directory of node {} is now that of another cluster", sender.node),
            hint: "Put its own data directory back, or drop the node and create it again.",
        },
        Ok(_) => Error::WrongState {
            what: format!(
                "node {} cannot be {}: the monitor does not know its system identifier",
                sender.node, report.state
            ),
            hint: "Call pgautofailover.set_node_system_identifier() first.",
        },
    }
}

fn announce(client: &mut SpiClient<'_>, group: &Group, node: NodeId) -> Result<(), Error> {
    let node = group.node(node).ok_or(Error::UnknownNode(node))?;
    let sentence = format!("New state of {} is {}", node.label(), node.reported);
    store::event(client, node.id, &sentence)?;
    notify::state(client, group, node, node.goal)
}

/// A keeper of 2.2 does not say whether its standby streams: it is presumed to, while Postgres runs.
fn presumed_upstream(state: ReplicationState, is_running: bool) -> Option<Upstream> {
    let is_standby = matches!(state, ReplicationState::CatchingUp | ReplicationState::Secondary);
    is_standby.then_some(Upstream { is_streaming: is_running, silent_ms: 0 })
}

fn checked_timeline(timeline: i32) -> Result<Timeline, Error> {
    u32::try_from(timeline).ok().filter(|timeline| *timeline > 0).map(Timeline).ok_or_else(|| {
        Error::Invalid {
            what: format!("{timeline} is not a timeline"),
            hint: "The first timeline of a cluster is 1; a node without data reports 1.",
        }
    })
}

const fn lsn_of(datum: i64) -> Lsn {
    Lsn(u64::from_ne_bytes(datum.to_ne_bytes()))
}

/// A report that changed nothing may be lost in a crash of the monitor: the next one comes in a second.
fn commit_lazily() {
    // SAFETY: plain calls of the server's own functions, with constant strings. Inside a transaction block other
    // writes of the caller would be affected, so there it is not done.
    unsafe {
        if !pg_sys::IsTransactionBlock() {
            pg_sys::set_config_option(
                c"synchronous_commit".as_ptr(),
                c"off".as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_LOCAL,
                true,
                0,
                false,
            );
        }
    }
}
