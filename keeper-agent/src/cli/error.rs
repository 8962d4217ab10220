//! What a command ends with when it cannot do what it was asked for: one sentence, and an exit code.

use std::fmt;

use crate::client::InvalidConnectionString;
use crate::config::ConfigError;
use crate::config::pid_file::PidFileError;
use crate::config::state::StateError;
use crate::exit::Exit;
use crate::monitor::MonitorError;
use crate::upgrade::{ExtensionError, UpgradeError};

/// An error as a person sees it.
#[derive(Debug)]
pub(super) struct CliError {
    /// What the program ends with.
    pub(super) exit: Exit,
    /// What is wrong, and what to do.
    pub(super) message: String,
}

/// What a command gives.
pub(super) type CliResult<T = ()> = Result<T, CliError>;

impl CliError {
    /// Any.
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// The command line makes no sense.
    pub(super) fn bad_arguments(message: impl Into<String>) -> Self {
        Self::new(Exit::BadArgs, message)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl From<MonitorError> for CliError {
    fn from(error: MonitorError) -> Self {
        let advice = error.advice().map(|advice| format!(": {advice}")).unwrap_or_default();
        Self::new(error.exit(), format!("{error}{advice}"))
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let exit = match error {
            ConfigError::UnknownKey { .. } | ConfigError::InvalidValue { .. } | ConfigError::Fixed { .. } => {
                Exit::BadArgs
            }
            _ => Exit::BadConfig,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<StateError> for CliError {
    fn from(error: StateError) -> Self {
        Self::new(Exit::BadState, error.to_string())
    }
}

impl From<UpgradeError> for CliError {
    fn from(error: UpgradeError) -> Self {
        Self::new(error.exit(), error.to_string())
    }
}

impl From<ExtensionError> for CliError {
    fn from(error: ExtensionError) -> Self {
        Self::new(error.exit(), error.to_string())
    }
}

impl From<PidFileError> for CliError {
    fn from(error: PidFileError) -> Self {
        Self::new(Exit::BadState, error.to_string())
    }
}

impl From<InvalidConnectionString> for CliError {
    fn from(error: InvalidConnectionString) -> Self {
        Self::bad_arguments(error.to_string())
    }
}
