//! What operators ask the monitor to do.

use std::collections::BTreeMap;

use pgaf_core::{FormationKind, GroupId, NodeId};

use super::connection::{MonitorConnection, column};
use super::error::MonitorError;

/// A formation to be made.
#[derive(Clone, Debug)]
pub struct FormationOptions {
    /// Its name.
    pub formation: String,
    /// Kind of the formation.
    pub kind: FormationKind,
    /// The database it serves.
    pub dbname: String,
    /// Standbys may be promoted.
    pub has_secondary: bool,
    /// How many acknowledgements a commit never goes without.
    pub number_sync_standbys: i32,
}

impl MonitorConnection {
    /// Gives all nodes of a formation these settings of Postgres; `None` takes one back. False when nothing had to change.
    ///
    /// # Errors
    /// As for any call; a refusal when a setting or its value cannot be.
    pub async fn set_postgres_settings(
        &self,
        formation: &str,
        settings: &BTreeMap<String, Option<String>>,
    ) -> Result<bool, MonitorError> {
        self.query_value(
            "setting up Postgres",
            "SELECT pgautofailover.set_postgres_settings($1::text, $2::jsonb)",
            &[&formation, &tokio_postgres::types::Json(settings)],
        )
        .await
    }

    /// Makes the primary hand over to a standby of its group.
    ///
    /// # Errors
    /// The monitor's, when the group is in no state for it.
    pub async fn perform_failover(&self, formation: &str, group: GroupId) -> Result<(), MonitorError> {
        self.query(
            "failing over",
            "SELECT pgautofailover.perform_failover($1::text, $2::integer)",
            &[&formation, &group.0],
        )
        .await
        .map(|_| ())
    }

    /// Has those who can be heard go on, whatever commits others may have.
    ///
    /// # Errors
    /// The monitor's, when nothing needs to be given up, or nobody can take over.
    pub async fn perform_failover_with_data_loss(
        &self,
        formation: &str,
        group: GroupId,
    ) -> Result<(), MonitorError> {
        self.query(
            "failing over",
            "SELECT pgautofailover.perform_failover($1::text, $2::integer, true)",
            &[&formation, &group.0],
        )
        .await
        .map(|_| ())
    }

    /// Makes the named node the primary of its group; false when it is that already.
    ///
    /// # Errors
    /// The monitor's, when the node cannot be promoted.
    pub async fn perform_promotion(&self, formation: &str, name: &str) -> Result<bool, MonitorError> {
        self.query_value(
            "promoting the node",
            "SELECT pgautofailover.perform_promotion($1::text, $2::text)",
            &[&formation, &name],
        )
        .await
    }

    /// Takes a node out.
    ///
    /// # Errors
    /// As for any call.
    pub async fn start_maintenance(&self, node: NodeId) -> Result<bool, MonitorError> {
        self.query_value(
            "starting maintenance",
            "SELECT pgautofailover.start_maintenance($1::bigint)",
            &[&node.0],
        )
        .await
    }

    /// Takes a node in again.
    ///
    /// # Errors
    /// As for any call.
    pub async fn stop_maintenance(&self, node: NodeId) -> Result<bool, MonitorError> {
        self.query_value(
            "stopping maintenance",
            "SELECT pgautofailover.stop_maintenance($1::bigint)",
            &[&node.0],
        )
        .await
    }

    /// Sets the candidate priority of a node.
    ///
    /// # Errors
    /// As for any call.
    pub async fn set_candidate_priority(
        &self,
        formation: &str,
        name: &str,
        priority: i32,
    ) -> Result<bool, MonitorError> {
        self.query_value(
            "setting the candidate priority",
            "SELECT pgautofailover.set_node_candidate_priority($1::text, $2::text, $3::integer)",
            &[&formation, &name, &priority],
        )
        .await
    }

