//! Keepers of pg_auto_failover 2.x, which report without detail and know only some ways from one state to another.
//!
//! What they are told, and what they say, is translated, so that the rules need not know of them. What a keeper of 2.x does
//! not tell is presumed to be the worst.

use std::time::Duration;

use crate::group::Node;
use crate::state::ReplicationState as State;
use crate::state::ReplicationState::{
    ApplySettings, CatchingUp, DemoteTimeout, Demoted, Draining, JoinPrimary, JoinSecondary,
    PrepareMaintenance, Primary, ReportLsn, Secondary, Single, StopReplication, Unknown, WaitPrimary,
};

/// A primary of 2.x that is alone notices after 20 s, and has 30 s to stop: the times of its own monitor.
const FENCED_AFTER: Duration = Duration::from_secs(50);

/// A standby of 2.x that stands still says how far it has replayed, and not whether that is all it has. It restarts for
/// that, and in this time it has replayed what it had received: nobody reads from it that replay would wait for longer.
const REPLAYED_AFTER: Duration = Duration::from_secs(40);

/// What a keeper of 2.x in that state is told, so that it gets to the goal by a way that it knows.
pub fn told(reported: State, goal: State) -> State {
    match (reported, goal) {
        // It follows the new primary from there, and calls that secondary at once.
        (ReportLsn | JoinSecondary, CatchingUp) => Secondary,
        // It lets go of the old primary, and waits.
        (Secondary | CatchingUp, JoinSecondary) => ReportLsn,
        (Draining | DemoteTimeout, CatchingUp) => Demoted,
        (WaitPrimary, Draining | DemoteTimeout | PrepareMaintenance) => Demoted,
        (Draining | DemoteTimeout | Demoted, WaitPrimary | Primary) => Single,
        // There it would promote itself.
        (_, StopReplication) | (_, Unknown) => reported,
        _ => goal,
    }
}

/// What it means when a keeper of 2.x says that it is in this state; `before` is what its last report meant.
pub fn heard(before: State, reported: State, goal: State) -> State {
    match (reported, goal) {
        (Secondary, CatchingUp) if before != Secondary => CatchingUp,
        (ReportLsn, JoinSecondary) if matches!(before, Secondary | CatchingUp | JoinSecondary) => {
            JoinSecondary
        }
        (Demoted, Draining | DemoteTimeout) => goal,
        _ => reported,
    }
}

impl Node {
    /// For how long it must be silent until it can be lost, when that is longer than for others.
    pub(super) fn is_silent_too_shortly(&self) -> bool {
        let may_write = self.goal.is_writer() || self.goal.is_retiring() || self.reported.is_writer();
        self.is_older && may_write && self.silent_for < FENCED_AFTER
    }

    /// The position that it reports, standing still, may not be the end of what it has.
    pub(super) fn may_still_replay(&self) -> bool {
        self.is_older && self.goal_age < REPLAYED_AFTER
    }

    /// As a writer it applies what a commit waits for when it becomes primary, and not in these states.
    pub(super) const fn confirms_no_commit_rule(&self) -> bool {
        self.is_older && matches!(self.goal, ApplySettings | JoinPrimary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::ReplicationState::PreparePromotion;

    /// The ways between states that a keeper of 2.0 knows and our rules use.
    const WAYS: [(State, State); 18] = [
        (ReportLsn, Secondary),
        (JoinSecondary, Secondary),
        (Secondary, ReportLsn),
        (CatchingUp, ReportLsn),
        (Draining, Demoted),
        (DemoteTimeout, Demoted),
        (WaitPrimary, Demoted),
        (Draining, Single),
        (DemoteTimeout, Single),
        (Demoted, Single),
        (Single, WaitPrimary),
        (Demoted, CatchingUp),
        (CatchingUp, Secondary),
        (Secondary, PreparePromotion),
        (PreparePromotion, WaitPrimary),
        (Secondary, CatchingUp),
        (ReportLsn, JoinSecondary),
        (Primary, Demoted),
    ];

    /// It gets from one state to the goal, one report after the other.
    fn way(from: State, goal: State) -> Vec<State> {
        let mut way = vec![from];
        let (mut reported, mut meant) = (from, from);
        while meant != goal {
            let next = told(reported, goal);
            assert!(WAYS.contains(&(reported, next)), "{from} to {goal}: no way from {reported} to {next}");
            meant = heard(meant, next, goal);
            reported = next;
            way.push(next);
            assert!(way.len() < 5, "{from} to {goal}: {way:?}");
        }
        way
    }

    #[test]
    fn goals_are_reached_by_ways_that_2x_knows() {
        assert_eq!(way(JoinSecondary, CatchingUp), [JoinSecondary, Secondary]);
        assert_eq!(way(ReportLsn, CatchingUp), [ReportLsn, Secondary]);
        assert_eq!(way(Secondary, JoinSecondary), [Secondary, ReportLsn]);
        assert_eq!(way(DemoteTimeout, CatchingUp), [DemoteTimeout, Demoted, CatchingUp]);
        assert_eq!(way(Demoted, WaitPrimary), [Demoted, Single, WaitPrimary]);
        assert_eq!(way(WaitPrimary, Draining), [WaitPrimary, Demoted]);
        assert_eq!(way(Secondary, PreparePromotion), [Secondary, PreparePromotion]);
    }

    #[test]
    fn nobody_of_2x_promotes_itself_to_be_counted() {
        assert_eq!(told(PreparePromotion, StopReplication), PreparePromotion);
    }

    #[test]
    fn a_secondary_that_shall_catch_up_has_not_done_so() {
        assert_eq!(heard(Secondary, Secondary, CatchingUp), Secondary);
        // It follows since it stood still.
        assert_eq!(heard(JoinSecondary, Secondary, CatchingUp), CatchingUp);
        assert_eq!(heard(CatchingUp, Secondary, CatchingUp), CatchingUp);
    }
}
