//! A session with a coordinator, the local one or another; or with a worker, as the coordinator's keeper asks it.

use std::fmt::Display;
use std::time::Duration;

use pgaf_core::{GroupId, Peer};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::address::Address;
use crate::client::{self, ConnectionString, Secret, Session, SslOptions, within};
use crate::config::NodeConfig;
use crate::postgres::{Instance, LocalSession, PostgresError};

/// Connecting to another node may take this long: a promotion may be waiting.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// A simple statement may take this long.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(3);

/// As whom the nodes of a formation connect to each other.
#[derive(Clone, Debug)]
pub struct Login {
    /// A superuser, on every node.
    pub user: String,
    /// The database that has the extension.
    pub dbname: String,
    /// `PGPASSWORD`, where one is asked for.
    pub password: Option<Secret>,
    /// TLS.
    pub ssl: SslOptions,
}

impl Login {
    /// As the keeper of this node connects to other nodes.
    pub fn of(config: &NodeConfig) -> Self {
        Self {
            user: config.postgres.username.clone(),
            dbname: config.postgres.dbname.clone(),
            password: std::env::var("PGPASSWORD").ok().map(Secret::new),
            ssl: config.ssl.client_options(),
        }
    }
}

/// An open session. Every statement has a deadline.
pub struct Coordinator {
    link: Link,
}

enum Link {
    Local(LocalSession),
    Remote(Session),
}

impl Coordinator {
    /// Connects to the primary of the coordinator's group, and makes sure that it is one.
    ///
    /// # Errors
    /// It does not answer, is in recovery, or is no coordinator.
    pub async fn remote(login: &Login, peer: &Peer) -> Result<Self, PostgresError> {
        let address = Address::from(peer);
        let coordinator = Self::at(login, &address).await?;
        let question = "SELECT NOT pg_is_in_recovery() AND citus_is_coordinator()";
        let row = coordinator.query("ask whether this is a coordinator", question, &[]).await?;
        if row.first().is_some_and(|row| row.get(0)) {
            return Ok(coordinator);
        }
        Err(PostgresError::Refused(format!("{address} is not the primary of a coordinator now")))
    }

    /// Connects to any node of the formation.
    pub(super) async fn at(login: &Login, address: &Address) -> Result<Self, PostgresError> {
        let mut target = ConnectionString::new(address.host.clone(), address.port);
        target.user = Some(login.user.clone());
        target.dbname = Some(login.dbname.clone());
        target.password.clone_from(&login.password);
        target.ssl = login.ssl.clone();
        let session = client::connect(&target, CONNECT_DEADLINE).await?;
        Ok(Self { link: Link::Remote(session) })
    }

    /// Connects to the local server.
    ///
    /// # Errors
    /// It does not run, or does not let us in.
    pub async fn local(instance: &Instance) -> Result<Self, PostgresError> {
        let dbname = instance.config().dbname.clone();
        Ok(Self { link: Link::Local(instance.session(&dbname).await?) })
    }

    /// Makes sure that this node has the shards of a group. The number of a group that has lost all its nodes may be given
    /// to new ones, which have none of its data: nothing must be sent to them.
    pub(super) async fn must_have_data_of(&self, group: GroupId) -> Result<(), PostgresError> {
        let question = "SELECT groupid FROM pg_catalog.pg_dist_local_group";
        let rows = self.query("ask for the group of a node", question, &[]).await?;
        match rows.first().map(|row| GroupId(row.get(0))) {
            Some(found) if found == group => Ok(()),
            _ => Err(PostgresError::Refused(format!(
                "the node has none of the data that the coordinator knows in group {group}: remove that group from \
                 the coordinator with citus_remove_node first, or bring back a node that has it"
            ))),
        }
    }

    fn client(&self) -> &Client {
        match &self.link {
            Link::Local(session) => session,
            Link::Remote(session) => &session.client,
        }
    }

    /// Runs a query that does not wait for locks or other nodes.
    pub(super) async fn query(
        &self,
        action: &'static str,
        query: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        self.query_within(STATEMENT_DEADLINE, action, query, parameters).await
    }

    /// Runs a query that may take this long.
    pub(super) async fn query_within(
        &self,
        deadline: Duration,
        action: &'static str,
        query: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        within(
            deadline,
            &format!("a node of the formation (asked to {action})"),
            self.client().query(query, parameters),
        )
        .await?
        .map_err(PostgresError::sql(action))
    }

    /// Runs statements that may take this long.
    pub(super) async fn run(
        &self,
        deadline: Duration,
        action: &'static str,
        statements: &str,
    ) -> Result<(), PostgresError> {
        within(
            deadline,
            &format!("a node of the formation (asked to {action})"),
            self.client().batch_execute(statements),
        )
        .await?
        .map_err(PostgresError::sql(action))
    }

    /// Ends the transaction that a refused statement has left.
    pub(super) async fn roll_back(&self) -> Result<(), PostgresError> {
        self.run(STATEMENT_DEADLINE, "roll back", "ROLLBACK").await
    }

    /// Runs `COMMIT PREPARED` or `ROLLBACK PREPARED`; false when somebody else has done so already.
    pub(super) async fn end_prepared(&self, verb: &str, gid: &impl Display) -> Result<bool, PostgresError> {
        let statement = format!("{verb} PREPARED '{gid}'");
        match self.run(STATEMENT_DEADLINE, "end a prepared transaction", &statement).await {
            Ok(()) => Ok(true),
            Err(error) if error.sqlstate() == Some(&SqlState::UNDEFINED_OBJECT) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
