//! An acknowledged synchronous commit survives: whoever begins to accept writes has it, whatever was lost before.

use super::Verdict;
use crate::server::Server;

pub(crate) const NAME: &str = "acknowledged commits survive";

/// A server accepts writes from now on.
pub(crate) fn check(server: &Server, acknowledged: &[u8]) -> Verdict {
    match server.first_missing(acknowledged) {
        None => Ok(()),
        Some(commit) => Err(format!("a node that lacks acknowledged commit {commit} accepts writes")),
    }
}
