//! `perform restart`: the Postgres of every node of a formation, one after the other: the standbys first, then a switchover,
//! by which the former primary is started anew as well.

use std::time::{Duration, Instant};

use pgaf_core::{GroupId, Health, NodeId, ReplicationState, sqlstate};

use super::commands::PerformRestart;
use super::error::{CliError, CliResult};
use super::follow::{Display, on_its_way};
use super::hand_over;
use super::print;
use super::target::Target;
use crate::exit::Exit;
use crate::monitor::{MonitorConnection, MonitorError, NodeState};

/// Between two looks at the group.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// One group that is being restarted.
struct Rolling<'a> {
    target: &'a Target,
    monitor: &'a MonitorConnection,
    formation: &'a str,
    group: GroupId,
    /// Each node may take so long to come back, and the switchover.
    limit: Duration,
    display: Display,
}

/// Runs it.
pub(super) async fn run(options: &PerformRestart) -> CliResult {
    let target = Target::of(&options.monitor)?;
    let formation = target.formation(&options.group.formation);
    let monitor = target.connect().await?;
    let groups = match options.group.group() {
        Some(group) => vec![group],
        None => groups_of(&monitor, &formation).await?,
    };
    if groups.is_empty() {
        return Err(CliError::bad_arguments(format!("formation \"{formation}\" has no nodes")));
    }
    for group in groups {
        let rolling = Rolling {
            target: &target,
            monitor: &monitor,
            formation: &formation,
            group,
            limit: options.wait.duration(target.node()),
            display: Display::unless_json(options.json.json),
        };
        rolling.restart().await?;
    }
    if options.json.json {
        print::line(&monitor.current_state_json(&formation, options.group.group()).await?)?;
    }
    Ok(())
}

async fn groups_of(monitor: &MonitorConnection, formation: &str) -> CliResult<Vec<GroupId>> {
    let nodes = monitor.current_state(formation, None).await?;
    let mut groups: Vec<GroupId> = nodes.iter().map(|node| node.group).collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

impl Rolling<'_> {
    async fn restart(&self) -> CliResult {
        let nodes = self.nodes().await?;
        if nodes.is_empty() {
            return Err(self.error(format!("formation \"{}\" has no group {}", self.formation, self.group)));
        }
        let (writers, mut standbys): (Vec<NodeState>, Vec<NodeState>) =
            nodes.into_iter().partition(|node| node.goal.is_writer());
        let [primary] = writers.as_slice() else {
            return Err(self.error("it has no primary; \"pg_autoctl show state\" shows what each node is"));
        };
        if standbys.is_empty() {
            return self.restart_node(primary, Duration::ZERO).await;
        }
        if standbys.iter().all(|node| node.candidate_priority == 0) {
            return Err(self.error(
                "no standby may take over from the primary, as all have candidate priority 0: nothing was restarted",
            ));
        }
        // Those that will not take over show first whether a node comes back.
        standbys.sort_by_key(|node| (node.candidate_priority, node.node));
        let mut patience = Duration::ZERO;
        for standby in &standbys {
            self.restart_node(standby, patience).await?;
            patience = self.limit;
        }
        self.switch_over(primary).await
    }

    async fn nodes(&self) -> CliResult<Vec<NodeState>> {
        Ok(self.monitor.current_state(self.formation, Some(self.group)).await?)
    }

    /// Restarts one node, and waits until it is back and the group is whole. What keeps the monitor from asking it may pass
    /// within the patience.
    async fn restart_node(&self, node: &NodeState, patience: Duration) -> CliResult {
        let begin = Instant::now();
        let restart = loop {
            match self.monitor.restart_node(node.node).await {
                Err(MonitorError::Refused { sqlstate, .. })
                    if sqlstate == sqlstate::WRONG_STATE && begin.elapsed() < patience =>
                {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
                result => break result?,
            }
        };
        tracing::info!("restarting Postgres of node {} \"{}\"", node.node, node.name);
        if let Err(awaited) = self.await_restarted(Some((node.node, &restart))).await? {
            // It must not be restarted by surprise when it is back.
            self.monitor.cancel_restart(node.node).await?;
            return Err(self.error(format!(
                "node {} \"{}\" has not come back within {} s: {}; the other nodes are not restarted",
                node.node,
                node.name,
                self.limit.as_secs(),
                awaited.join("; ")
            )));
        }
        tracing::info!(
            "node {} \"{}\" is back after {:.1} s",
            node.node,
            node.name,
            begin.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// The former primary stops for the hand-over, and starts again as a standby.
    async fn switch_over(&self, primary: &NodeState) -> CliResult {
        tracing::info!("restarting node {} \"{}\", the primary, by a switchover", primary.node, primary.name);
        hand_over::switch_over(self.target, self.formation, self.group, self.limit, self.display).await?;
        if let Err(awaited) = self.await_restarted(None).await? {
            return Err(self.error(format!(
                "it is not whole {} s after the switchover: {}",
                self.limit.as_secs(),
                awaited.join("; ")
            )));
        }
        let is_primary = |node: &NodeState| node.node == primary.node && node.goal.is_writer();
        if self.nodes().await?.iter().any(is_primary) {
            return Err(self.error(format!(
                "node {} \"{}\" is still the primary and was not restarted; \"pg_autoctl show events\" has the reason",
                primary.node, primary.name
            )));
        }
        Ok(())
    }

    /// Waits until this node has done this restart and the group is whole; gives what is missing when the time is over.
    async fn await_restarted(&self, restart: Option<(NodeId, &str)>) -> CliResult<Result<(), Vec<String>>> {
        let begin = Instant::now();
        loop {
            let mut awaited = missing(&self.nodes().await?);
            if let Some((node, restart)) = restart
                && self.monitor.last_restart(node).await?.as_deref() != Some(restart)
            {
                awaited.insert(0, "its keeper has not reported the restart".to_owned());
            }
            if awaited.is_empty() {
                return Ok(Ok(()));
            }
            if begin.elapsed() >= self.limit {
                return Ok(Err(awaited));
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    fn error(&self, what: impl std::fmt::Display) -> CliError {
        CliError::new(Exit::Internal, format!("could not restart group {}: {what}", self.group))
    }
}

/// Who is not yet what a group has that is whole.
fn missing(nodes: &[NodeState]) -> Vec<String> {
    use ReplicationState::{Primary, Secondary, Single};
    let is_whole = |goal| if nodes.len() == 1 { goal == Single } else { matches!(goal, Primary | Secondary) };
    let is_missing = |node: &&NodeState| node.reported != node.goal || !is_whole(node.goal);
    let mut missing: Vec<String> = nodes.iter().filter(is_missing).map(on_its_way).collect();
    let is_unreachable = |node: &&NodeState| node.health == Health::Bad;
    missing.extend(
        nodes
            .iter()
            .filter(is_unreachable)
            .map(|node| format!("the monitor cannot reach node {} \"{}\"", node.node, node.name)),
    );
    missing
}
