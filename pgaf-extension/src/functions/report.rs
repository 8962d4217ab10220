//! `node_active`: a keeper reports, and hears what it should become.

use std::ffi::CStr;

use pgaf_core::monitor::{self, Event, older_keeper};
use pgaf_core::{
    Answer, Epoch, Group, GroupId, Lsn, Node, NodeId, ReplicationState, ReportDetail, ReportNumber, Timeline,
    TimelineHistory,
};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::catalog::load::Identity;
use crate::catalog::store::to_json;
use crate::catalog::{load, locate, notify, store, timelines};
use crate::clock;
use crate::error::Error;
use crate::hang_up;
use crate::jsonb::Jsonb;
use crate::lock::{self, Wait};
use crate::record::{self, Record};
use crate::statement::statements;
use crate::transition;

statements! {
    RECORD(INT8OID, TEXTOID, INT4OID, TEXTOID, BOOLOID, INT4OID, TEXTOID, TEXTOID, INT8OID, INT8OID, JSONBOID, INT8OID, BOOLOID) = "
        UPDATE pgautofailover.node
           SET reportedstate = $4::pgautofailover.replication_state,
               reportedpgisrunning = $5,
               reportedtli = $6,
               reportedlsn = $7::pg_catalog.pg_lsn,
               reportedrepstate = $8,
               reportedepoch = $9,
               reportclock = $10,
               reportserverstart = pg_catalog.pg_postmaster_start_time(),
               reportdetail = $11,
               reportpid = pg_catalog.pg_backend_pid(),
               hangupclock = NULL,
               isrefusing = false,
               sysidentifier = coalesce(sysidentifier, $12),
               reporttime = pg_catalog.clock_timestamp(),
               walreporttime = CASE WHEN reportedlsn = $7::pg_catalog.pg_lsn THEN walreporttime
                                    ELSE pg_catalog.clock_timestamp()
                               END
         WHERE nodeid = $1 AND formationid = $2 AND groupid = $3::bigint
           AND ($13 OR coalesce(sysidentifier, $12) IS NOT NULL)
           AND coalesce(sysidentifier = $12, true)
     RETURNING nodeid";
    HISTORY(INT8OID, TEXTOID) = "
        UPDATE pgautofailover.node SET reportedhistory = $2::pg_catalog.jsonb WHERE nodeid = $1";
}

/// More assignments than any monitor gives, and far enough from the end of the numbers.
const HIGHEST_EPOCH_OF_ANOTHER: i64 = 1 << 62;

/// More often than any keeper starts, and far enough from the end of the numbers.
const HIGHEST_START: u64 = 1 << 62;

/// Who reports.
struct Sender<'a> {
    formation: &'a str,
    node: NodeId,
    group: GroupId,
}

/// What a node says.
struct Said<'a> {
    state: ReplicationState,
    is_running: bool,
    timeline: Timeline,
    lsn: Lsn,
    sync_state: &'a str,
    /// As it was understood, and as it came. Keepers of 2.x have none. Then the report answers the newest assignment:
    /// they do not know of epochs.
    detail: Option<(ReportDetail, Jsonb)>,
}

