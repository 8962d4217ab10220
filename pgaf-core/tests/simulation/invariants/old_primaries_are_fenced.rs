//! Soon after a node was promoted, no other node of its group serves clients as a primary.
//!
//! An old primary that still hears standbys which are told to stand still, or replies that get through one way, fences
//! itself a few seconds late; in that time it acknowledges nothing, which is checked elsewhere. Nobody can fence a server
//! whose keeper is dead or frozen.

use pgaf_core::Group;

use super::super::host::Host;
use super::Verdict;

/// The time a primary goes on alone, and that of a walreceiver, and one second.
const TIME_TO_FENCE_MS: u64 = 5500;

/// The newest promotion.
#[derive(Default)]
pub(crate) struct Fencing {
    promoted: Option<(usize, u64)>,
}

impl Fencing {
    pub(crate) const fn promoted(&mut self, host: usize, now: u64) {
        self.promoted = Some((host, now));
    }

    pub(crate) fn check(&self, hosts: &[Host], group: &Group, now: u64) -> Verdict {
        let Some((promoted, at)) = self.promoted.filter(|(_, at)| now - at >= TIME_TO_FENCE_MS) else {
            return Ok(());
        };
        let serves = |host: &Host| {
            let is_member = host.node.is_some_and(|node| group.node(node).is_some());
            let had_time = now - host.able_since >= TIME_TO_FENCE_MS;
            is_member && had_time && host.keeper.is_up && !host.is_frozen && host.postgres.is_writer()
        };
        let other = hosts.iter().enumerate().find(|(index, host)| *index != promoted && serves(host));
        other.map_or(Ok(()), |(index, _)| {
            Err(format!(
                "host {index} serves clients as a primary, and host {promoted} was promoted {} ms ago",
                now - at
            ))
        })
    }
}
