//! One connection to the monitor, and the one call that keepers live by.

use std::future::Future;
use std::time::Duration;

use pgaf_core::{Answer, GroupId, NodeId, Report, sqlstate};
use tokio::sync::OnceCell;
use tokio_postgres::types::{Json, ToSql};
use tokio_postgres::{Client, Row, Statement};

use super::error::MonitorError;
use super::notifications::{MONITORS_CHANNEL, NODE_CHANNEL_PREFIX, Notifications};
use crate::client::{ConnectionString, Host, connect, within};

/// The version of the extension that this program works with.
pub const EXTENSION_VERSION: &str = "3.0";
/// Its library, as it is preloaded.
pub const LIBRARY: &str = "pgautofailover3";

/// Connecting may take this long.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// A report may take this long.
const REPORT_DEADLINE: Duration = Duration::from_secs(2);
/// Anything else may take this long: an operator waits for it.
const QUERY_DEADLINE: Duration = Duration::from_secs(10);

const NODE_ACTIVE: &str = "SELECT assignment FROM pgautofailover.node_active($1::text, $2::bigint, $3::integer, \
     $4::text::pgautofailover.replication_state, $5::boolean, $6::integer, $7::text::pg_lsn, $8::text, $9::jsonb)";

/// A parameter of a query.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// A connection to the monitor. Every call has a deadline.
pub struct MonitorConnection {
    pub(super) client: Client,
    node_active: OnceCell<Statement>,
    pub(super) formation_nodes: OnceCell<Statement>,
}

impl MonitorConnection {
    /// Connects, and makes sure that a monitor of the right version answers.
    ///
    /// # Errors
    /// No server, a refusal, no extension, or one of another version.
    pub async fn connect(target: &ConnectionString) -> Result<(Self, Notifications), MonitorError> {
        let mut target = target.clone();
        target.user.get_or_insert_with(|| "autoctl_node".to_owned());
        let dbname = target.dbname.get_or_insert_with(|| "pg_auto_failover".to_owned()).clone();
        let session = connect(&target, CONNECT_DEADLINE).await?;
        let connection =
            Self { client: session.client, node_active: OnceCell::new(), formation_nodes: OnceCell::new() };
        match connection.installed_version().await? {
            None => Err(MonitorError::ExtensionMissing(dbname)),
            Some(installed) if installed != EXTENSION_VERSION => {
                Err(MonitorError::VersionMismatch { installed, expected: EXTENSION_VERSION })
            }
            Some(_) => Ok((connection, Notifications::new(session.notifications))),
        }
    }

    /// The connection cannot be used any more.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Waits for what concerns this node only, and for the monitors, where there are several, to become others.
    ///
    /// # Errors
    /// As for any call.
    pub async fn listen_node(&self, node: NodeId) -> Result<(), MonitorError> {
        self.listen(&[&format!("{NODE_CHANNEL_PREFIX}{node}"), MONITORS_CHANNEL]).await
    }

    /// Waits for every change of a state.
    ///
    /// # Errors
    /// As for any call.
    pub async fn listen_state(&self) -> Result<(), MonitorError> {
        self.listen(&["state"]).await
    }

    /// Waits for every line of the monitor's log.
    ///
    /// # Errors
    /// As for any call.
    pub async fn listen_log(&self) -> Result<(), MonitorError> {
        self.listen(&["log"]).await
    }

    /// Where the servers of several monitors are; nothing for a monitor that is the only one.
    ///
    /// # Errors
    /// As for any call.
    pub async fn monitor_servers(&self) -> Result<Vec<Host>, MonitorError> {
        const WHAT: &str = "the monitors";
        const SQL: &str = "SELECT host, port FROM pgautofailover.monitor_server ORDER BY nodeid";
        let rows = self.within(REPORT_DEADLINE, WHAT, self.client.query(SQL, &[])).await?;
        let server = |row: &Row| {
            let port = u16::try_from(column::<i32>(row, "port")?)
                .map_err(|_| MonitorError::Protocol("a port that is none".to_owned()))?;
            Ok(Host { name: column(row, "host")?, port, address: None })
        };
        rows.iter().map(server).collect()
    }

