//! `register_node`: a node joins a formation.

mod placement;
mod request;

use std::ffi::CStr;

use pgaf_core::monitor::{Event, assignment_for};
use pgaf_core::{Group, GroupId, Node, NodeId, ReplicationState};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use self::placement::Wanted;
use self::request::Request;
use super::cluster;
use super::metadata::{check_address, check_name};
use crate::catalog::load::{self, Row};
use crate::catalog::{locate, store};
use crate::error::Error;
use crate::lock;
use crate::record::{self, Record};
use crate::statement::statements;
use crate::transition;

statements! {
    NEXT_ID() = "
        SELECT nextval('pgautofailover.node_nodeid_seq')";
    SKIP_ID(INT8OID) = "
        SELECT setval('pgautofailover.node_nodeid_seq', greatest(last_value, $1))
          FROM pgautofailover.node_nodeid_seq";
    INSERT(INT8OID, TEXTOID, INT4OID, TEXTOID, TEXTOID, INT4OID, INT8OID, TEXTOID, INT4OID, BOOLOID, TEXTOID) = "
        INSERT INTO pgautofailover.node
                    (nodeid, formationid, groupid, nodename, nodehost, nodeport, sysidentifier, goalstate,
                     reportedstate, candidatepriority, replicationquorum, nodecluster)
             VALUES ($1, $2, $3, $4, $5, $6, nullif($7, 0), 'init', $8::pgautofailover.replication_state,
                     $9, $10, $11)";
    UNREPORTED(TEXTOID, INT4OID, TEXTOID, TEXTOID, INT4OID, INT8OID) = "
        SELECT nodeid, nodename, groupid
          FROM pgautofailover.node
         WHERE formationid = $1 AND (groupid = $2 OR $2 = -1 AND groupid > 0) AND (nodename = $3 OR $3 = '') AND nodehost = $4 AND nodeport = $5
           AND (sysidentifier IS NULL OR sysidentifier = $6) AND reportclock IS NULL";
    OTHER_SYSTEM(TEXTOID, INT4OID, INT8OID) = "
        SELECT sysidentifier
          FROM pgautofailover.node
         WHERE formationid = $1 AND groupid = $2 AND sysidentifier <> nullif($3, 0)
         LIMIT 1";
    DATABASE(TEXTOID, TEXTOID) = "
        UPDATE pgautofailover.formation
           SET dbname = $2
         WHERE formationid = $1
           AND NOT EXISTS (SELECT FROM pgautofailover.node WHERE formationid = $1)";
}

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn register_node(
    formation_id: &str,
    host: &str,
    port: i32,
    dbname: &CStr,
    name: &str,
    system_identifier: i64,
    desired_id: i64,
    desired_group: i32,
    initial: pg_sys::Oid,
    kind: &str,
    candidate_priority: i32,
    replication_quorum: bool,
    cluster: &str,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Record, ErrorReport> {
    let columns = transition::run(|client| {
        let request = Request {
            formation: formation_id,
            host,
            port,
            dbname: &dbname.to_string_lossy(),
            name,
            system_identifier,
            desired_id,
            desired_group,
            initial: record::state(initial)?,
            kind,
            candidate_priority,
            replication_quorum,
            cluster,
        };
        register(client, &request)
    })?;
    Ok(Record::new(fcinfo, &columns)?)
}

fn register(client: &mut SpiClient<'_>, request: &Request<'_>) -> Result<Vec<Option<String>>, Error> {
    check_values(request)?;
    lock::formation(request.formation);
    let is_citus_now = placement::agree_on_kind(client, request)?;
    let wanted = placement::wanted_group(request)?;
    agree_on_database(client, request)?;
    if let Some((id, name, group)) = find_unreported(client, request, wanted)? {
        return answer(&load::group(client, request.formation, group)?, id, name);
    }
    let group = placement::choose_group(client, request, wanted)?;
    let before = load::group(client, request.formation, group)?;
    check_initial_state(request, &before)?;
    check_system_identifier(client, request, group)?;
    let id = choose_id(client, request)?;
    let name = match request.name {
        "" => placement::choose_name(client, request, group, id)?,
        given => given.to_owned(),
    };
    check_not_taken(client, request, &name)?;
    insert(client, request, group, id, &name)?;
    let (host, port, formation) = (request.host, request.port, request.formation);
    let becomes = if is_citus_now { ", whose kind becomes \"citus\"" } else { "" };
    let joins = format!(
        "Node {id} \"{name}\" ({host}:{port}) joins group {group} of formation \"{formation}\"{becomes}"
    );
    store::event(client, id, &joins)?;
    let mut joined = load::group(client, formation, group)?;
    joined.fewest_standbys_elsewhere = fewest_standbys_elsewhere(client, formation, group)?;
    let transition = transition::decide(client, &before, &joined, &Event::Registered(id))?;
    transition::follow_setting(client, &before, &transition.group)?;
    answer(&transition.group, id, name)
}

/// The smallest quorum of the other groups: what all groups of the formation shall do must be possible there too.
fn fewest_standbys_elsewhere(
    client: &mut SpiClient<'_>,
    formation: &str,
    group: GroupId,
) -> Result<Option<usize>, Error> {
    let mut fewest = None;
    for other in load::groups(client, formation)?.into_iter().filter(|other| *other != group) {
        let standbys = load::group(client, formation, other)?.quorum_standbys().count();
        fewest = Some(fewest.map_or(standbys, |fewest: usize| fewest.min(standbys)));
    }
    Ok(fewest)
}

fn answer(group: &Group, id: NodeId, name: String) -> Result<Vec<Option<String>>, Error> {
    let assignment = assignment_for(group, id).ok_or(Error::UnknownNode(id))?;
    let columns = [
        id.to_string(),
        group.id.to_string(),
        assignment.goal.to_string(),
        assignment.candidate_priority.to_string(),
        assignment.replication_quorum.to_string(),
        name,
    ];
    Ok(columns.into_iter().map(Some).collect())
}

/// The node that has registered just so and has not reported since: it did not hear the answer and asks again.
fn find_unreported(
    client: &mut SpiClient<'_>,
    request: &Request<'_>,
    wanted: Wanted,
) -> Result<Option<(NodeId, String, GroupId)>, Error> {
    let arguments = [
        request.formation.into(),
        wanted.as_i32().into(),
        request.name.into(),
        request.host.into(),
        request.port.into(),
        request.system_identifier.into(),
    ];
    let Some(row) = UNREPORTED.with(|statement| statement.run(client, &arguments))?.next() else {
        return Ok(None);
    };
    let row = Row { row, what: "a node" };
    Ok(Some((NodeId(row.get(1)?), row.get(2)?, GroupId(row.get(3)?))))
}

/// What can be said without looking at anybody else.
fn check_values(request: &Request<'_>) -> Result<(), Error> {
    check_address(request.host, request.port)?;
    if !request.name.is_empty() {
        check_name(request.name)?;
    }
    if !(0..=100).contains(&request.candidate_priority) {
        return Err(Error::Invalid {
            what: format!("candidate priority {} is not between 0 and 100", request.candidate_priority),
            hint: "A node of priority 0 is never promoted.",
        });
    }
    cluster::check_name(request.cluster)?;
    cluster::check_priority(request.cluster, request.candidate_priority)?;
    cluster::check_role(request.cluster, request.initial)?;
    if request.desired_id < -1 {
        return Err(Error::Invalid {
            what: format!("{} cannot be the id of a node", request.desired_id),
            hint: "Ids are positive; -1 lets the monitor choose.",
        });
    }
    Ok(())
}

/// The first node of a formation says which database it serves; the others have to agree.
fn agree_on_database(client: &mut SpiClient<'_>, request: &Request<'_>) -> Result<(), Error> {
    if request.dbname.is_empty() {
        return Ok(());
    }
    DATABASE.with(|statement| statement.run(client, &[request.formation.into(), request.dbname.into()]))?;
    let dbname = locate::formation(client, request.formation)?.dbname;
    if dbname == request.dbname {
        return Ok(());
    }
    Err(Error::Invalid {
        what: format!(
            "formation \"{}\" serves database \"{dbname}\", not \"{}\"",
            request.formation, request.dbname
        ),
        hint: "Give the formation's database with --dbname, or create another formation.",
    })
}

/// A node that moves to this monitor registers as what it is, in any order; one that is on its way from one state to
/// another cannot be judged yet.
fn check_initial_state(request: &Request<'_>, group: &Group) -> Result<(), Error> {
    use ReplicationState::{
        CatchingUp, Init, Maintenance, Primary, Secondary, Single, WaitPrimary, WaitStandby,
    };
    let initial = request.initial;
    let refuse = |what: String, hint| Err(Error::Invalid { what, hint });
    match initial {
        Init | WaitStandby | CatchingUp => Ok(()),
        Single | WaitPrimary | Primary | Secondary | Maintenance if request.system_identifier == 0 => refuse(
            format!("a node that registers as {initial} must give its system identifier"),
            "pg_controldata shows the system identifier of a cluster.",
        ),
        Secondary | Maintenance => Ok(()),
        Single | WaitPrimary | Primary => {
            let is_rival = |node: &&Node| node.goal.is_writer() || node.goal.is_retiring();
            match group.candidate().or_else(|| group.nodes.iter().find(is_rival)) {
                Some(rival) => refuse(
                    format!(
                        "a node cannot register as {initial} in group {}: the goal of {} is {}",
                        group.id,
                        rival.label(),
                        rival.goal
                    ),
                    "Register it with the initial state \"init\".",
                ),
                None => Ok(()),
            }
        }
        other => refuse(
            format!("a node cannot register as {other}"),
            "A node registers as init, single, wait_primary, primary, wait_standby, catchingup, secondary or \
             maintenance: wait until it is one of these.",
        ),
    }
}

fn check_system_identifier(
    client: &mut SpiClient<'_>,
    request: &Request<'_>,
    group: GroupId,
) -> Result<(), Error> {
    let arguments = [request.formation.into(), group.0.into(), request.system_identifier.into()];
    let Some(row) = OTHER_SYSTEM.with(|statement| statement.run(client, &arguments))?.next() else {
        return Ok(());
    };
    let theirs: i64 = Row { row, what: "a node" }.get(1)?;
    Err(Error::WrongState {
        what: format!(
            "the data directory belongs to another cluster: its system identifier is {}, that of group {group} of \
             formation \"{}\" is {theirs}",
            request.system_identifier, request.formation
        ),
        hint: "Give the node an empty data directory, or register it in another formation.",
    })
}

fn choose_id(client: &mut SpiClient<'_>, request: &Request<'_>) -> Result<NodeId, Error> {
    if request.desired_id < 1 {
        let row = NEXT_ID.with(|statement| statement.run(client, &[]))?.next();
        let row = row.ok_or(Error::UnknownNode(NodeId(request.desired_id)))?;
        return Ok(NodeId(Row { row, what: "the sequence of node ids" }.get(1)?));
    }
    let id = NodeId(request.desired_id);
    if let Some(place) = locate::find_by_id(client, id)? {
        return Err(Error::Duplicate {
            what: format!("node {id} exists already, in formation \"{}\"", place.formation),
            hint: "Choose another id, or none: the monitor then chooses one.",
        });
    }
    SKIP_ID.with(|statement| statement.run(client, &[id.0.into()]))?;
    Ok(id)
}

fn check_not_taken(client: &mut SpiClient<'_>, request: &Request<'_>, name: &str) -> Result<(), Error> {
    if let Some(place) = locate::find_by_name(client, request.formation, name)? {
        return Err(Error::Duplicate {
            what: format!(
                "formation \"{}\" has a node \"{name}\" already, node {}",
                request.formation, place.node
            ),
            hint: "Choose another name with --name, or drop that node first.",
        });
    }
    if let Some(place) = locate::find_by_address(client, request.host, request.port)? {
        return Err(Error::Duplicate {
            what: format!(
                "{}:{} is registered already, as node {} of formation \"{}\"",
                request.host, request.port, place.node, place.formation
            ),
            hint: "Choose another port with --pgport, or drop that node first.",
        });
    }
    Ok(())
}

fn insert(
    client: &mut SpiClient<'_>,
    request: &Request<'_>,
    group: GroupId,
    id: NodeId,
    name: &str,
) -> Result<(), Error> {
    let row = [
        id.0.into(),
        request.formation.into(),
        group.0.into(),
        name.into(),
        request.host.into(),
        request.port.into(),
        request.system_identifier.into(),
        request.initial.as_str().into(),
        request.candidate_priority.into(),
        request.replication_quorum.into(),
        request.cluster.into(),
    ];
    INSERT.with(|statement| statement.run(client, &row))?;
    Ok(())
}
