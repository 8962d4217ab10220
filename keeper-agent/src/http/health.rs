//! Health checks for load balancers, with the paths and codes of Patroni: 200 when it is so, 503 when not.

use hyper::StatusCode;
use pgaf_core::ReplicationState as State;
use pgaf_core::keeper::{Moment, Running, Server};
use serde_json::{Value, json};

use super::answer::{Answer, Request};
use super::snapshot::NodeSnapshot;

/// Goals under which a standby serves reads: it has caught up once, and stays.
const SERVING_READS: [State; 6] = [
    State::Secondary,
    State::PreparePromotion,
    State::StopReplication,
    State::ReportLsn,
    State::FastForward,
    State::JoinSecondary,
];

/// What is asked of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// It accepts writes.
    Primary,
    /// It is a standby that serves reads.
    Replica,
    /// It is either.
    ReadOnly,
    /// It is a standby that commits may wait for.
    Synchronous,
    /// It is a standby that commits do not wait for.
    Asynchronous,
    /// The first, or a standby that commits may wait for.
    ReadOnlySynchronous,
    /// The first, or a standby that commits do not wait for.
    ReadOnlyAsynchronous,
    /// It leads a cluster of standbys: there are none.
    StandbyLeader,
    /// Postgres answers.
    Health,
    /// The keeper works.
    Liveness,
    /// It does what it is there for.
    Readiness,
}

impl Check {
    /// What a path asks.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" | "/primary" | "/read-write" | "/leader" | "/master" => Self::Primary,
            "/replica" | "/secondary" => Self::Replica,
            "/read-only" => Self::ReadOnly,
            "/synchronous" | "/sync" | "/quorum" => Self::Synchronous,
            "/asynchronous" | "/async" => Self::Asynchronous,
            "/read-only-sync" | "/read-only-quorum" => Self::ReadOnlySynchronous,
            "/read-only-async" => Self::ReadOnlyAsynchronous,
            "/standby-leader" | "/standby_leader" => Self::StandbyLeader,
            "/health" => Self::Health,
            "/liveness" => Self::Liveness,
            "/readiness" => Self::Readiness,
            _ => return None,
        })
    }
}

/// Yes, or why not.
type Verdict = Result<(), String>;

/// Answers it; `?lag=` bounds how far a standby may be behind.
pub(super) fn answer(check: Check, request: &Request<'_>, node: &NodeSnapshot, now: Moment) -> Answer {
    let limit = match request.parameter("lag").map(|text| parse_bytes(&text).ok_or(text)).transpose() {
        Ok(limit) => limit,
        Err(text) => {
            let reason = format!("lag is \"{text}\", which is not a number of bytes like 16MB");
            return Answer::text(StatusCode::BAD_REQUEST, &reason);
        }
    };
    let verdict = judge(check, limit, node, now);
    let status = if verdict.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Answer::json(status, &body(node, verdict.err(), now))
}

/// Is it so now?
fn judge(check: Check, limit: Option<u64>, node: &NodeSnapshot, now: Moment) -> Verdict {
    let replica = || reads(node).and_then(|()| is_near(limit, node, now));
    let synchronous = |wanted: bool| {
        replica().and_then(|()| match (is_synchronous(node), wanted) {
            (true, false) => Err("commits on the primary may wait for this standby".to_owned()),
            (false, true) => Err("commits on the primary do not wait for this standby".to_owned()),
            _ => Ok(()),
        })
    };
    let or_primary = |verdict: Verdict| writes(node, now).or(verdict);
    match check {
        Check::Primary => writes(node, now),
        Check::Replica => replica(),
        Check::ReadOnly | Check::Readiness => or_primary(replica()),
        Check::Synchronous => synchronous(true),
        Check::Asynchronous => synchronous(false),
        Check::ReadOnlySynchronous => or_primary(synchronous(true)),
        Check::ReadOnlyAsynchronous => or_primary(synchronous(false)),
        Check::StandbyLeader => Err("there are no clusters of standbys".to_owned()),
        Check::Health => answers(node).map(drop),
        Check::Liveness => match node.stuck_for(now) {
            Some(time) => {
                Err(format!("the keeper is stuck: it has done nothing for {:.1} s", time.as_secs_f64()))
            }
            None => Ok(()),
        },
    }
}

