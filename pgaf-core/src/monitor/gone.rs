//! Signs that the processes of a primary are gone while its host lives: news, where there would be silence otherwise.
//!
//! Each sign alone means less. A keeper that died leaves its Postgres running; a port refuses while Postgres is started
//! again, or where a firewall rejects; a standby loses its stream for many reasons. Together they mean that nobody is left
//! who could acknowledge a commit or answer a query, without any time having to pass.

use std::time::Duration;

use crate::group::{Group, Node};

use super::view::may_follow_primary;

impl Group {
    /// Its keeper's process is gone, its port refuses connections, and for no rule that may be in force do as many
    /// standbys receive from it as a commit waits for.
    pub fn is_gone(&self, node: &Node) -> bool {
        // A keeper of 2.x opens and closes sessions as it likes.
        let is_known = node.has_reported && !node.is_older && node.is_refusing;
        // Signs get old: it may have been started again. From then on it is lost, or it is not.
        let is_recent = |ended: &Duration| *ended <= self.timeouts.unhealthy_after;
        let ended = node.session_ended_for.filter(is_recent).filter(|_| is_known);
        ended.is_some_and(|ended| self.is_left_by_quorum(node, ended))
    }

    /// So many members of each commit rule have said, since then, that they do not receive from it, that those who have
    /// not are too few for a commit.
    fn is_left_by_quorum(&self, node: &Node, since: Duration) -> bool {
        let has_left = |other: &&Node| {
            let is_streaming = other.upstream.is_some_and(|upstream| upstream.is_streaming);
            let receives = other.is_running && is_streaming && may_follow_primary(other);
            other.has_reported && !other.is_older && other.silent_for <= since && !receives
        };
        !self.commit_rules.is_empty()
            && self.commit_rules.iter().all(|rule| {
                let members = self.others(node.id).filter(|other| rule.standbys.contains(&other.id));
                let left_by = members.filter(has_left).count();
                rule.needed_for_election().is_some_and(|needed| left_by >= needed)
            })
    }
}
