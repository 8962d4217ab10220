//! The monitor's rules, as a table: facts that must hold for a node, the goals to assign, and why.
//!
//! The first rule that matches any node fires; then the table is read again from the top, on the group as
//! changed, until nothing matches. A rule's goals must make its own facts false. What the facts mean is in
//! [`super::fact`].

use crate::group::{Group, Node};
use crate::state::ReplicationState as State;
use crate::state::ReplicationState::{
    ApplySettings, CatchingUp, DemoteTimeout, Demoted, Draining, FastForward, Init, JoinPrimary,
    JoinSecondary, Maintenance, PrepareMaintenance, PreparePromotion, Primary, ReportLsn, Secondary, Single,
    StopReplication, WaitMaintenance, WaitPrimary, WaitStandby,
};

use super::fact::Fact::{self, *};
use super::fact::Who::{self, OldPrimary, Standing, Subject, Voters, Writer};

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, in every event that it causes.
    pub name: &'static str,
    /// All of these must hold.
    pub when: &'static [Fact],
    /// Then these goals are assigned.
    pub then: &'static [(Who, State)],
    /// The reason, to follow "because".
    pub why: &'static str,
}

const WRITER: &[State] = &[Single, WaitPrimary, Primary, JoinPrimary, ApplySettings];
const SYNCHRONOUS: &[State] = &[Primary, JoinPrimary, ApplySettings];
const RETIRED: &[State] = &[Draining, DemoteTimeout, Demoted, PrepareMaintenance];
const CANDIDATE: &[State] = &[FastForward, PreparePromotion, StopReplication];

