//! `accept timeline`: a person says which branch of the log is right.

use pgaf_core::{Lineage, Timeline};

use super::commands::{Accept, AcceptTimeline};
use super::error::CliResult;
use super::target::Target;
use crate::monitor::NodeBranch;

/// Runs it.
pub(super) async fn run(command: &Accept) -> CliResult {
    match command {
        Accept::Timeline(options) => timeline(options).await,
    }
}

async fn timeline(options: &AcceptTimeline) -> CliResult {
    let target = Target::of(&options.monitor)?;
    let formation = target.formation(&options.group.formation);
    let monitor = target.connect().await?;
    let group = target.group(&options.group, &monitor).await?;
    let timeline = Timeline(options.timeline);
    let nodes = monitor.branches(&formation, group).await?;
    if !monitor.accept_timeline(&formation, group, timeline).await? {
        tracing::info!("nothing had to change: no node of group {group} waits for this decision");
        return Ok(());
    }
    for line in consequences(timeline, &nodes) {
        tracing::info!("{line}");
    }
    tracing::info!("\"pg_autoctl show state\" shows how it goes on");
    Ok(())
}

/// What happens next, in words for the operator.
fn consequences(timeline: Timeline, nodes: &[NodeBranch]) -> Vec<String> {
    let Some(right) = nodes.iter().find(|node| node.timeline == timeline) else {
        return Vec::new();
    };
    let label = |node: &NodeBranch| format!("node {} \"{}\"", node.node, node.name);
    let mut lines = Vec::new();
    let primary = nodes.iter().find(|node| node.is_writer);
    match primary {
        Some(primary) if primary.timeline == timeline => {
            lines.push(format!("{} stays the primary", label(primary)));
        }
        Some(primary) => lines.push(format!(
            "{} steps back, and a node on timeline {timeline} becomes the primary",
            label(primary)
        )),
        None => lines.push(format!("a node on timeline {timeline} becomes the primary")),
    }
    for node in nodes.iter().filter(|node| node.lineage(right) == Some(Lineage::Forked)) {
        lines.push(format!(
            "what only {} has on timeline {} is given up: it is rewound, or copied again",
            label(node),
            node.timeline
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use pgaf_core::{Lsn, NodeId, TimelineHistory};

    use super::*;

    fn node(id: i64, is_writer: bool, timeline: u32, fork: u64) -> NodeBranch {
        let history =
            TimelineHistory { timeline: Timeline(timeline), ancestors: vec![(Timeline(1), Lsn(fork))] };
        NodeBranch {
            node: NodeId(id),
            name: format!("n{id}"),
            is_writer,
            timeline: Timeline(timeline),
            lsn: Lsn(fork + 100),
            history: Some(history),
        }
    }

    #[test]
    fn it_is_said_what_happens_next() {
        let nodes = [node(1, true, 2, 100), node(2, false, 2, 100), node(3, false, 3, 90)];
        assert_eq!(
            consequences(Timeline(2), &nodes),
            [
                "node 1 \"n1\" stays the primary",
                "what only node 3 \"n3\" has on timeline 3 is given up: it is rewound, or copied again"
            ]
        );
        let other = consequences(Timeline(3), &nodes);
        assert_eq!(other.len(), 3);
        assert!(other[0].starts_with("node 1 \"n1\" steps back"), "{other:?}");
    }
}
