//! What whoever leads knows beside the log: since when it leads, when each monitor has reported, and what probes say.
//!
//! Everything is forgotten when the leadership changes: for the one that leads anew, nobody has been silent for longer
//! than it leads.

use std::collections::BTreeMap;

use pgaf_core::monitors::{Ages, NodeAges};
use pgaf_core::{Epoch, Group, Health, NodeId};

use crate::postgres::BootTime;

/// Failed probes in a row after which a server counts as unreachable.
const MAX_FAILURES: u32 = 2;

/// The memory of one term.
#[derive(Debug)]
pub(super) struct Leadership {
    term: u64,
    since: BootTime,
    nodes: BTreeMap<NodeId, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    reported_at: Option<BootTime>,
    goal: Epoch,
    has_goal_since: BootTime,
    health: Health,
    failures: u32,
}

impl Leadership {
    /// Nobody has led yet.
    pub(super) fn none() -> Self {
        Self { term: 0, since: BootTime::now(), nodes: BTreeMap::new() }
    }

    /// This agent leads in that term, of a group like this.
    pub(super) fn lead(&mut self, term: u64, group: Option<&Group>) {
        let now = BootTime::now();
        if self.term != term {
            *self = Self { term, since: now, nodes: BTreeMap::new() };
        }
        for node in group.iter().flat_map(|group| &group.nodes) {
            let known = self.known(node.id);
            if known.goal != node.goal_epoch {
                known.goal = node.goal_epoch;
                known.has_goal_since = now;
            }
        }
    }

    /// A monitor reports.
    pub(super) fn heard(&mut self, node: NodeId) {
        self.known(node).reported_at = Some(BootTime::now());
    }

    /// A probe has ended that was begun in that term.
    pub(super) fn probed(&mut self, term: u64, node: NodeId, answers: bool) {
        if term != self.term {
            return;
        }
        let known = self.known(node);
        known.failures = if answers { 0 } else { known.failures.saturating_add(1) };
        if answers {
            known.health = Health::Good;
        } else if known.failures >= MAX_FAILURES {
            known.health = Health::Bad;
        }
    }

    /// What time has done.
    pub(super) fn ages(&self) -> Ages {
        let now = BootTime::now();
        let nodes = self.nodes.iter().map(|(node, known)| NodeAges {
            node: *node,
            silent_for: known.reported_at.map(|at| now.since(at)),
            goal_age: now.since(known.has_goal_since),
            health: known.health,
        });
        Ages { leads_for: now.since(self.since), nodes: nodes.collect() }
    }

    fn known(&mut self, node: NodeId) -> &mut Known {
        let since = self.since;
        self.nodes.entry(node).or_insert(Known {
            reported_at: None,
            goal: Epoch(-1),
            has_goal_since: since,
            health: Health::Unknown,
            failures: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_silent_for_longer_than_the_leadership() {
        let mut leadership = Leadership::none();
        leadership.lead(3, None);
        leadership.heard(NodeId(1));
        leadership.probed(3, NodeId(2), false);
        leadership.probed(3, NodeId(2), false);
        leadership.probed(2, NodeId(1), false);
        let ages = leadership.ages();
        let of =
            |ages: &Ages, node| ages.nodes.iter().find(|of| of.node == NodeId(node)).copied().expect("known");
        assert!(of(&ages, 1).silent_for.is_some());
        assert_eq!((of(&ages, 2).silent_for, of(&ages, 2).health), (None, Health::Bad));
        leadership.lead(3, None);
        assert_eq!(leadership.ages().nodes.len(), 2, "still the same leadership");
        leadership.lead(4, None);
        assert!(leadership.ages().nodes.is_empty());
    }
}