/// The columns that both forms of the function return, and the answer as JSON.
struct Reply {
    columns: Vec<Option<String>>,
    answer: Option<String>,
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
    let reply = transition::run(|client| {
        let state = record::state(state)?;
        // A standby of 2.x that receives from nobody does not know its timeline, which is what it was.
        let timeline = if timeline == 0 { Timeline(0) } else { checked_timeline(timeline)? };
        let said = Said { state, is_running, timeline, lsn: lsn_of(lsn), sync_state, detail: None };
        reply(client, &sender, &said)
    })?;
    Ok(Record::new(fcinfo, &reply.columns)?)
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
    detail: Jsonb,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Record, ErrorReport> {
    let sender = Sender { formation: formation_id, node: NodeId(node_id), group: GroupId(group_id) };
    let mut reply = transition::run(|client| {
        let parsed = detail.parse().map_err(|error| Error::Invalid {
            what: format!("the detail of the report cannot be read: {error}"),
            hint: "The keeper and the monitor must be of the same version.",
        })?;
        let said = Said {
            state: record::state(state)?,
            is_running,
            timeline: checked_timeline(timeline)?,
            lsn: lsn_of(lsn),
            sync_state,
            detail: Some((parsed, detail)),
        };
        reply(client, &sender, &said)
    })?;
    reply.columns.push(reply.answer);
    Ok(Record::new(fcinfo, &reply.columns)?)
}

/// One report: locked, loaded, recorded, decided, answered. One that was overtaken by a newer one is only answered.
fn reply(client: &mut SpiClient<'_>, sender: &Sender<'_>, said: &Said<'_>) -> Result<Reply, Error> {
    if said.state == ReplicationState::Unknown {
        return Err(Error::Invalid {
            what: format!("node {} reports that its state is unknown", sender.node),
            hint: "A keeper reports a state that its node is in.",
        });
    }
    lock::group(sender.formation, sender.group, Wait::Blocking);
    let (told, identity) = match load::group_of(client, sender.formation, sender.group, sender.node) {
        Err(Error::UnknownFormation(_)) => {
            let monitor = Some(locate::monitor(client)?);
            check_identity(sender, said, Identity { monitor, registration: None })?;
            return Err(why_not_here(client, sender));
        }
        loaded => loaded?,
    };
    let known_as = check_identity(sender, said, identity)?;
    let old = told.node(sender.node).ok_or_else(|| why_not_here(client, sender))?;
    let overtaker = said.detail.as_ref().and_then(|(detail, _)| old.overtaker_of(detail));
    if overtaker.is_some() {
        return compose(sender, said, known_as, monitor::answer_for(&told, sender.node), overtaker);
    }
    let new = heard(old, said);
    check_epoch(old, &new)?;
    check_number(&new)?;
    commit_for_others();
    record(client, sender, said, &new)?;
    if old.history != new.history {
        tell_history(client, &told, &new)?;
    }
    let is_new_state = old.reported != new.reported;
    let is_new_epoch = old.reported_epoch != new.reported_epoch;
    let mut group = told.clone();
    group.nodes.iter_mut().filter(|node| node.id == new.id).for_each(|node| node.clone_from(&new));
    if is_new_state {
        announce(client, &group, &new)?;
    }
    let transition = transition::decide(client, &told, &group, &Event::Reported(sender.node))?;
    let is_new_fence_time = old.fence_after != new.fence_after;
    if is_new_state || is_new_epoch || is_new_fence_time {
        // SAFETY: sets a flag of this transaction. What a keeper relies on once it is answered is on disk before.
        unsafe { pg_sys::ForceSyncCommit() };
    } else if !transition.is_changed {
        commit_lazily();
    }
    compose(sender, said, known_as, monitor::answer_for(&transition.group, sender.node), None)
}

/// A report for another monitor is about a node that has the same number there, and one of another registration about a
/// node that had it here, before this monitor was restored from a backup. A keeper of 2.2 is told of neither.
fn check_identity(sender: &Sender<'_>, said: &Said<'_>, ours: Identity) -> Result<Identity, Error> {
    let Some((detail, _)) = &said.detail else { return Ok(Identity::default()) };
    let monitor = ours.monitor.ok_or(Error::NoIdentity)?;
    if let Some(theirs) = detail.monitor.as_ref().filter(|theirs| **theirs != monitor) {
        return Err(Error::OtherMonitor { node: sender.node, theirs: theirs.clone(), ours: monitor });
    }
    match (&detail.registration, &ours.registration) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(Error::OtherRegistration(sender.node)),
        _ => Ok(Identity { monitor: Some(monitor), registration: ours.registration }),
    }
}

