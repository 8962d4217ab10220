//! A coordinator holds writes only for a node that takes over, and lets go of them in the end.

use super::super::host::Host;
use super::Verdict;

/// No keeper believes that writes are held for it.
pub(crate) fn check_holds(hosts: &[Host]) -> Verdict {
    let holder = hosts.iter().find(|host| host.node.is_some() && host.keeper.holds_writes());
    holder.map_or(Ok(()), |host| Err(format!("writes are still held for {:?}", host.node)))
}
