//! What a dashboard shows: all formations in short, and one of them in full.

use std::time::Duration;

use pgaf_core::GroupId;
use tokio_postgres::Row;

use super::connection::{MonitorConnection, column};
use super::error::MonitorError;
use super::views::{NodeEvent, NodeState, STATE_COLUMNS, read_state};

/// One look at the monitor.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Every formation, by name.
    pub formations: Vec<FormationSummary>,
    /// The nodes of the formation that was asked for, by group and id; none when there is no such formation.
    pub nodes: Vec<WatchedNode>,
    /// Its newest events, the newest last.
    pub events: Vec<NodeEvent>,
}

/// A formation in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormationSummary {
    /// Its name.
    pub name: String,
    /// How many acknowledgements a commit never goes without.
    pub number_sync_standbys: i32,
    /// A person has paused automatic failover.
    pub is_paused: bool,
    /// A node of it does not answer the monitor's probes.
    pub has_bad_health: bool,
}

/// A node, and whether its keeper is heard of.
#[derive(Clone, Debug)]
pub struct WatchedNode {
    /// As `current_state` shows it.
    pub state: NodeState,
    /// How long ago it reported; absent for a node that was removed just now.
    pub silent_for: Option<Duration>,
}

impl MonitorConnection {
    /// Looks at all formations, and at the nodes and newest events of one of them or of one of its groups.
    ///
    /// # Errors
    /// As for any call.
    pub async fn overview(
        &self,
        formation: &str,
        group: Option<GroupId>,
        event_count: i32,
    ) -> Result<Overview, MonitorError> {
        let formations = self.formations().await?;
        if !formations.iter().any(|summary| summary.name == formation) {
            return Ok(Overview { formations, ..Overview::default() });
        }
        let (nodes, events) = tokio::try_join!(
            self.watched_nodes(formation, group),
            self.last_events(formation, group, event_count)
        )?;
        Ok(Overview { formations, nodes, events })
    }

    async fn formations(&self) -> Result<Vec<FormationSummary>, MonitorError> {
        let query = "SELECT formationid, number_sync_standbys, EXISTS (SELECT FROM pgautofailover.node AS n \
             WHERE n.formationid = f.formationid AND n.health = 0) AS has_bad_health, \
             EXISTS (SELECT FROM pgautofailover.failover_pause AS p WHERE p.formationid = f.formationid \
             AND coalesce(p.endtime > now(), true)) AS is_paused \
             FROM pgautofailover.formation AS f ORDER BY formationid";
        let rows = self.query("the formations", query, &[]).await?;
        rows.iter()
            .map(|row| {
                Ok(FormationSummary {
                    name: column(row, "formationid")?,
                    number_sync_standbys: column(row, "number_sync_standbys")?,
                    is_paused: column(row, "is_paused")?,
                    has_bad_health: column(row, "has_bad_health")?,
                })
            })
            .collect()
    }

    async fn watched_nodes(
        &self,
        formation: &str,
        group: Option<GroupId>,
    ) -> Result<Vec<WatchedNode>, MonitorError> {
        let columns = format!(
            "{STATE_COLUMNS}, (SELECT extract(epoch FROM now() - n.reporttime)::float8 \
             FROM pgautofailover.node AS n WHERE n.nodeid = state.node_id) AS silent_seconds"
        );
        self.state_rows(&columns, formation, group).await?.iter().map(read_watched).collect()
    }
}

fn read_watched(row: &Row) -> Result<WatchedNode, MonitorError> {
    let seconds: Option<f64> = column(row, "silent_seconds")?;
    // A report that came after the query began is new, too.
    let silent_for = seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
    Ok(WatchedNode { state: read_state(row)?, silent_for })
}
