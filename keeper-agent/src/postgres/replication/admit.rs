//! Lets the other nodes of the group connect, and keeps a replication slot for each.

use std::sync::Arc;

use pgaf_core::message::{Peer, Position};

use crate::postgres::configuration::{conninfo, hba};
use crate::postgres::server::{LocalServer, PostgresError, ServerKind};

use super::{logical_slots, role, slots};

/// Writes the entries of pg_hba.conf; on a running server, makes and drops slots.
pub(crate) async fn run(server: &LocalServer, peers: &[Peer]) -> Result<(), PostgresError> {
    let config = server.config();
    let entries = hba::peer_entries(&config, peers).await;
    let files_of = Arc::clone(&config);
    server
        .files()
        .run("writing pg_hba.conf", move || {
            conninfo::write_passfile(&files_of)?;
            hba::update(&files_of, |managed| entries.apply(managed))
        })
        .await?;
    let is_running = server.postmaster().await?.is_some();
    if is_running {
        // Even when the file was right already: who wrote it may have been interrupted before the server was told.
        server.reload().await?;
    }
    if !is_running {
        return Ok(());
    }
    keep(server, peers, &[]).await
}

/// Entries of pg_hba.conf, slots and password, on a running server.
pub(crate) async fn maintain(
    server: &LocalServer,
    peers: &[Peer],
    positions: &[Position],
) -> Result<(), PostgresError> {
    keep_entries(server, peers).await?;
    keep(server, peers, positions).await
}

/// Looks at pg_hba.conf again: a tool may have replaced it, and the name of a node may mean another address by now.
async fn keep_entries(server: &LocalServer, peers: &[Peer]) -> Result<(), PostgresError> {
    let config = server.config();
    // Whom else a monitor lets in is looked after elsewhere.
    let is_data_node = config.kind == ServerKind::DataNode;
    // Without a network there is no address of it; the other nodes may be reached all the same.
    let is_access_new = is_data_node
        && server.write_hba(&[]).await.unwrap_or_else(|error| {
            tracing::warn!("{error}");
            false
        });
    let entries = hba::peer_entries(&config, peers).await;
    let write = move || hba::update(&config, |managed| entries.apply(managed));
    if server.files().run("writing pg_hba.conf", write).await? || is_access_new {
        tracing::warn!(
            "pg_hba.conf did not have the entries of the nodes, or had old addresses: they were written again"
        );
        server.reload().await?;
    }
    Ok(())
}

async fn keep(server: &LocalServer, peers: &[Peer], positions: &[Position]) -> Result<(), PostgresError> {
    let session = server.any_session().await?;
    // Where no slot is free, a standby still needs to be let in.
    role::keep(server, &session).await?;
    slots::keep(&session, peers, positions).await?;
    logical_slots::make_room(&server.config(), &session, peers).await
}
