//! What a coordinator knows of its cluster.

use pgaf_core::GroupId;
use tokio_postgres::Row;

use super::address::Address;
use super::coordinator::Coordinator;
use super::hold::{HoldName, PREFIX};
use crate::postgres::PostgresError;

/// A row of `pg_dist_node`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// Its number; it stays when the address changes.
    pub id: i32,
    /// Its group; 0 is the coordinator's.
    pub group: GroupId,
    /// Where the coordinator connects to.
    pub address: Address,
    /// It takes writes; else it serves reads.
    pub is_primary: bool,
    /// It takes part.
    pub is_active: bool,
    /// What it has been told of the other nodes is current.
    pub is_synced: bool,
    /// The cluster it belongs to.
    pub cluster: String,
}

/// The nodes and the holds of a coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// By their numbers.
    pub rows: Vec<NodeRow>,
    /// By their names.
    pub holds: Vec<HoldName>,
}

impl Metadata {
    /// The row that takes the writes of a group.
    pub fn primary_of(&self, group: GroupId) -> Option<&NodeRow> {
        self.rows.iter().find(|row| row.is_primary && row.group == group)
    }

    /// The row with this address, of whichever group and role.
    pub fn at(&self, address: &Address) -> Option<&NodeRow> {
        self.rows.iter().find(|row| row.address == *address)
    }
}

const ROWS: &str = "SELECT nodeid, groupid, nodename, nodeport, noderole::text, isactive, \
     metadatasynced OR NOT hasmetadata, nodecluster::text FROM pg_catalog.pg_dist_node ORDER BY nodeid";
const HOLDS: &str =
    "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = current_database() ORDER BY gid";

impl Coordinator {
    /// Reads it.
    ///
    /// # Errors
    /// The coordinator does not answer, or has no Citus.
    pub async fn metadata(&self) -> Result<Metadata, PostgresError> {
        let rows = self.query("read pg_dist_node", ROWS, &[]).await?;
        Ok(Metadata {
            rows: rows.iter().map(read_row).collect::<Result<_, _>>()?,
            holds: self.holds().await?,
        })
    }

    /// The prepared transactions that hold writes.
    pub(super) async fn holds(&self) -> Result<Vec<HoldName>, PostgresError> {
        let rows = self.query("read pg_prepared_xacts", HOLDS, &[]).await?;
        let names = rows.iter().map(|row| row.get::<_, String>(0)).filter(|name| name.starts_with(PREFIX));
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }
}

fn read_row(row: &Row) -> Result<NodeRow, PostgresError> {
    let port: i32 = row.get(3);
    let role: String = row.get(4);
    Ok(NodeRow {
        id: row.get(0),
        group: GroupId(row.get(1)),
        address: Address {
            host: row.get(2),
            port: u16::try_from(port)
                .map_err(|_| PostgresError::Refused(format!("pg_dist_node has a node with port {port}")))?,
        },
        is_primary: role == "primary",
        is_active: row.get(5),
        is_synced: row.get(6),
        cluster: row.get(7),
    })
}
