//! An isolated primary has fenced itself before anyone else is promoted.
//!
//! One that has heard a standby for longer than the standby has heard it is not isolated for so long: packets were lost one
//! way. It fences itself later, and acknowledges nothing meanwhile, which is checked elsewhere.

use super::Verdict;
use crate::server::Mode;
use crate::world::{Host, World};

pub(crate) const NAME: &str = "isolated primaries fence themselves first";

/// A node was promoted on this host.
pub(crate) fn check(world: &World, promoted: usize) -> Verdict {
    // One that must fence itself this very moment has nobody left to acknowledge anything.
    let heard_in_vain = |host: &Host| {
        let mut replies = host.server.replies.iter();
        replies.any(|reply| reply.age + 1 < world.hosts[reply.standby].server.unheard)
    };
    let is_open = |host: &Host| {
        !heard_in_vain(host)
            && host.server.mode == Mode::Writer
            && !host.is_frozen
            && host.keeper.is_up
            && !host.keeper.must_fence(&host.server)
    };
    let other = (0..world.hosts.len()).find(|index| *index != promoted && is_open(&world.hosts[*index]));
    other.map_or(Ok(()), |other| {
        Err(format!("host {promoted} was promoted while host {other} accepted writes"))
    })
}