/// The reply to a report; one that was overtaken is told by which.
fn compose(
    sender: &Sender<'_>,
    said: &Said<'_>,
    Identity { monitor, registration }: Identity,
    answer: Option<Answer>,
    overtaken_by: Option<ReportNumber>,
) -> Result<Reply, Error> {
    let answer = answer.map(|answer| Answer { overtaken_by, monitor, registration, ..answer });
    // A node that has just left its group is told so.
    let (goal, priority, quorum) = answer.as_ref().map_or((ReplicationState::Dropped, 0, false), |answer| {
        let assignment = &answer.assignment;
        (assignment.goal, assignment.candidate_priority, assignment.replication_quorum)
    });
    // The plain columns are for keepers of 2.x.
    let goal = older_keeper::told(said.state, goal);
    let columns = [
        sender.node.to_string(),
        sender.group.to_string(),
        goal.to_string(),
        priority.to_string(),
        quorum.to_string(),
    ];
    Ok(Reply {
        columns: columns.into_iter().map(Some).collect(),
        answer: answer.map(|answer| to_json("an answer", &answer)).transpose()?,
    })
}

/// The node as it is known once it has said this.
fn heard(old: &Node, said: &Said<'_>) -> Node {
    let mut node = Node {
        reported: match said.detail {
            Some(_) => said.state,
            None => older_keeper::heard(old.reported, said.state, old.goal),
        },
        reported_epoch: said.detail.as_ref().map_or(old.goal_epoch, |(detail, _)| detail.epoch),
        is_running: said.is_running,
        timeline: if said.timeline == Timeline(0) { old.timeline } else { said.timeline },
        lsn: said.lsn,
        ..old.clone()
    };
    node.mark_heard();
    match &said.detail {
        Some((detail, _)) => node.hear_detail(detail),
        None => load::undetailed(&mut node),
    }
    node
}

/// An epoch is one that this monitor has given, or one of another monitor, whose numbers go on from there.
fn check_epoch(old: &Node, new: &Node) -> Result<(), Error> {
    let Epoch(epoch) = new.reported_epoch;
    if new.reported_epoch <= old.goal_epoch && epoch >= 0 || (0..HIGHEST_EPOCH_OF_ANOTHER).contains(&epoch) {
        return Ok(());
    }
    Err(Error::Invalid {
        what: format!("{epoch} is not an epoch of node {}", new.id),
        hint: "A keeper reports the epoch of the newest assignment that it has received.",
    })
}

fn check_number(new: &Node) -> Result<(), Error> {
    if new.report_number.is_none_or(|number| number.start <= HIGHEST_START) {
        return Ok(());
    }
    Err(Error::Invalid {
        what: format!("the keeper of node {} has not started as often as it says", new.id),
        hint: "A keeper counts its starts from 1.",
    })
}

/// Writes to the node's row what [`heard`] has made of it.
fn record(
    client: &mut SpiClient<'_>,
    sender: &Sender<'_>,
    said: &Said<'_>,
    node: &Node,
) -> Result<(), Error> {
    let identifier = said.detail.as_ref().and_then(|(detail, _)| detail.system_identifier);
    let detail =
        said.detail.as_ref().map_or(DatumWithOid::null_oid(pg_sys::JSONBOID), |(_, json)| json.argument());
    let arguments = [
        sender.node.0.into(),
        sender.formation.into(),
        sender.group.0.into(),
        node.reported.as_str().into(),
        node.is_running.into(),
        i32::try_from(node.timeline.0).unwrap_or(i32::MAX).into(),
        node.lsn.to_string().into(),
        said.sync_state.into(),
        node.reported_epoch.0.into(),
        clock::now_ms().into(),
        detail,
        identifier.map(u64::cast_signed).into(),
        node.reported.may_lack_data().into(),
    ];
    match RECORD.with(|statement| statement.run(client, &arguments))?.next() {
        Some(_) => {
            // Keepers of 2.x open and close sessions as they like.
            if said.detail.is_some() {
                hang_up::expect(node.id);
            }
            Ok(())
        }
        None => Err(why_not_recorded(node, identifier.is_some())),
    }
}

/// Keeps the history of the node's timeline, and publishes it.
fn tell_history(client: &mut SpiClient<'_>, group: &Group, node: &Node) -> Result<(), Error> {
    let Some(history) = &node.history else {
        return Ok(());
    };
    check_history(history)?;
    let json = to_json("a history", history)?;
    HISTORY.with(|statement| statement.run(client, &[node.id.0.into(), json.into()]))?;
    timelines::publish(client, group, node.id, history)
}

