//! Another port for the server of a node: the server, the configuration and the monitor change together, so that the
//! other nodes are never told of a port on which nobody listens.
//!
//! A primary with a secondary hands over first. Then the server is stopped as an operator would, and the keeper
//! starts it on the new port; the monitor hears of it when it listens there.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use pgaf_core::ReplicationState;

use super::error::{CliError, CliResult};
use super::process;
use super::target::{monitor_of, state_of};
use crate::config::NodeConfig;
use crate::exit::Exit;
use crate::monitor::{MonitorConnection, NodeState};
use crate::postgres::{PostmasterStatus, local_address};

/// A hand-over, until the former primary is a standby that takes part.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(180);
/// A server that was stopped serves again within this time.
const RESTART_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Changes the port of a node whose configuration has another one.
pub(super) async fn change_port(pgdata: &Path, port: u16) -> CliResult<NodeConfig> {
    let mut node = NodeConfig::load(pgdata)?;
    let keeper = process::running(&node.paths)?.filter(|pid| *pid != Pid::this());
    let server = local_address(&node.postgres.pgdata).map(|(_, port)| port).filter(|found| *found != port);
    match (keeper, server) {
        (None, Some(found)) => Err(CliError::new(
            Exit::BadState,
            format!(
                "Postgres runs on port {found}, and no pg_autoctl that could restart it: stop Postgres, or start this node with \"pg_autoctl run\", and change the port then"
            ),
        )),
        (Some(keeper), Some(_)) => {
            check_free(port)?;
            let monitor = match &node.monitor {
                Some(_) => Some(MonitorConnection::connect(&monitor_of(&node)?).await?.0),
                None => None,
            };
            if let Some(monitor) = &monitor {
                prepare(monitor, &node, port).await?;
            }
            restart_on(&mut node, port, keeper).await?;
            announce(monitor.as_ref(), &node).await?;
            Ok(node)
        }
        (keeper, None) => {
            node.postgres.port = port;
            if node.monitor.is_some() {
                let (monitor, _) = MonitorConnection::connect(&monitor_of(&node)?).await?;
                announce(Some(&monitor), &node).await?;
            }
            node.store()?;
            keeper.map_or(Ok(()), |pid| process::signal(pid, Signal::SIGHUP))?;
            Ok(node)
        }
    }
}

fn check_free(port: u16) -> CliResult {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop).map_err(|error| {
        CliError::new(Exit::BadArgs, format!("port {port} cannot be listened on ({error}): choose another"))
    })
}

/// Nobody else is there, and another node is the primary if one can be.
async fn prepare(monitor: &MonitorConnection, node: &NodeConfig, port: u16) -> CliResult {
    let nodes = monitor.current_state(&node.formation, None).await?;
    if let Some(other) = nodes.iter().find(|other| other.host == node.hostname && other.port == port) {
        return Err(CliError::new(
            Exit::BadArgs,
            format!(
                "node {} \"{}\" is at {}:{port}: choose another port",
                other.node, other.name, other.host
            ),
        ));
    }
    let id = state_of(node)?.node;
    let Some(ours) = nodes.iter().find(|other| other.node == id) else { return Ok(()) };
    // Whether it is healthy is for the monitor to judge, which knows more than the last probe.
    let can_take_over = |other: &NodeState| {
        other.group == ours.group
            && other.goal == ReplicationState::Secondary
            && other.reported == ReplicationState::Secondary
            && other.candidate_priority > 0
    };
    if !ours.goal.is_writer() || !nodes.iter().any(can_take_over) {
        return Ok(());
    }
    tracing::info!("this node is the primary: handing over to a standby before Postgres is restarted");
    monitor.perform_failover(&node.formation, ours.group).await?;
    let begin = Instant::now();
    loop {
        let nodes = monitor.current_state(&node.formation, Some(ours.group)).await?;
        let ours = nodes.iter().find(|other| other.node == id);
        if ours.is_some_and(|ours| ours.goal == ReplicationState::Secondary && ours.reported == ours.goal) {
            return Ok(());
        }
        if begin.elapsed() > HAND_OVER_LIMIT {
            return Err(CliError::new(
                Exit::Internal,
                format!(
                    "the node has not become a standby within {} s, and keeps its port: \"pg_autoctl show state\" shows how the hand-over goes on",
                    HAND_OVER_LIMIT.as_secs()
                ),
            ));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Has the keeper start the server on this port; without success, on the old one again.
async fn restart_on(node: &mut NodeConfig, port: u16, keeper: Pid) -> CliResult {
    let old = std::mem::replace(&mut node.postgres.port, port);
    node.store()?;
    process::signal(keeper, Signal::SIGHUP)?;
    tracing::info!("restarting Postgres on port {port}");
    if await_restart(&node.postgres.pgdata, port).await? {
        return Ok(());
    }
    node.postgres.port = old;
    node.store()?;
    process::signal(keeper, Signal::SIGHUP)?;
    Err(CliError::new(
        Exit::PgCtl,
        format!(
            "Postgres does not serve on port {port} after {} s, and goes back to port {old}: the log of pg_autoctl says why",
            RESTART_LIMIT.as_secs()
        ),
    ))
}

/// Stops the server, and again when it was started before the keeper had read its configuration.
async fn await_restart(pgdata: &Path, port: u16) -> CliResult<bool> {
    let begin = Instant::now();
    let mut stopped = None;
    while begin.elapsed() < RESTART_LIMIT {
        let status = PostmasterStatus::of(pgdata);
        let found = local_address(pgdata).map(|(_, port)| port);
        match status.pid {
            Some(_) if found == Some(port) && status.is_ready() => return Ok(true),
            Some(pid) if found != Some(port) && status.is_ready() && stopped != Some(pid) => {
                process::signal(Pid::from_raw(pid), Signal::SIGINT)?;
                stopped = Some(pid);
            }
            _ => {}
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(false)
}

async fn announce(monitor: Option<&MonitorConnection>, node: &NodeConfig) -> CliResult {
    let Some(monitor) = monitor else { return Ok(()) };
    let id = state_of(node)?.node;
    monitor.update_node_metadata(id, &node.name, &node.hostname, node.postgres.port).await?;
    Ok(())
}
