//! The life of a keeper: its hands and ears. What to do is decided by [`pgaf_core::keeper::Engine`], nothing here.
//!
//! One task, one `select!` for what happens, one `match` over what shall be done. Looking, reporting, saving and the step
//! that is being executed go on beside each other, so that neither a slow copy nor a monitor that does not answer keeps a
//! primary from fencing itself in time.

mod authority;
mod citus;
mod companions;
mod council;
mod executor;
mod hold;
mod keeper;
mod link;
mod log;
mod reading;
mod signals;
mod slot;
mod state_writer;
mod whereabouts;

use crate::config::state::StateError;
use crate::config::{ConfigError, NodeConfig};
use crate::exit::Exit;
use crate::monitors::Handle;
use crate::postgres::PostgresError;

/// Why a keeper cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state file cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The local Postgres cannot be handled.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The node was never registered.
    #[error("this node is not registered at a monitor: run pg_autoctl create postgres first")]
    NotRegistered,
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(#[from] std::io::Error),
}

impl AgentError {
    /// The exit code that tells a script what went wrong.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::BadConfig,
            Self::State(_) | Self::NotRegistered => Exit::BadState,
            Self::Postgres(_) => Exit::PgCtl,
            Self::Signals(_) => Exit::Internal,
        }
    }
}

/// Runs the keeper of a registered node until it is told to stop or its node is dropped.
///
/// # Errors
/// Only what makes it impossible to begin; afterwards errors are logged and what failed is tried again.
pub async fn run(config: NodeConfig) -> Result<Exit, AgentError> {
    keeper::Keeper::new(config, None).await?.live().await
}

/// Runs the keeper of the Postgres of one of several monitors, whose agents say together what it shall be.
///
/// # Errors
/// As `run`.
pub(crate) async fn run_monitor(config: NodeConfig, monitors: Handle) -> Result<Exit, AgentError> {
    keeper::Keeper::new(config, Some(monitors)).await?.live().await
}
