//! Groups of options that several commands share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use pgaf_core::GroupId;

use super::error::CliError;
use crate::client::{ConnectionString, SslMode};
use crate::config::{AuthMethod, absolute};

/// Which node of this machine.
#[derive(Args, Clone, Debug)]
pub(super) struct Pgdata {
    /// Data directory of the node
    #[arg(long, env = "PGDATA", value_name = "DIRECTORY")]
    pub(super) pgdata: Option<PathBuf>,
}

impl Pgdata {
    /// The directory, as an absolute path.
    ///
    /// # Errors
    /// It was not given, or cannot be a path.
    pub(super) fn required(&self) -> Result<PathBuf, CliError> {
        let pgdata = self.pgdata.as_deref().filter(|path| *path != Path::new(""));
        let pgdata = pgdata
            .ok_or_else(|| CliError::bad_arguments("no data directory: give --pgdata, or set PGDATA"))?;
        absolute(pgdata).map_err(CliError::from)
    }
}

/// Which monitor: its URI, or the one that a node of this machine is configured with.
#[derive(Args, Clone, Debug)]
pub(super) struct MonitorOrPgdata {
    #[command(flatten)]
    pub(super) pgdata: Pgdata,
    /// Connection string of the monitor
    #[arg(long, env = "PG_AUTOCTL_MONITOR", hide_env_values = true, value_name = "URI")]
    pub(super) monitor: Option<String>,
}

impl MonitorOrPgdata {
    /// The given connection string.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn given(&self) -> Result<Option<ConnectionString>, CliError> {
        self.monitor
            .as_deref()
            .filter(|uri| !uri.is_empty())
            .map(|uri| uri.parse().map_err(CliError::from))
            .transpose()
    }
}

/// Which formation of the monitor.
#[derive(Args, Clone, Debug)]
pub(super) struct Formation {
    /// Formation; that of the node in --pgdata, or "default"
    #[arg(long, value_name = "NAME")]
    pub(super) formation: Option<String>,
}

/// Which formation, and which of its groups.
#[derive(Args, Clone, Debug)]
pub(super) struct FormationGroup {
    #[command(flatten)]
    pub(super) formation: Formation,
    /// Group of the formation
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    pub(super) group: Option<i32>,
}

impl FormationGroup {
    /// The given group.
    pub(super) fn group(&self) -> Option<GroupId> {
        self.group.map(GroupId)
    }
}

/// JSON or text.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Json {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// How long to wait.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Wait {
    /// Seconds to wait for the end
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(super) wait: u64,
}

impl Wait {
    /// As a duration.
    pub(super) const fn duration(self) -> Duration {
        Duration::from_secs(self.wait)
    }
}

/// TLS.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub(super) struct Ssl {
    /// Encrypt with a certificate that is made here and that nobody can verify
    #[arg(long, env = "PG_AUTOCTL_SSL_SELF_SIGNED")]
    pub(super) ssl_self_signed: bool,
    /// What connections between the nodes ask for: disable, allow, prefer, require, verify-ca or verify-full
    #[arg(long, env = "PG_AUTOCTL_SSL_MODE", value_name = "SSLMODE")]
    pub(super) ssl_mode: Option<SslMode>,
    /// Certificates of the authorities, a PEM file
    #[arg(long, value_name = "FILE")]
    pub(super) ssl_ca_file: Option<PathBuf>,
    /// Revoked certificates, a PEM file
    #[arg(long, value_name = "FILE")]
    pub(super) ssl_crl_file: Option<PathBuf>,
    /// Do not encrypt
    #[arg(long)]
    pub(super) no_ssl: bool,
    /// Key of the server's certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "server_cert")]
    pub(super) server_key: Option<PathBuf>,
    /// The server's certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "server_key")]
    pub(super) server_cert: Option<PathBuf>,
}

/// What a new Postgres server is like, whatever it is for.
#[derive(Args, Clone, Debug)]
pub(super) struct NewServer {
    /// Path of the pg_ctl to use; other programs are taken from beside it
    #[arg(long, value_name = "FILE")]
    pub(super) pgctl: Option<PathBuf>,
    #[command(flatten)]
    pub(super) pgdata: Pgdata,
    /// Port
    #[arg(long, env = "PGPORT", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) pgport: Option<u16>,
    /// Address under which other nodes reach this one; found out when not given
    #[arg(long, value_name = "HOST")]
    pub(super) hostname: Option<String>,
    /// How connections that are allowed in pg_hba.conf authenticate: trust, md5, scram-sha-256, cert or skip
    #[arg(long, env = "PG_AUTOCTL_AUTH_METHOD", value_name = "METHOD")]
    pub(super) auth: Option<AuthMethod>,
    /// Do not edit pg_hba.conf
    #[arg(long)]
    pub(super) skip_pg_hba: bool,
    #[command(flatten)]
    pub(super) ssl: Ssl,
    /// More options for initdb, as on a command line: '--data-checksums --wal-segsize=64'
    #[arg(
        long,
        env = "PG_AUTOCTL_INITDB_OPTIONS",
        value_name = "OPTIONS",
        allow_hyphen_values = true,
        default_value = ""
    )]
    pub(super) initdb_options: String,
    /// Restart a Postgres that runs already, for settings that need it
    #[arg(long)]
    pub(super) restart: bool,
    /// Go on running the node
    #[arg(long)]
    pub(super) run: bool,
}
