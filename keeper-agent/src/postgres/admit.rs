//! Lets the other nodes of the group connect, and keeps a replication slot for each.

use std::sync::Arc;

use pgaf_core::message::{Peer, Position};

use super::connection::{self, LocalSession};
use super::error::PostgresError;
use super::instance::Instance;
use super::{conninfo, files, hba, logical_slots, slots};

/// Writes the entries of pg_hba.conf; on a running server, makes and drops slots.
pub(super) async fn run(instance: &Instance, peers: &[Peer]) -> Result<(), PostgresError> {
    let config = instance.config();
    let entries = hba::peer_entries(&config, peers).await;
    let files_of = Arc::clone(&config);
    files::blocking("writing pg_hba.conf", move || {
        conninfo::write_passfile(&files_of)?;
        hba::update(&files_of, |managed| entries.apply(managed))
    })
    .await?;
    let is_running = instance.postmaster()?.is_some();
    if is_running {
        // Even when the file was right already: who wrote it may have been interrupted before the server was told.
        instance.reload().await?;
    }
    instance.memory().admitted_hosts.clone_from(&config.formation_hosts);
    if !is_running {
        return Ok(());
    }
    tend(instance, peers, &[]).await
}

/// Slots and password, on a running server.
pub(super) async fn tend(
    instance: &Instance,
    peers: &[Peer],
    positions: &[Position],
) -> Result<(), PostgresError> {
    let session = instance.any_session().await?;
    slots::keep(&session, peers, positions).await?;
    logical_slots::make_room(&instance.config(), &session, peers).await?;
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