    async fn listen(&self, channels: &[&str]) -> Result<(), MonitorError> {
        let command: String = channels.iter().map(|channel| format!("LISTEN {channel};")).collect();
        self.within(REPORT_DEADLINE, "listening", self.client.batch_execute(&command)).await
    }

    /// Reports what this node is, and gets what it should become.
    ///
    /// # Errors
    /// `NodeDropped` when the monitor has removed the node, `UnknownNode` when it never knew it; else as for any call.
    pub async fn node_active(
        &self,
        formation: &str,
        node: NodeId,
        group: GroupId,
        report: &Report,
    ) -> Result<Answer, MonitorError> {
        const WHAT: &str = "reporting";
        let timeline = i32::try_from(report.timeline.0)
            .map_err(|_| MonitorError::Protocol("a timeline beyond 2^31".to_owned()))?;
        let parameters: [Parameter<'_>; 9] = [
            &formation,
            &node.0,
            &group.0,
            &report.state.as_str(),
            &report.is_running,
            &timeline,
            &report.lsn.to_string(),
            &report.sync_state,
            &Json(&report.detail),
        ];
        let answer = self
            .within(REPORT_DEADLINE, WHAT, async {
                let statement = self.node_active.get_or_try_init(|| self.client.prepare(NODE_ACTIVE)).await?;
                self.client.query_one(statement, &parameters).await
            })
            .await;
        match answer {
            // To a node that has agreed to be dropped there is nothing left to say.
            Ok(row) => column::<Option<Json<Answer>>>(&row, "assignment")?
                .map(|Json(answer)| answer)
                .ok_or(MonitorError::NodeDropped(node)),
            Err(MonitorError::Refused { sqlstate, message, hint }) => Err(match sqlstate.as_str() {
                sqlstate::REMOVED_NODE => MonitorError::NodeDropped(node),
                sqlstate::UNKNOWN_NODE | sqlstate::UNKNOWN_OBJECT => MonitorError::UnknownNode { message },
                _ => MonitorError::Refused { sqlstate, message, hint },
            }),
            Err(error) => Err(error),
        }
    }

    async fn installed_version(&self) -> Result<Option<String>, MonitorError> {
        let query = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pgautofailover'";
        // A keeper that connects again waits for this, and it is not an operator.
        let rows = self.within(CONNECT_DEADLINE, "the version", self.client.query(query, &[])).await?;
        rows.first().map(|row| column(row, "extversion")).transpose()
    }

    pub(super) async fn query(
        &self,
        what: &'static str,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, MonitorError> {
        self.within(QUERY_DEADLINE, what, self.client.query(sql, parameters)).await
    }

    /// The one column of the one row; for functions that always give one.
    pub(super) async fn query_value<T>(
        &self,
        what: &'static str,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<T, MonitorError>
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        let rows = self.query(what, sql, parameters).await?;
        let row = rows.first().ok_or_else(|| MonitorError::Protocol(format!("no row ({what})")))?;
        row.try_get(0).map_err(|error| MonitorError::Protocol(format!("{error} ({what})")))
    }

    pub(super) async fn within<T>(
        &self,
        deadline: Duration,
        what: &'static str,
        future: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, MonitorError> {
        within(deadline, what, future).await?.map_err(|error| MonitorError::of_query(what, &error))
    }
}

/// One column of a row.
pub(super) fn column<T>(row: &Row, name: &str) -> Result<T, MonitorError>
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    row.try_get(name).map_err(|error| MonitorError::Protocol(format!("column {name}: {error}")))
}

/// One column of a row, as text that is parsed.
pub(super) fn parsed<T>(row: &Row, name: &str) -> Result<T, MonitorError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    column::<String>(row, name)?
        .parse()
        .map_err(|error| MonitorError::Protocol(format!("column {name}: {error}")))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_keeper_does_not_wait_as_long_as_an_operator_for_a_monitor_that_takes_connections_and_answers_nothing()
     {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = silent.local_addr().expect("an address").port();
        let target = format!("host=127.0.0.1 port={port} sslmode=disable").parse().expect("valid");
        let began = Instant::now();
        MonitorConnection::connect(&target).await.map(drop).expect_err("nobody answers");
        assert!(began.elapsed() < QUERY_DEADLINE / 2, "{:?}", began.elapsed());
    }
}
