//! The roles of replication and of the monitor. Passwords reach the server as verifiers, which is all
//! that its log can ever show.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password::scram_sha_256;

use crate::client::Secret;
use crate::postgres::server::{LocalServer, LocalSession, PostgresError, connection};

use super::conninfo::REPLICATION_ROLE;

/// The role that is the monitor's by name. Nothing of this version logs in as it, and no line of pg_hba.conf is for it: it is
/// there for people, and for scripts that were written for 2.x.
const MONITOR_ROLE: &str = "pgautofailover_monitor";

/// What pg_rewind calls on its source, and the keeper to read the timeline history.
const SOURCE_FUNCTIONS: [&str; 4] = [
    "pg_catalog.pg_ls_dir(text, boolean, boolean)",
    "pg_catalog.pg_stat_file(text, boolean)",
    "pg_catalog.pg_read_binary_file(text)",
    "pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
];

/// What a role may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleAttributes {
    /// `SUPERUSER`.
    pub is_superuser: bool,
    /// `REPLICATION`.
    pub is_replication: bool,
}

impl LocalServer {
    /// Makes the roles of replication and of the monitor, or brings them up to date. On the primary only.
    ///
    /// # Errors
    /// The server does not run as a primary.
    pub async fn ensure_replication_roles(&self) -> Result<(), PostgresError> {
        let config = self.config();
        let session = self.any_session().await?;
        let attributes = RoleAttributes { is_replication: true, ..RoleAttributes::default() };
        let password = config.replication_password.as_ref();
        ensure(&session, REPLICATION_ROLE, attributes, password).await?;
        ensure(&session, MONITOR_ROLE, RoleAttributes::default(), None).await?;
        // The rights are of a database: those we, or pg_rewind, may connect to.
        for dbname in ["postgres", "template1", config.dbname.as_str()] {
            match self.session(dbname).await {
                Ok(session) => grant(&session).await?,
                Err(error) => tracing::debug!("could not grant rights in \"{dbname}\": {error}"),
            }
        }
        Ok(())
    }

    /// Makes a role that may log in, or brings it up to date; without a password, a present one stays.
    ///
    /// # Errors
    /// The server does not run as a primary.
    pub async fn ensure_role(
        &self,
        name: &str,
        attributes: RoleAttributes,
        password: Option<&Secret>,
    ) -> Result<(), PostgresError> {
        let session = self.any_session().await?;
        ensure(&session, name, attributes, password).await
    }

    /// Makes a database; false when it is there.
    ///
    /// # Errors
    /// The server does not run as a primary, or there is no such owner.
    pub async fn ensure_database(&self, name: &str, owner: &str) -> Result<bool, PostgresError> {
        let session = self.any_session().await?;
        let present = connection::rows(
            &session,
            "look for a database",
            "SELECT FROM pg_database WHERE datname = $1::text",
            &[&name],
        )
        .await?;
        if !present.is_empty() {
            return Ok(false);
        }
        let statement =
            format!("CREATE DATABASE {} OWNER {}", escape_identifier(name), escape_identifier(owner));
        connection::run(&session, "create the database", &statement).await?;
        Ok(true)
    }
}

async fn ensure(
    session: &LocalSession,
    name: &str,
    attributes: RoleAttributes,
    password: Option<&Secret>,
) -> Result<(), PostgresError> {
    let present = connection::rows(
        session,
        "look for a role",
        "SELECT FROM pg_roles WHERE rolname = $1::text",
        &[&name],
    )
    .await?;
    let verb = if present.is_empty() { "CREATE" } else { "ALTER" };
    let mut statement = format!("{verb} ROLE {} LOGIN", escape_identifier(name));
    if attributes.is_superuser {
        statement.push_str(" SUPERUSER");
    }
    if attributes.is_replication {
        statement.push_str(" REPLICATION");
    }
    if let Some(password) = password {
        let verifier = scram_sha_256(password.expose().as_bytes());
        statement.push_str(&format!(" PASSWORD {}", escape_literal(&verifier)));
    }
    connection::run(session, "create the role", &statement).await
}

async fn grant(session: &LocalSession) -> Result<(), PostgresError> {
    let role = escape_identifier(REPLICATION_ROLE);
    let mut statements: Vec<String> = SOURCE_FUNCTIONS
        .iter()
        .map(|function| format!("GRANT EXECUTE ON FUNCTION {function} TO {role}"))
        .collect();
    let question = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pg_checkpoint') \
        AND NOT EXISTS (SELECT FROM pg_auth_members \
            WHERE roleid = (SELECT oid FROM pg_roles WHERE rolname = 'pg_checkpoint') \
            AND member = (SELECT oid FROM pg_roles WHERE rolname = $1::text))";
    // Since Postgres 15, checkpoints can be left to a role.
    let row = connection::row(session, "look for a role", question, &[&REPLICATION_ROLE]).await?;
    if row.get(0) {
        statements.push(format!("GRANT pg_checkpoint TO {role}"));
    }
    connection::run(session, "grant rights for replication", &statements.join("; ")).await
}
