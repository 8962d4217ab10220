//! A cluster that others have made and perhaps run: asked for what it is, and made ours.

use pgaf_core::keeper::{Step, StopMode};

use super::super::checks;
use super::super::error::{CliError, CliResult};
use super::super::listen_addresses::{checked_listen_addresses, is_reachable};
use super::super::options::NewServer;
use super::server::failed;
use crate::config::PostgresConfig;
use crate::exit::Exit;
use crate::postgres::{Instance, Layout};

/// A cluster that was there before.
pub(super) struct Adoption {
    layout: Layout,
    may_restart: bool,
}

impl Adoption {
    /// Asks the cluster in the data directory, and takes its port over. Nothing is changed.
    pub(super) async fn begin(
        instance: &Instance,
        options: &NewServer,
        postgres: &mut PostgresConfig,
    ) -> CliResult<Self> {
        let layout = instance.layout().await.map_err(failed)?;
        let may_restart = options.restart;
        postgres.port = match options.pgport {
            Some(given) if given != layout.port && layout.is_running && !may_restart => {
                return Err(CliError::new(
                    Exit::BadConfig,
                    format!(
                        "Postgres runs on port {}: give --pgport {0}, or --restart to have it restarted on port {given}",
                        layout.port
                    ),
                ));
            }
            Some(given) => given,
            None => layout.port,
        };
        if !layout.is_running || postgres.port != layout.port {
            checks::port_is_free(postgres.port)?;
        }
        Ok(Self { layout, may_restart })
    }

    /// Where it shall listen: as before, if other nodes reach it there.
    pub(super) fn listen_addresses(&self, given: Option<&str>, hostname: &str) -> CliResult<String> {
        let present = &self.layout.listen_addresses;
        if self.layout.is_running && !self.may_restart && !is_reachable(present, hostname) {
            return Err(CliError::new(
                Exit::BadConfig,
                format!(
                    "Postgres runs with listen_addresses = '{present}', where no other node reaches \"{hostname}\": give --restart to have it restarted with other addresses, or set listen_addresses and restart it"
                ),
            ));
        }
        match given {
            Some(given) => checked_listen_addresses(given, hostname),
            None if is_reachable(present, hostname) => Ok(present.clone()),
            None => {
                tracing::warn!(
                    "listen_addresses = '{present}' is not reachable for other nodes, Postgres will listen on all addresses"
                );
                Ok("*".to_owned())
            }
        }
    }

    /// Moves the configuration into the data directory.
    pub(super) async fn bring_in(&self, instance: &Instance) -> CliResult {
        let done = instance.bring_in(&self.layout).await.map_err(|error| {
            CliError::new(
                Exit::BadConfig,
                format!(
                    "could not move the configuration of this cluster into its data directory: {error}; the user who runs pg_autoctl needs to be allowed to write \"{}\"",
                    self.layout.configuration.display()
                ),
            )
        })?;
        for sentence in done {
            tracing::info!("{sentence}");
        }
        Ok(())
    }

    /// Restarts a server that runs, if settings need that and it may be; lists them otherwise.
    pub(super) async fn finish(&self, instance: &Instance, port: u16) -> CliResult {
        if !self.layout.is_running || !instance.is_postmaster_running().await {
            return Ok(());
        }
        let mut waiting = instance.awaiting_restart().await.map_err(failed)?;
        if port != self.layout.port {
            waiting.push("port".to_owned());
        }
        if waiting.is_empty() && !self.may_restart {
            return Ok(());
        }
        if !self.may_restart {
            tracing::warn!(
                "these settings change with the next restart of Postgres: {}; \"pg_autoctl do service restart postgres\" restarts a node that runs",
                waiting.join(", ")
            );
            return Ok(());
        }
        tracing::info!("restarting Postgres");
        instance.execute(&Step::StopPostgres(StopMode::Fast)).await.map_err(failed)?;
        instance.execute(&Step::StartPostgres).await.map_err(failed)
    }
}
