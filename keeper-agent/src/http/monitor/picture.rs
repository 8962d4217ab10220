//! The monitor's tables as the page and the metrics show them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use pgaf_core::Health;
use serde_json::{Value, json};

use super::failovers::{Failover, Failovers, Name};
use crate::http::counters::Counters;
use crate::http::metrics::{FormationFigures, GroupFigures, MonitorFigures, NodeFigures};
use crate::monitor::{Board, BoardEvent, BoardFormation, BoardGroup, BoardNode};

/// So many events of a formation are shown.
const EVENTS: usize = 40;
/// A keeper reports every second; what is shorter is no silence.
const SILENCE: Duration = Duration::from_secs(3);

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Picture {
    board: Board,
    failovers: Failovers,
    events: BTreeMap<String, VecDeque<BoardEvent>>,
    formations: Arc<BTreeMap<String, Bytes>>,
    /// Up to this one all events were taken.
    last_event: Option<i64>,
}

impl Picture {
    /// Shows what was just read; what happened before the first time is not counted.
    pub(super) fn show(&mut self, board: Board, counters: &Counters) {
        let is_first = self.last_event.is_none();
        self.last_event = board.events.last().map(|event| event.event).or(self.last_event).or(Some(0));
        for event in &board.events {
            if let Some(duration) = self
                .failovers
                .take(event)
                .filter(|_| !is_first)
                .and_then(|ended| ended.duration().map(|duration| (ended.is_planned, duration)))
            {
                counters.note_failover(duration.0, duration.1);
            }
            let events = self.events.entry(event.formation.clone()).or_default();
            events.push_back(event.clone());
            if events.len() > EVENTS {
                events.pop_front();
            }
        }
        if is_first {
            self.failovers.count_from_now();
        }
        for formation in &board.formations {
            for group in &formation.groups {
                group.nodes.iter().for_each(|node| self.failovers.saw(&formation.name, group.group, node));
            }
        }
        self.board = board;
        self.board.events.clear();
        let shown =
            self.board.formations.iter().map(|formation| {
                (formation.name.clone(), Bytes::from(self.formation(formation).to_string()))
            });
        self.formations = Arc::new(shown.collect());
    }

    /// The newest event that it has.
    pub(super) fn last_event(&self) -> i64 {
        self.last_event.unwrap_or(0)
    }

    /// By name, as JSON.
    pub(super) fn formations(&self) -> Arc<BTreeMap<String, Bytes>> {
        Arc::clone(&self.formations)
    }

    fn formation(&self, formation: &BoardFormation) -> Value {
        let events = self.events.get(&formation.name).into_iter().flatten().rev();
        json!({
            "name": formation.name,
            "number_sync_standbys": formation.number_sync_standbys,
            "groups": formation.groups.iter().map(group_json).collect::<Vec<_>>(),
            "failovers": self.failovers.of(&formation.name).map(failover_json).collect::<Vec<_>>(),
            "events": events.map(event_json).collect::<Vec<_>>(),
        })
    }

    /// As metrics; `age` is how long ago it was read.
    pub(super) fn figures(&self, age: Option<Duration>) -> MonitorFigures {
        let formation = |formation: &BoardFormation| FormationFigures {
            name: formation.name.clone(),
            number_sync_standbys: formation.number_sync_standbys,
            groups: formation
                .groups
                .iter()
                .map(|group| GroupFigures {
                    group: group.group.0,
                    is_waiting: group.waits_for.is_some(),
                    commit_acknowledgements: group.commit_rule.as_ref().map(|rule| rule.acks.into()),
                    commit_quorum_standbys: group
                        .commit_rule
                        .as_ref()
                        .and_then(|rule| u64::try_from(rule.standbys.len()).ok()),
                    failovers: self.failovers.counts(&formation.name, group.group),
                    nodes: group
                        .nodes
                        .iter()
                        .map(|node| node_figures(group, node, age.unwrap_or_default()))
                        .collect(),
                })
                .collect(),
        };
        MonitorFigures {
            is_up: false,
            look_age_seconds: age.map(|age| age.as_secs_f64()),
            viewers: 0,
            formations: self.board.formations.iter().map(formation).collect(),
        }
    }
}

