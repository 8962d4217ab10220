//! `enable …` and `disable …`.

use super::commands::{Disable, Enable};
use super::error::CliResult;
use super::options::{Formation, MonitorOrPgdata, Pgdata};
use super::target::Target;
use super::{maintenance, monitor, ssl};
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
        Enable::Maintenance { pgdata, allow_failover, .. } => {
            maintenance::start(pgdata, *allow_failover).await
        }
        Enable::Ssl { pgdata, ssl: options } => ssl::enable(&pgdata.required()?, options).await,
        Enable::Monitor { pgdata, uri, .. } => monitor::enable(&pgdata.required()?, uri).await,
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
        Disable::Maintenance { pgdata, .. } => maintenance::stop(pgdata).await,
        Disable::Ssl(pgdata) => ssl::disable(&pgdata.required()?).await,
        Disable::Monitor { pgdata, force } => monitor::disable(&pgdata.required()?, *force).await,
    }
}

async fn formation_of(pgdata: &Pgdata, formation: &Formation) -> CliResult<(MonitorConnection, String)> {
    let target = Target::of(&MonitorOrPgdata { pgdata: pgdata.clone(), monitor: None })?;
    let formation = target.formation(formation);
    Ok((target.connect().await?, formation))
}
