//! Whose processes are said to be gone serves nobody: a keeper that died alone changes nothing.

use pgaf_core::NodeId;
use pgaf_core::monitor::Decision;

use super::Verdict;
use crate::server::Mode;
use crate::world::World;

pub(crate) const NAME: &str = "nobody is buried alive";

/// The rules that say so.
const RULES: [&str; 2] = ["primary_is_gone", "election_after_end"];

/// A decision was made.
pub(crate) fn check(world: &World, decision: &Decision) -> Verdict {
    let buried = decision.changes.iter().filter(|change| RULES.contains(&change.rule));
    let retired = buried.filter(|change| change.goal.is_retiring()).map(|change| change.node);
    match retired.into_iter().find(|id| serves(world, *id)) {
        Some(id) => Err(format!("node {id} is said to be gone, and its Postgres serves")),
        None => Ok(()),
    }
}

/// It runs, and lets in more than its standbys. One that neither the monitor nor a standby can hear, and in whose name
/// somebody else refuses, is as good as gone: nobody can tell.
fn serves(world: &World, id: NodeId) -> bool {
    let index = id.0 as usize - 1;
    let is_heard = |standby: usize| {
        let server = &world.hosts[standby].server;
        server.is_streaming && server.follows == Some(index) && world.is_heard(index, standby)
    };
    let host = &world.hosts[index];
    let is_hidden = host.is_rejected && !(0..world.hosts.len()).any(is_heard);
    host.server.is_running() && host.server.mode != Mode::Gated && !is_hidden
}
