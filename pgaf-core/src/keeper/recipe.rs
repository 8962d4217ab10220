//! One recipe per kind of goal. Each looks at the situation from scratch; none remembers how it came about.

use crate::lsn::{Lineage, Lsn};
use crate::message::{Assignment, Peer};
use crate::state::ReplicationState as State;

use super::holding;
use super::hook::Consent;
use super::memory::is_planned_candidate;
use super::observed::Observed;
use super::pooling::Poolers;
use super::server::{Cluster, DataDirectory, Receiver, Running, Server, StreamingStandby};
use super::step::{Plan, Step, StopMode};

const STOP_FAST: Step = Step::StopPostgres(StopMode::Fast);
const STOP_NOW: Step = Step::StopPostgres(StopMode::Immediate);

/// Nothing is known of the server but that it lives.
const REFUSED: Plan = Plan::Wait("Postgres refuses the sessions of pg_autoctl: see its log");

fn steps(steps: impl Into<Vec<Step>>) -> Plan {
    Plan::Steps(steps.into())
}

/// A standby can neither replay nor be promoted before it has been restarted, unless it shall stop anyway.
pub(super) fn needs_restart(goal: State, observed: &Observed) -> bool {
    let is_stuck = matches!(
        &observed.server,
        Server::Running(running) if running.is_in_recovery && running.is_short_of_settings
    );
    is_stuck && !goal.is_retiring() && goal != State::Dropped
}

/// Stopped, and started again as what it is.
pub(super) fn restarted() -> Plan {
    steps([STOP_FAST, Step::StartPostgres])
}

/// Accepts writes, under the commit rule of the assignment.
pub(super) fn writer(assignment: &Assignment, observed: &Observed) -> Plan {
    match &observed.server {
        Server::Unresponsive => steps([STOP_NOW]),
        Server::Starting => Plan::Wait("Postgres recovers"),
        Server::Refusing => refusing_writer(assignment, observed),
        Server::Stopped => match observed.data {
            DataDirectory::Present(_) => steps([Step::StartPostgres]),
            DataDirectory::Missing | DataDirectory::Incomplete | DataDirectory::Damaged => Plan::Blocked(
                "this node should be the primary, and its data directory cannot be used: restore it, or drop \
                 this node so that another becomes the primary",
            ),
        },
        Server::Running(running) if running.is_gated => steps([Step::StartPostgres]),
        Server::Running(running) => running_writer(assignment, observed, running),
    }
}

/// Only what needs no proof: a commit rule that waits for standbys would have to be seen in force.
fn refusing_writer(assignment: &Assignment, observed: &Observed) -> Plan {
    if assignment.commit_rule.is_synchronous() {
        return REFUSED;
    }
    let mut todo = Vec::new();
    if !observed.memory.unseen.is_names_emptied {
        todo.push(Step::SetSynchronousStandbyNames(String::new()));
    }
    if is_standby(observed) {
        todo.push(Step::Promote);
    }
    if todo.is_empty() { REFUSED } else { Plan::Steps(todo) }
}

fn running_writer(assignment: &Assignment, observed: &Observed, running: &Running) -> Plan {
    let names = assignment.commit_rule.synchronous_standby_names();
    let begins_to_wait = running.synchronous_standby_names.is_empty() && !names.is_empty();
    if begins_to_wait && !is_quorum_at(assignment, running, observed.memory.rule_wanted_since) {
        return Plan::Wait("waiting for the standbys of the quorum to catch up: commits would hang");
    }
    let route = observed.memory.routing.route_step();
    // Whoever waits at the coordinator comes before everything else.
    let pool = (observed.memory.poolers == Poolers::ToRoute).then_some(Step::RoutePoolers);
    let mut todo: Vec<Step> = match running.is_in_recovery {
        true => Vec::new(),
        false => pool.iter().cloned().chain(route.clone()).collect(),
    };
    if running.synchronous_standby_names != names {
        todo.push(Step::SetSynchronousStandbyNames(names));
    }
    if running.is_in_recovery {
        todo.push(Step::Promote);
        todo.extend(pool);
        todo.extend(route);
    } else if observed.memory.admitted.as_ref() != Some(&assignment.peers) {
        todo.push(Step::AdmitStandbys { peers: assignment.peers.clone() });
    }
    if !todo.is_empty() {
        return Plan::Steps(todo);
    }
    if is_quorum_complete(assignment, observed, running) {
        Plan::Reached
    } else {
        Plan::Wait("waiting for the standbys of the quorum to receive every acknowledged commit")
    }
}