fn is_primary(node: &BoardNode) -> bool {
    node.goal.is_writer() && node.reported.is_writer() && !node.is_gated
}

/// How far a node is behind the primary, as both last reported; `None` when they cannot be compared.
fn lag(group: &BoardGroup, node: &BoardNode) -> Option<u64> {
    let primary = group.nodes.iter().find(|other| other.goal.is_writer())?;
    match primary.node == node.node {
        true => Some(0),
        false => (primary.timeline == node.timeline).then(|| node.lsn.bytes_behind(primary.lsn)),
    }
}

fn group_json(group: &BoardGroup) -> Value {
    json!({
        "group": group.group.0,
        "waits_for": group.waits_for,
        "commit": group.commit_rule.as_ref().map(|rule| json!({ "acks": rule.acks, "standbys": rule.standbys.len() })),
        "nodes": group.nodes.iter().map(|node| node_json(group, node)).collect::<Vec<_>>(),
    })
}

fn node_json(group: &BoardGroup, node: &BoardNode) -> Value {
    let silent = Some(node.silent_for).filter(|time| *time >= SILENCE);
    json!({
        "id": node.node.0,
        "name": node.name,
        "host": node.host,
        "port": node.port,
        "reported": node.reported.as_str(),
        "goal": node.goal.as_str(),
        "is_writer": node.goal.is_writer(),
        "is_primary": is_primary(node),
        "is_running": node.is_running,
        "is_streaming": node.is_streaming,
        "health": node.health.as_str(),
        "timeline": node.timeline.0,
        "lsn": node.lsn.to_string(),
        "lag_bytes": lag(group, node),
        "silent_s": silent.map(|time| time.as_secs()),
        "candidate_priority": node.candidate_priority,
        "replication_quorum": node.replication_quorum,
        "doing": node.progress,
    })
}

fn failover_json(failover: &Failover) -> Value {
    let name = |name: &Option<Name>| name.as_ref().map(|Name(_, name)| name.clone());
    let millis = |time: Option<Duration>| time.map(whole_millis);
    let pause = failover.pause();
    json!({
        "event": failover.event,
        "group": failover.group.0,
        "at": since_epoch(failover.began),
        "from": name(&failover.from),
        "to": name(&failover.to),
        "rule": failover.rule,
        "why": failover.why,
        "is_planned": failover.is_planned,
        "is_over": failover.ended.is_some(),
        "pause": pause.map(|pause| json!({
            "at_least_ms": millis(pause.at_least),
            "at_most_ms": millis(pause.at_most),
        })),
    })
}

fn event_json(event: &BoardEvent) -> Value {
    json!({
        "event": event.event,
        "at": since_epoch(event.at),
        "group": event.group.0,
        "node": event.name,
        "text": event.description,
    })
}

fn since_epoch(at: SystemTime) -> u64 {
    whole_millis(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn node_figures(group: &BoardGroup, node: &BoardNode, age: Duration) -> NodeFigures {
    NodeFigures {
        name: node.name.clone(),
        reported: node.reported.as_str(),
        goal: node.goal.as_str(),
        is_primary: is_primary(node),
        is_running: node.is_running,
        health: match node.health {
            Health::Good => 1,
            Health::Bad => 0,
            Health::Unknown => -1,
        },
        report_age_seconds: Some((node.silent_for + age).as_secs_f64()),
        probe_age_seconds: Some((node.probed_ago + age).as_secs_f64()),
        timeline: node.timeline.0,
        lsn: node.lsn.0,
        lag: lag(group, node),
        candidate_priority: node.candidate_priority,
        replication_quorum: node.replication_quorum,
    }
}