    /// Sets whether the primary may wait for a node.
    ///
    /// # Errors
    /// As for any call.
    pub async fn set_replication_quorum(
        &self,
        formation: &str,
        name: &str,
        quorum: bool,
    ) -> Result<bool, MonitorError> {
        self.query_value(
            "setting the replication quorum",
            "SELECT pgautofailover.set_node_replication_quorum($1::text, $2::text, $3::boolean)",
            &[&formation, &name, &quorum],
        )
        .await
    }

    /// Sets how many acknowledgements a commit never goes without.
    ///
    /// # Errors
    /// As for any call.
    pub async fn set_number_sync_standbys(&self, formation: &str, number: i32) -> Result<bool, MonitorError> {
        self.query_value(
            "setting number_sync_standbys",
            "SELECT pgautofailover.set_formation_number_sync_standbys($1::text, $2::integer)",
            &[&formation, &number],
        )
        .await
    }

    /// Makes a formation.
    ///
    /// # Errors
    /// As for any call.
    pub async fn create_formation(&self, options: &FormationOptions) -> Result<(), MonitorError> {
        self.query(
            "making the formation",
            "SELECT FROM pgautofailover.create_formation($1::text, $2::text, $3::text::name, $4::boolean, $5::integer)",
            &[
                &options.formation,
                &options.kind.as_str(),
                &options.dbname,
                &options.has_secondary,
                &options.number_sync_standbys,
            ],
        )
        .await
        .map(|_| ())
    }

    /// Removes a formation that has no nodes.
    ///
    /// # Errors
    /// As for any call.
    pub async fn drop_formation(&self, formation: &str) -> Result<(), MonitorError> {
        self.query("removing the formation", "SELECT pgautofailover.drop_formation($1::text)", &[&formation])
            .await
            .map(|_| ())
    }

    /// Lets standbys of the formation be promoted.
    ///
    /// # Errors
    /// As for any call.
    pub async fn enable_secondary(&self, formation: &str) -> Result<bool, MonitorError> {
        self.query_value(
            "enabling secondary nodes",
            "SELECT pgautofailover.enable_secondary($1::text)",
            &[&formation],
        )
        .await
    }

    /// Lets the formation have no standbys.
    ///
    /// # Errors
    /// As for any call.
    pub async fn disable_secondary(&self, formation: &str) -> Result<bool, MonitorError> {
        self.query_value(
            "disabling secondary nodes",
            "SELECT pgautofailover.disable_secondary($1::text)",
            &[&formation],
        )
        .await
    }

    /// Which groups do not follow their settings yet: their primary has not confirmed its newest assignment and the
    /// commit rule in it. Groups of one node have nothing to confirm.
    ///
    /// # Errors
    /// As for any call.
    pub async fn unapplied_settings(&self, formation: &str) -> Result<Vec<String>, MonitorError> {
        const QUERY: &str = "\
            SELECT coalesce(format('node %s \"%s\" is %s and should become %s', w.nodeid, w.nodename, \
                                   w.reportedstate, w.goalstate), \
                            format('group %s has no primary', g.groupid)) AS missing \
              FROM (SELECT groupid FROM pgautofailover.node WHERE formationid = $1::text \
                     GROUP BY groupid HAVING count(*) > 1) AS g \
         LEFT JOIN pgautofailover.node AS w \
                ON w.formationid = $1::text AND w.groupid = g.groupid AND pgautofailover.is_writer(w.goalstate) \
         LEFT JOIN pgautofailover.group_status AS s ON s.formationid = $1::text AND s.groupid = g.groupid \
             WHERE w.nodeid IS NULL OR w.reportedepoch <> w.goalepoch OR w.reportedstate <> w.goalstate \
                OR w.goalstate IN ('apply_settings', 'join_primary') \
                OR jsonb_array_length(s.commitrules) > 1 \
          ORDER BY g.groupid";
        let rows = self.query("the settings in force", QUERY, &[&formation]).await?;
        rows.iter().map(|row| column(row, "missing")).collect()
    }
}
