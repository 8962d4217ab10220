//! Writes what was decided, and what happened, to the tables.

use pgaf_core::monitor::{Change, Decision, assignment_for};
use pgaf_core::{Group, Node, NodeId, ReplicationState};
use pgrx::spi::SpiClient;
use serde::Serialize;

use super::{notify, timelines};
use crate::error::Error;
use crate::statement::statements;

statements! {
    PROPERTIES(INT8OID, INT4OID, BOOLOID, BOOLOID, BOOLOID) = "
        UPDATE pgautofailover.node
           SET candidatepriority = $2, replicationquorum = $3, iscomplete = $4, toldtowrite = $5
         WHERE nodeid = $1";
    RESTART(INT8OID, TEXTOID, INT8OID) = "
        UPDATE pgautofailover.node SET restartid = $2::pg_catalog.uuid, restartepoch = $3 WHERE nodeid = $1";
    GOAL(INT8OID, TEXTOID, INT8OID) = "
        UPDATE pgautofailover.node
           SET goalstate = $2::pgautofailover.replication_state, goalepoch = $3,
               statechangetime = CASE WHEN goalstate = $2::pgautofailover.replication_state THEN statechangetime
                                      ELSE pg_catalog.clock_timestamp()
                                 END
         WHERE nodeid = $1";
    EVENT(INT8OID, TEXTOID) = "
        INSERT INTO pgautofailover.event
                    (eventtime, formationid, nodeid, groupid, nodename, nodehost, nodeport, reportedstate, goalstate,
                     reportedrepstate, reportedtli, reportedlsn, candidatepriority, replicationquorum, description)
             SELECT pg_catalog.clock_timestamp(), formationid, nodeid, groupid, nodename, nodehost, nodeport,
                    reportedstate, goalstate, reportedrepstate, reportedtli, reportedlsn, candidatepriority,
                    replicationquorum, $2
               FROM pgautofailover.node
              WHERE nodeid = $1";
    DELETE_NODE(INT8OID) = "
        DELETE FROM pgautofailover.node WHERE nodeid = $1";
    REMOVED(INT8OID) = "
        INSERT INTO pgautofailover.removed_node (nodeid) VALUES ($1)
        ON CONFLICT (nodeid) DO UPDATE SET removetime = pg_catalog.now()";
    NUMBER_SYNC_STANDBYS(TEXTOID, INT4OID) = "
        UPDATE pgautofailover.formation SET number_sync_standbys = $2 WHERE formationid = $1";
    STATUS(TEXTOID, INT4OID, TEXTOID, TEXTOID, TEXTOID) = "
        INSERT INTO pgautofailover.group_status (formationid, groupid, commitrules, rejectedtimelines, waitsfor)
             VALUES ($1, $2, $3::pg_catalog.jsonb, $4::pg_catalog.jsonb, $5)
        ON CONFLICT (formationid, groupid)
          DO UPDATE SET commitrules = excluded.commitrules, rejectedtimelines = excluded.rejectedtimelines,
                        waitsfor = excluded.waitsfor";
    DELETE_STATUS(TEXTOID, INT4OID) = "
        DELETE FROM pgautofailover.group_status WHERE formationid = $1 AND groupid = $2";
}

/// Writes a decision that was made from `before`, and notifies. True when there was anything to write.
///
/// `told` is the group from which its nodes have their assignments: as it was before the event.
pub(crate) fn decision(
    client: &mut SpiClient<'_>,
    told: &Group,
    before: &Group,
    decision: &Decision,
) -> Result<bool, Error> {
    let after = &decision.group;
    for node in &after.nodes {
        properties(client, before, node)?;
    }
    for change in &decision.changes {
        assign(client, before, after, change)?;
    }
    for (node, why) in &decision.removed {
        remove(client, before, *node, why)?;
    }
    group(client, before, after)?;
    for node in after.nodes.iter().filter(|node| is_news(told, decision, node.id)) {
        notify::keeper(client, node.id, node.goal_epoch)?;
    }
    Ok(before != after || !decision.changes.is_empty() || !decision.removed.is_empty())
}