/// Postgres answers, and is not being stopped.
fn answers(node: &NodeSnapshot) -> Result<&Running, String> {
    if !(node.is_postmaster_alive)() {
        return Err("Postgres does not run".to_owned());
    }
    if node.is_closing {
        return Err("Postgres is being stopped".to_owned());
    }
    match node.server() {
        Some(Server::Running(running)) => Ok(running),
        Some(Server::Stopped) => Err("Postgres does not run".to_owned()),
        Some(Server::Starting) => Err("Postgres is starting".to_owned()),
        Some(Server::Unresponsive) => Err("Postgres does not answer".to_owned()),
        Some(Server::Refusing) => Err("Postgres refuses the sessions of pg_autoctl".to_owned()),
        None => Err("Postgres was not looked at yet".to_owned()),
    }
}

/// It accepts writes, is meant to, and may.
pub(super) fn writes(node: &NodeSnapshot, now: Moment) -> Verdict {
    match node.goal() {
        None => return Err("nothing is assigned to this node yet".to_owned()),
        Some(goal) if !goal.is_writer() => return Err(format!("its goal is {goal}")),
        Some(_) => {}
    }
    if let Some(over) = node.authority_ends.filter(|end| *end <= now) {
        let time = now.since(over).as_secs_f64();
        return Err(format!(
            "neither the monitor nor the standbys confirm this primary: it had to stop {time:.1} s ago"
        ));
    }
    let running = answers(node)?;
    match running {
        _ if running.is_in_recovery => Err("Postgres is in recovery".to_owned()),
        _ if running.is_gated => {
            Err("Postgres is open to its standbys only until this primary is confirmed".to_owned())
        }
        _ => Ok(()),
    }
}

/// It is a standby that serves reads.
pub(super) fn reads(node: &NodeSnapshot) -> Verdict {
    let running = answers(node)?;
    if !running.is_in_recovery {
        return Err("it is not in recovery".to_owned());
    }
    match node.goal() {
        Some(goal) if SERVING_READS.contains(&goal) => Ok(()),
        Some(State::CatchingUp) => Err("it has not caught up with the primary yet".to_owned()),
        Some(goal) => Err(format!("its goal is {goal}")),
        None => Err("nothing is assigned to this node yet".to_owned()),
    }
}

fn is_near(limit: Option<u64>, node: &NodeSnapshot, now: Moment) -> Verdict {
    match (limit, node.lag_bytes(now)) {
        (None, _) => Ok(()),
        (Some(limit), Some(lag)) if lag <= limit => Ok(()),
        (Some(limit), Some(lag)) => Err(format!("it is {lag} bytes behind the primary, more than {limit}")),
        (Some(_), None) => Err("how far it is behind the primary is not known".to_owned()),
    }
}

/// Commits may wait for it: it is of the quorum and follows.
fn is_synchronous(node: &NodeSnapshot) -> bool {
    let is_of_quorum = node.assignment.as_ref().is_some_and(|assignment| assignment.replication_quorum);
    is_of_quorum && node.goal() == Some(State::Secondary) && node.reported == State::Secondary
}

/// What people and programs see; `why` it is not so.
fn body(node: &NodeSnapshot, why: Option<String>, now: Moment) -> Value {
    let role = match (writes(node, now), node.running()) {
        (Ok(()), _) => "primary",
        (_, Some(running)) if running.is_in_recovery => "replica",
        _ => "none",
    };
    let running = node.running();
    let millis = |since: Moment| u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
    let authority =
        node.authority_ends.map(|end| u64::try_from(end.since(now).as_millis()).unwrap_or(u64::MAX));
    json!({
        "role": role,
        "state": node.reported.as_str(),
        "goal": node.goal().map(State::as_str),
        "postgres": server_word(node),
        "timeline": running.map(|running| running.timeline.0),
        "lsn": running.map(|running| running.lsn.to_string()),
        "replayed_lsn": running.filter(|running| running.is_in_recovery).map(|running| running.replayed.to_string()),
        "lag": {
            "bytes": node.lag_bytes(now),
            "seconds": node.measured.replay_delay.map(|delay| delay.as_secs_f64()),
        },
        "is_synchronous": is_synchronous(node),
        "node": {
            "id": node.identity.node,
            "name": node.identity.name,
            "host": node.identity.host,
            "port": node.identity.port,
        },
        "formation": node.identity.formation,
        "group": node.identity.group,
        "version": env!("CARGO_PKG_VERSION"),
        "waits_for": node.doing,
        "why_not": why,
        "age_ms": node.seen.as_ref().map(|seen| millis(seen.at)),
        "keeper": { "is_stuck": node.stuck_for(now).is_some(), "age_ms": millis(node.turned_at) },
        "monitor": {
            "is_answering": !node.is_monitor_silent && node.monitor_answered.is_some(),
            "answered_ms_ago": node.monitor_answered.map(millis),
        },
        "authority_ms_left": authority,
    })
}

