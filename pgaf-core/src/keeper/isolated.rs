//! What a keeper does while the monitor does not answer.

use std::time::Duration;

use crate::message::Assignment;

use super::observed::Observed;
use super::recipe::is_standby;
use super::server::{DataDirectory, Running, Server};
use super::step::{Plan, Step, StopMode};

/// For how long nobody has proved that no other node was promoted; on the boot-time clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Since the last answered request to the monitor was sent; `None` when it has not answered since the local
    /// Postgres last stopped.
    pub monitor: Option<Duration>,
    /// Since as many quorum standbys as a commit needs were last seen to stream.
    pub standbys: Duration,
    /// How long a primary goes on without either.
    pub limit: Duration,
}

/// What to do next with the last assignment, when a request to the monitor has failed.
///
/// Only a primary that waits for standbys is restricted: while its commit rule is asynchronous nobody else can be
/// elected, and a standby cannot hurt by going on.
pub fn plan_isolated(assignment: &Assignment, observed: &Observed, silence: Silence) -> Plan {
    let is_restricted = assignment.goal.is_writer() && assignment.commit_rule.is_synchronous();
    if !is_restricted {
        return super::plan(assignment, observed);
    }
    let is_known_primary = silence.monitor.is_some_and(|since| since < silence.limit);
    match &observed.server {
        Server::Running(running) if running.is_in_recovery => {
            Plan::Wait("waiting for the monitor to confirm that this node is the primary")
        }
        Server::Running(running) if running.is_gated => {
            if has_quorum(assignment, running) {
                Plan::Steps(vec![Step::StartPostgres])
            } else {
                Plan::Wait("waiting for the monitor or the standbys to confirm that this node is the primary")
            }
        }
        // Nobody can connect yet, and killing a recovery only makes it start over.
        Server::Starting => Plan::Wait("Postgres recovers"),
        Server::Refusing if is_standby(observed) => {
            Plan::Wait("waiting for the monitor to confirm that this node is the primary")
        }
        Server::Running(_) | Server::Unresponsive | Server::Refusing => {
            if !is_known_primary && silence.standbys >= silence.limit {
                Plan::Steps(vec![Step::StopPostgres(StopMode::Immediate)])
            } else {
                Plan::Wait("the monitor does not answer")
            }
        }
        Server::Stopped if is_known_primary => super::plan(assignment, observed),
        Server::Stopped => match observed.data {
            DataDirectory::Present(cluster) if !cluster.is_standby => Plan::Steps(vec![Step::StartGated]),
            _ => Plan::Wait("waiting for the monitor to confirm that this node is the primary"),
        },
    }
}

/// What to do next for as long as a person has disabled the monitor, with the last assignment, or with what the person
/// has assigned.
///
/// Nobody promotes anybody, so a primary that serves goes on whoever is silent. One that was stopped serves again when
/// its standbys prove that it still is the primary: they may have been promoted before the monitor was disabled.
pub fn plan_unmonitored(assignment: &Assignment, observed: &Observed) -> Plan {
    let silence = Silence { monitor: None, standbys: Duration::ZERO, limit: Duration::MAX };
    match &observed.server {
        Server::Running(running) if !running.is_gated => super::plan(assignment, observed),
        Server::Unresponsive | Server::Refusing => super::plan(assignment, observed),
        Server::Running(_) | Server::Starting | Server::Stopped => {
            plan_isolated(assignment, observed, silence)
        }
    }
}

/// So many members of the quorum stream and have everything that no election can have taken place without them.
fn has_quorum(assignment: &Assignment, running: &Running) -> bool {
    let complete =
        running.standbys.iter().filter(|standby| standby.is_streaming && standby.flushed >= running.lsn);
    assignment.commit_rule.is_met_by(complete.map(|standby| standby.node))
}
