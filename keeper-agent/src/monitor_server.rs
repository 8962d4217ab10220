//! The monitor's own Postgres: kept running, with what keepers need to connect to it.

use std::time::Duration;

use pgaf_core::keeper::{Step, StopMode};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, MonitorConfig};
use crate::exit::Exit;
use crate::postgres::{HbaAddress, HbaEntry, Instance, PostgresError};
use crate::supervisor;

/// The role that keepers connect as.
pub const NODE_ROLE: &str = "autoctl_node";

/// After a failed start, the next one is tried this much later.
const START_RETRY: Duration = Duration::from_secs(1);

/// Who may connect to the monitor's database: keepers, from the local network and from this machine.
fn hba_entries(config: &MonitorConfig) -> Vec<HbaEntry> {
    let entry = |address: HbaAddress| HbaEntry {
        database: config.postgres.dbname.clone(),
        user: NODE_ROLE.to_owned(),
        address,
        method: config.postgres.auth_method,
    };
    let host = |address: &str| entry(HbaAddress::Host(address.to_owned()));
    vec![entry(HbaAddress::Lan), host("127.0.0.1/32"), host("::1/128")]
}

/// Puts the configuration into Postgres's files, and in force when it runs.
///
/// # Errors
/// A file cannot be written, or the server does not take it over.
pub async fn apply(instance: &Instance, config: &MonitorConfig) -> Result<(), PostgresError> {
    instance.write_settings().await?;
    instance.write_hba(&hba_entries(config)).await?;
    if instance.is_postmaster_running() {
        instance.reload().await?;
    }
    Ok(())
}

enum Wake {
    Exited,
    Retry,
    Reload,
    Stop(StopMode),
}

/// Runs Postgres until told to stop; whenever it ends by itself, it is started again.
///
/// # Errors
/// Only what makes it impossible to begin, or to stop.
pub async fn run(instance: &Instance, config: MonitorConfig) -> Result<Exit, PostgresError> {
    let listen = |kind| {
        signal(kind).map_err(|error| PostgresError::Refused(format!("cannot receive signals: {error}")))
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut quit = listen(SignalKind::quit())?;
    let mut hangup = listen(SignalKind::hangup())?;
    instance.check_binaries().await?;
    // A server that still recovers cannot be asked whether it has taken the files over; it reads them anyway.
    if let Err(error) = apply(instance, &config).await {
        tracing::warn!("{error}");
    }
    let pgdata = config.postgres.pgdata.clone();
    loop {
        let has_started = async {
            let is_running = start(instance).await;
            if is_running {
                supervisor::ready();
                let exit = instance.exited().await;
                tracing::warn!("Postgres has ended ({exit:?}), it is started again");
                Wake::Exited
            } else {
                tokio::time::sleep(START_RETRY).await;
                Wake::Retry
            }
        };
        let wake = tokio::select! {
            biased;
            _ = quit.recv() => Wake::Stop(StopMode::Immediate),
            _ = terminate.recv() => Wake::Stop(StopMode::Fast),
            _ = interrupt.recv() => Wake::Stop(StopMode::Fast),
            _ = hangup.recv() => Wake::Reload,
            wake = has_started => wake,
        };
        match wake {
            Wake::Exited | Wake::Retry => {}
            Wake::Reload => reload(instance, &pgdata).await,
            Wake::Stop(mode) => {
                supervisor::stopping();
                tracing::info!("stopping Postgres");
                instance.execute(&Step::StopPostgres(mode)).await?;
                return Ok(Exit::Quit);
            }
        }
    }
}

/// Starts Postgres unless it runs; false when that failed.
async fn start(instance: &Instance) -> bool {
    if instance.is_postmaster_running() {
        return true;
    }
    match instance.execute(&Step::StartPostgres).await {
        Ok(()) => {
            tracing::info!("Postgres of the monitor runs");
            true
        }
        Err(error) => {
            tracing::error!("{error}; it is tried again");
            false
        }
    }
}

/// A configuration that cannot be used leaves everything as it is.
async fn reload(instance: &Instance, pgdata: &std::path::Path) {
    let config = match Config::load(pgdata) {
        Ok(Config::Monitor(config)) => config,
        Ok(Config::Node(_)) => {
            tracing::error!("not reloaded: the configuration is that of a data node");
            return;
        }
        Err(error) => {
            tracing::error!("not reloaded: {error}");
            return;
        }
    };
    instance.reconfigure(config.instance());
    match apply(instance, &config).await {
        Ok(()) => tracing::info!("configuration reloaded"),
        Err(error) => tracing::error!("not reloaded: {error}"),
    }
}
