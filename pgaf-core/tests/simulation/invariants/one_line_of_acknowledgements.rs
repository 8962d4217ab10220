//! Nobody acknowledges a commit on a log that does not go on from the one on which another was acknowledged before:
//! two nodes never acknowledge within overlapping epochs.

use super::super::wal::{Archive, Position};
use super::Verdict;

#[derive(Default)]
pub(crate) struct OneLine {
    last: Option<Position>,
}

impl OneLine {
    pub(crate) fn acknowledged(&mut self, archive: &Archive, commit: Position, by: usize) -> Verdict {
        let last = self.last.replace(commit);
        match last {
            Some(last) if last.branch != commit.branch && !archive.is_prefix(last, commit) => Err(format!(
                "host {by} acknowledges {} on timeline {} after {} on timeline {} was acknowledged",
                commit.end,
                archive.timeline(commit),
                last.end,
                archive.timeline(last)
            )),
            _ => Ok(()),
        }
    }
}
