//! All nodes in figures, as the monitor sees them.

use super::super::counters::{Exposition, Labels, flag, float};

/// What the monitor is in figures; times are ages.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct MonitorFigures {
    /// Its Postgres answers.
    pub(in crate::http) is_up: bool,
    /// Since it was last looked at.
    pub(in crate::http) look_age_seconds: Option<f64>,
    pub(in crate::http) viewers: u64,
    pub(in crate::http) formations: Vec<FormationFigures>,
}

/// A formation.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct FormationFigures {
    pub(in crate::http) name: String,
    pub(in crate::http) number_sync_standbys: i32,
    pub(in crate::http) groups: Vec<GroupFigures>,
}

/// A group.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct GroupFigures {
    pub(in crate::http) group: i32,
    pub(in crate::http) is_waiting: bool,
    pub(in crate::http) commit_acknowledgements: Option<u64>,
    pub(in crate::http) commit_quorum_standbys: Option<u64>,
    /// By rule.
    pub(in crate::http) failovers: Vec<(String, u64)>,
    pub(in crate::http) nodes: Vec<NodeFigures>,
}

/// A node.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct NodeFigures {
    pub(in crate::http) name: String,
    pub(in crate::http) reported: &'static str,
    pub(in crate::http) goal: &'static str,
    pub(in crate::http) is_primary: bool,
    pub(in crate::http) is_running: bool,
    /// 1 good, 0 bad, -1 unknown.
    pub(in crate::http) health: i32,
    pub(in crate::http) report_age_seconds: Option<f64>,
    pub(in crate::http) probe_age_seconds: Option<f64>,
    pub(in crate::http) timeline: u32,
    pub(in crate::http) lsn: u64,
    pub(in crate::http) lag: Option<u64>,
    pub(in crate::http) candidate_priority: i32,
    pub(in crate::http) replication_quorum: bool,
}

pub(super) fn add(exposition: &mut Exposition, figures: &MonitorFigures) {
    exposition.gauge(
        "pgautofailover_monitor_up",
        "1 while the monitor's Postgres answers",
        flag(figures.is_up),
    );
    exposition.gauge(
        "pgautofailover_monitor_look_age_seconds",
        "Time since the monitor's tables were last read: how old all that follows is",
        figures.look_age_seconds,
    );
    exposition.gauge(
        "pgautofailover_monitor_page_viewers",
        "Browsers that watch the page",
        float(figures.viewers),
    );
    let sync = figures.formations.iter().map(|formation| {
        (vec![("formation", formation.name.clone())], f64::from(formation.number_sync_standbys))
    });
    exposition.gauges(
        "pgautofailover_formation_number_sync_standbys",
        "Standbys that a commit never goes without",
        sync.collect(),
    );
    groups(exposition, figures);
    nodes(exposition, figures);
}

