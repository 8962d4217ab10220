//! Everything a function can fail with, and the one place where it becomes a Postgres error.

use pgaf_core::monitor::{Refusal, RefusalKind};
use pgaf_core::{GroupId, MonitorId, NodeId, sqlstate};
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::SpiError;

/// An expected failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Refused(Refusal),
    #[error("formation \"{0}\" does not exist")]
    UnknownFormation(String),
    #[error("group {group} of formation \"{formation}\" does not exist")]
    UnknownGroup { formation: String, group: GroupId },
    #[error("node {0} does not exist")]
    UnknownNode(NodeId),
    #[error("node {0} was removed from its formation")]
    RemovedNode(NodeId),
    #[error("node {node} is registered at monitor {theirs}, this is monitor {ours}")]
    OtherMonitor { node: NodeId, theirs: MonitorId, ours: MonitorId },
    #[error("node {0} of this monitor is another node, which was registered with the same id")]
    OtherRegistration(NodeId),
    #[error("this monitor has no identity: table pgautofailover.monitor is empty")]
    NoIdentity,
    #[error("there is no node at {host}:{port}")]
    UnknownAddress { host: String, port: i32 },
    #[error("there is no node \"{name}\" in formation \"{formation}\"")]
    UnknownName { formation: String, name: String },
    #[error("node {node} is in group {group} of formation \"{formation}\"")]
    OtherGroup { node: NodeId, formation: String, group: GroupId },
    #[error("{what}")]
    Duplicate { what: String, hint: &'static str },
    #[error("{what}")]
    Invalid { what: String, hint: &'static str },
    #[error("{what}")]
    WrongState { what: String, hint: &'static str },
    #[error("{0} is NULL")]
    Null(&'static str),
    #[error("the library \"pgautofailover\" is not preloaded")]
    NotPreloaded,
    #[error(
        "the library of pgautofailover is version {library}, and the installed extension is version {extension}"
    )]
    VersionMismatch { library: &'static str, extension: String },
    #[error("the functions of the monitor cannot be called in a transaction of isolation level {0}")]
    Isolation(&'static str),
    #[error("the row of {what} cannot be read: {why}")]
    Damaged { what: String, why: String },
    #[error("the monitor could not run its own query: {0}")]
    Spi(#[from] SpiError),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownNode(node) => Self::UnknownNode(node),
            other => Self::Refused(other),
        }
    }
}

impl Error {
    const fn sqlstate(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => match refusal.kind() {
                RefusalKind::UndefinedObject => sqlstate::UNKNOWN_OBJECT,
                RefusalKind::WrongState => sqlstate::WRONG_STATE,
                RefusalKind::Busy => sqlstate::ROLE_CHANGE_UNDER_WAY,
                RefusalKind::InvalidValue => sqlstate::INVALID_VALUE,
                RefusalKind::Internal => sqlstate::INTERNAL,
            },
            Self::UnknownFormation(_) | Self::UnknownGroup { .. } => sqlstate::UNKNOWN_OBJECT,
            Self::UnknownNode(_)
            | Self::OtherMonitor { .. }
            | Self::OtherRegistration(_)
            | Self::UnknownAddress { .. }
            | Self::UnknownName { .. } => sqlstate::UNKNOWN_NODE,
            Self::RemovedNode(_) => sqlstate::REMOVED_NODE,
            Self::Duplicate { .. } => sqlstate::DUPLICATE_OBJECT,
            Self::OtherGroup { .. } | Self::Invalid { .. } => sqlstate::INVALID_VALUE,
            Self::WrongState { .. } | Self::NoIdentity => sqlstate::WRONG_STATE,
            Self::Null(_) => sqlstate::NULL_VALUE,
            Self::NotPreloaded => sqlstate::NOT_CONFIGURED,
            Self::VersionMismatch { .. } => sqlstate::VERSION_MISMATCH,
            Self::Isolation(_) => sqlstate::WRONG_ISOLATION,
            Self::Damaged { .. } | Self::Spi(_) => sqlstate::INTERNAL,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.hint().to_owned(),
            Self::UnknownFormation(_) => {
                "SELECT formationid FROM pgautofailover.formation shows the formations there are.".to_owned()
            }
            Self::UnknownGroup { .. } => {
                "pgautofailover.current_state() shows the groups of a formation.".to_owned()
            }
            Self::UnknownNode(_) | Self::UnknownAddress { .. } | Self::UnknownName { .. } => {
                "SELECT nodeid, nodename FROM pgautofailover.node shows the nodes that are registered."
                    .to_owned()
            }
            Self::RemovedNode(_) => {
                "Remove what is left of the node with: pg_autoctl drop node --destroy.".to_owned()
            }
            Self::NoIdentity => "Put the row back with: INSERT INTO pgautofailover.monitor (identity) VALUES ('...'), \
                                 where \"monitor\" in the state file of any node has the value; a monitor without \
                                 nodes takes: INSERT INTO pgautofailover.monitor DEFAULT VALUES."
                .to_owned(),
            Self::OtherMonitor { .. } | Self::OtherRegistration(_) => {
                "Register the node at this monitor with: pg_autoctl disable monitor, and then \
                 pg_autoctl enable monitor."
                    .to_owned()
            }
            Self::OtherGroup { .. } => "Call the function with the group that the node is in.".to_owned(),
            Self::Duplicate { hint, .. } | Self::Invalid { hint, .. } | Self::WrongState { hint, .. } => {
                (*hint).to_owned()
            }
            Self::Null(_) => "Give a value.".to_owned(),
            Self::NotPreloaded => {
                "Add pgautofailover3 to shared_preload_libraries and restart Postgres.".to_owned()
            }
            Self::VersionMismatch { library, extension } => version_hint(library, extension),
            Self::Isolation(_) => {
                "Call them in READ COMMITTED: BEGIN ISOLATION LEVEL READ COMMITTED.".to_owned()
            }
            Self::Damaged { .. } | Self::Spi(_) => {
                "Somebody changed the tables of pgautofailover, or this is a defect: please report it."
                    .to_owned()
            }
        }
    }
}

/// What makes the two versions the same: the older one has to follow.
fn version_hint(library: &str, extension: &str) -> String {
    let numbers = |text: &str| -> Vec<u32> { text.split('.').filter_map(|part| part.parse().ok()).collect() };
    if numbers(extension) < numbers(library) {
        format!("Run: ALTER EXTENSION pgautofailover UPDATE TO '{library}'.")
    } else {
        "Install the package of the extension's version and restart Postgres.".to_owned()
    }
}

/// The number that Postgres packs the five letters of an SQLSTATE into, six bits each.
fn packed(sqlstate: &str) -> i32 {
    let letters = sqlstate.bytes().take(5).enumerate();
    letters
        .fold(0, |code, (index, letter)| code | (i32::from(letter.wrapping_sub(b'0')) & 0x3F) << (6 * index))
}

impl From<Error> for ErrorReport {
    #[track_caller]
    fn from(error: Error) -> Self {
        let code = PgSqlErrorCode::from(packed(error.sqlstate()));
        Self::new(code, error.to_string(), "pgautofailover").set_hint(error.hint())
    }
}
