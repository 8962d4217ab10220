//! What is seen, assigned and answered, from the words of a line.

use std::time::Duration;

use pgaf_core::keeper::{
    Cluster, DataDirectory, Following, Memory, Moment, Observation, Observed, Receiver, Running, Server,
    StreamingStandby,
};
use pgaf_core::{
    Answer, Assignment, CommitRule, Epoch, FormationNode, GroupId, Lineage, Lsn, MonitorId, NodeId, Peer,
    PostgresSettings, RegistrationId, ReplicationState, ReportNumber, RestartId, Timeline, Upstream,
};

/// The words of a line: flags, and names with a value after them.
pub(crate) struct Words<'a>(pub(crate) Vec<&'a str>);

impl<'a> Words<'a> {
    pub(crate) fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|word| *word == name)?;
        self.0.get(at + 1).copied()
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let parse = |text: &str| text.parse().map_err(|_| format!("{name} {text} is no number"));
        self.value(name).map(parse).transpose()
    }
}

/// Seconds with a fraction.
pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is no moment"))?;
    Ok(Moment::after_boot(Duration::from_millis((seconds * 1000.0).round() as u64)))
}

pub(crate) fn peer(node: i64) -> Peer {
    Peer { node: NodeId(node), name: format!("n{node}"), host: format!("h{node}"), port: 5432 }
}

/// `GOAL [sync|async] [epoch E] [upstream N] [alone]` of node 1 in a group with nodes 2 and 3.
pub(crate) fn assignment(goal: &str, words: &Words<'_>, epoch: i64) -> Result<Assignment, String> {
    let goal: ReplicationState = goal.parse().map_err(|_| format!("{goal} is no state"))?;
    let is_standby = !goal.is_writer() && !words.has("alone");
    let upstream = words.number("upstream")?.map_or(2, |node| node as i64);
    Ok(Assignment {
        node: NodeId(1),
        group: GroupId(1),
        epoch: Epoch(words.number("epoch")?.map_or(epoch, |epoch| epoch as i64)),
        goal,
        candidate_priority: 50,
        replication_quorum: true,
        commit_rule: if words.has("sync") {
            CommitRule { standbys: vec![NodeId(2), NodeId(3)], acks: 1 }
        } else {
            CommitRule::ASYNCHRONOUS
        },
        upstream: is_standby.then(|| peer(upstream)),
        peers: if words.has("alone") { Vec::new() } else { vec![peer(2), peer(3)] },
        fetch_up_to: None,
        dbname: "app".to_owned(),
        network_partition_timeout_ms: words.number("timeout")?.map(|seconds| seconds * 1000),
    })
}

pub(crate) fn answer(assignment: Assignment, words: &Words<'_>) -> Result<Answer, String> {
    Ok(Answer {
        assignment,
        positions: Vec::new(),
        overtaken_by: words.value("overtaken").map(report_number).transpose()?,
        is_handing_over: words.has("handing_over"),
        monitor: words.value("monitor").map(|name| MonitorId(name.to_owned())),
        registration: words.value("registration").map(|name| RegistrationId(name.to_owned())),
        postgres_settings: settings(words),
        restart: words.value("restart").map(|name| RestartId(name.to_owned())),
    })
}

/// `settings NAME=VALUE`
fn settings(words: &Words<'_>) -> PostgresSettings {
    let setting = words.value("settings").and_then(|word| word.split_once('='));
    setting.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect()
}

pub(crate) fn report_number(text: &str) -> Result<ReportNumber, String> {
    let (start, sequence) = text.split_once('.').ok_or_else(|| format!("{text} is no report"))?;
    let parse = |text: &str| text.parse().map_err(|_| format!("{text} is no number"));
    Ok(ReportNumber { start: parse(start)?, sequence: parse(sequence)? })
}

/// A formation whose coordinator is on this host.
pub(crate) fn formation(coordinator: &str) -> Vec<FormationNode> {
    vec![FormationNode {
        peer: Peer {
            node: NodeId(9),
            name: "coordinator".to_owned(),
            host: coordinator.to_owned(),
            port: 5432,
        },
        group: GroupId::COORDINATOR,
        goal: ReplicationState::Primary,
        reported: ReplicationState::Primary,
        cluster: "default".to_owned(),
    }]
}

/// `stopped|starting|hung|refusing|primary|gated|standby`, and what of it is not as usual.
pub(crate) fn observation(what: &str, words: &Words<'_>) -> Result<Observation, String> {
    let lsn = Lsn(words.number("lsn")?.unwrap_or(100));
    let is_standby = what == "standby" || words.has("was_standby");
    let server = match what {
        "stopped" => Server::Stopped,
        "starting" => Server::Starting,
        "hung" => Server::Unresponsive,
        "refusing" => Server::Refusing,
        "primary" | "gated" | "standby" => Server::Running(running(what, lsn, words)),
        _ => return Err(format!("nothing is seen as {what}")),
    };
    let is_stopped = server == Server::Stopped;
    let cluster = Cluster {
        system_identifier: 1,
        timeline: Timeline(1),
        checkpoint: lsn,
        is_clean: is_stopped && !words.has("crashed"),
        is_standby,
    };
    let data = if words.has("missing") { DataDirectory::Missing } else { DataDirectory::Present(cluster) };
    Ok(Observation {
        observed: Observed {
            data,
            server,
            lineage: is_standby.then_some(Lineage::Behind),
            is_rewind_hopeless: false,
            memory: Memory::default(),
        },
        upstream: (what == "standby").then(|| Upstream { is_streaming: !words.has("cut"), silent_ms: 0 }),
        quorum_contact: words.value("contact").map(moment).transpose()?,
        sync_state: String::new(),
        shutdown_lsn: (is_stopped && !is_standby && !words.has("crashed")).then_some(lsn),
        history: None,
        notice: None,
        copied_percent: words.number("copied")?.map(|percent| percent as u8),
        server_start: words.number("started")?.map(|start| start as i64),
        is_disk_hung: words.has("disk_hung"),
    })
}

fn running(what: &str, lsn: Lsn, words: &Words<'_>) -> Running {
    let is_in_recovery = what == "standby";
    let rule = CommitRule { standbys: vec![NodeId(2), NodeId(3)], acks: 1 };
    let streams = words.has("streams");
    Running {
        is_short_of_settings: false,
        is_in_recovery,
        is_gated: what == "gated",
        timeline: Timeline(1),
        lsn,
        replayed: lsn,
        synchronous_standby_names: if words.has("names") {
            rule.synchronous_standby_names()
        } else {
            String::new()
        },
        follows: (is_in_recovery && !words.has("alone"))
            .then(|| Following { host: "h2".to_owned(), port: 5432 }),
        receiver: if is_in_recovery && !words.has("cut") { Receiver::Streaming } else { Receiver::Absent },
        is_replay_over: words.has("replayed"),
        standbys: [2, 3]
            .into_iter()
            .filter(|_| streams && !is_in_recovery)
            .map(|node| StreamingStandby {
                node: NodeId(node),
                is_streaming: true,
                is_synchronous: words.has("names"),
                flushed: lsn,
            })
            .collect(),
        slots: Vec::new(),
    }
}
