//! Where one of several monitors has its files.

use std::path::PathBuf;

use crate::config::MonitorConfig;
use crate::monitors::Identity;

/// The certificates of a monitor.
pub(crate) fn identity(config: &MonitorConfig) -> Identity {
    Identity::within(&config.paths.monitors())
}

/// The log of its elections.
pub(crate) fn store(config: &MonitorConfig) -> PathBuf {
    config.paths.monitors().join("log")
}
