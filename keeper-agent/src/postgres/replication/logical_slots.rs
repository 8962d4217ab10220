//! Logical slots that a standby should have from its primary, and cannot take while it has its own of the same name:
//! those of a time when it was the primary itself. They are of no use here any more, as the primary goes on with its own.

use std::time::Duration;

use pgaf_core::message::Peer;

use crate::postgres::configuration::conninfo;
use crate::postgres::server::{InstanceConfig, LocalSession, PostgresError, connection, version};

use super::remote::RemoteSession;

/// How long the primary may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// Drops, on a standby, those that its primary has, too.
pub(crate) async fn make_room(
    config: &InstanceConfig,
    session: &LocalSession,
    peers: &[Peer],
) -> Result<(), PostgresError> {
    let row = connection::row(
        session,
        "look for the primary",
        "SELECT pg_is_in_recovery() AND current_setting('server_version_num')::int >= $1::int, \
                current_setting('primary_conninfo')",
        &[&i32::try_from(version::SYNCS_SLOTS_SINCE * 10_000).unwrap_or(i32::MAX)],
    )
    .await?;
    let (is_concerned, conninfo): (bool, &str) = (row.get(0), row.get(1));
    let following = conninfo::following(conninfo).filter(|_| is_concerned);
    let primary =
        following.and_then(|at| peers.iter().find(|peer| peer.host == at.host && peer.port == at.port));
    let Some(primary) = primary else { return Ok(()) };
    let left = connection::rows(
        session,
        "list logical replication slots",
        "SELECT slot_name::text FROM pg_replication_slots WHERE failover AND NOT synced AND active_pid IS NULL",
        &[],
    )
    .await?;
    if left.is_empty() {
        return Ok(());
    }
    let there = RemoteSession::open(config, primary, DEADLINE).await?.failover_slots().await?;
    for name in left.iter().map(|row| row.get::<_, String>(0)).filter(|name| there.contains(name)) {
        tracing::info!(
            "dropping the outdated logical slot \"{name}\": the one of node {} replaces it",
            primary.node
        );
        connection::rows(
            session,
            "drop a logical replication slot",
            "SELECT pg_drop_replication_slot($1::text::name)",
            &[&name],
        )
        .await?;
    }
    Ok(())
}
