//! How far `create` has come, so that one that was interrupted can be run again.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use crate::files::atomic;

/// What was in PGDATA before we touched it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PgdataContent {
    /// Nothing: whatever is there now was made by us and may be made again.
    Empty,
    /// Somebody's cluster, to be kept.
    Cluster,
}

/// The content of the init file; it is there from before the first change until `create` is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What was there before.
    pub pgdata: PgdataContent,
    /// The monitor may know this node already.
    pub is_registering: bool,
}

/// Reads the init file; `None` when no `create` is unfinished.
///
/// # Errors
/// A file that cannot be read.
pub fn load(path: &Path) -> Result<Option<Progress>, ConfigError> {
    match std::fs::read(path) {
        Ok(content) => serde_json::from_slice(&content)
            .map(Some)
            .map_err(|error| ConfigError::Syntax { path: PathBuf::from(path), reason: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ConfigError::file("cannot read", path, &error)),
    }
}

/// Writes the init file.
///
/// # Errors
/// The system's.
pub fn store(path: &Path, progress: &Progress) -> Result<(), ConfigError> {
    serde_json::to_vec_pretty(progress)
        .map_err(io::Error::from)
        .and_then(|content| atomic::write(path, &content))
        .map_err(|error| ConfigError::file("cannot write", path, &error))
}

/// `create` is done, or undone.
///
/// # Errors
/// The system's.
pub fn remove(path: &Path) -> Result<(), ConfigError> {
    atomic::remove(path).map_err(|error| ConfigError::file("cannot remove", path, &error))
}
