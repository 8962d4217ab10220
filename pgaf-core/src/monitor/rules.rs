//! The monitor's rules, as a table: facts that must hold for a node, the goals to assign, and why.
//!
//! The first rule that matches any node fires; then the table is read again from the top, on the group as
//! changed, until nothing matches. A rule's goals must make its own facts false.

use crate::group::{Group, Node};
use crate::id::NodeId;
use crate::state::ReplicationState as State;
use crate::state::ReplicationState::{
    ApplySettings, CatchingUp, DemoteTimeout, Demoted, Draining, Dropped, Init, JoinPrimary, Maintenance,
    PrepareMaintenance, PreparePromotion, Primary, Secondary, Single, StopReplication, WaitMaintenance,
    WaitPrimary, WaitStandby,
};

use super::election;

/// Whom a fact or a goal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The node the rule is tried for.
    Subject,
    /// The node that is told to accept writes.
    Writer,
    /// Every node that gives up being the primary.
    Retiring,
    /// Every node that was told to stop writing, for no other purpose, and is not yet told that it is over.
    Draining,
}

/// Something that holds or not, of one node in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Its goal is one of these.
    Goal(Who, &'static [State]),
    /// It has reached its goal and said so under its newest assignment.
    Reached(Who),
    /// Its keeper reports.
    Reports(Who),
    /// Its keeper reports and its Postgres runs.
    Alive(Who),
    /// Its keeper has reported just now, and its Postgres runs: it will learn a new goal.
    Heard(Who),
    /// Its keeper reports that Postgres does not run.
    Down(Who),
    /// Nobody hears of it any more.
    Lost(Who),
    /// Its keeper was told to stop and asks for a hand-over.
    Stopping(Who),
    /// It is in recovery and a walreceiver streams.
    Streams,
    /// It reports, but has received nothing for as long as would make it unhealthy.
    CutFromUpstream,
    /// It is close to the writer, on the same timeline.
    CaughtUp,
    /// It may be promoted without losing an acknowledged commit, and nobody is better.
    Elected,
    /// Every other node that may write has stopped or fenced itself.
    OthersFenced,
    /// There are no other nodes in the group.
    Alone,
    /// No node is told to accept writes.
    NoWriter,
    /// No standby is chosen for promotion.
    NoCandidate,
    /// Nobody but the subject gives up being the primary.
    OnlyOneRetiring,
    /// The rule for commits that the group wants is not the newest one given to the writer.
    CommitRuleChanged,
    /// Some other node is secondary, has said so, and is alive.
    HasSecondary,
    /// No commit that waits can be waiting for any other node.
    NobodyToWaitFor,
    /// The subject is in none of the rules that may be in force.
    NotWaitedFor,
    /// Some standby is waiting to be admitted.
    StandbyWaits,
}

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

use Fact::*;
use Who::{Retiring, Subject, Writer};

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
        when: &[Goal(Subject, &[Single]), StandbyWaits],
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
    // The primary goes.
    Rule {
        name: "primary_stops",
        when: &[Elected, Goal(Writer, SYNCHRONOUS), Stopping(Writer), Alive(Writer), NoCandidate],
        then: &[(Writer, Draining), (Subject, PreparePromotion)],
        why: "the primary is being stopped and hands over to its healthy standby",
    },
    Rule {
        name: "primary_is_down",
        when: &[Elected, Goal(Writer, SYNCHRONOUS), Down(Writer), NoCandidate],
        then: &[(Writer, Demoted), (Subject, PreparePromotion)],
        why: "Postgres does not run on the primary, and a healthy standby has every acknowledged commit",
    },
    Rule {
        name: "primary_is_lost",
        when: &[Elected, Goal(Writer, SYNCHRONOUS), Lost(Writer), NoCandidate],
        then: &[(Writer, DemoteTimeout), (Subject, PreparePromotion)],
        why: "the primary is silent and unreachable and has fenced itself by now, and a healthy standby has \
              every acknowledged commit",
    },
    // The candidate takes over, or fails.
    Rule {
        name: "candidate_is_promoted",
        when: &[
            Goal(Subject, &[PreparePromotion, StopReplication]),
            Reached(Subject),
            NoWriter,
            OthersFenced,
        ],
        then: &[(Subject, WaitPrimary), (Who::Draining, Demoted)],
        why: "no other node of the group accepts writes any more",
    },
    Rule {
        name: "candidate_is_lost",
        when: &[
            Goal(Subject, &[PreparePromotion, StopReplication]),
            Lost(Subject),
            NoWriter,
            Reports(Retiring),
            OnlyOneRetiring,
        ],
        then: &[(Subject, CatchingUp), (Retiring, WaitPrimary)],
        why: "the candidate was lost before it was told to accept writes, and the old primary still reports",
    },
    // The old primary comes back.
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
    // A standby comes and goes.
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
            Reached(Writer),
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

impl Who {
    /// Whether this node is meant, in a rule that is tried for the subject.
    pub fn is(self, node: &Node, subject: NodeId) -> bool {
        match self {
            Subject => node.id == subject,
            Writer => node.goal.is_writer(),
            Retiring => node.goal.is_retiring(),
            Who::Draining => matches!(node.goal, Draining | DemoteTimeout),
        }
    }
}

impl Fact {
    /// Whether it holds for this node.
    pub fn holds(self, group: &Group, subject: &Node) -> bool {
        let any = |who: Who, test: &dyn Fn(&Node) -> bool| {
            group.nodes.iter().filter(|node| who.is(node, subject.id)).any(test)
        };
        let wanted = |node: &Node| group.wanted_commit_rule(node.goal);
        match self {
            Goal(who, goals) => any(who, &|node| goals.contains(&node.goal)),
            Reached(who) => any(who, &Node::has_reached_goal),
            Reports(who) => any(who, &|node| node.has_reported && !group.is_silent(node)),
            Alive(who) => any(who, &|node| group.is_alive(node)),
            Heard(who) => any(who, &|node| group.is_heard(node)),
            Down(who) => any(who, &|node| group.is_down(node)),
            Lost(who) => any(who, &|node| group.is_lost(node)),
            Stopping(who) => any(who, &|node| node.is_stopping),
            Streams => subject.upstream.is_some_and(|upstream| upstream.is_streaming),
            CutFromUpstream => group.is_alive(subject) && group.is_cut_from_upstream(subject),
            CaughtUp => group.is_caught_up(subject),
            Elected => election::elect(group).is_some_and(|node| node.id == subject.id),
            OthersFenced => group.are_others_fenced(subject.id),
            Alone => group.others(subject.id).next().is_none(),
            NoWriter => group.writer().is_none(),
            NoCandidate => group.candidate().is_none(),
            OnlyOneRetiring => group.nodes.iter().filter(|node| node.goal.is_retiring()).count() == 1,
            CommitRuleChanged => group.commit_rules.last() != Some(&wanted(subject)),
            HasSecondary => group.others(subject.id).any(|node| is_secondary(node) && group.is_alive(node)),
            NobodyToWaitFor => {
                !group.wanted_commit_rule(Primary).is_synchronous()
                    && !group.others(subject.id).any(is_secondary)
            }
            NotWaitedFor => group.commit_rules.iter().all(|rule| !rule.standbys.contains(&subject.id)),
            StandbyWaits => group.others(subject.id).any(|node| node.goal == WaitStandby),
        }
    }
}

impl Rule {
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

fn is_secondary(node: &Node) -> bool {
    node.goal == Secondary && node.reported == Secondary
}

/// A node that was told to leave the group and has done so.
pub fn has_left(node: &Node) -> bool {
    node.goal == Dropped && node.has_reached_goal()
}
