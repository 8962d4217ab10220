//! Fencing: a primary that nobody vouches for stops at once, whatever else is under way.

use std::time::Duration;

use pgaf_core::keeper::{Plan, Server, Step, StopMode, plan_isolated};
use tracing::warn;

use super::Keeper;
use crate::postgres::{BootTime, PostgresError};

/// The dead man's switch leaves the loop so much time to fence by itself.
const DEAD_MAN_MARGIN: Duration = Duration::from_millis(300);
/// A server that may begin to serve is let start for this long after the loop has turned.
const DEAD_MAN_PATIENCE: Duration = Duration::from_secs(2);

impl Keeper {
    /// Sets the dead man's switch to just after the loop would have fenced, were it stuck from now on.
    pub(super) fn arm(&mut self) -> Result<(), PostgresError> {
        let is_concerned = self.is_synchronous_writer() && !self.is_unmonitored();
        let left = self.authority.time_to_fence(self.fence_limit(), BootTime::now().moment());
        let server = self.sight.as_ref().map(|sight| &sight.observed.server);
        let delay = match server {
            _ if !is_concerned => None,
            None | Some(Server::Unresponsive) => Some(left),
            Some(Server::Running(running)) if !running.is_in_recovery && !running.is_gated => Some(left),
            Some(Server::Starting) => Some(left.max(DEAD_MAN_PATIENCE)),
            _ if self.work.is_busy() && !self.work.is_fencing() => Some(left.max(DEAD_MAN_PATIENCE)),
            Some(Server::Stopped | Server::Running(_)) => None,
        };
        let deadline = delay.map(|delay| BootTime::now().after(delay + DEAD_MAN_MARGIN));
        let failed = |error| PostgresError::Refused(format!("cannot set the dead man's switch: {error}"));
        self.instance.arm(deadline).map_err(failed)
    }

    /// After how long without a word of the monitor and the standbys a primary fences itself.
    pub(super) fn fence_limit(&self) -> Duration {
        let of_monitor = self.assignment().and_then(|assignment| assignment.network_partition_timeout_ms);
        let own = self.config.timeout.network_partition;
        of_monitor.map_or(own, |limit| own.min(Duration::from_millis(limit)))
    }

    /// How long until this node would have to fence itself; `None` when it never has to.
    pub(super) fn time_to_fence(&self) -> Option<Duration> {
        let is_concerned = self.is_synchronous_writer() && !self.work.is_fencing() && !self.is_unmonitored();
        is_concerned.then(|| self.authority.time_to_fence(self.fence_limit(), BootTime::now().moment()))
    }

    /// Stops Postgres when the time has come, judged by the last look, however old: a server that hangs is no reason
    /// to wait.
    pub(super) fn fence_if_due(&mut self) {
        if !self.time_to_fence().is_some_and(|left| left.is_zero()) {
            return;
        }
        let just_changed = self.is_sight_stale && !self.work.is_busy();
        let (Some(sight), Some(assignment), false) = (&self.sight, self.assignment(), just_changed) else {
            return;
        };
        let silence = self.authority.silence(self.fence_limit(), BootTime::now().moment());
        let stop = vec![Step::StopPostgres(StopMode::Immediate)];
        if plan_isolated(assignment, &sight.observed, silence) == Plan::Steps(stop.clone()) {
            warn!("neither the monitor nor the standbys answer: this primary fences itself");
            self.work.give_up();
            self.begin_for_goal(stop);
        }
    }
}
