//! The local Postgres as it is found: for `status --json`, `config check` and `do pgsetup discover`.

use std::fmt;

use pgaf_core::keeper::Server;
use serde::Serialize;

use super::error::{CliError, CliResult};
use crate::config::Config;
use crate::exit::Exit;
use crate::postgres::{ClusterState, Instance, PostgresError, PostmasterStatus, local_address};

/// What is known of a server without changing anything.
#[derive(Debug, Serialize)]
pub(super) struct Setup {
    pgdata: String,
    pg_ctl: String,
    version: String,
    host: String,
    port: u16,
    proxyport: u16,
    pid: i32,
    in_recovery: bool,
    control: Control,
    postmaster: Postmaster,
    #[serde(skip)]
    state: Option<ClusterState>,
    #[serde(skip)]
    checkpoint: String,
}

#[derive(Debug, Default, Serialize)]
struct Control {
    version: u32,
    catalog_version: u32,
    system_identifier: String,
}

#[derive(Debug, Serialize)]
struct Postmaster {
    status: String,
}

impl Setup {
    /// Looks at the server. One that does not run, or has no data yet, is no error.
    pub(super) async fn find(config: &Config, instance: &Instance) -> CliResult<Self> {
        let postgres = config.postgres();
        let failed = |error: PostgresError| CliError::new(Exit::PgCtl, error.to_string());
        let has_data = postgres.pgdata.join("PG_VERSION").is_file();
        let control = if has_data { Some(instance.control_data().await.map_err(failed)?) } else { None };
        let [version, catalog_version] =
            if has_data { instance.control_versions().await.map_err(failed)? } else { [0; 2] };
        let address = local_address(&postgres.pgdata);
        let is_in_recovery = match instance.observe(None).await.observed.server {
            Server::Running(running) => running.is_in_recovery,
            _ => control.is_some_and(|control| control.was_in_recovery()),
        };
        let PostmasterStatus { pid, status } = PostmasterStatus::of(&postgres.pgdata);
        let (host, port) =
            address.unwrap_or_else(|| (postgres.host.clone().unwrap_or_default(), postgres.port));
        Ok(Self {
            pgdata: postgres.pgdata.display().to_string(),
            pg_ctl: postgres.pg_ctl.display().to_string(),
            version: instance.binary_version().await.map_err(failed)?,
            host,
            port,
            proxyport: postgres.proxy_port,
            pid: pid.unwrap_or_default(),
            in_recovery: is_in_recovery,
            state: control.map(|control| control.state),
            checkpoint: control.map(|control| control.checkpoint.to_string()).unwrap_or_default(),
            control: Control {
                version,
                catalog_version,
                system_identifier: control
                    .map(|control| control.system_identifier.to_string())
                    .unwrap_or_default(),
            },
            postmaster: Postmaster { status },
        })
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            None => "unknown",
            Some(ClusterState::ShutDown) => "shut down",
            Some(ClusterState::ShutDownInRecovery) => "shut down in recovery",
            Some(ClusterState::InRecovery) => "in archive recovery",
            Some(ClusterState::Primary) => "in production",
        };
        let mut line =
            |name: &str, value: &dyn fmt::Display| writeln!(f, "{:<22} {value}", format!("{name}:"));
        line("pgdata", &self.pgdata)?;
        line("pg_ctl", &self.pg_ctl)?;
        line("pg_version", &self.version)?;
        line("pghost", &self.host)?;
        line("pgport", &self.port)?;
        line("proxyport", &self.proxyport)?;
        line("pid", &self.pid)?;
        line("is in recovery", &if self.in_recovery { "yes" } else { "no" })?;
        line("Control cluster state", &state)?;
        line("Control Version", &self.control.version)?;
        line("Catalog Version", &self.control.catalog_version)?;
        line("System Identifier", &self.control.system_identifier)?;
        line("Latest checkpoint LSN", &self.checkpoint)?;
        write!(f, "{:<22} {}", "Postmaster status:", self.postmaster.status)
    }
}
