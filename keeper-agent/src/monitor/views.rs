//! What the monitor shows. JSON is made by the monitor itself, so that it is laid out as `jsonb_pretty` does.

use std::time::SystemTime;

use pgaf_core::{GroupId, Health, Lsn, NodeId, ReplicationState, Timeline};
use tokio_postgres::Row;

use super::connection::{MonitorConnection, column, parsed};
use super::error::MonitorError;
use crate::client::SslOptions;

/// A node, as `current_state` shows it.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// Its id.
    pub node: NodeId,
    /// Its group.
    pub group: GroupId,
    /// Its name.
    pub name: String,
    /// Its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it is.
    pub reported: ReplicationState,
    /// What it should become.
    pub goal: ReplicationState,
    /// The timeline it reported.
    pub timeline: Timeline,
    /// The position it reported.
    pub lsn: Lsn,
    /// What the probes say.
    pub health: Health,
    /// 0 to 100; 0 is never promoted.
    pub candidate_priority: i32,
    /// The primary waits for it.
    pub replication_quorum: bool,
}

/// A row of the event table.
#[derive(Clone, Debug)]
pub struct NodeEvent {
    /// Its number.
    pub event: i64,
    /// When, as the monitor prints it.
    pub time: String,
    /// The same moment.
    pub moment: SystemTime,
    /// Whose.
    pub node: NodeId,
    /// Its group.
    pub group: GroupId,
    /// What it is.
    pub reported: ReplicationState,
    /// What it should become.
    pub goal: ReplicationState,
    /// What happened.
    pub description: String,
}

/// A row of `formation_settings`.
#[derive(Clone, Debug)]
pub struct Setting {
    /// "formation", "primary" or "node".
    pub context: String,
    /// Of the formation or the node.
    pub name: String,
    /// What is set.
    pub setting: String,
    /// To what.
    pub value: String,
}

/// A setting of Postgres that all nodes of a formation have.
#[derive(Clone, Debug)]
pub struct FormationSetting {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Nodes that have to be restarted for it.
    pub pending_restart: Vec<String>,
    /// Nodes that do not follow it, each with the reason.
    pub not_applied: Vec<String>,
}

/// How clients connect to a formation.
#[derive(Clone, Debug)]
pub struct FormationUri {
    /// The formation.
    pub formation: String,
    /// A connection string with all its hosts; absent while it has none.
    pub uri: Option<String>,
}

/// What `read_state` reads.
pub(super) const STATE_COLUMNS: &str = "node_id, group_id, nodename, nodehost, nodeport, current_group_state::text, \
     assigned_group_state::text, reported_tli, reported_lsn::text, health, candidate_priority, replication_quorum";

/// Which of the JSON documents the monitor makes.
const STATE: &str = "pgautofailover.current_state($1::text)";
const STATE_OF_GROUP: &str = "pgautofailover.current_state($1::text, $2::integer)";
const EVENTS: &str = "pgautofailover.last_events(formation_id => $1::text, count => $2::integer)";
const EVENTS_OF_GROUP: &str = "pgautofailover.last_events($1::text, $2::integer, $3::integer)";

impl MonitorConnection {
    /// The nodes of a formation, or of one of its groups.
    ///
    /// # Errors
    /// As for any call.
    pub async fn current_state(
        &self,
        formation: &str,
        group: Option<GroupId>,
    ) -> Result<Vec<NodeState>, MonitorError> {
        let rows = self.state_rows(STATE_COLUMNS, formation, group).await?;
        rows.iter().map(read_state).collect()
    }

    /// Columns of `current_state`, whose alias is "state".
    pub(super) async fn state_rows(
        &self,
        columns: &str,
        formation: &str,
        group: Option<GroupId>,
    ) -> Result<Vec<Row>, MonitorError> {
        const WHAT: &str = "the state";
        let query = |source: &str| format!("SELECT {columns} FROM {source} AS state");
        match group {
            None => self.query(WHAT, &query(STATE), &[&formation]).await,
            Some(group) => self.query(WHAT, &query(STATE_OF_GROUP), &[&formation, &group.0]).await,
        }
    }

    /// As `current_state`, as JSON.
    ///
    /// # Errors
    /// As for any call.
    pub async fn current_state_json(
        &self,
        formation: &str,
        group: Option<GroupId>,
    ) -> Result<String, MonitorError> {
        const WHAT: &str = "the state";
        match group {
            None => self.query_value(WHAT, &state_array(STATE), &[&formation]).await,
            Some(group) => {
                self.query_value(WHAT, &state_array(STATE_OF_GROUP), &[&formation, &group.0]).await
            }
        }
    }

