//! Branches of the log: which node's log is part of the primary's history, and which is not.

use crate::group::{Group, Node};
use crate::lsn::{Lineage, Lsn, Timeline, TimelineHistory};

impl Node {
    /// The timeline it is on and where that left its parent; `None` for the first timeline and while the history is
    /// not known.
    pub fn fork(&self) -> Option<(Timeline, Lsn)> {
        self.known_history()?.ancestors.last().map(|(_, left_at)| (self.timeline, *left_at))
    }

    /// The history of the timeline that it is on.
    pub(super) fn known_history(&self) -> Option<&TimelineHistory> {
        self.history.as_ref().filter(|history| history.timeline == self.timeline)
    }
}

impl Group {
    /// Its log has records that are not in the history of the writer: it must be rewound or copied anew.
    pub fn has_forked(&self, node: &Node) -> bool {
        let Some(writer) = self.writer().filter(|writer| writer.reported.is_writer()) else {
            return false;
        };
        if node.timeline == writer.timeline {
            return has_other_beginning(node, writer);
        }
        if let (Some(own), Some(history)) = (node.known_history(), writer.known_history()) {
            return history.lineage_of_log(own, node.lsn) == Lineage::Forked;
        }
        writer
            .known_history()
            .is_some_and(|history| history.lineage_of(node.timeline, node.lsn) == Lineage::Forked)
    }

    /// It has written on a timeline that the writer's history does not know, and nobody has said which is right.
    pub fn is_on_foreign_branch(&self, node: &Node) -> bool {
        let Some(writer) = self.writer() else {
            return false;
        };
        let is_known = node.timeline == Timeline::FIRST
            || writer.history.as_ref().is_some_and(|history| {
                history.ancestors.iter().any(|(ancestor, _)| *ancestor == node.timeline)
            })
            || (node.timeline == writer.timeline && !has_other_beginning(node, writer));
        let is_rejected = node.fork().is_some_and(|fork| self.rejected_timelines.contains(&fork));
        !is_known && !is_rejected && self.has_forked(node) && node.fork().is_some()
    }

    /// From now on the branches that these nodes are on, and no other node, are wrong.
    pub(super) fn reject_branches<'a>(
        &mut self,
        wrong: impl Iterator<Item = &'a Node>,
        right: &[(Timeline, Lsn)],
    ) {
        for fork in wrong.filter_map(Node::fork) {
            if !right.contains(&fork) && !self.rejected_timelines.contains(&fork) {
                self.rejected_timelines.push(fork);
            }
        }
    }
}

/// Both are on timelines of the same number that began at different places.
fn has_other_beginning(node: &Node, other: &Node) -> bool {
    node.fork().zip(other.fork()).is_some_and(|(one, two)| one != two)
}
