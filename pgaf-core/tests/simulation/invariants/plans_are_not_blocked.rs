//! Nobody waits for a person for ever.

use super::super::host::Host;
use super::Verdict;

/// A plan that is blocked for this long stays so.
const FOR_EVER_MS: u64 = 15_000;

pub(crate) fn check_plans(hosts: &[Host], now: u64) -> Verdict {
    let blocked = hosts.iter().filter(|host| host.node.is_some()).find_map(|host| {
        let (why, since) = host.keeper.blocked?;
        (now - since >= FOR_EVER_MS).then(|| format!("{:?} is blocked: {why}", host.node))
    });
    blocked.map_or(Ok(()), Err)
}
