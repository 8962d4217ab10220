//! The facts that rules are made of, each a question about one node in its group.

use crate::group::{Group, Node};
use crate::id::NodeId;
use crate::state::ReplicationState as State;
use crate::state::ReplicationState::{DemoteTimeout, Draining, Primary, ReportLsn, Secondary};

/// Whom a fact or a goal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The node the rule is tried for.
    Subject,
    /// The node that is told to accept writes.
    Writer,
    /// The node that was told to write last, and gives up being the primary: it has every acknowledged commit.
    OldPrimary,
    /// Every node that was told to stop writing, for no other purpose, and is not yet told that it is over.
    Draining,
    /// Every node that takes part in an election.
    Voters,
    /// Every node that stands still for an election, other than the subject.
    Standing,
    /// Every secondary, and every node that stands still for an election, other than the subject.
    Secondaries,
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
    /// It has a data directory that can be used.
    HasData(Who),
    /// Its keeper reports and its Postgres runs.
    Alive(Who),
    /// Its keeper has reported just now, and its Postgres runs: it will learn a new goal.
    Heard(Who),
    /// It said that it accepts writes.
    Writes(Who),
    /// Its keeper reports that Postgres does not run.
    Down(Who),
    /// Nobody hears of it any more.
    Lost(Who),
    /// Its host answers, and its Postgres and its keeper are gone.
    Gone(Who),
    /// It is lost, or has no data, or its Postgres has not run for long although it should.
    Failed(Who),
    /// Its keeper was told to stop and asks for a hand-over.
    Stopping(Who),
    /// It is known to have every acknowledged commit, as long as nobody writes.
    Complete(Who),
    /// It is in recovery and a walreceiver streams.
    Streams,
    /// It reports, but has received nothing for as long as would make it unhealthy.
    CutFromUpstream,
    /// It is close to the writer, on the same timeline: a commit may wait for it.
    CaughtUp,
    /// It is close to the writer, on the same timeline: it may take over from it.
    Near,
    /// It is silent, down, cut off or forked.
    FallenBehind,
    /// Its log has records that are not in the history of the writer.
    Forked,
    /// It was promoted once, and the writer does not know of it.
    OnForeignBranch,
    /// Clients write to the group through a coordinator, where a candidate can have their writes held.
    HoldsWrites,
    /// Its hook refuses that it takes over as planned.
    Refuses,
    /// Nobody has paused automatic failover.
    Automatic,
    /// It takes part in elections.
    Voter,
    /// It would take over from the writer on command.
    SwitchoverTarget,
    /// It would take over from a primary that was removed, if it has the end of its log.
    Heir,
    /// It is the only standby, and every commit waited for it.
    SoleSuccessor,
    /// Enough standbys report for an election to end well.
    ElectionPossible,
    /// Too few standbys report for an election to end.
    ElectionImpossible,
    /// Enough have been counted, it is preferred, and it has every acknowledged commit.
    Elected,
    /// Enough have been counted, and it is preferred, but another one has more WAL.
    ElectedLacksWal,
    /// Nobody that stands still and is alive has every acknowledged commit.
    NoSource,
    /// It has every acknowledged commit, by the count, by the commit rules, or by the end of the old primary's log.
    HasEveryCommit,
    /// It may lack acknowledged commits.
    LacksCommits,
    /// Every other node that may write has stopped or fenced itself.
    OthersFenced,
    /// There are no other nodes in the group.
    Alone,
    /// There are other nodes in the group.
    HasOthers,
    /// Everybody has reported to this run of the monitor, or has had the time to: who knows better than the rows has
    /// said so.
    Settled,
    /// No node is told to accept writes.
    NoWriter,
    /// No standby is chosen for promotion.
    NoCandidate,
    /// The rule for commits that the group wants is not the newest one given to the writer.
    CommitRuleChanged,
    /// Some other node is secondary, has said so, and is alive.
    HasSecondary,
    /// No commit that waits can be waiting for any other node.
    NobodyToWaitFor,
    /// The subject is in none of the rules that may be in force.
    NotWaitedFor,
}

use Fact::*;