fn groups(exposition: &mut Exposition, figures: &MonitorFigures) {
    let groups: Vec<(Labels, &GroupFigures)> = figures
        .formations
        .iter()
        .flat_map(|formation| formation.groups.iter().map(|group| (labels(formation, group), group)))
        .collect();
    let mut each = |name, help, value: fn(&GroupFigures) -> Option<f64>| {
        let samples = groups.iter().filter_map(|(labels, group)| Some((labels.clone(), value(group)?)));
        exposition.gauges(name, help, samples.collect());
    };
    each("pgautofailover_group_nodes", "Nodes of the group", |group| {
        u64::try_from(group.nodes.len()).ok().map(float)
    });
    each(
        "pgautofailover_group_primaries",
        "Nodes of the group that report to accept writes, as they shall",
        |group| {
            let primaries = group.nodes.iter().filter(|node| node.is_primary && node.is_running);
            u64::try_from(primaries.count()).ok().map(float)
        },
    );
    each("pgautofailover_group_secondaries", "Nodes of the group that are whole standbys", |group| {
        let whole = |node: &&NodeFigures| node.reported == "secondary" && node.goal == "secondary";
        u64::try_from(group.nodes.iter().filter(whole).count()).ok().map(float)
    });
    each(
        "pgautofailover_group_waiting",
        "1 while the group cannot have a primary and waits for nodes or a person",
        |group| Some(flag(group.is_waiting)),
    );
    each(
        "pgautofailover_group_commit_acknowledgements",
        "Standbys whose acknowledgement a commit waits for",
        |group| group.commit_acknowledgements.map(float),
    );
    each("pgautofailover_group_commit_quorum_standbys", "Standbys that may give it", |group| {
        group.commit_quorum_standbys.map(float)
    });
    let totals = groups
        .iter()
        .map(|(labels, group)| (labels.clone(), float(group.failovers.iter().map(|(_, count)| count).sum())));
    exposition.counters("pgautofailover_group_failovers", "Failovers of the group", totals.collect());
    let by_rule = groups.iter().flat_map(|(labels, group)| {
        group.failovers.iter().map(|(rule, count)| {
            let rule = ("rule", rule.clone());
            (labels.iter().cloned().chain([rule]).collect(), float(*count))
        })
    });
    exposition.counters(
        "pgautofailover_group_failovers_by_rule",
        "The same by the rule that began them",
        by_rule.collect(),
    );
}

fn nodes(exposition: &mut Exposition, figures: &MonitorFigures) {
    let nodes: Vec<(Labels, &NodeFigures)> = figures
        .formations
        .iter()
        .flat_map(|formation| formation.groups.iter().map(move |group| (formation, group)))
        .flat_map(|(formation, group)| {
            group.nodes.iter().map(move |node| {
                let name = ("node", node.name.clone());
                (labels(formation, group).into_iter().chain([name]).collect(), node)
            })
        })
        .collect();
    let with_state = |labels: &Labels, state: &str| -> Labels {
        labels.iter().cloned().chain([("state", state.to_owned())]).collect()
    };
    exposition.gauges(
        "pgautofailover_node_reported_state",
        "1 for the state that the node reports",
        nodes.iter().map(|(labels, node)| (with_state(labels, node.reported), 1.0)).collect(),
    );
    exposition.gauges(
        "pgautofailover_node_goal_state",
        "1 for the state that is assigned to the node",
        nodes.iter().map(|(labels, node)| (with_state(labels, node.goal), 1.0)).collect(),
    );
    let mut each = |name, help, value: fn(&NodeFigures) -> Option<f64>| {
        let samples = nodes.iter().filter_map(|(labels, node)| Some((labels.clone(), value(node)?)));
        exposition.gauges(name, help, samples.collect());
    };
    each("pgautofailover_node_health", "What probes of the node say: 1 good, 0 bad, -1 unknown", |node| {
        Some(f64::from(node.health))
    });
    each("pgautofailover_node_postgres_running", "1 when the node reports that its Postgres runs", |node| {
        Some(flag(node.is_running))
    });
    each("pgautofailover_node_report_age_seconds", "Time since the node's last report", |node| {
        node.report_age_seconds
    });
    each("pgautofailover_node_probe_age_seconds", "Time since the node's health was last written", |node| {
        node.probe_age_seconds
    });
    each("pgautofailover_node_timeline", "The timeline that the node reports", |node| {
        Some(float(node.timeline.into()))
    });
    each("pgautofailover_node_wal_position_bytes", "The position that the node reports", |node| {
        Some(float(node.lsn))
    });
    each(
        "pgautofailover_node_replication_lag_bytes",
        "How far the node is behind the primary, as both last reported",
        |node| node.lag.map(float),
    );
    each("pgautofailover_node_candidate_priority", "Candidate priority; 0 is never promoted", |node| {
        Some(f64::from(node.candidate_priority))
    });
    each("pgautofailover_node_replication_quorum", "1 when commits may wait for the node", |node| {
        Some(flag(node.replication_quorum))
    });
}

fn labels(formation: &FormationFigures, group: &GroupFigures) -> Labels {
    vec![("formation", formation.name.clone()), ("group", group.group.to_string())]
}
