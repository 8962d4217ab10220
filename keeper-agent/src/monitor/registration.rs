//! Nodes come, change their address, and go.

use pgaf_core::{GroupId, NodeId, NodeKind, ReplicationState};
use tokio_postgres::Row;

use super::connection::{MonitorConnection, column, parsed};
use super::error::MonitorError;
use crate::client::Secret;

/// What a node says when it registers.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The formation it joins.
    pub formation: String,
    /// Its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database it serves.
    pub dbname: String,
    /// Its name; empty for one that the monitor chooses.
    pub name: String,
    /// Of the cluster in its PGDATA; `None` for an empty PGDATA.
    pub system_identifier: Option<u64>,
    /// What it is already, when it comes from another monitor; else `Init`.
    pub role: ReplicationState,
    /// The id it asks for.
    pub node: Option<NodeId>,
    /// The group it asks for.
    pub group: Option<GroupId>,
    /// What it is in its formation.
    pub kind: NodeKind,
    /// 0 to 100; 0 is never promoted.
    pub candidate_priority: i32,
    /// The primary waits for it.
    pub replication_quorum: bool,
    /// The Citus cluster it belongs to.
    pub cluster: String,
}

/// What the monitor made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredNode {
    /// Its id.
    pub node: NodeId,
    /// Its group.
    pub group: GroupId,
    /// Its name.
    pub name: String,
    /// What it should become.
    pub goal: ReplicationState,
    /// What it last said it is.
    pub reported: ReplicationState,
    /// Of its cluster, when the monitor knows it.
    pub system_identifier: Option<u64>,
}

/// Postgres has no unsigned integers: the bits are the same.
const fn as_bigint(system_identifier: u64) -> i64 {
    system_identifier.cast_signed()
}

impl MonitorConnection {
    /// Registers a node.
    ///
    /// # Errors
    /// The monitor's, for a name or an address that is taken, another cluster, and so on.
    pub async fn register(&self, registration: &Registration) -> Result<RegisteredNode, MonitorError> {
        let rows = self
            .query(
                "registering",
                "SELECT assigned_node_id, assigned_group_id, assigned_group_state::text, assigned_node_name \
                 FROM pgautofailover.register_node($1::text, $2::text, $3::integer, $4::text::name, $5::text, \
                 $6::bigint, $7::bigint, $8::integer, $9::text::pgautofailover.replication_state, $10::text, \
                 $11::integer, $12::boolean, $13::text)",
                &[
                    &registration.formation,
                    &registration.host,
                    &i32::from(registration.port),
                    &registration.dbname,
                    &registration.name,
                    &registration.system_identifier.map_or(0, as_bigint),
                    &registration.node.map_or(-1, |node| node.0),
                    &registration.group.map_or(-1, |group| group.0),
                    &registration.role.as_str(),
                    &registration.kind.as_str(),
                    &registration.candidate_priority,
                    &registration.replication_quorum,
                    &registration.cluster,
                ],
            )
            .await?;
        let row =
            rows.first().ok_or_else(|| MonitorError::Protocol("registering gave no node".to_owned()))?;
        Ok(RegisteredNode {
            node: NodeId(column(row, "assigned_node_id")?),
            group: GroupId(column(row, "assigned_group_id")?),
            name: column(row, "assigned_node_name")?,
            goal: parsed(row, "assigned_group_state")?,
            reported: registration.role,
            system_identifier: registration.system_identifier,
        })
    }

    /// The password of the replication role in a formation; `None` when its nodes have their own. The first node that wants
    /// one has it made.
    ///
    /// # Errors
    /// As for any call; the connection is not encrypted, or other nodes have their own.
    pub async fn replication_password(
        &self,
        formation: &str,
        is_wanted: bool,
    ) -> Result<Option<Secret>, MonitorError> {
        let query = "SELECT pgautofailover.replication_password($1::text, $2::boolean)";
        let password: Option<String> =
            self.query_value("asking for the replication password", query, &[&formation, &is_wanted]).await?;
        Ok(password.map(Secret::new))
    }

    /// The node that is registered with this address.
    ///
    /// # Errors
    /// As for any call.
    pub async fn node_at(
        &self,
        formation: &str,
        host: &str,
        port: u16,
    ) -> Result<Option<RegisteredNode>, MonitorError> {
        let condition = "formationid = $1::text AND nodehost = $2::text AND nodeport = $3::integer";
        self.find_node(condition, &[&formation, &host, &i32::from(port)]).await
    }

    /// The node that is registered with this name.
    ///
    /// # Errors
    /// As for any call.
    pub async fn node_named(
        &self,
        formation: &str,
        name: &str,
    ) -> Result<Option<RegisteredNode>, MonitorError> {
        let condition = "formationid = $1::text AND nodename = $2::text";
        self.find_node(condition, &[&formation, &name]).await
    }

    /// The node with this id.
    ///
    /// # Errors
    /// As for any call.
    pub async fn node(&self, node: NodeId) -> Result<Option<RegisteredNode>, MonitorError> {
        self.find_node("nodeid = $1::bigint", &[&node.0]).await
    }

    async fn find_node(
        &self,
        condition: &str,
        parameters: &[super::connection::Parameter<'_>],
    ) -> Result<Option<RegisteredNode>, MonitorError> {
        let query = format!(
            "SELECT nodeid, groupid, nodename, goalstate::text, reportedstate::text, sysidentifier \
             FROM pgautofailover.node WHERE {condition}"
        );
        let rows = self.query("looking a node up", &query, parameters).await?;
        rows.first().map(read_node).transpose()
    }

    /// Tells the monitor the system identifier of a node's new cluster.
    ///
    /// # Errors
    /// As for any call.
    pub async fn set_node_system_identifier(
        &self,
        node: NodeId,
        system_identifier: u64,
    ) -> Result<(), MonitorError> {
        self.query(
            "setting the system identifier",
            "SELECT FROM pgautofailover.set_node_system_identifier($1::bigint, $2::bigint)",
            &[&node.0, &as_bigint(system_identifier)],
        )
        .await
        .map(|_| ())
    }

    /// Removes a node; without force, it is told first and the others are made independent of it.
    ///
    /// # Errors
    /// As for any call.
    pub async fn remove_node(&self, node: NodeId, force: bool) -> Result<bool, MonitorError> {
        self.query_value(
            "removing the node",
            "SELECT pgautofailover.remove_node($1::bigint, $2::boolean)",
            &[&node.0, &force],
        )
        .await
    }

    /// Changes a node's name and address.
    ///
    /// # Errors
    /// As for any call.
    pub async fn update_node_metadata(
        &self,
        node: NodeId,
        name: &str,
        host: &str,
        port: u16,
    ) -> Result<bool, MonitorError> {
        self.query_value(
            "changing the node's metadata",
            "SELECT pgautofailover.update_node_metadata($1::bigint, $2::text, $3::text, $4::integer)",
            &[&node.0, &name, &host, &i32::from(port)],
        )
        .await
    }
}

fn read_node(row: &Row) -> Result<RegisteredNode, MonitorError> {
    let system_identifier: Option<i64> = column(row, "sysidentifier")?;
    Ok(RegisteredNode {
        node: NodeId(column(row, "nodeid")?),
        group: GroupId(column(row, "groupid")?),
        name: column(row, "nodename")?,
        goal: parsed(row, "goalstate")?,
        reported: parsed(row, "reportedstate")?,
        system_identifier: system_identifier.filter(|identifier| *identifier != 0).map(i64::cast_unsigned),
    })
}
