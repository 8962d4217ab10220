//! `show …`: what the monitor knows, and where files are. Nothing is changed.

mod events;
mod file;
mod monitors;
mod settings;
mod state;
mod systemd;
mod timeline;
mod uri;

use super::commands::Show;
use super::error::CliResult;

/// Runs one of them.
pub(super) async fn run(show: &Show) -> CliResult {
    match show {
        Show::Uri(options) => uri::run(options).await,
        Show::State(options) => state::run(options).await,
        Show::Events(options) => events::run(options).await,
        Show::Settings { monitor, formation, json } => settings::run(monitor, formation, *json).await,
        Show::StandbyNames { monitor, group, json } => settings::standby_names(monitor, group, *json).await,
        Show::Timeline { monitor, group, json } => timeline::run(monitor, group, *json).await,
        Show::Monitors { pgdata, json } => monitors::run(pgdata, *json).await,
        Show::File(options) => file::run(options),
        Show::Systemd(pgdata) => systemd::run(pgdata),
    }
}

pub(super) use settings::run as settings;