/// What Postgres is doing, in a word.
pub(super) fn server_word(node: &NodeSnapshot) -> &'static str {
    match node.server() {
        _ if !(node.is_postmaster_alive)() => "stopped",
        None | Some(Server::Stopped) => "stopped",
        Some(Server::Starting) => "starting",
        Some(Server::Unresponsive) => "unresponsive",
        Some(Server::Refusing) => "refusing",
        Some(Server::Running(running)) if running.is_gated && !running.is_in_recovery => "gated",
        Some(Server::Running(_)) => "running",
    }
}

/// A number of bytes with one of Postgres's units, or none.
fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 6] =
        [("", 1), ("b", 1), ("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30), ("tb", 1 << 40)];
    let text = text.trim();
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    match number.split_once('.') {
        None => number.parse::<u64>().ok()?.checked_mul(*factor),
        Some(_) =>
        {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            number.parse::<f64>().ok().map(|number| (number * *factor as f64) as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use pgaf_core::keeper::{DataDirectory, Observation, Observed, Receiver};
    use pgaf_core::{Assignment, CommitRule, Epoch, GroupId, Lsn, NodeId, Peer, Position, Timeline};

    use super::super::snapshot::{Identity, Seen};
    use super::*;

    const fn at(milliseconds: u64) -> Moment {
        Moment::after_boot(Duration::from_millis(milliseconds))
    }

    const NOW: Moment = at(100_000);

    fn running(is_in_recovery: bool) -> Running {
        Running {
            is_in_recovery,
            is_gated: false,
            timeline: Timeline(1),
            lsn: Lsn(0x300_0000),
            replayed: Lsn(0x300_0000),
            synchronous_standby_names: String::new(),
            follows: None,
            receiver: if is_in_recovery { Receiver::Streaming } else { Receiver::Absent },
            is_replay_over: false,
            is_short_of_settings: false,
            standbys: Vec::new(),
            slots: Vec::new(),
        }
    }

    fn node(goal: State, server: Server) -> NodeSnapshot {
        let upstream = Peer { node: NodeId(2), name: "n2".to_owned(), host: "h".to_owned(), port: 1 };
        let assignment = Assignment {
            node: NodeId(1),
            group: GroupId(0),
            epoch: Epoch(1),
            goal,
            candidate_priority: 50,
            replication_quorum: true,
            commit_rule: CommitRule::ASYNCHRONOUS,
            upstream: Some(upstream),
            peers: Vec::new(),
            fetch_up_to: None,
            dbname: "postgres".to_owned(),
            network_partition_timeout_ms: None,
        };
        let observed = Observed {
            data: DataDirectory::Missing,
            server,
            lineage: None,
            is_rewind_hopeless: false,
            memory: Default::default(),
        };
        let observation = Observation {
            observed,
            upstream: None,
            quorum_contact: None,
            sync_state: String::new(),
            shutdown_lsn: None,
            history: None,
            notice: None,
            copied_percent: None,
            server_start: None,
            is_disk_hung: false,
        };
        NodeSnapshot {
            assignment: Some(assignment),
            seen: Some(Seen { observation, at: NOW }),
            is_postmaster_alive: Arc::new(|| true),
            monitor_answered: Some(NOW),
            ..NodeSnapshot::initial(Identity::default(), goal, NOW)
        }
    }

    fn primary() -> NodeSnapshot {
        node(State::Primary, Server::Running(running(false)))
    }

    fn standby() -> NodeSnapshot {
        node(State::Secondary, Server::Running(running(true)))
    }

    fn is(check: Check, node: &NodeSnapshot) -> bool {
        judge(check, None, node, NOW).is_ok()
    }

    #[test]
    fn a_primary_is_one_as_long_as_it_accepts_writes_and_may() {
        assert!(is(Check::Primary, &primary()) && !is(Check::Replica, &primary()));
        assert!(is(Check::ReadOnly, &primary()) && is(Check::Readiness, &primary()));
        let server = |server| NodeSnapshot { ..node(State::Primary, server) };
        let gated = Server::Running(Running { is_gated: true, ..running(false) });
        for other in [
            server(gated),
            server(Server::Running(running(true))),
            server(Server::Starting),
            server(Server::Unresponsive),
            server(Server::Refusing),
            server(Server::Stopped),
            node(State::Draining, Server::Running(running(false))),
            node(State::Demoted, Server::Running(running(false))),
            NodeSnapshot { is_closing: true, ..primary() },
            NodeSnapshot { is_postmaster_alive: Arc::new(|| false), ..primary() },
            NodeSnapshot { assignment: None, ..primary() },
            NodeSnapshot { authority_ends: Some(NOW), ..primary() },
        ] {
            assert!(!is(Check::Primary, &other) && !is(Check::ReadOnly, &other), "{:?}", other.server());
        }
        assert!(is(Check::Primary, &NodeSnapshot { authority_ends: Some(at(100_001)), ..primary() }));
    }

    #[test]
    fn a_stuck_keeper_of_a_primary_that_nobody_can_replace_is_told_by_liveness_alone() {
        let stuck = NodeSnapshot { turned_at: at(95_000), ..primary() };
        assert!(is(Check::Primary, &stuck) && !is(Check::Liveness, &stuck));
        assert!(is(Check::Liveness, &NodeSnapshot { turned_at: at(95_001), ..primary() }));
    }

    #[test]
    fn a_standby_is_a_replica_once_it_has_caught_up() {
        assert!(is(Check::Replica, &standby()) && is(Check::Synchronous, &standby()));
        assert!(!is(Check::Asynchronous, &standby()) && !is(Check::Primary, &standby()));
        let catching_up = node(State::CatchingUp, Server::Running(running(true)));
        assert!(!is(Check::Replica, &catching_up) && is(Check::Health, &catching_up));
        let mut other = standby();
        other.assignment.iter_mut().for_each(|assignment| assignment.replication_quorum = false);
        assert!(!is(Check::Synchronous, &other) && is(Check::Asynchronous, &other));
        assert!(!is(Check::StandbyLeader, &other) && !is(Check::StandbyLeader, &primary()));
    }

    #[test]
    fn lag_counts_what_the_primary_was_last_known_to_have() {
        let position = Position { node: NodeId(2), lsn: Lsn(0x300_1000) };
        let behind = NodeSnapshot { positions: vec![position], ..standby() };
        let within = |limit, node: &NodeSnapshot| judge(Check::Replica, Some(limit), node, NOW).is_ok();
        assert!(within(0x1000, &behind) && !within(0xfff, &behind));
        // The monitor's word is old, and it streams.
        let silent = NodeSnapshot { monitor_answered: Some(at(90_000)), ..behind };
        assert!(within(0, &silent));
        let mut cut = running(true);
        cut.receiver = Receiver::Absent;
        let alone = NodeSnapshot { monitor_answered: None, ..node(State::Secondary, Server::Running(cut)) };
        assert!(!within(u64::MAX, &alone) && is(Check::Replica, &alone), "how far is not known");
    }

    #[test]
    fn sizes_are_those_of_postgres() {
        for (text, expected) in [
            ("0", Some(0)),
            ("16MB", Some(16 << 20)),
            ("16 mb", Some(16 << 20)),
            ("1.5kB", Some(1536)),
            ("1TB", Some(1 << 40)),
            ("", None),
            ("MB", None),
            ("-1", None),
            ("16MiB", None),
            ("99999999999TB", None),
        ] {
            assert_eq!(parse_bytes(text), expected, "{text}");
        }
    }
}
