//! What can go wrong with the local Postgres. Every message is one sentence for the operator, and has no password.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::client::{ConnectError, Late, describe};

/// A failure of a step, of a program, of a query, or of a file.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// ENOSPC, from ourselves or from a program.
    #[error("no space left on the device that holds \"{}\": free some, and the keeper goes on by itself", .path.display())]
    DiskFull {
        /// A file or directory on that device.
        path: PathBuf,
    },
    /// A file operation.
    #[error("cannot {action} \"{}\": {source}", .path.display())]
    File {
        /// A verb, like "read".
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// One of Postgres's programs ended with an error.
    #[error("{program} failed: {message}")]
    Program {
        /// Its name.
        program: String,
        /// The last of what it wrote.
        message: String,
    },
    /// A deadline.
    #[error("{what} took longer than {} s", .after.as_secs_f32())]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
    },
    /// A program has done nothing for too long, and was ended.
    #[error("{program} made no progress for {} s, and was ended", .after.as_secs())]
    NoProgress {
        /// Its name.
        program: String,
        /// For how long.
        after: Duration,
    },
    /// The postmaster ended before it accepted connections.
    #[error("Postgres does not start: {reason}; see \"{}\"", .log.display())]
    DoesNotStart {
        /// The last message it wrote.
        reason: String,
        /// Where the rest is.
        log: PathBuf,
    },
    /// The server refused a statement, or the connection broke.
    #[error("cannot {action}: {message}")]
    Sql {
        /// A verb phrase, like "create a replication slot".
        action: &'static str,
        /// The code, when the server answered.
        sqlstate: Option<SqlState>,
        /// The server's message, or that of the connection.
        message: String,
        /// The server asked for a password that there is none of, or in a way that is not known.
        is_authentication: bool,
    },
    /// A server that cannot be connected to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Something is not as the step needs it to be; the sentence says what.
    #[error("{0}")]
    Refused(String),
}

impl PostgresError {
    /// The cause is a full disk: another try, or another node, does not help.
    pub const fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    /// The code of the server's refusal.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Sql { sqlstate, .. } => sqlstate.as_ref(),
            Self::Connect(error) => error.sqlstate(),
            _ => None,
        }
    }

    /// The server answered, and refused: that is a sign of life. That it starts, or stops, is no refusal.
    pub fn is_refusal(&self) -> bool {
        let not_now = [SqlState::CANNOT_CONNECT_NOW, SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN];
        match self {
            Self::Sql { sqlstate: Some(code), .. } => !not_now.contains(code),
            Self::Sql { sqlstate: None, is_authentication, .. } => *is_authentication,
            _ => false,
        }
    }

    /// For `map_err` on file operations.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            if source.kind() == io::ErrorKind::StorageFull {
                Self::DiskFull { path }
            } else {
                Self::File { action, path, source }
            }
        }
    }

    /// For `map_err` on queries.
    pub(crate) fn sql(action: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |error| Self::Sql {
            action,
            sqlstate: error.code().cloned(),
            is_authentication: is_authentication(&error),
            message: describe(&error),
        }
    }
}

impl From<Late> for PostgresError {
    fn from(late: Late) -> Self {
        Self::TimedOut { what: late.what, after: late.after }
    }
}

/// The server's demand cannot be met. The library tells that from a broken connection by its words only.
fn is_authentication(error: &tokio_postgres::Error) -> bool {
    ["authentication error", "invalid configuration"].iter().any(|words| error.to_string().starts_with(words))
}

/// The words of the C library for a full disk, as programs print them.
pub(crate) fn says_disk_full(text: &str) -> bool {
    text.contains("No space left on device")
}
