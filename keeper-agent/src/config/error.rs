//! What can be wrong with the files of a node.

use std::io;
use std::path::{Path, PathBuf};

use super::values::Role;

/// A configuration that cannot be used; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// This PGDATA was not made with this program.
    #[error(
        "\"{}\" has no configuration file \"{}\": is --pgdata right, and was the node made with \"pg_autoctl create\" by this user?",
        .pgdata.display(), .path.display()
    )]
    Missing {
        /// The PGDATA that was asked for.
        pgdata: PathBuf,
        /// Where the file would be.
        path: PathBuf,
    },
    /// The command is for the other role.
    #[error("\"{}\" is the configuration of a {role}: this command is for the other role", .path.display())]
    Role {
        /// The configuration file.
        path: PathBuf,
        /// The role it is for.
        role: Role,
    },
    /// The system's error.
    #[error("{action} \"{}\": {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not an INI file, or not with the settings we know.
    #[error("the file \"{}\" cannot be used: {reason}", .path.display())]
    Syntax {
        /// The configuration file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// No such key.
    #[error("there is no setting \"{name}\"; the settings are {known}")]
    UnknownKey {
        /// What was asked for.
        name: String,
        /// All there are.
        known: String,
    },
    /// A value that the key cannot have.
    #[error("{name}: {reason}")]
    InvalidValue {
        /// The key.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A key that people may not set.
    #[error("{name} was fixed when the node was made and cannot be set")]
    Fixed {
        /// The key.
        name: String,
    },
    /// A key without which nothing works.
    #[error("\"{}\" has no value for {name}: set it with \"pg_autoctl config set {name} VALUE\"", .path.display())]
    NotSet {
        /// The configuration file.
        path: PathBuf,
        /// The key.
        name: String,
    },
    /// No directory to put files in.
    #[error("there is no home directory for the configuration: {0}")]
    NoHome(String),
}

impl ConfigError {
    /// The system's error about a file.
    pub fn file(action: &'static str, path: &Path, source: &io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source: io::Error::new(source.kind(), source.to_string()),
        }
    }
}
