//! The state file: nothing is done under an assignment that a restarted keeper would not know of.

use std::time::{Duration, Instant};

use tracing::error;

use super::Keeper;
use crate::config::state::{self, StateError};

/// After a failed write, the next is begun this much later.
const RETRY: Duration = Duration::from_millis(300);

impl Keeper {
    pub(super) fn save(&mut self) {
        let (path, state) = (self.config.paths.state.clone(), self.state.clone());
        let write = tokio::task::spawn_blocking(move || state::store(&path, &state));
        self.saving.start(async move {
            // A write that panics is a defect; it must not be taken for a saved state.
            write.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        });
    }

    /// Nothing is done under an assignment that a restarted keeper would not know of.
    pub(super) fn on_saved(&mut self, result: Result<(), StateError>) {
        if let Err(error) = result {
            error!("{error}; trying again");
            self.next_look = Instant::now() + RETRY;
            self.save();
            return;
        }
        self.is_considered = false;
    }
}
