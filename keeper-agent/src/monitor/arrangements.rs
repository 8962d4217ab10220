//! What persons arrange for a formation: a pause of automatic failover, and switchovers at a time.

use std::time::Duration;

use pgaf_core::{GroupId, NodeId};

use super::connection::{MonitorConnection, column};
use super::error::MonitorError;

impl MonitorConnection {
    /// Pauses automatic failover, until it is resumed or for this long.
    ///
    /// # Errors
    /// As for any call.
    pub async fn pause_failover(
        &self,
        formation: &str,
        during: Option<Duration>,
    ) -> Result<(), MonitorError> {
        self.query(
            "pausing automatic failover",
            "SELECT pgautofailover.pause_failover($1::text, now() + make_interval(secs => $2::float8))",
            &[&formation, &during.map(|during| during.as_secs_f64())],
        )
        .await
        .map(|_| ())
    }

    /// Resumes automatic failover; false when it was not paused.
    ///
    /// # Errors
    /// As for any call.
    pub async fn resume_failover(&self, formation: &str) -> Result<bool, MonitorError> {
        self.query_value(
            "resuming automatic failover",
            "SELECT pgautofailover.resume_failover($1::text)",
            &[&formation],
        )
        .await
    }

    /// Has the primary of a group hand over at a time, as Postgres reads it.
    ///
    /// # Errors
    /// As for any call.
    pub async fn schedule_switchover(
        &self,
        formation: &str,
        group: GroupId,
        time: &str,
    ) -> Result<(), MonitorError> {
        self.query(
            "scheduling the switchover",
            "SELECT pgautofailover.schedule_switchover($1::text, $2::integer, $3::text::timestamptz)",
            &[&formation, &group.0, &time],
        )
        .await
        .map(|_| ())
    }

    /// Cancels a switchover that was scheduled; false when none was.
    ///
    /// # Errors
    /// As for any call.
    pub async fn cancel_switchover(&self, formation: &str, group: GroupId) -> Result<bool, MonitorError> {
        self.query_value(
            "cancelling the switchover",
            "SELECT pgautofailover.cancel_switchover($1::text, $2::integer)",
            &[&formation, &group.0],
        )
        .await
    }

    /// Has a node restart its Postgres; gives the name of this restart.
    ///
    /// # Errors
    /// As for any call; a refusal when the group is not whole.
    pub async fn restart_node(&self, node: NodeId) -> Result<String, MonitorError> {
        self.query_value("asking for a restart", "SELECT pgautofailover.restart_node($1::bigint)", &[&node.0])
            .await
    }

    /// Does not want that any more; false when nothing was asked for.
    ///
    /// # Errors
    /// As for any call.
    pub async fn cancel_restart(&self, node: NodeId) -> Result<bool, MonitorError> {
        self.query_value(
            "cancelling the restart",
            "SELECT pgautofailover.cancel_restart($1::bigint)",
            &[&node.0],
        )
        .await
    }

    /// The restart that a node has carried out last.
    ///
    /// # Errors
    /// As for any call.
    pub async fn last_restart(&self, node: NodeId) -> Result<Option<String>, MonitorError> {
        let query = "SELECT reportdetail ->> 'restarted' AS restarted FROM pgautofailover.node WHERE nodeid = $1::bigint";
        let rows = self.query("the last restart", query, &[&node.0]).await?;
        Ok(rows.first().map(|row| column::<Option<String>>(row, "restarted")).transpose()?.flatten())
    }

    /// What is arranged for a formation, or for one of its groups, in words.
    ///
    /// # Errors
    /// As for any call.
    pub async fn arrangements(
        &self,
        formation: &str,
        group: Option<GroupId>,
    ) -> Result<Vec<String>, MonitorError> {
        let query = "SELECT arrangements FROM pgautofailover.arrangements($1::text, $2::integer)";
        let group = group.map(|group| group.0);
        let rows = self.query("what is arranged", query, &[&formation, &group]).await?;
        rows.iter().map(|row| column(row, "arrangements")).collect()
    }
}
