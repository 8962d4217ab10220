//! What `run` does on a machine where 2.x ran, before it begins.

use std::io;
use std::path::{Path, PathBuf};

use pgaf_core::ReplicationState;

use super::{COPY_SUFFIX, Processes, state_file};
use crate::config::state::{self, KeeperState, StateError};
use crate::config::{NodeConfig, Paths};
use crate::exit::Exit;
use crate::files::atomic;
use crate::monitor::{MonitorConnection, MonitorError};

/// Why a machine of 2.x cannot be taken over now. Nothing has been changed.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Its supervisor lives.
    #[error(
        "pg_autoctl 2.x runs this node as process {0}: end that process alone with \"kill -KILL {0}\", which leaves Postgres running, and run this command again (see docs/upgrade.md)"
    )]
    Running(i32),
    /// A service does not go.
    #[error("process {0} of pg_autoctl 2.x could not be ended")]
    Service(i32),
    /// The state file is no state.
    #[error("the state file \"{}\" of pg_autoctl 2.x is damaged: {reason}", .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// It is promoted, and may not write yet.
    #[error("the node is in state {0}: wait until the failover is over, with pg_autoctl 2.x running it")]
    InFailover(ReplicationState),
    /// A file cannot be read or written.
    #[error("could not use \"{}\": {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The monitor is still of 2.x, or cannot be asked.
    #[error("the monitor comes first, restart its service and then that of this node: {0}")]
    Monitor(#[from] MonitorError),
    /// The new state file.
    #[error(transparent)]
    NewState(#[from] StateError),
}

impl UpgradeError {
    /// What the program ends with.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Running(_) | Self::State { .. } | Self::InFailover(_) | Self::NewState(_) => Exit::BadState,
            Self::Monitor(error) => error.exit(),
            Self::Service(_) | Self::File { .. } => Exit::BadConfig,
        }
    }
}

/// The state that 2.x has left, if that is what there is, once nothing speaks against taking it over.
///
/// # Errors
/// What speaks against it.
pub async fn check_node(config: &NodeConfig) -> Result<Option<KeeperState>, UpgradeError> {
    let path = &config.paths.state;
    let content = match std::fs::read(path) {
        Ok(content) if state_file::is_of_2x(&content) => content,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // Whoever's it is.
        Err(source) => return Err(StateError::File { action: "read", path: path.clone(), source }.into()),
    };
    let state =
        state_file::read(&content).map_err(|reason| UpgradeError::State { path: path.clone(), reason })?;
    if state.reported == ReplicationState::StopReplication {
        return Err(UpgradeError::InFailover(state.reported));
    }
    match &config.monitor {
        Some(monitor) => {
            MonitorConnection::connect(monitor).await.map(|_| Some(state)).map_err(UpgradeError::from)
        }
        None => Ok(Some(KeeperState { has_left_monitor: true, ..state })),
    }
}

/// Ends what is left of 2.x here, but Postgres.
///
/// # Errors
/// A process that does not go.
pub async fn end_services(paths: &Paths, processes: &Processes) -> Result<(), UpgradeError> {
    processes.end_services().await.map_err(UpgradeError::Service)?;
    Processes::remove_files(&paths.pid);
    Ok(())
}

/// Replaces the state file of 2.x, of which a copy is kept.
///
/// # Errors
/// The system's.
pub fn take_over_state(config: &NodeConfig, state: &KeeperState) -> Result<(), UpgradeError> {
    keep_copy(&config.paths.config)?;
    keep_copy(&config.paths.state)?;
    state::store(&config.paths.state, state)?;
    tracing::info!(
        "took over node {} in state {} from pg_autoctl 2.x, whose files are kept with the suffix \".{COPY_SUFFIX}\"",
        state.node,
        state.reported
    );
    Ok(())
}

/// Copies a file of 2.x to one that stays; the first copy is the one that is kept.
///
/// # Errors
/// The system's.
pub fn keep_copy(path: &Path) -> Result<(), UpgradeError> {
    let failed = |source| UpgradeError::File { path: path.to_owned(), source };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(COPY_SUFFIX);
    let copy = path.with_file_name(name);
    if copy.exists() {
        return Ok(());
    }
    let content = std::fs::read(path).map_err(failed)?;
    atomic::write(&copy, &content).map_err(failed)
}
