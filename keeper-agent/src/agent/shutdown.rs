//! How a keeper ends.

use std::time::{Duration, Instant};

use crate::exit::Exit;

/// A hand-over that takes longer is given up; Postgres is stopped all the same.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(60);
/// The last report is not waited for longer than this.
const FAREWELL_LIMIT: Duration = Duration::from_secs(3);

/// Where in its end a keeper is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shutdown {
    /// Not told to stop.
    None,
    /// Asks the monitor to promote a standby first.
    HandingOver {
        /// Then it is given up.
        deadline: Instant,
        /// The monitor has answered a report that asked for it.
        is_answered: bool,
    },
    /// Stops Postgres.
    Stopping {
        /// As if it crashed.
        immediately: bool,
        /// With what to exit then.
        exit: Exit,
    },
    /// Tells the monitor that Postgres is stopped.
    Farewell {
        /// Then it is given up.
        deadline: Instant,
        /// With what to exit then.
        exit: Exit,
    },
}

impl Shutdown {
    pub(super) fn hand_over() -> Self {
        Self::HandingOver { deadline: Instant::now() + HAND_OVER_LIMIT, is_answered: false }
    }

    pub(super) fn farewell(exit: Exit) -> Self {
        Self::Farewell { deadline: Instant::now() + FAREWELL_LIMIT, exit }
    }

    /// Postgres is being stopped, or has been.
    pub(super) const fn is_past_hand_over(&self) -> bool {
        matches!(self, Self::Stopping { .. } | Self::Farewell { .. })
    }

    /// The keeper was told to stop.
    pub(super) const fn is_wanted(&self) -> bool {
        !matches!(self, Self::None)
    }
}
