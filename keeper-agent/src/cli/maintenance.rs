//! `enable maintenance` and `disable maintenance`: asked of the monitor, and followed until the node is there, so that
//! `pg_autoctl enable maintenance && reboot` is safe.

use std::time::{Duration, Instant};

use pgaf_core::{GroupId, NodeId, ReplicationState, sqlstate};

use super::error::{CliError, CliResult};
use super::follow::{Display, Follower, Progress, on_its_way};
use super::options::Pgdata;
use super::target::{monitor_of, state_of};
use crate::config::NodeConfig;
use crate::exit::Exit;
use crate::monitor::{MonitorConnection, MonitorError, NodeState};

/// A group in which roles change is asked again for this long.
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// Between two requests.
const ASK_INTERVAL: Duration = Duration::from_millis(250);

/// `enable maintenance`
pub(super) async fn start(pgdata: &Pgdata, allow_failover: bool) -> CliResult {
    let config = NodeConfig::load(&pgdata.required()?)?;
    let (node, group) = registered(&config)?;
    let (monitor, notifications) = MonitorConnection::connect(&monitor_of(&config)?).await?;
    let follower = Follower::begin(&monitor, notifications, &config.formation, group, Display::Table).await?;
    let known = follower.before.iter().find(|known| known.node == node).ok_or_else(|| unknown(node))?;
    if is_at(known, &[ReplicationState::Maintenance]) {
        tracing::info!("node {node} \"{}\" is in maintenance already", known.name);
        return Ok(());
    }
    if known.goal.is_writer() && !allow_failover {
        return Err(CliError::bad_arguments(
            "this node is the primary: give --allow-failover to have a standby promoted before the node goes to maintenance",
        ));
    }
    patiently(async || monitor.start_maintenance(node).await).await?;
    reach(follower, node, &[ReplicationState::Maintenance], limit(&config)).await
}

/// `disable maintenance`
pub(super) async fn stop(pgdata: &Pgdata) -> CliResult {
    use ReplicationState::{Primary, Secondary, Single, WaitPrimary};
    let config = NodeConfig::load(&pgdata.required()?)?;
    let (node, group) = registered(&config)?;
    let (monitor, notifications) = MonitorConnection::connect(&monitor_of(&config)?).await?;
    let follower = Follower::begin(&monitor, notifications, &config.formation, group, Display::Table).await?;
    patiently(async || monitor.stop_maintenance(node).await).await?;
    reach(follower, node, &[Secondary, Primary, WaitPrimary, Single], limit(&config)).await
}

fn registered(config: &NodeConfig) -> CliResult<(NodeId, GroupId)> {
    let state = state_of(config)?;
    Ok((state.node, state.group))
}

const fn limit(config: &NodeConfig) -> Duration {
    config.timeout.listen_notifications
}

/// Asks again while the group is in a state for nothing of the kind, which passes by itself.
async fn patiently(ask: impl AsyncFn() -> Result<bool, MonitorError>) -> CliResult {
    let begin = Instant::now();
    loop {
        let error = match ask().await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if !passes(&error) || begin.elapsed() > ASK_LIMIT {
            return Err(error.into());
        }
        tracing::debug!("{error}; asking again");
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

fn passes(error: &MonitorError) -> bool {
    matches!(error, MonitorError::Refused { .. })
        && (error.is_transient() || error.sqlstate() == Some(sqlstate::ROLE_CHANGE_UNDER_WAY))
}

async fn reach(
    follower: Follower<'_>,
    node: NodeId,
    states: &[ReplicationState],
    limit: Duration,
) -> CliResult {
    let mut is_gone = false;
    let progress = |nodes: &[NodeState]| match nodes.iter().find(|known| known.node == node) {
        Some(known) if is_at(known, states) => Progress::Done,
        Some(known) => Progress::Waiting(vec![on_its_way(known)]),
        None => {
            is_gone = true;
            Progress::Done
        }
    };
    let reached = follower.follow(limit, progress).await?;
    if is_gone {
        return Err(unknown(node));
    }
    reached.map_err(|awaited| {
        CliError::new(
            Exit::Monitor,
            format!(
                "{} after {} s; the monitor and the keeper go on: \"pg_autoctl show state\" shows how far they are",
                awaited.join("; "),
                limit.as_secs()
            ),
        )
    })
}

fn is_at(node: &NodeState, states: &[ReplicationState]) -> bool {
    node.reported == node.goal && states.contains(&node.goal)
}

fn unknown(node: NodeId) -> CliError {
    CliError::new(
        Exit::Monitor,
        format!("the monitor does not know node {node} any more: \"pg_autoctl show state\" lists its nodes"),
    )
}
