//! Holding up the loop on purpose, so that a test can see what becomes of a primary whose keeper is stuck.

use std::path::PathBuf;
use std::time::Duration;

/// While the file that this variable names exists, the keeper does nothing at all. For tests only.
const VARIABLE: &str = "PGAF_TEST_HOLD_KEEPER";
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What holds up the loop; outside tests, nothing.
pub(super) struct Hold(Option<PathBuf>);

impl Hold {
    pub(super) fn from_env() -> Self {
        Self(std::env::var_os(VARIABLE).map(PathBuf::from))
    }

    /// Blocks the thread, as a call that never returns would.
    pub(super) fn wait(&self) {
        if let Some(file) = &self.0 {
            while file.exists() {
                std::thread::sleep(LOOK_INTERVAL);
            }
        }
    }
}
