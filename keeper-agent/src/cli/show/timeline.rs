//! `show timeline`: the branches of a group's log, and which node is on which.

use pgaf_core::{Lineage, NodeId};
use serde_json::{Value, json};

use super::super::error::CliResult;
use super::super::options::{FormationGroup, Json, MonitorOrPgdata};
use super::super::print;
use super::super::table::{Align, Column, render};
use super::super::target::Target;
use crate::monitor::{KnownTimeline, NodeBranch};

const TIMELINES: [Column; 7] = [
    Column::new("Timeline", Align::Right, 0),
    Column::new("Parent", Align::Right, 0),
    Column::new("Fork LSN", Align::Right, 10),
    Column::new("First Seen", Align::Right, 29),
    Column::new("By Node", Align::Right, 0),
    Column::new("Nodes", Align::Right, 0),
    Column::new("Branch", Align::Free, 8),
];

const NODES: [Column; 4] = [
    Column::new("Name", Align::Right, 0),
    Column::new("Node", Align::Right, 5),
    Column::new("TLI: LSN", Align::Right, 14),
    Column::new("Branch", Align::Free, 20),
];

/// Runs it.
pub(super) async fn run(monitor: &MonitorOrPgdata, group: &FormationGroup, as_json: Json) -> CliResult {
    let target = Target::of(monitor)?;
    let formation = target.formation(&group.formation);
    let monitor = target.connect().await?;
    let group = target.group(group, &monitor).await?;
    let timelines = monitor.timelines(&formation, group).await?;
    let nodes = monitor.branches(&formation, group).await?;
    if as_json.json {
        return print::jsonb(&json!({
            "formation": formation,
            "group_id": group.0,
            "timelines": timelines.iter().map(timeline_object).collect::<Vec<Value>>(),
            "nodes": nodes.iter().map(|node| node_object(node, &nodes)).collect::<Vec<Value>>(),
        }));
    }
    print::line(&timeline_table(&timelines))?;
    print::line(&node_table(&nodes))
}

/// Where a node is, seen from the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is the primary.
    Primary,
    /// All it has is in the primary's history, which is so many bytes ahead.
    Behind(u64),
    /// It has records that the primary's history has not.
    Forked,
    /// There is no primary, or somebody has not told a history yet.
    Unknown,
}

impl Place {
    fn of(node: &NodeBranch, nodes: &[NodeBranch]) -> Self {
        let Some(primary) = nodes.iter().find(|node| node.is_writer) else {
            return Self::Unknown;
        };
        if primary.node == node.node {
            return Self::Primary;
        }
        match node.lineage(primary) {
            Some(Lineage::Behind) => Self::Behind(node.lsn.bytes_behind(primary.lsn)),
            Some(Lineage::Forked) => Self::Forked,
            None => Self::Unknown,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Behind(_) => "behind",
            Self::Forked => "forked",
            Self::Unknown => "unknown",
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Behind(0) => "level with the primary".to_owned(),
            Self::Behind(bytes) => format!("behind the primary by {bytes} bytes"),
            Self::Forked => "forked from the primary".to_owned(),
            Self::Primary | Self::Unknown => self.word().to_owned(),
        }
    }
}

fn ids(nodes: &[NodeId]) -> String {
    let ids: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    ids.join(", ")
}

fn timeline_table(timelines: &[KnownTimeline]) -> String {
    let rows: Vec<[String; 7]> = timelines
        .iter()
        .map(|it| {
            [
                it.timeline.to_string(),
                it.parent.map(|parent| parent.to_string()).unwrap_or_default(),
                it.parent.map(|_| it.fork.to_string()).unwrap_or_default(),
                it.first_seen.clone(),
                it.first_node.map(|node| node.to_string()).unwrap_or_default(),
                ids(&it.nodes),
                if it.is_rejected { "rejected".to_owned() } else { String::new() },
            ]
        })
        .collect();
    render(&TIMELINES, &rows)
}

fn node_table(nodes: &[NodeBranch]) -> String {
    let rows: Vec<[String; 4]> = nodes
        .iter()
        .map(|node| {
            [
                node.name.clone(),
                node.node.to_string(),
                format!("{}: {}", node.timeline, node.lsn),
                Place::of(node, nodes).describe(),
            ]
        })
        .collect();
    render(&NODES, &rows)
}

fn timeline_object(it: &KnownTimeline) -> Value {
    json!({
        "timeline": it.timeline.0,
        "parent_timeline": it.parent.map(|parent| parent.0),
        "fork_lsn": it.fork.to_string(),
        "is_rejected": it.is_rejected,
        "first_seen": it.first_seen_json,
        "first_node_id": it.first_node.map(|node| node.0),
        "node_ids": it.nodes.iter().map(|node| node.0).collect::<Vec<i64>>(),
    })
}

fn node_object(node: &NodeBranch, nodes: &[NodeBranch]) -> Value {
    let place = Place::of(node, nodes);
    let bytes_behind = match place {
        Place::Behind(bytes) => Some(bytes),
        _ => None,
    };
    json!({
        "node_id": node.node.0,
        "nodename": node.name,
        "reported_tli": node.timeline.0,
        "reported_lsn": node.lsn.to_string(),
        "branch": place.word(),
        "bytes_behind": bytes_behind,
    })
}

#[cfg(test)]
mod tests {
    use pgaf_core::{Lsn, Timeline, TimelineHistory};

    use super::*;

    fn node(id: i64, is_writer: bool, lsn: u64, history: Option<TimelineHistory>) -> NodeBranch {
        let timeline = history.as_ref().map_or(Timeline(2), |history| history.timeline);
        NodeBranch { node: NodeId(id), name: format!("n{id}"), is_writer, timeline, lsn: Lsn(lsn), history }
    }

    fn second(fork: u64) -> Option<TimelineHistory> {
        Some(TimelineHistory { timeline: Timeline(2), ancestors: vec![(Timeline(1), Lsn(fork))] })
    }

    #[test]
    fn nodes_are_seen_from_the_primary() {
        let nodes = [
            node(1, true, 0x300_0100, second(0x300_0000)),
            node(2, false, 0x300_00F0, second(0x300_0000)),
            node(3, false, 0x300_0050, second(0x200_0000)),
            node(4, false, 0x300_0000, Some(TimelineHistory::first())),
            node(5, false, 0x300_0001, Some(TimelineHistory::first())),
            node(6, false, 0x300_0000, None),
        ];
        let places: Vec<Place> = nodes.iter().map(|node| Place::of(node, &nodes)).collect();
        let expected = [
            Place::Primary,
            Place::Behind(0x10),
            Place::Forked,
            Place::Behind(0x100),
            Place::Forked,
            Place::Unknown,
        ];
        assert_eq!(places, expected);
        assert_eq!(Place::of(&nodes[1], &nodes[1..]), Place::Unknown, "without a primary");
    }
}