/// Enough standbys have all that was acknowledged before the commit rule was in force.
fn is_quorum_complete(assignment: &Assignment, observed: &Observed, running: &Running) -> bool {
    let rule = &assignment.commit_rule;
    let are_synchronous = running
        .standbys
        .iter()
        .filter(|standby| rule.standbys.contains(&standby.node))
        .all(|standby| standby.is_synchronous);
    !rule.is_synchronous()
        || observed.memory.is_quorum_confirmed
        || (are_synchronous && is_quorum_at(assignment, running, observed.memory.names_in_force_since))
}

/// As many standbys of the quorum as a commit needs stream and have flushed this much.
fn is_quorum_at(assignment: &Assignment, running: &Running, lsn: Option<Lsn>) -> bool {
    let has_flushed =
        |standby: &&StreamingStandby| standby.is_streaming && lsn.is_some_and(|lsn| standby.flushed >= lsn);
    assignment.commit_rule.is_met_by(running.standbys.iter().filter(has_flushed).map(|standby| standby.node))
}

/// Stopped, after a checkpoint that makes the stop short. Clients of poolers wait from then on.
pub(super) fn drained(observed: &Observed) -> Plan {
    match &observed.server {
        Server::Running(running) if !running.is_in_recovery => {
            let pause = (observed.memory.poolers != Poolers::Unused).then_some(Step::PausePoolers);
            Plan::Steps([Some(Step::Checkpoint), pause, Some(STOP_FAST)].into_iter().flatten().collect())
        }
        _ => stopped(observed),
    }
}

/// Stopped.
pub(super) fn stopped(observed: &Observed) -> Plan {
    match observed.server {
        Server::Stopped => Plan::Reached,
        Server::Running(_) | Server::Refusing => steps([STOP_FAST]),
        Server::Starting | Server::Unresponsive => steps([STOP_NOW]),
    }
}

/// Anything, as long as it accepts no writes.
pub(super) fn no_writer(observed: &Observed) -> Plan {
    match &observed.server {
        Server::Running(running) if !running.is_in_recovery => steps([STOP_FAST]),
        Server::Refusing if !is_standby(observed) => steps([STOP_FAST]),
        Server::Starting if !is_standby(observed) => steps([STOP_NOW]),
        _ => Plan::Reached,
    }
}

/// In recovery, with what it has; on a Citus worker, with the writes to its group held.
pub(super) fn candidate(assignment: &Assignment, observed: &Observed) -> Plan {
    match &observed.server {
        Server::Running(running) if running.is_in_recovery => {
            if let Some(plan) = consent(assignment, observed, running) {
                return plan;
            }
            holding::candidate(assignment, &observed.memory)
        }
        _ => in_recovery(observed),
    }
}

/// What a candidate does until its hook agrees to a planned hand-over. One that takes over from nobody asks nobody.
fn consent(assignment: &Assignment, observed: &Observed, running: &Running) -> Option<Plan> {
    if !is_planned_candidate(assignment) {
        return None;
    }
    match observed.memory.consent {
        Consent::NotNeeded | Consent::Given => None,
        Consent::NotAsked => Some(steps([Step::BeforePromote { timeline: running.timeline }])),
        Consent::Refused => Some(Plan::Wait("hook before_promote refuses: the primary goes on")),
    }
}