/// The table.
pub const RULES: &[Rule] = &[
    // A node comes.
    Rule {
        name: "first_node_is_single",
        when: &[Goal(Subject, &[Init]), Alone],
        then: &[(Subject, Single)],
        why: "it is the first node of its group",
    },
    Rule {
        name: "node_waits_for_primary",
        when: &[Goal(Subject, &[Init])],
        then: &[(Subject, WaitStandby)],
        why: "there are other nodes in its group already",
    },
    Rule {
        name: "single_admits_standby",
        when: &[Goal(Subject, &[Single]), HasOthers],
        then: &[(Subject, WaitPrimary)],
        why: "a standby has joined its group",
    },
    Rule {
        name: "standby_is_admitted",
        when: &[
            Goal(Subject, &[WaitStandby]),
            Reached(Subject),
            Goal(Writer, &[WaitPrimary, Primary, JoinPrimary]),
            Reached(Writer),
        ],
        then: &[(Subject, CatchingUp)],
        why: "the primary lets it connect",
    },
    // The primary goes, and is the only one to ask.
    Rule {
        name: "primary_stops_once_writes_are_held",
        when: &[
            SwitchoverTarget,
            Goal(Writer, SYNCHRONOUS),
            Stopping(Writer),
            Alive(Writer),
            NoCandidate,
            HoldsWrites,
            Automatic,
        ],
        then: &[(Subject, PreparePromotion)],
        why: "the primary is being stopped, and its healthy standby has writes held at the coordinator before",
    },
    Rule {
        name: "primary_stops",
        when: &[
            SwitchoverTarget,
            Goal(Writer, SYNCHRONOUS),
            Stopping(Writer),
            Alive(Writer),
            NoCandidate,
            Automatic,
        ],
        then: &[(Writer, Draining), (Subject, PreparePromotion)],
        why: "the primary is being stopped and hands over to its healthy standby",
    },
    Rule {
        name: "candidate_has_caught_up",
        when: &[
            Goal(Subject, &[PreparePromotion]),
            Reached(Subject),
            Alive(Subject),
            Near,
            Goal(Writer, WRITER),
            Heard(Writer),
        ],
        then: &[(Writer, Draining)],
        why: "the standby that shall take over has caught up",
    },
    Rule {
        name: "hand_over_is_refused",
        when: &[Goal(Subject, &[PreparePromotion]), Refuses, Goal(Writer, WRITER)],
        then: &[(Subject, Secondary)],
        why: "its hook before_promote refuses that it takes over",
    },
    Rule {
        name: "primary_is_down",
        when: &[SoleSuccessor, Goal(Writer, SYNCHRONOUS), Down(Writer), Automatic],
        then: &[(Writer, Demoted), (Subject, PreparePromotion)],
        why: "Postgres does not run on the primary, and a healthy standby has every acknowledged commit",
    },
    Rule {
        name: "primary_is_gone",
        when: &[SoleSuccessor, Goal(Writer, SYNCHRONOUS), Gone(Writer), Automatic],
        then: &[(Writer, DemoteTimeout), (Subject, PreparePromotion)],
        why: "the processes of the primary are gone: its keeper's session ended, its port refuses connections and \
              its standby receives nothing; and a healthy standby has every acknowledged commit",
    },
    Rule {
        name: "primary_is_lost",
        when: &[SoleSuccessor, Goal(Writer, SYNCHRONOUS), Lost(Writer), Automatic],
        then: &[(Writer, DemoteTimeout), (Subject, PreparePromotion)],
        why: "the primary is silent and unreachable and has fenced itself by now, and a healthy standby has \
              every acknowledged commit",
    },
    // The primary goes, and its standbys are counted.
    Rule {
        name: "election_after_crash",
        when: &[Goal(Subject, SYNCHRONOUS), Down(Subject), ElectionPossible, Automatic],
        then: &[(Subject, Demoted), (Voters, ReportLsn)],
        why: "Postgres does not run on the primary, and enough standbys report to find every acknowledged commit",
    },
    Rule {
        name: "election_after_end",
        when: &[Goal(Subject, SYNCHRONOUS), Gone(Subject), ElectionPossible, Automatic],
        then: &[(Subject, DemoteTimeout), (Voters, ReportLsn)],
        why: "the processes of the primary are gone: its keeper's session ended, its port refuses connections and \
              too few standbys receive from it to acknowledge a commit; and enough of them report to find every \
              acknowledged commit",
    },
    Rule {
        name: "election_after_loss",
        when: &[Goal(Subject, SYNCHRONOUS), Lost(Subject), ElectionPossible, Automatic],
        then: &[(Subject, DemoteTimeout), (Voters, ReportLsn)],
        why: "the primary is silent and unreachable and has fenced itself by now, and enough standbys report to \
              find every acknowledged commit",
    },
    Rule {
        name: "election_without_primary",
        when: &[
            Goal(Subject, &[Secondary, CatchingUp, JoinSecondary]),
            NoWriter,
            NoCandidate,
            ElectionPossible,
            Voter,
        ],
        then: &[(Voters, ReportLsn)],
        why: "the group has no primary, and enough standbys report to find every acknowledged commit",
    },
    Rule {
        name: "removed_primary_is_succeeded",
        when: &[Heir, NoCandidate, ElectionImpossible],
        then: &[(Subject, PreparePromotion)],
        why: "the primary was removed, and this standby may have the end of its log",
    },
    Rule {
        name: "candidate_is_elected",
        when: &[Goal(Subject, &[ReportLsn]), Elected, NoWriter, NoCandidate],
        then: &[(Subject, PreparePromotion), (Standing, JoinSecondary)],
        why: "it has every acknowledged commit, and the election prefers it",
    },
    Rule {
        name: "candidate_lacks_wal",
        when: &[Goal(Subject, &[ReportLsn]), ElectedLacksWal, NoWriter, NoCandidate],
        then: &[(Subject, FastForward)],
        why: "the election prefers it, and another standby has WAL that it lacks",
    },
    Rule {
        name: "candidate_has_fetched_wal",
        when: &[Goal(Subject, &[FastForward]), Reached(Subject), Complete(Subject)],
        then: &[(Subject, PreparePromotion), (Standing, JoinSecondary)],
        why: "it has fetched the WAL that it lacked",
    },
    Rule {
        name: "source_of_wal_is_gone",
        when: &[Goal(Subject, &[FastForward]), NoSource],
        then: &[(Subject, ReportLsn)],
        why: "the standby that it fetched WAL from is gone",
    },
    // The candidate takes over, or fails.
    Rule {
        name: "candidate_is_promoted",
        when: &[
            Goal(Subject, &[PreparePromotion, StopReplication]),
            Reached(Subject),
            Alive(Subject),
            HasEveryCommit,
            NoWriter,
            OthersFenced,
            Settled,
        ],
        then: &[(Subject, WaitPrimary), (Who::Draining, Demoted), (Who::Secondaries, JoinSecondary)],
        why: "no other node of the group accepts writes any more",
    },
    Rule {
        name: "candidate_is_counted",
        when: &[
            Goal(Subject, &[PreparePromotion]),
            Reached(Subject),
            Alive(Subject),
            LacksCommits,
            NoWriter,
            OthersFenced,
        ],
        then: &[(Subject, StopReplication)],
        why: "it must say whether it has received the end of the old primary's log",
    },
    Rule {
        name: "candidate_lacks_commits",
        when: &[
            Goal(Subject, &[StopReplication]),
            Reached(Subject),
            LacksCommits,
            NoWriter,
            Reports(OldPrimary),
            Reached(OldPrimary),
            HasData(OldPrimary),
            Settled,
        ],
        then: &[(Subject, CatchingUp), (OldPrimary, WaitPrimary)],
        why: "the candidate has not received the end of the old primary's log, and the old primary still reports",
    },
    Rule {
        name: "candidate_is_not_alone",
        when: &[
            Goal(Subject, &[StopReplication]),
            Reached(Subject),
            LacksCommits,
            NoWriter,
            OthersFenced,
            ElectionPossible,
        ],
        then: &[(Voters, ReportLsn)],
        why: "the candidate may lack commits that another standby has",
    },
    Rule {
        name: "another_candidate_is_needed",
        when: &[Goal(Subject, CANDIDATE), Failed(Subject), NoWriter, ElectionPossible],
        then: &[(Voters, ReportLsn)],
        why: "the candidate was lost before it was told to accept writes",
    },
    Rule {
        name: "candidate_is_lost",
        when: &[
            Goal(Subject, CANDIDATE),
            Failed(Subject),
            NoWriter,
            Reports(OldPrimary),
            HasData(OldPrimary),
            Settled,
        ],
        then: &[(Subject, CatchingUp), (OldPrimary, WaitPrimary)],
        why: "the candidate was lost before it was told to accept writes, and the old primary still reports",
    },
    Rule {
        name: "hand_over_is_given_up",
        when: &[Goal(Subject, CANDIDATE), FallenBehind, Goal(Writer, WRITER)],
        then: &[(Subject, CatchingUp)],
        why: "the standby that should have taken over does not follow the primary any more",
    },
    Rule {
        name: "old_primary_takes_back",
        when: &[
            Goal(Subject, RETIRED),
            Reached(Subject),
            Complete(Subject),
            HasData(Subject),
            NoWriter,
            NoCandidate,
            ElectionImpossible,
            Settled,
        ],
        then: &[(Subject, WaitPrimary), (Voters, CatchingUp)],
        why: "it is back with every acknowledged commit, and too few standbys report for an election",
    },
    // The old primary and the other standbys follow the new one.
    Rule {
        name: "maintenance_of_old_primary",
        when: &[
            Goal(Subject, &[PrepareMaintenance]),
            Reached(Subject),
            Goal(Writer, WRITER),
            Reached(Writer),
        ],
        then: &[(Subject, Maintenance)],
        why: "another node is the primary now",
    },
    Rule {
        name: "old_primary_rejoins",
        when: &[
            Goal(Subject, &[Draining, DemoteTimeout, Demoted]),
            Reached(Subject),
            Goal(Writer, WRITER),
            Reached(Writer),
        ],
        then: &[(Subject, CatchingUp)],
        why: "another node is the primary now",
    },
    Rule {
        name: "standby_follows_new_primary",
        when: &[
            Goal(Subject, &[ReportLsn, FastForward, JoinSecondary]),
            Goal(Writer, WRITER),
            Reached(Writer),
        ],
        then: &[(Subject, CatchingUp)],
        why: "another node is the primary now",
    },
    // A standby comes and goes.
    Rule {
        name: "branch_needs_a_decision",
        when: &[
            Goal(Subject, &[CatchingUp, Secondary]),
            OnForeignBranch,
            Goal(Writer, WRITER),
            Alive(Writer),
        ],
        then: &[(Subject, Maintenance)],
        why: "it has written on a timeline that the primary does not know: pg_autoctl accept timeline says which \
              one is right",
    },
    Rule {
        name: "standby_has_forked",
        when: &[Goal(Subject, &[Secondary]), Forked, Goal(Writer, WRITER), Heard(Writer)],
        then: &[(Subject, CatchingUp)],
        why: "its log is not part of the primary's history",
    },
    Rule {
        name: "standby_is_down",
        when: &[Goal(Subject, &[Secondary]), Down(Subject), Goal(Writer, WRITER), Heard(Writer)],
        then: &[(Subject, CatchingUp)],
        why: "its Postgres does not run",
    },
    Rule {
        name: "standby_is_lost",
        when: &[Goal(Subject, &[Secondary]), Lost(Subject), Goal(Writer, WRITER), Heard(Writer)],
        then: &[(Subject, CatchingUp)],
        why: "it is silent and unreachable",
    },
    Rule {
        name: "standby_is_cut_off",
        when: &[Goal(Subject, &[Secondary]), CutFromUpstream, Goal(Writer, WRITER), Heard(Writer)],
        then: &[(Subject, CatchingUp)],
        why: "it receives nothing from the primary",
    },
    Rule {
        name: "standby_has_caught_up",
        when: &[
            Goal(Subject, &[CatchingUp]),
            Reached(Subject),
            Alive(Subject),
            Streams,
            CaughtUp,
            Goal(Writer, WRITER),
            Writes(Writer),
            Alive(Writer),
        ],
        then: &[(Subject, Secondary)],
        why: "it streams from the primary and has caught up",
    },
    Rule {
        name: "standby_may_leave",
        when: &[Goal(Subject, &[WaitMaintenance]), NotWaitedFor],
        then: &[(Subject, Maintenance)],
        why: "the primary does not wait for it any more",
    },
    // The primary follows its standbys.
    Rule {
        name: "primary_is_alone",
        when: &[Goal(Subject, &[WaitPrimary, Primary, JoinPrimary, ApplySettings]), Alone],
        then: &[(Subject, Single)],
        why: "it is the only node of its group",
    },
    Rule {
        name: "primary_goes_on_alone",
        when: &[Goal(Subject, SYNCHRONOUS), NobodyToWaitFor],
        then: &[(Subject, WaitPrimary)],
        why: "there is no healthy standby that a commit could wait for",
    },
    Rule {
        name: "primary_has_standby",
        when: &[Goal(Subject, &[WaitPrimary]), Reached(Subject), Alive(Subject), HasSecondary],
        then: &[(Subject, Primary)],
        why: "it has a healthy secondary",
    },
    Rule {
        name: "quorum_has_changed",
        when: &[Goal(Subject, &[Primary, ApplySettings]), CommitRuleChanged],
        then: &[(Subject, ApplySettings)],
        why: "the standbys that a commit waits for have changed",
    },
    Rule {
        name: "settings_are_applied",
        when: &[Goal(Subject, &[ApplySettings, JoinPrimary]), Reached(Subject)],
        then: &[(Subject, Primary)],
        why: "its settings are in force",
    },
];

impl Rule {
    /// It begins a change of roles that nobody has asked for.
    pub fn is_automatic(&self) -> bool {
        self.when.contains(&Automatic)
    }

    /// All its facts hold for this node.
    pub fn matches(&self, group: &Group, subject: &Node) -> bool {
        self.when.iter().all(|fact| fact.holds(group, subject))
    }
}

/// The first rule that matches, and for whom.
pub fn first_match(group: &Group) -> Option<(&'static Rule, &Node)> {
    RULES
        .iter()
        .find_map(|rule| group.nodes.iter().find(|node| rule.matches(group, node)).map(|node| (rule, node)))
}