    /// The last events, oldest first.
    ///
    /// # Errors
    /// As for any call.
    pub async fn last_events(
        &self,
        formation: &str,
        group: Option<GroupId>,
        count: i32,
    ) -> Result<Vec<NodeEvent>, MonitorError> {
        const WHAT: &str = "the events";
        let query = |source: &str| {
            format!(
                "SELECT eventid, eventtime::text, eventtime AS moment, nodeid, groupid, reportedstate::text, goalstate::text, \
                 coalesce(description, '') AS description FROM {source} ORDER BY eventid"
            )
        };
        let rows = match group {
            None => self.query(WHAT, &query(EVENTS), &[&formation, &count]).await?,
            Some(group) => {
                let parameters: [super::connection::Parameter<'_>; 3] = [&formation, &group.0, &count];
                self.query(WHAT, &query(EVENTS_OF_GROUP), &parameters).await?
            }
        };
        rows.iter().map(read_event).collect()
    }

    /// As `last_events`, as JSON.
    ///
    /// # Errors
    /// As for any call.
    pub async fn last_events_json(
        &self,
        formation: &str,
        group: Option<GroupId>,
        count: i32,
    ) -> Result<String, MonitorError> {
        const WHAT: &str = "the events";
        const ORDER: &str = "(rows.object ->> 'eventid')::bigint";
        match group {
            None => self.query_value(WHAT, &json_array(EVENTS, ORDER), &[&formation, &count]).await,
            Some(group) => {
                let query = json_array(EVENTS_OF_GROUP, ORDER);
                self.query_value(WHAT, &query, &[&formation, &group.0, &count]).await
            }
        }
    }

    /// The settings of a formation and its nodes.
    ///
    /// # Errors
    /// As for any call.
    pub async fn settings(&self, formation: &str) -> Result<Vec<Setting>, MonitorError> {
        let rows = self
            .query(
                "the settings",
                "SELECT context, nodename, setting, value FROM pgautofailover.formation_settings($1::text)",
                &[&formation],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Setting {
                    context: column(row, "context")?,
                    name: column(row, "nodename")?,
                    setting: column(row, "setting")?,
                    value: column(row, "value")?,
                })
            })
            .collect()
    }

    /// As `settings`, as JSON: an array for each context.
    ///
    /// # Errors
    /// As for any call.
    pub async fn settings_json(&self, formation: &str) -> Result<String, MonitorError> {
        self.query_value(
            "the settings",
            "WITH s AS (SELECT * FROM pgautofailover.formation_settings($1::text) WITH ORDINALITY AS \
             t(context, group_id, node_id, nodename, setting, value, n)), \
             of AS (SELECT context, jsonb_agg(to_jsonb(s) - 'n' ORDER BY setting DESC, n) AS list FROM s GROUP BY context) \
             SELECT jsonb_pretty(jsonb_build_object( \
             'formation', coalesce((SELECT list FROM of WHERE context = 'formation'), '[]'), \
             'primary', coalesce((SELECT list FROM of WHERE context = 'primary'), '[]'), \
             'nodes', coalesce((SELECT list FROM of WHERE context = 'node'), '[]')))",
            &[&formation],
        )
        .await
    }

    /// The settings of Postgres that all nodes of a formation have.
    ///
    /// # Errors
    /// As for any call.
    pub async fn postgres_settings(&self, formation: &str) -> Result<Vec<FormationSetting>, MonitorError> {
        let query = "SELECT name, value, pending_restart, \
             ARRAY(SELECT format('%s: %s', n.key, n.value) FROM jsonb_each_text(not_applied) AS n) AS not_applied \
             FROM pgautofailover.postgres_settings($1::text)";
        let rows = self.query("the settings of Postgres", query, &[&formation]).await?;
        let setting = |row: &Row| {
            Ok(FormationSetting {
                name: column(row, "name")?,
                value: column(row, "value")?,
                pending_restart: column(row, "pending_restart")?,
                not_applied: column(row, "not_applied")?,
            })
        };
        rows.iter().map(setting).collect()
    }

    /// As `postgres_settings`, as JSON.
    ///
    /// # Errors
    /// As for any call.
    pub async fn postgres_settings_json(&self, formation: &str) -> Result<String, MonitorError> {
        let query = array_of("to_jsonb(r)", "pgautofailover.postgres_settings($1::text)", "rows.n");
        self.query_value("the settings of Postgres", &query, &[&formation]).await
    }

    /// The value of synchronous_standby_names of a group's primary.
    ///
    /// # Errors
    /// As for any call.
    pub async fn synchronous_standby_names(
        &self,
        formation: &str,
        group: GroupId,
    ) -> Result<String, MonitorError> {
        self.query_value(
            "the standby names",
            "SELECT pgautofailover.synchronous_standby_names($1::text, $2::integer)",
            &[&formation, &group.0],
        )
        .await
    }

    /// The connection strings of one formation, or of all.
    ///
    /// # Errors
    /// As for any call.
    pub async fn formation_uris(
        &self,
        formation: Option<&str>,
        cluster: &str,
        ssl: &SslOptions,
    ) -> Result<Vec<FormationUri>, MonitorError> {
        let file = |path: &Option<std::path::PathBuf>| {
            path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
        };
        let names: Vec<String> = match formation {
            Some(name) => vec![name.to_owned()],
            None => {
                let query = "SELECT formationid FROM pgautofailover.formation ORDER BY formationid";
                let rows = self.query("the formations", query, &[]).await?;
                rows.iter().map(|row| column(row, "formationid")).collect::<Result<_, _>>()?
            }
        };
        let mut uris = Vec::with_capacity(names.len());
        for formation in names {
            let uri: Option<String> = self
                .query_value(
                    "the connection string",
                    "SELECT pgautofailover.formation_uri($1::text, $5::text, $2::text, $3::text, $4::text)",
                    &[&formation, &ssl.mode.as_str(), &file(&ssl.root_cert), &file(&ssl.crl), &cluster],
                )
                .await?;
            uris.push(FormationUri { formation, uri });
        }
        Ok(uris)
    }
}

