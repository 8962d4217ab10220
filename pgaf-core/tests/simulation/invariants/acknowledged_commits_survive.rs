//! Every acknowledged commit is in the log of each node that is promoted later, and of the primary at the end.

use super::super::wal::{Archive, Position};
use super::Verdict;

/// The newest acknowledged commit of each branch of the log: those before it are in the same log.
#[derive(Default)]
pub(crate) struct AcknowledgedCommits {
    newest: Vec<Position>,
    pub(crate) count: u64,
}

impl AcknowledgedCommits {
    pub(crate) fn add(&mut self, commit: Position, count: usize) {
        self.count += count as u64;
        match self.newest.iter_mut().find(|position| position.branch == commit.branch) {
            Some(position) => position.end = position.end.max(commit.end),
            None => self.newest.push(commit),
        }
    }

    pub(crate) fn check(&self, archive: &Archive, log: Position, whose: &str) -> Verdict {
        match self.newest.iter().find(|commit| !archive.is_prefix(**commit, log)) {
            None => Ok(()),
            Some(lost) => Err(format!(
                "an acknowledged commit is lost: {} on timeline {} is not in the log of {whose}, which ends at {} on \
                 timeline {}",
                lost.end,
                archive.timeline(*lost),
                log.end,
                archive.timeline(log)
            )),
        }
    }
}
