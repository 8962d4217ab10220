//! What entitles this node to accept writes: how fresh the word of the monitor and of the standbys is.

use std::time::Duration;

use pgaf_core::keeper::Silence;

use crate::postgres::BootTime;

/// Remembers who has been heard, and since when Postgres is down. All on the boot-time clock.
#[derive(Debug)]
pub(super) struct Authority {
    /// When the request was sent that the monitor answered last.
    monitor: Option<BootTime>,
    /// When as many quorum standbys as a commit needs were last seen to stream.
    standbys: BootTime,
    /// Answers to requests sent before this do not allow a start as primary.
    needs_answer_after: Option<BootTime>,
    /// The last attempt to reach the monitor failed.
    has_failed: bool,
}

impl Authority {
    /// At the start of the keeper: an adopted primary has as long as one that was just answered; a stopped one
    /// needs an answer.
    pub(super) fn new() -> Self {
        let now = BootTime::now();
        Self { monitor: None, standbys: now, needs_answer_after: Some(now), has_failed: false }
    }

    /// The monitor answered a request that was sent then.
    pub(super) fn answered(&mut self, sent: BootTime) {
        self.monitor = Some(sent);
        self.has_failed = false;
        if self.needs_answer_after.is_some_and(|since| sent >= since) {
            self.needs_answer_after = None;
        }
    }

    /// The monitor could not be asked.
    pub(super) const fn failed(&mut self) {
        self.has_failed = true;
    }

    /// Enough quorum standbys were seen at this moment.
    pub(super) fn standbys_seen(&mut self, at: BootTime) {
        self.standbys = self.standbys.max(at);
    }

    /// The monitor is about to be told that Postgres is down, so that it may promote another node: from now on a
    /// start as primary needs a newer answer.
    pub(super) fn goes_down(&mut self) {
        self.needs_answer_after = Some(BootTime::now());
    }

    /// The monitor's last word still counts for a server that starts.
    pub(super) const fn may_start_writer(&self) -> bool {
        self.needs_answer_after.is_none()
    }

    /// The monitor does not answer now, or has not for as long as the limit.
    pub(super) fn is_isolated(&self, limit: Duration) -> bool {
        self.has_failed || self.monitor.is_some_and(|sent| sent.elapsed() >= limit)
    }

    /// The monitor answered within this time.
    pub(super) fn is_fresh(&self, within: Duration) -> bool {
        self.monitor.is_some_and(|sent| sent.elapsed() < within)
    }

    /// How long until both have been silent for the limit.
    pub(super) fn time_to_fence(&self, limit: Duration) -> Duration {
        let of_monitor = self.monitor.map_or(Duration::ZERO, |sent| limit.saturating_sub(sent.elapsed()));
        of_monitor.max(limit.saturating_sub(self.standbys.elapsed()))
    }

    /// For the plan without a monitor.
    pub(super) fn silence(&self, limit: Duration) -> Silence {
        let monitor = self.monitor.filter(|_| self.may_start_writer()).map(BootTime::elapsed);
        Silence { monitor, standbys: self.standbys.elapsed(), limit }
    }
}
