//! The write-ahead logs of a whole group, as one tree: a node's log is a place in it, and everything before.
//!
//! LSNs count records. Timelines have the numbers that Postgres gives them, so that two branches may have the same.

use pgaf_core::{Lsn, Timeline, TimelineHistory};

/// The end of a log: so many records, the last ones on this branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) branch: usize,
    pub(crate) end: u64,
}

impl Position {
    /// The end as an LSN.
    pub(crate) const fn lsn(self) -> Lsn {
        Lsn(self.end)
    }
}

struct Branch {
    timeline: u32,
    parent: Option<Position>,
    end: u64,
}

/// Every record that was ever written by anybody.
pub(crate) struct Archive {
    branches: Vec<Branch>,
}

impl Archive {
    /// With the log of a new cluster.
    pub(crate) fn new() -> Self {
        Self { branches: vec![Branch { timeline: Timeline::FIRST.0, parent: None, end: 1 }] }
    }

    /// The log of a new cluster.
    pub(crate) const fn origin() -> Position {
        Position { branch: 0, end: 1 }
    }

    pub(crate) fn timeline(&self, at: Position) -> Timeline {
        Timeline(self.branches[at.branch].timeline)
    }

    /// Writes one record. Where somebody else has gone on from the same place, that is a branch of its own, with the
    /// same timeline.
    pub(crate) fn append(&mut self, at: Position) -> Position {
        let branch = &mut self.branches[at.branch];
        if at.end < branch.end {
            let timeline = branch.timeline;
            let forked = self.fork(at, timeline);
            return self.append(forked);
        }
        branch.end += 1;
        Position { branch: at.branch, end: branch.end }
    }

    /// Begins a timeline.
    pub(crate) fn fork(&mut self, at: Position, timeline: u32) -> Position {
        self.branches.push(Branch { timeline, parent: Some(at), end: at.end });
        Position { branch: self.branches.len() - 1, end: at.end }
    }

    /// The whole log that ends at `part` is in the log that ends at `whole`.
    pub(crate) fn is_prefix(&self, part: Position, whole: Position) -> bool {
        let mut at = whole;
        loop {
            if at.branch == part.branch {
                return part.end <= at.end;
            }
            match self.branches[at.branch].parent {
                Some(parent) => at = Position { end: parent.end.min(at.end), ..parent },
                None => return false,
            }
        }
    }

    /// So many records further towards `to`, of whose log `from` must be a part.
    pub(crate) fn advance(&self, from: Position, to: Position, mut records: u64) -> Position {
        let mut at = from;
        while at.branch != to.branch {
            let (child, left_at) = self.child_towards(at.branch, to);
            let step = records.min(left_at - at.end);
            at.end += step;
            records -= step;
            if at.end < left_at {
                return at;
            }
            at = Position { branch: child, end: left_at };
        }
        at.end += records.min(to.end - at.end);
        at
    }

    /// The branch that leaves this one on the way to a position, and where.
    fn child_towards(&self, branch: usize, to: Position) -> (usize, u64) {
        let mut at = to.branch;
        loop {
            match self.branches[at].parent {
                Some(parent) if parent.branch == branch => return (at, parent.end),
                Some(parent) => at = parent.branch,
                None => panic!("branch {branch} does not lead to {to:?}"),
            }
        }
    }

    /// The `.history` of the timeline.
    pub(crate) fn history(&self, at: Position) -> TimelineHistory {
        let mut ancestors = Vec::new();
        let (mut branch, timeline) = (at.branch, self.timeline(at));
        let mut child = timeline.0;
        while let Some(parent) = self.branches[branch].parent {
            let of_parent = self.branches[parent.branch].timeline;
            if of_parent != child {
                ancestors.push((Timeline(of_parent), parent.lsn()));
            }
            (branch, child) = (parent.branch, of_parent);
        }
        ancestors.reverse();
        TimelineHistory { timeline, ancestors }
    }
}

#[cfg(test)]
mod tests {
    use pgaf_core::Lineage;

    use super::*;

    fn write(archive: &mut Archive, at: Position, records: u64) -> Position {
        (0..records).fold(at, |at, _| archive.append(at))
    }

    #[test]
    fn a_standby_goes_over_to_the_timeline_of_its_upstream() {
        let mut archive = Archive::new();
        let first = write(&mut archive, Archive::origin(), 9);
        let promoted = archive.fork(Position { end: 6, ..first }, 2);
        let second = write(&mut archive, promoted, 3);
        let standby = Position { end: 4, ..first };
        assert_eq!(archive.advance(standby, second, 1), Position { end: 5, ..first });
        assert_eq!(archive.advance(standby, second, 2), Position { end: 6, ..promoted });
        assert_eq!(archive.advance(standby, second, 99), second);
        assert!(archive.is_prefix(standby, second) && archive.is_prefix(promoted, second));
        assert!(!archive.is_prefix(first, second) && !archive.is_prefix(second, first));
    }

    #[test]
    fn the_history_tells_behind_from_forked() {
        let mut archive = Archive::new();
        let first = write(&mut archive, Archive::origin(), 9);
        let promoted = archive.fork(Position { end: 6, ..first }, 2);
        let second = write(&mut archive, promoted, 3);
        let history = archive.history(second);
        assert_eq!(history.ancestors, [(Timeline(1), Lsn(6))]);
        assert_eq!(history.lineage_of(Timeline(1), Lsn(6)), Lineage::Behind);
        assert_eq!(history.lineage_of(Timeline(1), first.lsn()), Lineage::Forked);
    }

    #[test]
    fn two_writers_on_one_timeline_write_two_logs() {
        let mut archive = Archive::new();
        let first = archive.append(Archive::origin());
        let second = archive.append(Archive::origin());
        assert_eq!(archive.timeline(first), archive.timeline(second));
        assert_eq!(first.lsn(), second.lsn());
        assert!(!archive.is_prefix(first, second));
    }
}
