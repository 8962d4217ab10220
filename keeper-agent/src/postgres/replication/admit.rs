//! Lets the other nodes of the group connect, and keeps a replication slot for each.

use std::sync::Arc;

use pgaf_core::message::{Peer, Position};

use crate::postgres::configuration::{conninfo, hba};
use crate::postgres::server::{LocalServer, LocalSession, PostgresError, ServerKind, connection};

use super::{follow, logical_slots, role, slots};

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
    // A file that cannot be written must not keep slots from moving on, nor a standby from its upstream.
    let entries = keep_entries(server, peers).await;
    follow::look_again(server).await?;
    keep(server, peers, positions).await?;
    entries
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
            "pg_hba.conf or pg_ident.conf did not have our entries, or had old addresses: they were written again"
        );
        server.reload().await?;
    }
    Ok(())
}

/// Lines of files that are read as a whole: while one is wrong, Postgres goes on with what it has read before.
/// Each with the view of it, and the version of Postgres since which there is one.
const REFUSED_LINES: [(&str, &str, i32); 2] =
    [("pg_hba.conf", "pg_hba_file_rules", 10), ("pg_ident.conf", "pg_ident_file_mappings", 15)];

/// Says which line keeps the server from taking over its files: ours in them are not in force meanwhile.
async fn tell_refused_lines(server: &LocalServer, session: &LocalSession) -> Result<(), PostgresError> {
    let mut refused = None;
    let version = "SELECT current_setting('server_version_num')::int / 10000";
    let major: i32 = connection::row(session, "ask for the version", version, &[]).await?.get(0);
    for (file, view, _) in REFUSED_LINES.into_iter().filter(|(_, _, since)| major >= *since) {
        let query = format!(
            "SELECT line_number, error FROM {view} WHERE error IS NOT NULL ORDER BY line_number LIMIT 1"
        );
        for row in connection::rows(session, "look for lines that Postgres refuses", &query, &[]).await? {
            let (line, error): (i32, &str) = (row.get(0), row.get(1));
            refused = Some(format!(
                "line {line} of \"{}\" is wrong ({error}): Postgres uses none of the file until that line is corrected, and goes on with what it read before",
                server.config().in_pgdata(file).display()
            ));
        }
    }
    let told = std::mem::replace(&mut server.state().refused_lines, refused.clone());
    if let Some(refused) = refused.filter(|refused| told.as_ref() != Some(refused)) {
        tracing::warn!("{refused}");
    }
    Ok(())
}

async fn keep(server: &LocalServer, peers: &[Peer], positions: &[Position]) -> Result<(), PostgresError> {
    let session = server.any_session().await?;
    // Where no slot is free, a standby still needs to be let in.
    role::keep(server, &session).await?;
    slots::keep(&session, peers, positions).await?;
    // A file that it cannot read at all was told when it was to be written.
    if let Err(error) = tell_refused_lines(server, &session).await {
        tracing::debug!("{error}");
    }
    logical_slots::make_room(&server.config(), &session, peers).await
}
