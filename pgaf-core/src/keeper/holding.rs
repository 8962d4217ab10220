//! When writes to a group of workers are held at the coordinator, and when no longer.

use super::memory::Memory;
use super::observed::Observed;
use super::routing::Hold;
use super::server::Server;
use super::step::Plan;
use crate::message::Assignment;

/// A candidate that can be promoted has the writes held first.
pub(super) fn candidate(assignment: &Assignment, memory: &Memory) -> Plan {
    match memory.routing.hold_step(assignment) {
        Some(step) => Plan::Steps(vec![step]),
        None => Plan::Reached,
    }
}

/// Writes are held for a node that is not going to take over any more. A server that still writes is stopped first.
pub(super) fn is_moot(assignment: &Assignment, observed: &Observed) -> bool {
    let is_writing = matches!(&observed.server, Server::Running(running) if !running.is_in_recovery);
    observed.memory.routing.hold == Hold::Open
        && !assignment.goal.is_being_promoted()
        && !assignment.goal.is_writer()
        && !is_writing
}
