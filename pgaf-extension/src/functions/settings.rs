//! Settings of nodes and of formations that take part in decisions.

use pgaf_core::monitor::Event;
use pgaf_core::{CommitRule, GroupId, NodeId};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::cluster;
use crate::catalog::load::{self, Row};
use crate::catalog::locate;
use crate::error::Error;
use crate::lock::{self, Wait};
use crate::statement::statements;
use crate::transition;

statements! {
    SECONDARY(TEXTOID, BOOLOID) = "
        UPDATE pgautofailover.formation SET opt_secondary = $2 WHERE formationid = $1 RETURNING formationid";
    CLUSTER(INT8OID) = "
        SELECT nodecluster FROM pgautofailover.node WHERE nodeid = $1";
    COMMIT_RULES(TEXTOID, INT4OID) = "
        SELECT s.commitrules::text
          FROM pgautofailover.formation AS f
     LEFT JOIN pgautofailover.group_status AS s ON s.formationid = f.formationid AND s.groupid = $2
         WHERE f.formationid = $1";
}

#[pg_extern(sql = false)]
fn set_node_candidate_priority(
    formation_id: &str,
    node_name: &str,
    priority: i32,
) -> Result<bool, ErrorReport> {
    on_node(formation_id, node_name, |client, node| {
        check_priority_in_cluster(client, node, priority)?;
        Ok(Event::SetCandidatePriority(node, priority))
    })
}

#[pg_extern(sql = false)]
fn set_node_replication_quorum(
    formation_id: &str,
    node_name: &str,
    is_member: bool,
) -> Result<bool, ErrorReport> {
    on_node(formation_id, node_name, |_, node| Ok(Event::SetReplicationQuorum(node, is_member)))
}

#[pg_extern(sql = false)]
fn set_formation_number_sync_standbys(formation_id: &str, number: i32) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        let number = u32::try_from(number).map_err(|_| Error::Invalid {
            what: format!("number_sync_standbys is {number}, it cannot be negative"),
            hint: "With 0 a primary goes on alone when it has lost its last standby.",
        })?;
        lock::formation(formation_id);
        on_all_groups(client, formation_id, &Event::SetNumberSyncStandbys(number))
    })
}

#[pg_extern(sql = false)]
fn enable_secondary(formation_id: &str) -> Result<bool, ErrorReport> {
    set_secondary(formation_id, true)
}

/// A trigger refuses it while a group has standbys.
#[pg_extern(sql = false)]
fn disable_secondary(formation_id: &str) -> Result<bool, ErrorReport> {
    set_secondary(formation_id, false)
}

/// The value that the primary of a group has, or had when there is none.
#[pg_extern(sql = false)]
fn synchronous_standby_names(formation_id: &str, group_id: i32) -> Result<String, ErrorReport> {
    let rules: Result<Option<Vec<CommitRule>>, Error> = Spi::connect(|client| {
        let mut rows =
            COMMIT_RULES.with(|statement| statement.read(client, &[formation_id.into(), group_id.into()]))?;
        let row = rows.next().ok_or_else(|| Error::UnknownFormation(formation_id.to_owned()))?;
        Row { row, what: "a commit rule" }.get_json(1)
    });
    Ok(rules?.unwrap_or_default().last().map(CommitRule::synchronous_standby_names).unwrap_or_default())
}

fn on_node(
    formation: &str,
    name: &str,
    event: impl FnOnce(&mut SpiClient<'_>, NodeId) -> Result<Event, Error>,
) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        let place = locate::by_name(client, formation, name)?;
        lock::group(formation, place.group, Wait::Blocking);
        let event = event(client, place.node)?;
        transition::load_and_decide(client, formation, place.group, &event)?;
        Ok(true)
    })
}

/// Only nodes of the default Citus cluster may be promoted.
fn check_priority_in_cluster(client: &mut SpiClient<'_>, node: NodeId, priority: i32) -> Result<(), Error> {
    let row = CLUSTER.with(|statement| statement.run(client, &[node.0.into()]))?.next();
    let row = row.ok_or(Error::UnknownNode(node))?;
    let cluster: String = Row { row, what: "a node" }.get(1)?;
    cluster::check_priority(&cluster, priority)
}

fn set_secondary(formation: &str, is_enabled: bool) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        lock::formation(formation);
        let mut rows =
            SECONDARY.with(|statement| statement.run(client, &[formation.into(), is_enabled.into()]))?;
        rows.next().ok_or_else(|| Error::UnknownFormation(formation.to_owned()))?;
        on_all_groups(client, formation, &Event::Tick)
    })
}

/// Decides for every group; a formation without nodes has one that is empty.
fn on_all_groups(client: &mut SpiClient<'_>, formation: &str, event: &Event) -> Result<bool, Error> {
    let mut groups = load::groups(client, formation)?;
    if groups.is_empty() {
        groups.push(GroupId(0));
    }
    for group in groups {
        transition::load_and_decide(client, formation, group, event)?;
    }
    Ok(true)
}