/// What of a node a decision can change besides its goal.
fn properties(client: &mut SpiClient<'_>, before: &Group, node: &Node) -> Result<(), Error> {
    let has_changed = |old: &Node| {
        old.candidate_priority != node.candidate_priority
            || old.replication_quorum != node.replication_quorum
            || old.is_complete != node.is_complete
            || old.was_told_to_write != node.was_told_to_write
    };
    if before.node(node.id).is_some_and(has_changed) {
        let row = [
            node.id.0.into(),
            node.candidate_priority.into(),
            node.replication_quorum.into(),
            node.is_complete.into(),
            node.was_told_to_write.into(),
        ];
        PROPERTIES.with(|statement| statement.run(client, &row))?;
    }
    if before.node(node.id).is_some_and(|old| old.restart != node.restart) {
        let (id, epoch) = node.restart.as_ref().map(|(id, epoch)| (id.0.as_str(), epoch.0)).unzip();
        RESTART.with(|statement| statement.run(client, &[node.id.0.into(), id.into(), epoch.into()]))?;
    }
    Ok(())
}

/// What is decided of a group as a whole. One without nodes is forgotten: the next that joins may be another cluster.
fn group(client: &mut SpiClient<'_>, before: &Group, after: &Group) -> Result<(), Error> {
    let formation = after.formation.as_str();
    if before.number_sync_standbys != after.number_sync_standbys {
        let number = i32::try_from(after.number_sync_standbys).unwrap_or(i32::MAX);
        NUMBER_SYNC_STANDBYS.with(|statement| statement.run(client, &[formation.into(), number.into()]))?;
    }
    if after.nodes.is_empty() {
        DELETE_STATUS.with(|statement| statement.run(client, &[formation.into(), after.id.0.into()]))?;
        return timelines::forget(client, after);
    }
    let is_waiting_for_other = before.waits_for != after.waits_for;
    if is_waiting_for_other
        || before.commit_rules != after.commit_rules
        || before.rejected_timelines != after.rejected_timelines
    {
        let row = [
            formation.into(),
            after.id.0.into(),
            to_json("a commit rule", &after.commit_rules)?.into(),
            to_json("a rejected timeline", &after.rejected_timelines)?.into(),
            after.waits_for.as_deref().into(),
        ];
        STATUS.with(|statement| statement.run(client, &row))?;
    }
    // What it waits for happened to the writer, or to the first node when there is none.
    match &after.waits_for {
        Some(what) if is_waiting_for_other => group_event(client, after, what),
        _ => Ok(()),
    }
}

/// The node has a new goal, or what else it is told has changed: its peers, whom it follows, what a commit waits for.
fn is_news(told: &Group, decision: &Decision, node: NodeId) -> bool {
    decision.changes.iter().any(|change| change.node == node)
        || assignment_for(told, node) != assignment_for(&decision.group, node)
}

/// Writes one row to the event table: the node as its row is now, and what happened.
pub(crate) fn event(client: &mut SpiClient<'_>, node: NodeId, what: &str) -> Result<(), Error> {
    EVENT.with(|statement| statement.run(client, &[node.0.into(), what.into()]))?;
    notify::log(client, what)
}

/// Writes what happened to a group as a whole: to its writer, or to the first node when there is none.
pub(crate) fn group_event(client: &mut SpiClient<'_>, group: &Group, what: &str) -> Result<(), Error> {
    match group.writer().or_else(|| group.nodes.first()) {
        Some(node) => event(client, node.id, what),
        None => notify::log(client, what),
    }
}

fn assign(client: &mut SpiClient<'_>, before: &Group, after: &Group, change: &Change) -> Result<(), Error> {
    let goal = [change.node.0.into(), change.goal.as_str().into(), change.epoch.0.into()];
    GOAL.with(|statement| statement.run(client, &goal))?;
    event(client, change.node, &change.description)?;
    match after.node(change.node).or_else(|| before.node(change.node)) {
        Some(node) => notify::state(client, after, node, change.goal),
        None => Ok(()),
    }
}

fn remove(client: &mut SpiClient<'_>, before: &Group, node: NodeId, why: &str) -> Result<(), Error> {
    event(client, node, why)?;
    DELETE_NODE.with(|statement| statement.run(client, &[node.0.into()]))?;
    REMOVED.with(|statement| statement.run(client, &[node.0.into()]))?;
    if let Some(node) = before.node(node) {
        notify::state(client, before, node, ReplicationState::Dropped)?;
        notify::keeper(client, node.id, node.goal_epoch.next())?;
    }
    Ok(())
}

/// A value for a column of JSON.
pub(crate) fn to_json(what: &str, value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::Damaged { what: what.to_owned(), why: error.to_string() })
}