fn json_array(source: &str, order: &str) -> String {
    array_of("to_jsonb(r)", source, order)
}

/// A node that is busy, or whose group waits, has a key more that says with what, or for what.
fn state_array(source: &str) -> String {
    const OBJECT: &str = "to_jsonb(r) || jsonb_strip_nulls(jsonb_build_object(\
         'progress', (SELECT reportdetail ->> 'progress' FROM pgautofailover.node WHERE nodeid = r.node_id), \
         'waits_for', pgautofailover.waits_for($1, r.group_id), \
         'pending_restart', (SELECT reportdetail #> '{settings,pending_restart}' FROM pgautofailover.node WHERE nodeid = r.node_id), \
         'settings_not_applied', (SELECT reportdetail #> '{settings,not_applied}' FROM pgautofailover.node WHERE nodeid = r.node_id), \
         'failover_paused', (SELECT true FROM pgautofailover.failover_pause AS p \
              WHERE p.formationid = $1 AND coalesce(p.endtime > clock_timestamp(), true)), \
         'failover_paused_until', (SELECT p.endtime::text FROM pgautofailover.failover_pause AS p \
              WHERE p.formationid = $1 AND p.endtime > clock_timestamp()), \
         'scheduled_switchover', (SELECT s.switchovertime::text FROM pgautofailover.scheduled_switchover AS s \
              WHERE s.formationid = $1 AND s.groupid = r.group_id)))";
    array_of(OBJECT, source, "rows.n")
}

fn array_of(object: &str, source: &str, order: &str) -> String {
    format!(
        "SELECT jsonb_pretty(coalesce(jsonb_agg(rows.object ORDER BY {order}), '[]')) \
         FROM (SELECT {object} AS object, row_number() OVER () AS n FROM {source} AS r) AS rows"
    )
}

pub(super) fn read_state(row: &Row) -> Result<NodeState, MonitorError> {
    Ok(NodeState {
        node: NodeId(column(row, "node_id")?),
        group: GroupId(column(row, "group_id")?),
        name: column(row, "nodename")?,
        host: column(row, "nodehost")?,
        port: u16::try_from(column::<i32>(row, "nodeport")?)
            .map_err(|_| MonitorError::Protocol("a port beyond 65535".to_owned()))?,
        reported: parsed(row, "current_group_state")?,
        goal: parsed(row, "assigned_group_state")?,
        timeline: Timeline(column::<i32>(row, "reported_tli")?.unsigned_abs()),
        lsn: parsed(row, "reported_lsn")?,
        health: Health::from_i32(column(row, "health")?),
        candidate_priority: column(row, "candidate_priority")?,
        replication_quorum: column(row, "replication_quorum")?,
    })
}

fn read_event(row: &Row) -> Result<NodeEvent, MonitorError> {
    Ok(NodeEvent {
        event: column(row, "eventid")?,
        time: column(row, "eventtime")?,
        moment: column(row, "moment")?,
        node: NodeId(column(row, "nodeid")?),
        group: GroupId(column(row, "groupid")?),
        reported: parsed(row, "reportedstate")?,
        goal: parsed(row, "goalstate")?,
        description: column(row, "description")?,
    })
}
