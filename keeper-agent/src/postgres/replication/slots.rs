//! A physical replication slot for every other node, so that it can follow this one after a failover without a new copy.
//!
//! A slot reserves WAL from its beginning. The stream of its node moves it on; on a standby, from which nobody streams,
//! the keeper does, to where that node is, but not past the start of the last restartpoint: so far this server keeps its
//! WAL in any case, and a node that has to be rewound needs what was written since the last checkpoint before the fork.
//! On a primary, nobody but its node moves a slot.

use std::collections::BTreeMap;

use pgaf_core::id::NodeId;
use pgaf_core::lsn::Lsn;
use pgaf_core::message::{Peer, Position};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::postgres::server::{LocalSession, PostgresError, connection};

/// A slot of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    node: NodeId,
    /// Somebody streams from it.
    is_active: bool,
    /// From where on it reserves WAL; `None` when it reserves nothing, or no longer can.
    reserved: Option<Lsn>,
}

/// What is to be done to the slot of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Drop(NodeId),
    Create(NodeId),
    Advance(NodeId, Lsn),
}

/// What keeps the server's own WAL, and so costs nothing to reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Server {
    is_in_recovery: bool,
    /// Where recovery would begin now.
    redo: Lsn,
}

/// Makes, moves, replaces and drops our slots.
pub(crate) async fn keep(
    session: &LocalSession,
    peers: &[Peer],
    positions: &[Position],
) -> Result<(), PostgresError> {
    let wanted: BTreeMap<NodeId, Option<Lsn>> = peers
        .iter()
        .map(|peer| {
            let known = positions.iter().find(|position| position.node == peer.node);
            (peer.node, known.map(|position| position.lsn))
        })
        .collect();
    let (server, slots) = look(session).await?;
    for change in changes(server, &slots, &wanted) {
        match change {
            Change::Drop(node) => drop_slot(session, node).await?,
            Change::Create(node) => create(session, node).await?,
            Change::Advance(node, to) => {
                // Its node may have begun to stream just now: then it needs nobody.
                if let Err(error) = advance(session, node, to).await {
                    tracing::debug!("{error}");
                }
            }
        }
    }
    Ok(())
}

fn changes(server: Server, slots: &[Slot], wanted: &BTreeMap<NodeId, Option<Lsn>>) -> Vec<Change> {
    let mut changes = Vec::new();
    for slot in slots {
        let node = slot.node;
        match (wanted.get(&node), slot.reserved) {
            (None, _) => changes.push(Change::Drop(node)),
            (Some(_), None) if !slot.is_active => changes.extend([Change::Drop(node), Change::Create(node)]),
            (Some(position), Some(reserved)) if server.is_in_recovery && !slot.is_active => {
                let target = position.map_or(server.redo, |position| position.min(server.redo));
                if target > reserved {
                    changes.push(Change::Advance(node, target));
                }
            }
            _ => {}
        }
    }
    let is_missing = |node: &&NodeId| slots.iter().all(|slot| slot.node != **node);
    changes.extend(wanted.keys().filter(is_missing).map(|node| Change::Create(*node)));
    changes
}

async fn look(session: &LocalSession) -> Result<(Server, Vec<Slot>), PostgresError> {
    let lsn = |text: Option<&str>| text.and_then(|text| text.parse::<Lsn>().ok());
    let row = connection::row(
        session,
        "look for the last checkpoint",
        "SELECT pg_is_in_recovery(), redo_lsn::text FROM pg_control_checkpoint()",
        &[],
    )
    .await?;
    let server = Server { is_in_recovery: row.get(0), redo: lsn(row.get(1)).unwrap_or_default() };
    let rows = connection::rows(
        session,
        "list replication slots",
        "SELECT slot_name::text, active_pid IS NOT NULL, \
                CASE WHEN wal_status <> 'lost' THEN restart_lsn::text END \
         FROM pg_replication_slots WHERE slot_type = 'physical'",
        &[],
    )
    .await?;
    let slot_in = |row: &Row| {
        Some(Slot {
            node: NodeId::of_slot_name(row.get(0))?,
            is_active: row.get(1),
            reserved: lsn(row.get(2)),
        })
    };
    Ok((server, rows.iter().filter_map(slot_in).collect()))
}

async fn create(session: &LocalSession, node: NodeId) -> Result<(), PostgresError> {
    tracing::info!("reserving WAL for node {node}");
    let created = connection::rows(
        session,
        "create a replication slot",
        "SELECT pg_create_physical_replication_slot($1::text::name, true)",
        &[&node.slot_name()],
    )
    .await;
    unless_done(created, &SqlState::DUPLICATE_OBJECT)
}

