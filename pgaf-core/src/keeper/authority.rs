//! What entitles this node to accept writes: how fresh the word of the monitor and of the standbys is.

use std::time::Duration;

use super::isolated::{Silence, plan_isolated};
use super::moment::Moment;
use super::observed::Observed;
use super::server::Server;
use super::step::Plan;
use crate::message::Assignment;

/// Remembers who has been heard, and since when Postgres is down. `now` is always the present moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    /// When the request was sent that the monitor answered last.
    monitor: Option<Moment>,
    /// When as many quorum standbys as a commit needs were last seen to stream.
    standbys: Moment,
    /// Answers to requests sent before this do not allow a start as primary.
    needs_answer_after: Option<Moment>,
    /// The last attempt to reach the monitor failed.
    has_failed: bool,
}

impl Authority {
    /// At the start of the keeper: an adopted primary has as long as one that was just answered; a stopped one
    /// needs an answer.
    pub const fn new(now: Moment) -> Self {
        Self { monitor: None, standbys: now, needs_answer_after: Some(now), has_failed: false }
    }

    /// The monitor answered a request that was sent then.
    pub fn answered(&mut self, sent: Moment) {
        self.monitor = self.monitor.max(Some(sent));
        self.has_failed = false;
        if self.needs_answer_after.is_some_and(|since| sent >= since) {
            self.needs_answer_after = None;
        }
    }

    /// When the request was sent that the monitor answered last.
    pub const fn monitor_answered(&self) -> Option<Moment> {
        self.monitor
    }

    /// The monitor could not be asked.
    pub const fn failed(&mut self) {
        self.has_failed = true;
    }

    /// Enough quorum standbys were seen at this moment.
    pub fn standbys_seen(&mut self, at: Moment) {
        self.standbys = self.standbys.max(at);
    }

    /// The monitor is about to be told that Postgres is down, so that it may promote another node: from now on a
    /// start as primary needs a newer answer.
    pub const fn goes_down(&mut self, now: Moment) {
        self.needs_answer_after = Some(now);
    }

    /// The monitor's last word still counts for a server that starts.
    pub const fn may_start_writer(&self) -> bool {
        self.needs_answer_after.is_none()
    }

    /// The monitor does not answer now, or has not for as long as the limit.
    pub fn is_isolated(&self, limit: Duration, now: Moment) -> bool {
        self.has_failed || self.monitor.is_some_and(|sent| now.since(sent) >= limit)
    }

    /// The monitor answered within this time.
    pub fn is_fresh(&self, within: Duration, now: Moment) -> bool {
        self.monitor.is_some_and(|sent| now.since(sent) < within)
    }

    /// When both will have been silent for the limit: a primary that waits for standbys must not serve after that.
    pub fn ends(&self, limit: Duration) -> Moment {
        self.monitor.map_or(self.standbys, |sent| sent.max(self.standbys)).after(limit)
    }

    /// For the plan without a monitor.
    pub fn silence(&self, limit: Duration, now: Moment) -> Silence {
        let monitor = self.monitor.filter(|_| self.may_start_writer()).map(|sent| now.since(sent));
        Silence { monitor, standbys: now.since(self.standbys), limit }
    }

    /// The same as if all had happened so much earlier: what time does to it, for those who let the present moment
    /// stand still instead of a clock run.
    #[must_use]
    pub fn aged(&self, by: Duration) -> Self {
        Self {
            monitor: self.monitor.map(|moment| moment.before(by)),
            standbys: self.standbys.before(by),
            needs_answer_after: self.needs_answer_after.map(|moment| moment.before(by)),
            has_failed: self.has_failed,
        }
    }

    /// What to do next: as the monitor said, as long as its word counts.
    pub fn plan(&self, assignment: &Assignment, observed: &Observed, limit: Duration, now: Moment) -> Plan {
        if self.is_isolated(limit, now) {
            return plan_isolated(assignment, observed, self.silence(limit, now));
        }
        let needs_answer = assignment.goal.is_writer()
            && assignment.commit_rule.is_synchronous()
            && is_closed(&observed.server)
            && !self.may_start_writer();
        if needs_answer {
            return Plan::Wait("waiting for the monitor to confirm that this node is the primary");
        }
        super::plan(assignment, observed)
    }
}

/// Clients cannot connect, and would after a start.
const fn is_closed(server: &Server) -> bool {
    match server {
        Server::Stopped => true,
        Server::Running(running) => running.is_gated && !running.is_in_recovery,
        Server::Starting | Server::Unresponsive | Server::Refusing => false,
    }
}