/// In recovery, receiving nothing, with everything replayed that can be.
pub(super) fn cut_standby(observed: &Observed) -> Plan {
    match &observed.server {
        Server::Running(running) if running.is_in_recovery => {
            let is_cut = running.follows.is_none() && running.receiver == Receiver::Absent;
            if is_cut && running.is_replay_over {
                Plan::Reached
            } else {
                steps([Step::Follow { upstream: None }])
            }
        }
        // Started as it is, it would receive from whom it followed before.
        Server::Stopped if has_data(observed) => {
            steps([Step::Follow { upstream: None }, Step::StartPostgres])
        }
        _ => in_recovery(observed),
    }
}

/// As one that is cut; without data it has nothing that could be cut, and will copy those of the winner.
pub(super) fn loser(observed: &Observed) -> Plan {
    if observed.server == Server::Stopped && !has_data(observed) {
        return Plan::Wait("there is no data directory yet, and no primary to copy it from");
    }
    cut_standby(observed)
}

/// In recovery, with as much as the assignment says, from a node that is no primary. Nothing is thrown away for that:
/// whoever has forked from its source has been chosen by mistake.
pub(super) fn fetching(assignment: &Assignment, observed: &Observed) -> Plan {
    let upstream = assignment.upstream.as_ref();
    match (&observed.server, &observed.data) {
        (Server::Running(running), _) if running.is_in_recovery => {
            if observed.lineage == Some(Lineage::Forked) {
                return FORKED_FROM_SOURCE;
            }
            if assignment.fetch_up_to.is_none_or(|end| running.lsn >= end) {
                return Plan::Reached;
            }
            match upstream {
                None => Plan::Wait("no node has the missing WAL"),
                Some(upstream) if !follows(running, upstream) => {
                    steps([Step::Follow { upstream: Some(upstream.clone()) }])
                }
                Some(_) => Plan::Wait("fetching WAL from the most advanced standby"),
            }
        }
        (Server::Stopped, DataDirectory::Present(cluster)) => match observed.lineage {
            Some(Lineage::Forked) => FORKED_FROM_SOURCE,
            None if !cluster.is_standby => {
                Plan::Wait("could not read the timeline history of the most advanced standby")
            }
            _ => steps([Step::Follow { upstream: upstream.cloned() }, Step::StartPostgres]),
        },
        _ => in_recovery(observed),
    }
}

const FORKED_FROM_SOURCE: Plan = Plan::Blocked(
    "this node has WAL that its source lacks: it cannot become the primary, another candidate is needed",
);

/// Gets a server that does not run in recovery to do so, with what it has.
fn in_recovery(observed: &Observed) -> Plan {
    match (&observed.server, &observed.data) {
        (Server::Running(_), _) => steps([STOP_FAST]),
        (Server::Unresponsive, _) => steps([STOP_NOW]),
        (Server::Refusing, DataDirectory::Present(cluster)) if cluster.is_standby => REFUSED,
        (Server::Refusing, _) => steps([STOP_FAST]),
        (Server::Starting, DataDirectory::Present(cluster)) if cluster.is_standby => {
            Plan::Wait("Postgres recovers")
        }
        (Server::Starting, _) => steps([STOP_NOW]),
        (Server::Stopped, DataDirectory::Present(cluster)) if cluster.is_standby => {
            steps([Step::StartPostgres])
        }
        (Server::Stopped, DataDirectory::Present(_)) => {
            steps([Step::Follow { upstream: None }, Step::StartPostgres])
        }
        (Server::Stopped, _) => Plan::Blocked(
            "this standby may have to become the primary, and its data directory cannot be used: restore it, or drop \
             this node",
        ),
    }
}

