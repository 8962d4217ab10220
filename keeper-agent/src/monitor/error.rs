//! Why the monitor could not be asked, or does not do what it is asked for.

use std::time::Duration;

use pgaf_core::{NodeId, sqlstate};

use crate::client::{ConnectError, Late, describe, within};
use crate::exit::Exit;

/// A call of the monitor that failed.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// No connection: the network, or the monitor's Postgres.
    #[error("the monitor cannot be reached: {0}")]
    Unreachable(#[from] ConnectError),
    /// The connection broke while it was used.
    #[error("the connection to the monitor is lost: {0}")]
    Lost(String),
    /// No answer in time.
    #[error("the monitor has not answered within {} ms ({what})", .after.as_millis())]
    TimedOut {
        /// Which question.
        what: String,
        /// For how long it was waited.
        after: Duration,
    },
    /// The monitor answered with an error.
    #[error("the monitor refuses: {message}{}", in_parentheses(.hint))]
    Refused {
        /// The error's code.
        sqlstate: String,
        /// The error's text.
        message: String,
        /// What can be done.
        hint: Option<String>,
    },
    /// The monitor has removed this node.
    #[error(
        "the monitor has removed node {0} from its formation; \"pg_autoctl drop node --destroy\" removes what is left of it here, \"pg_autoctl create postgres\" creates it again"
    )]
    NodeDropped(NodeId),
    /// A monitor answers that does not know this node, and has not removed it either.
    #[error(
        "{message}: this monitor is another one than the node was registered at, was emptied, or was restored from a backup; this node goes on serving without a monitor. Restore the monitor, or register the node again with \"pg_autoctl disable monitor\" and \"pg_autoctl enable monitor\""
    )]
    UnknownNode {
        /// What the monitor said.
        message: String,
    },
    /// The extension is there in another version.
    #[error(
        "the monitor has extension pgautofailover {installed}, this program needs {expected}: install the same version on both, and run ALTER EXTENSION pgautofailover UPDATE in the monitor's database"
    )]
    VersionMismatch {
        /// In the monitor's database.
        installed: String,
        /// By this program.
        expected: &'static str,
    },
    /// The database is not a monitor's.
    #[error("database \"{0}\" does not have the extension pgautofailover: does the URI lead to a monitor?")]
    ExtensionMissing(String),
    /// The answer is not what this program understands.
    #[error("unexpected response from the monitor: {0}")]
    Protocol(String),
}

fn in_parentheses(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default()
}

/// The call, which the monitor has to answer within the deadline.
///
/// # Errors
/// Those of the call; `TimedOut`.
pub(crate) async fn timed<T>(
    what: &'static str,
    deadline: Duration,
    call: impl Future<Output = Result<T, MonitorError>>,
) -> Result<T, MonitorError> {
    within(deadline, what, call).await?
}

impl From<Late> for MonitorError {
    fn from(late: Late) -> Self {
        Self::TimedOut { what: late.what, after: late.after }
    }
}

impl MonitorError {
    /// What came of a query; `what` says which.
    pub(super) fn of_query(what: &'static str, error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // The server closes the connection: 57P01 to 57P03.
            Some(refusal) if refusal.code().code().starts_with("57P") => {
                Self::Lost(refusal.message().to_owned())
            }
            Some(refusal) => Self::Refused {
                sqlstate: refusal.code().code().to_owned(),
                message: refusal.message().to_owned(),
                hint: refusal.hint().map(str::to_owned),
            },
            None if error.is_closed() => Self::Lost(format!("{} ({what})", describe(error))),
            None => Self::Protocol(format!("{} ({what})", describe(error))),
        }
    }

    /// The error's code, when the monitor answered with one.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Refused { sqlstate, .. } => Some(sqlstate),
            Self::Unreachable(error) => error.sqlstate().map(|code| code.code()),
            _ => None,
        }
    }

    /// Asking again later may help, without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(ConnectError::Options(_) | ConnectError::Untrusted { .. }) => false,
            Self::Unreachable(_) | Self::Lost(_) | Self::TimedOut { .. } => true,
            // Serialization failures, deadlocks, lock time-outs, too few resources.
            Self::Refused { sqlstate, .. } => {
                ["40", "53", "55P03", "57014"].iter().any(|class| sqlstate.starts_with(class))
                    || sqlstate == sqlstate::NOT_CONFIGURED
            }
            _ => false,
        }
    }

    /// What an operator can check, where the message itself does not say it.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable(ConnectError::Refused { sqlstate, .. }) => match sqlstate.code() {
                "28P01" => Some(
                    "give the right password: \"pg_autoctl show uri --formation monitor\" on the monitor prints the URI with it",
                ),
                "28000" => Some("the monitor's pg_hba.conf must let this machine and the role of the URI in"),
                "3D000" => Some("give the database of the monitor in its URI, which is pg_auto_failover"),
                _ => None,
            },
            Self::Unreachable(ConnectError::Options(_) | ConnectError::Untrusted { .. }) => None,
            Self::Unreachable(_) | Self::TimedOut { .. } => {
                Some("check that the monitor runs, and that its URI is right")
            }
            _ => None,
        }
    }

    /// What the program ends with because of this.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::NodeDropped(_) => Exit::Dropped,
            Self::ExtensionMissing(_) => Exit::ExtensionMissing,
            Self::Unreachable(ConnectError::Options(_)) => Exit::BadConfig,
            _ => Exit::Monitor,
        }
    }
}
