//! Whether this monitor hears a majority of the monitors, and saying so when that changes.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

/// Without a majority for so long, its agent says so.
pub(super) const MAJORITY_LOST_AFTER: Duration = Duration::from_millis(2_500);

/// What was heard last.
pub(super) struct Majority {
    heard_at: Instant,
    is_lost: bool,
}

impl Majority {
    /// One that is heard now.
    pub(super) fn heard() -> Self {
        Self { heard_at: Instant::now(), is_lost: false }
    }

    /// Looks again.
    pub(super) fn look(&mut self, is_heard: bool) {
        if is_heard {
            self.heard_at = Instant::now();
            if std::mem::take(&mut self.is_lost) {
                info!("this monitor hears a majority of the monitors again");
            }
        } else if self.heard_at.elapsed() >= MAJORITY_LOST_AFTER && !self.is_lost {
            self.is_lost = true;
            warn!(
                "this monitor does not hear a majority of the monitors: there will be no failover until it does"
            );
        }
    }
}
