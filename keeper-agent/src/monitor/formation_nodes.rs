//! All nodes of a formation, as the keepers of a Citus formation read them with every report.

use std::time::Duration;

use pgaf_core::{FormationNode, GroupId, NodeId, Peer};
use tokio_postgres::Row;

use super::connection::{MonitorConnection, column, parsed};
use super::error::MonitorError;

/// It is read beside a report, whose answer must not wait for long: an older list does.
const READ_DEADLINE: Duration = Duration::from_millis(500);

const NODES: &str = "SELECT nodeid, nodename, nodehost, nodeport, groupid, goalstate::text, reportedstate::text, \
     nodecluster FROM pgautofailover.node WHERE formationid = $1::text ORDER BY nodeid";

impl MonitorConnection {
    /// The nodes of every group.
    ///
    /// # Errors
    /// As for any call.
    pub async fn formation_nodes(&self, formation: &str) -> Result<Vec<FormationNode>, MonitorError> {
        let rows = self
            .within(READ_DEADLINE, "reading the formation", async {
                let statement = self.formation_nodes.get_or_try_init(|| self.client.prepare(NODES)).await?;
                self.client.query(statement, &[&formation]).await
            })
            .await?;
        rows.iter().map(read_node).collect()
    }
}

fn read_node(row: &Row) -> Result<FormationNode, MonitorError> {
    let port: i32 = column(row, "nodeport")?;
    Ok(FormationNode {
        peer: Peer {
            node: NodeId(column(row, "nodeid")?),
            name: column(row, "nodename")?,
            host: column(row, "nodehost")?,
            port: u16::try_from(port)
                .map_err(|_| MonitorError::Protocol(format!("{port} cannot be a port")))?,
        },
        group: GroupId(column(row, "groupid")?),
        goal: parsed(row, "goalstate")?,
        reported: parsed(row, "reportedstate")?,
        cluster: column(row, "nodecluster")?,
    })
}
