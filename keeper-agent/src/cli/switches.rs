//! `enable …` and `disable …`, but for TLS.

use pgaf_core::{NodeId, ReplicationState};

use super::commands::{Disable, Enable};
use super::error::{CliError, CliResult};
use super::options::{Formation, MonitorOrPgdata, Pgdata};
use super::target::{Target, monitor_of, state_of};
use super::{monitor, ssl};
use crate::config::NodeConfig;
use crate::exit::Exit;
use crate::monitor::MonitorConnection;

/// `enable …`
pub(super) async fn enable(command: &Enable) -> CliResult {
    match command {
        Enable::Secondary { pgdata, formation } => {
            let (monitor, formation) = formation_of(pgdata, formation).await?;
            monitor.enable_secondary(&formation).await?;
            tracing::info!("groups of formation \"{formation}\" may have standbys that are promoted");
            Ok(())
        }
        Enable::Maintenance { pgdata, allow_failover } => start_maintenance(pgdata, *allow_failover).await,
        Enable::Ssl { pgdata, ssl: options } => ssl::enable(&pgdata.required()?, options).await,
        Enable::Monitor { pgdata, uri } => monitor::enable(&pgdata.required()?, uri).await,
    }
}

/// `disable …`
pub(super) async fn disable(command: &Disable) -> CliResult {
    match command {
        Disable::Secondary { pgdata, formation } => {
            let (monitor, formation) = formation_of(pgdata, formation).await?;
            monitor.disable_secondary(&formation).await?;
            tracing::info!("groups of formation \"{formation}\" have one node each");
            Ok(())
        }
        Disable::Maintenance(pgdata) => {
            let (monitor, node) = node_of(pgdata).await?;
            monitor.stop_maintenance(node).await?;
            Ok(())
        }
        Disable::Ssl(pgdata) => ssl::disable(&pgdata.required()?).await,
        Disable::Monitor { pgdata, force } => monitor::disable(&pgdata.required()?, *force).await,
    }
}

async fn formation_of(pgdata: &Pgdata, formation: &Formation) -> CliResult<(MonitorConnection, String)> {
    let target = Target::of(&MonitorOrPgdata { pgdata: pgdata.clone(), monitor: None })?;
    let formation = target.formation(formation);
    Ok((target.connect().await?, formation))
}

async fn node_of(pgdata: &Pgdata) -> CliResult<(MonitorConnection, NodeId)> {
    let config = NodeConfig::load(&pgdata.required()?)?;
    let state = state_of(&config)?;
    let (monitor, _) = MonitorConnection::connect(&monitor_of(&config)?).await?;
    Ok((monitor, state.node))
}

async fn start_maintenance(pgdata: &Pgdata, allow_failover: bool) -> CliResult {
    let (monitor, node) = node_of(pgdata).await?;
    let known = monitor.node(node).await?;
    let is_primary = known.is_some_and(|node| node.goal.is_writer());
    if is_primary && !allow_failover {
        return Err(CliError::new(
            Exit::BadState,
            format!(
                "this node is the primary: give --allow-failover to have a standby promoted before it goes to {}",
                ReplicationState::Maintenance
            ),
        ));
    }
    monitor.start_maintenance(node).await?;
    Ok(())
}
