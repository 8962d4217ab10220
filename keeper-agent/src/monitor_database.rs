//! What is in the monitor's server: the database, the extension, the roles.

use crate::client::describe;
use crate::config::MonitorConfig;
use crate::exit::Exit;
use crate::monitor::EXTENSION_VERSION;
use crate::postgres::{Instance, LocalSession, PostgresError};
use crate::upgrade::{self, ExtensionError};

/// The owner of the monitor's database.
const OWNER: &str = "autoctl";

/// The role that keepers connect as.
pub const NODE_ROLE: &str = "autoctl_node";

/// Why the database cannot be completed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The server.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The extension, in another version.
    #[error(transparent)]
    Version(#[from] ExtensionError),
    /// The extension.
    #[error(
        "could not create extension pgautofailover: {0}; is it installed for this Postgres, and in the same version as pg_autoctl?"
    )]
    Extension(String),
}

impl DatabaseError {
    /// What the program ends with.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Postgres(_) => Exit::PgCtl,
            Self::Version(error) => error.exit(),
            Self::Extension(_) => Exit::ExtensionMissing,
        }
    }
}

/// Makes what is missing, on a server that runs as a primary.
///
/// # Errors
/// The server's, or an extension that is not there.
pub async fn complete(instance: &Instance, config: &MonitorConfig) -> Result<(), DatabaseError> {
    let dbname = &config.postgres.dbname;
    instance.ensure_role(OWNER, Default::default(), None).await?;
    instance.ensure_database(dbname, OWNER).await?;
    let session = instance.session(dbname).await?;
    make_extension(&session).await?;
    upgrade::bring_up_to_date(&session).await?;
    Ok(keep_password(instance, config).await?)
}

/// Makes the role that keepers connect as, with the password that is configured; without one, that of the role stays.
///
/// # Errors
/// The server's.
pub async fn keep_password(instance: &Instance, config: &MonitorConfig) -> Result<(), PostgresError> {
    instance.ensure_role(NODE_ROLE, Default::default(), config.node_password.as_ref()).await
}

async fn make_extension(session: &LocalSession) -> Result<(), DatabaseError> {
    // The default version is that of 2.x while a monitor of 2.x runs on this machine.
    let statement = format!(
        "CREATE EXTENSION IF NOT EXISTS pgautofailover SCHEMA public VERSION '{EXTENSION_VERSION}' CASCADE"
    );
    session.batch_execute(&statement).await.map_err(|error| DatabaseError::Extension(describe(&error)))
}
