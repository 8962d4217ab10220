//! Nodes come to a coordinator, and go.

use std::time::Duration;

use pgaf_core::GroupId;

use super::address::Address;
use super::coordinator::Coordinator;
use super::metadata::{Metadata, NodeRow};
use crate::postgres::PostgresError;

/// A new worker is sent all metadata and all reference tables.
const ACTIVATION_DEADLINE: Duration = Duration::from_secs(600);
/// What concerns the rows alone.
const ROW_DEADLINE: Duration = Duration::from_secs(10);

/// Tells a coordinator its own address, which its workers are sent.
///
/// # Errors
/// The coordinator refuses.
pub async fn register_coordinator(coordinator: &Coordinator, own: &Address) -> Result<(), PostgresError> {
    let statement = "SELECT pg_catalog.citus_set_coordinator_host($1::text, $2::int)";
    let port = i32::from(own.port);
    coordinator
        .query_within(ROW_DEADLINE, "set the coordinator's address", statement, &[&own.host, &port])
        .await
        .map(|_| ())
}

/// Adds the primary of a worker group, or activates it when it is there; true when there was something to do.
///
/// # Errors
/// The worker cannot be reached from the coordinator, or the coordinator knows another node by this group or address.
pub async fn register_worker(
    coordinator: &Coordinator,
    metadata: &Metadata,
    group: GroupId,
    address: &Address,
) -> Result<bool, PostgresError> {
    match metadata.primary_of(group) {
        Some(row) if row.address != *address => {
            return Err(PostgresError::Refused(format!(
                "the coordinator has {} as the primary of group {group}, not {address}",
                row.address
            )));
        }
        Some(row) if row.is_active => return Ok(false),
        Some(_) => {}
        None => add(coordinator, metadata, group, address).await?,
    }
    let statement = "SELECT pg_catalog.citus_activate_node($1::text, $2::int)";
    let port = i32::from(address.port);
    coordinator
        .query_within(ACTIVATION_DEADLINE, "activate a worker", statement, &[&address.host, &port])
        .await?;
    Ok(true)
}

async fn add(
    coordinator: &Coordinator,
    metadata: &Metadata,
    group: GroupId,
    address: &Address,
) -> Result<(), PostgresError> {
    // Citus would answer with the row that is there, whatever its group.
    if let Some(row) = metadata.at(address) {
        return Err(PostgresError::Refused(format!(
            "the coordinator knows {address} already, as a node of group {}",
            row.group
        )));
    }
    let statement = "SELECT pg_catalog.citus_add_inactive_node($1::text, $2::int, groupid => $3::int)";
    let port = i32::from(address.port);
    coordinator
        .query_within(ROW_DEADLINE, "add a worker", statement, &[&address.host, &port, &group.0])
        .await
        .map(|_| ())
}

/// Adds a node that serves a read-only cluster.
pub(super) async fn register_secondary(
    coordinator: &Coordinator,
    group: GroupId,
    address: &Address,
    cluster: &str,
) -> Result<(), PostgresError> {
    let statement = "SELECT pg_catalog.citus_add_node($1::text, $2::int, groupid => $3::int, \
         noderole => 'secondary', nodecluster => $4::text::name)";
    let port = i32::from(address.port);
    coordinator
        .query_within(ROW_DEADLINE, "add a secondary", statement, &[&address.host, &port, &group.0, &cluster])
        .await
        .map(|_| ())
}

/// Forgets a node.
pub(super) async fn remove(coordinator: &Coordinator, row: &NodeRow) -> Result<(), PostgresError> {
    let statement = "SELECT pg_catalog.citus_remove_node($1::text, $2::int)";
    let port = i32::from(row.address.port);
    coordinator
        .query_within(ROW_DEADLINE, "remove a node", statement, &[&row.address.host, &port])
        .await
        .map(|_| ())
}
