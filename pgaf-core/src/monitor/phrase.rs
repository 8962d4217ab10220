//! The facts and goals of rules as phrases, for `docs/fsm.md`.

use super::fact::{Fact, Who};
use crate::state::ReplicationState as State;

impl Who {
    /// Who is meant, as the subject of a sentence.
    pub(super) const fn phrase(self) -> &'static str {
        match self {
            Self::Subject => "the node",
            Self::Writer => "the primary",
            Self::OldPrimary => "the former primary",
            Self::Draining => "each former primary that is stopping",
            Self::Voters => "each standby that takes part in elections",
            Self::Standing => "each other standby that takes part in this election",
            Self::Secondaries => "each other secondary",
        }
    }
}

impl Fact {
    /// The fact as a clause, with states in backquotes.
    pub(super) fn phrase(self) -> String {
        match self {
            Self::Goal(who, goals) => format!("the goal of {} is {}", who.phrase(), one_of(goals)),
            Self::Reached(who) => format!("{} has reached its goal", who.phrase()),
            Self::Reports(who) => format!("the keeper of {} reports", who.phrase()),
            Self::HasData(who) => format!("{} has usable data", who.phrase()),
            Self::Alive(who) => format!("the keeper of {} reports, and its Postgres runs", who.phrase()),
            Self::Heard(who) => {
                format!("the keeper of {} has just reported, and its Postgres runs", who.phrase())
            }
            Self::Writes(who) => format!("{} reports that it accepts writes", who.phrase()),
            Self::Down(who) => format!("the keeper of {} reports that Postgres does not run", who.phrase()),
            Self::Lost(who) => format!("{} is silent and unreachable", who.phrase()),
            Self::Gone(who) => {
                format!("the processes of {} are gone, and its host refuses connections", who.phrase())
            }
            Self::Failed(who) => {
                format!("{} is lost, has no data, or its Postgres does not start", who.phrase())
            }
            Self::Stopping(who) => {
                format!("{} asks for a hand-over, because it is being stopped", who.phrase())
            }
            Self::Complete(who) => format!("{} is known to have every acknowledged commit", who.phrase()),
            other => other.of_subject().to_owned(),
        }
    }

    /// Facts about the node that the rule is tried for, or about its group as a whole.
    const fn of_subject(self) -> &'static str {
        match self {
            Self::Streams => "its WAL receiver is streaming",
            Self::CutFromUpstream => {
                "it reports, and has received nothing from the primary for the unhealthy timeout"
            }
            Self::CaughtUp => "its lag is below `enable_sync_wal_log_threshold`, on the primary's timeline",
            Self::Near => "its lag is below `promote_wal_log_threshold`, on the primary's timeline",
            Self::FallenBehind => "it is silent, down, cut off, or on another timeline",
            Self::Forked => "its WAL has records that are not in the primary's history",
            Self::OnForeignBranch => "it was promoted once, and the primary does not know its timeline",
            Self::Refuses => "its hook `before_promote` refuses that it takes over",
            Self::Automatic => "nobody has paused automatic failover",
            Self::HoldsWrites => "writes of clients can be held at a Citus coordinator",
            Self::SwitchoverTarget => "it is the standby that a switchover would promote",
            Self::Heir => "it would succeed the removed primary, if it has the end of its WAL",
            Self::SoleSuccessor => "it is the only standby, and every commit waited for it",
            Self::ElectionPossible => "enough standbys report to find every acknowledged commit",
            Self::ElectionImpossible => "too few standbys report to find every acknowledged commit",
            Self::Elected => "it wins the election and has every acknowledged commit",
            Self::ElectedLacksWal => "it wins the election, and another standby has more WAL",
            Self::NoSource => "no standby that reports has the WAL it lacks",
            Self::HasEveryCommit => "it has every acknowledged commit",
            Self::LacksCommits => "it may lack acknowledged commits",
            Self::OthersFenced => "every other node that may accept writes has stopped or fenced itself",
            Self::Alone => "it is the only node of its group",
            Self::HasOthers => "there are other nodes in its group",
            Self::Settled => "every node has reported since the monitor started, or has had the time to",
            Self::NoWriter => "the group has no primary",
            Self::NoCandidate => "no standby is being promoted",
            Self::CommitRuleChanged => "the standbys that commits should wait for have changed",
            Self::HasSecondary => "another node is secondary and alive",
            Self::NobodyToWaitFor => "no commit can be waiting for any other node",
            Self::NotWaitedFor => "no commit waits for it",
            Self::Goal(..)
            | Self::Reached(_)
            | Self::Reports(_)
            | Self::HasData(_)
            | Self::Alive(_)
            | Self::Heard(_)
            | Self::Writes(_)
            | Self::Down(_)
            | Self::Lost(_)
            | Self::Gone(_)
            | Self::Failed(_)
            | Self::Stopping(_)
            | Self::Complete(_)
            | Self::Voter => "the node takes part in elections",
        }
    }
}

/// "`a`, `b` or `c`"; the five states that accept writes are given a name of their own.
fn one_of(states: &[State]) -> String {
    let names: Vec<String> = states.iter().map(|state| format!("`{state}`")).collect();
    if states.len() == 5 && states.iter().all(|state| state.is_writer()) {
        return "any that accepts writes".to_owned();
    }
    match names.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