impl Who {
    /// Whether this node is meant, in a rule that is tried for the subject.
    pub fn is(self, group: &Group, node: &Node, subject: NodeId) -> bool {
        let is_other = node.id != subject;
        match self {
            Self::Subject => !is_other,
            Self::Writer => node.goal.is_writer(),
            Self::OldPrimary => node.goal.is_retiring() && node.is_complete,
            Self::Draining => matches!(node.goal, Draining | DemoteTimeout),
            Self::Voters => group.is_voter(node),
            Self::Standing => is_other && node.goal == ReportLsn,
            Self::Secondaries => is_other && matches!(node.goal, Secondary | ReportLsn),
        }
    }
}

impl Fact {
    /// Whether it holds for this node.
    pub fn holds(self, group: &Group, subject: &Node) -> bool {
        let any = |who: Who, test: &dyn Fn(&Node) -> bool| {
            group.nodes.iter().filter(|node| who.is(group, node, subject.id)).any(test)
        };
        let is_outcome = |lacks_wal: bool| {
            let outcome = group.election_outcome();
            outcome.is_some_and(|outcome| outcome.winner == subject.id && outcome.lacks_wal == lacks_wal)
        };
        match self {
            Goal(who, goals) => any(who, &|node| goals.contains(&node.goal)),
            Reached(who) => any(who, &Node::has_reached_goal),
            Reports(who) => any(who, &|node| node.has_reported && !group.is_silent(node)),
            HasData(who) => any(who, &|node| node.has_data),
            Alive(who) => any(who, &|node| group.is_alive(node)),
            Heard(who) => any(who, &|node| group.is_heard(node)),
            Writes(who) => any(who, &|node| node.reported.is_writer()),
            Down(who) => any(who, &|node| group.is_down(node)),
            Lost(who) => any(who, &|node| group.is_lost(node)),
            Gone(who) => any(who, &|node| group.is_gone(node)),
            Failed(who) => any(who, &|node| {
                let is_late = node.goal_age >= group.timeouts.unhealthy_after;
                !node.has_data || group.is_silent(node) || (group.is_down(node) && is_late)
            }),
            Stopping(who) => any(who, &|node| node.is_stopping),
            Complete(who) => any(who, &|node| node.is_complete),
            Streams => subject.upstream.is_some_and(|upstream| upstream.is_streaming),
            CutFromUpstream => group.is_alive(subject) && group.is_cut_from_upstream(subject),
            CaughtUp => group.is_caught_up(subject),
            Near => group.is_near(subject),
            FallenBehind => {
                let is_behind = [Down(Who::Subject), CutFromUpstream, Forked];
                group.is_silent(subject) || is_behind.iter().any(|fact| fact.holds(group, subject))
            }
            HoldsWrites => group.holds_writes(),
            Automatic => !group.is_failover_paused,
            Refuses => subject.refuses_promotion,
            Forked => group.has_forked(subject),
            OnForeignBranch => group.is_on_foreign_branch(subject),
            Voter => group.is_voter(subject),
            SwitchoverTarget => group.switchover_target().is_some_and(|node| node.id == subject.id),
            Heir => group.heir().is_some_and(|node| node.id == subject.id),
            SoleSuccessor => group.sole_successor().is_some_and(|node| node.id == subject.id),
            ElectionPossible => group.is_election_possible(),
            ElectionImpossible => group.is_settled() && !group.is_election_possible(),
            Elected => is_outcome(false),
            ElectedLacksWal => is_outcome(true),
            NoSource => group.fetch_source().is_none(),
            HasEveryCommit => group.has_every_commit(subject),
            LacksCommits => !group.has_every_commit(subject),
            OthersFenced => group.are_others_fenced(subject.id),
            Alone => group.others(subject.id).next().is_none(),
            HasOthers => group.others(subject.id).next().is_some(),
            Settled => group.is_settled(),
            NoWriter => group.writer().is_none(),
            NoCandidate => group.candidate().is_none(),
            CommitRuleChanged => group.commit_rules.last() != Some(&group.wanted_commit_rule(subject.goal)),
            HasSecondary => group.others(subject.id).any(|node| is_secondary(node) && group.is_alive(node)),
            NobodyToWaitFor => {
                !group.wanted_commit_rule(Primary).is_synchronous()
                    && !group.others(subject.id).any(is_secondary)
            }
            NotWaitedFor => group.commit_rules.iter().all(|rule| !rule.standbys.contains(&subject.id)),
        }
    }
}

fn is_secondary(node: &Node) -> bool {
    node.goal == Secondary && node.reported == Secondary
}
