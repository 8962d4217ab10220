//! `activate`: has the coordinator take a node in, which it also does by itself.

use pgaf_core::{GroupId, NodeKind, coordinator_of};

use super::error::{CliError, CliResult};
use super::options::Pgdata;
use super::target::{monitor_of, state_of};
use crate::citus::{Address, Coordinator, Login, register_coordinator, register_worker};
use crate::config::NodeConfig;
use crate::exit::Exit;
use crate::monitor::MonitorConnection;
use crate::postgres::{Instance, PostgresError};

/// Runs it.
pub(super) async fn run(pgdata: &Pgdata) -> CliResult {
    let config = NodeConfig::load(&pgdata.required()?)?;
    if config.kind == NodeKind::Standalone {
        return Err(CliError::bad_arguments(
            "this is a node of plain Postgres: only coordinators and workers are activated",
        ));
    }
    let state = state_of(&config)?;
    let (monitor, _) = MonitorConnection::connect(&monitor_of(&config)?).await?;
    let nodes = monitor.formation_nodes(&config.formation).await?;
    let this = nodes.iter().find(|node| node.peer.node == state.node && node.writes());
    let this = this.ok_or_else(|| {
        CliError::new(
            Exit::BadState,
            "this node is not the primary of its group now: the coordinator knows primaries only",
        )
    })?;
    let address = Address::from(&this.peer);
    if config.kind == NodeKind::Coordinator {
        let instance = Instance::new(config.instance(Some(state.node)));
        let coordinator = Coordinator::local(&instance).await.map_err(failed)?;
        if coordinator.metadata().await.map_err(failed)?.primary_of(GroupId::COORDINATOR).is_none() {
            register_coordinator(&coordinator, &address).await.map_err(failed)?;
        }
        tracing::info!("{address} is the coordinator of formation \"{}\"", config.formation);
        return Ok(());
    }
    let coordinator = coordinator_of(&nodes).ok_or_else(|| {
        CliError::new(
            Exit::Coordinator,
            "the formation has no coordinator that accepts writes now: see pg_autoctl show state",
        )
    })?;
    let coordinator = Coordinator::remote(&Login::of(&config), coordinator).await.map_err(failed)?;
    let metadata = coordinator.metadata().await.map_err(failed)?;
    if register_worker(&coordinator, &metadata, this.group, &address).await.map_err(failed)? {
        tracing::info!("{address} is active now, as the primary of group {}", this.group);
    } else {
        tracing::info!("{address} is active already, as the primary of group {}", this.group);
    }
    Ok(())
}

fn failed(error: PostgresError) -> CliError {
    CliError::new(Exit::Coordinator, error.to_string())
}
