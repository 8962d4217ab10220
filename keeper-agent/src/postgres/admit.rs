//! Lets the other nodes of the group connect, and keeps a replication slot for each.

use std::collections::BTreeSet;
use std::sync::Arc;

use pgaf_core::id::NodeId;
use pgaf_core::message::Peer;

use super::connection::{self, LocalSession};
use super::error::PostgresError;
use super::instance::Instance;
use super::{files, hba};

/// How the names of our slots begin; all others are the user's.
pub(super) const SLOT_PREFIX: &str = "pgautofailover_standby_";

/// The node a slot or an application name is for; `None` when it is not one of ours.
pub(super) fn node_of(name: &str) -> Option<NodeId> {
    name.strip_prefix(SLOT_PREFIX)?.parse().ok().map(NodeId)
}

/// Writes the entries of pg_hba.conf; on a running server, makes and drops slots.
pub(super) async fn run(instance: &Instance, peers: &[Peer]) -> Result<(), PostgresError> {
    let config = instance.config();
    let entries = hba::peer_entries(&config, peers).await;
    let files_of = Arc::clone(&config);
    let has_changed = files::blocking("writing pg_hba.conf", move || {
        hba::update(&files_of, |managed| entries.apply(managed))
    })
    .await?;
    if instance.postmaster()?.is_none() {
        return Ok(());
    }
    if has_changed {
        instance.reload().await?;
    }
    let wanted: BTreeSet<String> = peers.iter().map(|peer| peer.node.slot_name()).collect();
    let session = instance.any_session().await?;
    keep_slots(&session, &wanted).await?;
    keep_password(instance, &session).await
}

/// Gives the replication role the password that is configured now. A standby receives the role from its primary.
async fn keep_password(instance: &Instance, session: &LocalSession) -> Result<(), PostgresError> {
    let password = instance.config().replication_password.clone();
    if password.is_none() || instance.memory().replication_password == password {
        return Ok(());
    }
    let row = connection::row(session, "ask for recovery", "SELECT pg_is_in_recovery()", &[]).await?;
    if !row.get::<_, bool>(0) {
        instance.ensure_replication_roles().await?;
        instance.memory().replication_password = password;
    }
    Ok(())
}

struct Slot {
    name: String,
    walsender: Option<i32>,
    /// It holds back WAL on a standby, where nobody moves it on.
    is_stale: bool,
}

async fn keep_slots(session: &LocalSession, wanted: &BTreeSet<String>) -> Result<(), PostgresError> {
    let slots = list(session).await?;
    for slot in &slots {
        let is_gone = !wanted.contains(&slot.name);
        if is_gone || (slot.is_stale && slot.walsender.is_none()) {
            drop_slot(session, slot).await?;
        }
    }
    let present: BTreeSet<&String> = slots
        .iter()
        .filter(|slot| !slot.is_stale || slot.walsender.is_some())
        .map(|slot| &slot.name)
        .collect();
    for name in wanted.iter().filter(|name| !present.contains(name)) {
        // Holds nothing back before a standby has used it.
        connection::rows(
            session,
            "create a replication slot",
            "SELECT pg_create_physical_replication_slot($1::text::name, false)",
            &[name],
        )
        .await?;
    }
    Ok(())
}

async fn list(session: &LocalSession) -> Result<Vec<Slot>, PostgresError> {
    let rows = connection::rows(
        session,
        "list replication slots",
        "SELECT slot_name::text, active_pid, pg_is_in_recovery() AND restart_lsn IS NOT NULL \
         FROM pg_replication_slots WHERE slot_type = 'physical'",
        &[],
    )
    .await?;
    Ok(rows
        .iter()
        .map(|row| Slot { name: row.get(0), walsender: row.get(1), is_stale: row.get(2) })
        .filter(|slot| node_of(&slot.name).is_some())
        .collect())
}

/// Ends the walsender that uses it, first. A slot that another has dropped meanwhile is dropped.
async fn drop_slot(session: &LocalSession, slot: &Slot) -> Result<(), PostgresError> {
    tracing::info!("dropping the replication slot \"{}\"", slot.name);
    connection::rows(
        session,
        "drop a replication slot",
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
         WHERE slot_name = $1::text::name \
         AND (active_pid IS NULL OR pg_terminate_backend(active_pid, 5000))",
        &[&slot.name],
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_others_are_not_ours() {
        assert_eq!(node_of("pgautofailover_standby_12"), Some(NodeId(12)));
        for name in ["", "pgautofailover_standby_", "pgautofailover_standby_x", "mine"] {
            assert_eq!(node_of(name), None, "{name}");
        }
    }
}