/// Follows the upstream; copies or rewinds first where the histories differ.
pub(super) fn standby(assignment: &Assignment, observed: &Observed) -> Plan {
    let is_writing = matches!(&observed.server, Server::Running(running) if !running.is_in_recovery);
    if is_writing || (observed.server == Server::Refusing && !is_standby(observed)) {
        return steps([STOP_FAST]);
    }
    let Some(upstream) = &assignment.upstream else {
        return without_upstream(assignment, observed);
    };
    match (&observed.server, &observed.data) {
        (Server::Unresponsive, _) => steps([STOP_NOW]),
        (Server::Refusing, _) if observed.memory.unseen.followed.as_ref() == Some(upstream) => REFUSED,
        (Server::Refusing, _) => steps([Step::Follow { upstream: Some(upstream.clone()) }]),
        (Server::Running(running), DataDirectory::Present(_)) => {
            running_standby(assignment.goal, observed, running, upstream)
        }
        (Server::Starting, DataDirectory::Present(cluster)) if cluster.is_standby => {
            starting_standby(observed, upstream)
        }
        (Server::Starting | Server::Running(_), _) => steps([STOP_NOW]),
        (Server::Stopped, DataDirectory::Present(cluster)) => stopped_standby(observed, *cluster, upstream),
        (Server::Stopped, _) => copy(upstream),
    }
}

fn without_upstream(assignment: &Assignment, observed: &Observed) -> Plan {
    match &observed.server {
        Server::Running(_) if assignment.goal == State::Secondary => Plan::Reached,
        Server::Starting if !is_standby(observed) => steps([STOP_NOW]),
        // It can be counted only when it runs.
        Server::Stopped if is_standby(observed) => steps([Step::StartPostgres]),
        _ => Plan::Wait("there is no primary to follow"),
    }
}

/// It gets on by itself, unless it waits for what is nowhere any more.
fn starting_standby(observed: &Observed, upstream: &Peer) -> Plan {
    if observed.lineage != Some(Lineage::Forked) {
        return Plan::Wait("Postgres recovers");
    }
    stop_and_go_back(STOP_NOW, observed, upstream)
}

fn running_standby(goal: State, observed: &Observed, running: &Running, upstream: &Peer) -> Plan {
    if observed.lineage == Some(Lineage::Forked) {
        return stop_and_go_back(STOP_FAST, observed, upstream);
    }
    if !follows(running, upstream) {
        return steps([Step::Follow { upstream: Some(upstream.clone()) }]);
    }
    if goal == State::Secondary || running.receiver == Receiver::Streaming {
        Plan::Reached
    } else {
        Plan::Wait("the WAL receiver is not streaming yet, the server log has the reason")
    }
}

fn follows(running: &Running, upstream: &Peer) -> bool {
    let following = running.follows.as_ref();
    following.is_some_and(|following| following.host == upstream.host && following.port == upstream.port)
}

fn stopped_standby(observed: &Observed, cluster: Cluster, upstream: &Peer) -> Plan {
    let can_follow = match observed.lineage {
        Some(Lineage::Behind) => cluster.is_standby || cluster.is_clean,
        Some(Lineage::Forked) => false,
        None if cluster.is_standby => true,
        None => return Plan::Wait("could not read the timeline history of the primary"),
    };
    if can_follow {
        steps([Step::Follow { upstream: Some(upstream.clone()) }, Step::StartPostgres])
    } else {
        Plan::Steps(go_back(observed, upstream))
    }
}

fn stop_and_go_back(stop: Step, observed: &Observed, upstream: &Peer) -> Plan {
    let mut todo = vec![stop];
    todo.extend(go_back(observed, upstream));
    Plan::Steps(todo)
}

/// Gets rid of what the upstream does not have; the server is stopped.
fn go_back(observed: &Observed, upstream: &Peer) -> Vec<Step> {
    let first = if observed.is_rewind_hopeless {
        Step::BaseBackup { upstream: upstream.clone() }
    } else {
        Step::Rewind { upstream: upstream.clone() }
    };
    vec![first, Step::Follow { upstream: Some(upstream.clone()) }, Step::StartPostgres]
}

fn copy(upstream: &Peer) -> Plan {
    steps([
        Step::BaseBackup { upstream: upstream.clone() },
        Step::Follow { upstream: Some(upstream.clone()) },
        Step::StartPostgres,
    ])
}

fn has_data(observed: &Observed) -> bool {
    matches!(observed.data, DataDirectory::Present(_))
}

pub(super) fn is_standby(observed: &Observed) -> bool {
    matches!(observed.data, DataDirectory::Present(cluster) if cluster.is_standby)
}