/// Why the group does not have the node.
fn why_not_here(client: &mut SpiClient<'_>, sender: &Sender<'_>) -> Error {
    let why = match locate::find_by_id(client, sender.node) {
        Ok(Some(place)) => {
            Ok(Error::OtherGroup { node: place.node, formation: place.formation, group: place.group })
        }
        Ok(None) => locate::was_removed(client, sender.node).map(|was_removed| match was_removed {
            true => Error::RemovedNode(sender.node),
            false => Error::UnknownNode(sender.node),
        }),
        Err(error) => Err(error),
    };
    why.unwrap_or_else(|error| error)
}

/// Why the node's row did not take the report.
fn why_not_recorded(node: &Node, has_identifier: bool) -> Error {
    if has_identifier {
        return Error::WrongState {
            what: format!("the data directory of node {} is now that of another cluster", node.id),
            hint: "Put its own data directory back, or drop the node and create it again.",
        };
    }
    Error::WrongState {
        what: format!(
            "node {} cannot be {}: the monitor does not know its system identifier",
            node.id, node.reported
        ),
        hint: "Call pgautofailover.set_node_system_identifier() first.",
    }
}

fn announce(client: &mut SpiClient<'_>, group: &Group, node: &Node) -> Result<(), Error> {
    let sentence = format!("New state of {} is {}", node.label(), node.reported);
    store::event(client, node.id, &sentence)?;
    notify::state(client, group, node, node.goal)
}

pub(super) fn checked_timeline(timeline: i32) -> Result<Timeline, Error> {
    u32::try_from(timeline).ok().filter(|timeline| *timeline > 0).map(Timeline).ok_or_else(|| {
        Error::Invalid {
            what: format!("{timeline} is not a timeline"),
            hint: "The first timeline of a cluster is 1; a node without data reports 1.",
        }
    })
}

/// Timelines start at 1 and have parents of lower numbers.
fn check_history(history: &TimelineHistory) -> Result<(), Error> {
    let timelines = history.ancestors.iter().map(|(ancestor, _)| *ancestor).chain([history.timeline]);
    let is_valid = |timeline: &Timeline| i32::try_from(timeline.0).is_ok_and(|number| number > 0);
    if timelines.clone().all(|timeline| is_valid(&timeline)) && timelines.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    Err(Error::Invalid {
        what: format!("the history of timeline {} does not ascend from 1", history.timeline),
        hint: "The keeper and the monitor must be of the same version.",
    })
}

const fn lsn_of(datum: i64) -> Lsn {
    Lsn(u64::from_ne_bytes(datum.to_ne_bytes()))
}

/// A report that changed nothing may be lost in a crash of the monitor: the next one comes in a second.
fn commit_lazily() {
    if !has_synchronous_standbys() {
        set_synchronous_commit(c"off");
    }
}

/// Where another monitor may take over, no node is answered before a standby has confirmed the commit, whatever the session
/// has set: a monitor that was replaced would otherwise go on telling primaries that they are.
fn commit_for_others() {
    // SAFETY: reads a setting of the session.
    let is_weak = unsafe { pg_sys::synchronous_commit } <= SYNCHRONOUS_COMMIT_LOCAL;
    if is_weak && has_synchronous_standbys() {
        set_synchronous_commit(c"on");
    }
}

/// `local`, and below it `off`: no standby is waited for.
const SYNCHRONOUS_COMMIT_LOCAL: i32 = 1;

/// For this transaction.
fn set_synchronous_commit(value: &CStr) {
    // SAFETY: plain calls of the server's own functions, with constant strings. Inside a transaction block other
    // writes of the caller would be affected, so there a commit is made no weaker.
    unsafe {
        if value == c"on" || !pg_sys::IsTransactionBlock() {
            pg_sys::set_config_option(
                c"synchronous_commit".as_ptr(),
                value.as_ptr(),
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

fn has_synchronous_standbys() -> bool {
    // SAFETY: gives the text of a setting that the server has, or nothing.
    let names = unsafe { pg_sys::GetConfigOption(c"synchronous_standby_names".as_ptr(), true, false) };
    // SAFETY: a string of the server's, which is read at once.
    !names.is_null() && !unsafe { CStr::from_ptr(names) }.is_empty()
}