/// The server goes on with what was asked for in a session that was given up: what it has done meanwhile, it refuses.
fn unless_done(result: Result<Vec<Row>, PostgresError>, refusal: &SqlState) -> Result<(), PostgresError> {
    match result {
        Err(error) if error.sqlstate() != Some(refusal) => Err(error),
        _ => Ok(()),
    }
}

async fn advance(session: &LocalSession, node: NodeId, to: Lsn) -> Result<(), PostgresError> {
    connection::rows(
        session,
        "move a replication slot on",
        "SELECT pg_replication_slot_advance(slot_name, $2::text::pg_lsn) FROM pg_replication_slots \
         WHERE slot_name = $1::text::name AND active_pid IS NULL AND restart_lsn < $2::text::pg_lsn",
        &[&node.slot_name(), &to.to_string()],
    )
    .await
    .map(|_| ())
}

/// Ends the walsender that uses it, first. A slot that another has dropped meanwhile is dropped.
async fn drop_slot(session: &LocalSession, node: NodeId) -> Result<(), PostgresError> {
    tracing::info!("dropping the replication slot of node {node}");
    let dropped = connection::rows(
        session,
        "drop a replication slot",
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
         WHERE slot_name = $1::text::name \
         AND (active_pid IS NULL OR pg_terminate_backend(active_pid, 5000))",
        &[&node.slot_name()],
    )
    .await;
    unless_done(dropped, &SqlState::UNDEFINED_OBJECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(2);
    const B: NodeId = NodeId(3);

    fn slot(node: NodeId, reserved: Option<u64>) -> Slot {
        Slot { node, is_active: false, reserved: reserved.map(Lsn) }
    }

    fn on(is_in_recovery: bool, slots: &[Slot], wanted: &[(NodeId, Option<u64>)]) -> Vec<Change> {
        let wanted = wanted.iter().map(|(node, lsn)| (*node, lsn.map(Lsn))).collect();
        changes(Server { is_in_recovery, redo: Lsn(500) }, slots, &wanted)
    }

    #[test]
    fn what_a_session_that_was_given_up_has_done_is_done() {
        let refused = |code: SqlState| {
            Err(PostgresError::Sql {
                action: "create",
                sqlstate: Some(code),
                message: String::new(),
                is_authentication: false,
            })
        };
        assert!(unless_done(Ok(Vec::new()), &SqlState::DUPLICATE_OBJECT).is_ok());
        assert!(unless_done(refused(SqlState::DUPLICATE_OBJECT), &SqlState::DUPLICATE_OBJECT).is_ok());
        for other in [SqlState::CONFIGURATION_LIMIT_EXCEEDED, SqlState::UNDEFINED_OBJECT] {
            assert!(unless_done(refused(other), &SqlState::DUPLICATE_OBJECT).is_err());
        }
    }

    #[test]
    fn slots_of_others_are_not_ours() {
        assert_eq!(NodeId::of_slot_name("pgautofailover_standby_12"), Some(NodeId(12)));
        for name in ["", "pgautofailover_standby_", "pgautofailover_standby_x", "mine"] {
            assert_eq!(NodeId::of_slot_name(name), None, "{name}");
        }
    }

    #[test]
    fn every_peer_has_one_and_nobody_else() {
        for is_in_recovery in [true, false] {
            let made = on(is_in_recovery, &[slot(A, Some(500))], &[(B, None)]);
            assert_eq!(made, [Change::Drop(A), Change::Create(B)]);
            let replaced = on(is_in_recovery, &[slot(A, None)], &[(A, Some(1))]);
            assert_eq!(replaced, [Change::Drop(A), Change::Create(A)], "it reserves nothing any more");
        }
    }

    #[test]
    fn a_standby_moves_slots_on_and_a_primary_leaves_that_to_their_nodes() {
        let peer = |lsn| [(A, lsn)];
        assert_eq!(on(true, &[slot(A, Some(100))], &peer(Some(200))), [Change::Advance(A, Lsn(200))]);
        assert_eq!(
            on(true, &[slot(A, Some(100))], &peer(Some(900))),
            [Change::Advance(A, Lsn(500))],
            "so far WAL is kept anyway"
        );
        assert_eq!(
            on(true, &[slot(A, Some(100))], &peer(None)),
            [Change::Advance(A, Lsn(500))],
            "no data yet"
        );
        assert_eq!(on(true, &[slot(A, Some(300))], &peer(Some(200))), []);
        let active = Slot { is_active: true, ..slot(A, Some(100)) };
        assert_eq!(on(true, &[active], &peer(Some(200))), []);
        assert_eq!(on(false, &[slot(A, Some(100))], &peer(Some(200))), []);
    }
}
