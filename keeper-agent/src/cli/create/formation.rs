//! `create formation`

use pgaf_core::FormationKind;

use super::super::commands::{Kind, NewFormation};
use super::super::error::CliResult;
use super::super::target::Target;
use crate::monitor::FormationOptions;

/// Runs it.
pub(super) async fn run(options: &NewFormation) -> CliResult {
    let monitor = Target::of(&options.monitor)?.connect().await?;
    let formation = FormationOptions {
        formation: options.formation.clone(),
        kind: match options.kind {
            Kind::Pgsql => FormationKind::Pgsql,
            Kind::Citus => FormationKind::Citus,
        },
        dbname: options.dbname.clone(),
        has_secondary: !options.disable_secondary,
        number_sync_standbys: options.number_sync_standbys,
    };
    monitor.create_formation(&formation).await?;
    tracing::info!("created formation \"{}\"", options.formation);
    Ok(())
}
