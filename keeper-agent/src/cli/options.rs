//! Groups of options that several commands share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use pgaf_core::GroupId;

use super::error::CliError;
use crate::client::{ConnectionString, SslMode};
use crate::config::{AuthMethod, HttpAuth, ListenAddress, NodeConfig, TimeoutConfig, absolute};

/// Which node of this machine.
#[derive(Args, Clone, Debug)]
pub(super) struct Pgdata {
    /// Data directory of the node
    #[arg(short = 'D', long, env = "PGDATA", value_name = "DIRECTORY")]
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
    #[arg(short = 'm', long, env = "PG_AUTOCTL_MONITOR", hide_env_values = true, value_name = "URI")]
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
    #[arg(short = 'f', long, value_name = "NAME")]
    pub(super) formation: Option<String>,
}

/// Which formation, and which of its groups.
#[derive(Args, Clone, Debug)]
pub(super) struct FormationGroup {
    #[command(flatten)]
    pub(super) formation: Formation,
    /// Group of the formation
    #[arg(short = 'g', long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
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
    #[arg(short = 'J', long)]
    pub(super) json: bool,
}

/// How long to wait.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Wait {
    /// Seconds to wait for the end; timeout.listen_notifications_timeout of the node in --pgdata unless given, else 60
    #[arg(short = 'w', long, value_name = "SECONDS")]
    pub(super) wait: Option<u64>,
}

impl Wait {
    /// As a duration; what the node of this machine is configured with unless given.
    pub(super) fn duration(self, node: Option<&NodeConfig>) -> Duration {
        let configured =
            || node.map_or_else(TimeoutConfig::default, |node| node.timeout.clone()).listen_notifications;
        self.wait.map_or_else(configured, Duration::from_secs)
    }
}

/// TLS.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub(super) struct Ssl {
    /// Encrypt with a self-signed certificate, which clients cannot verify
    #[arg(short = 's', long, env = "PG_AUTOCTL_SSL_SELF_SIGNED", value_parser = boolean)]
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
    #[arg(short = 'N', long)]
    pub(super) no_ssl: bool,
    /// Key of the server's certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "server_cert")]
    pub(super) server_key: Option<PathBuf>,
    /// The server's certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "server_key")]
    pub(super) server_cert: Option<PathBuf>,
}

/// HTTP.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub(super) struct Http {
    /// Serve health checks and metrics over HTTP, and on a monitor a page, at this address: 127.0.0.1:8008 or *:8008
    #[arg(long, env = "PG_AUTOCTL_HTTP_LISTEN", value_name = "ADDRESS:PORT")]
    pub(super) http_listen: Option<ListenAddress>,
    /// What clients have to show for the page and for metrics: none, basic or bearer; a password or token is made
    #[arg(long, env = "PG_AUTOCTL_HTTP_AUTH", value_name = "METHOD")]
    pub(super) http_auth: Option<HttpAuth>,
}

/// What a new Postgres server is like, whatever it is for.
#[derive(Args, Clone, Debug)]
pub(super) struct NewServer {
    /// Path of the pg_ctl to use; other programs are taken from beside it
    #[arg(short = 'C', long, value_name = "FILE")]
    pub(super) pgctl: Option<PathBuf>,
    #[command(flatten)]
    pub(super) pgdata: Pgdata,
    /// Port
    #[arg(short = 'p', long, env = "PGPORT", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) pgport: Option<u16>,
    /// Host name or address of this node for other nodes; detected when not given
    #[arg(short = 'n', long, value_name = "HOST")]
    pub(super) hostname: Option<String>,
    /// Addresses to listen on; all, or those of the cluster that is in PGDATA already
    #[arg(short = 'l', long, value_name = "ADDRESSES")]
    pub(super) listen: Option<String>,
    /// How connections that are allowed in pg_hba.conf authenticate: trust, md5, scram-sha-256, cert or skip. Without it, scram-sha-256
    /// with passwords that the monitor makes
    #[arg(short = 'A', long, env = "PG_AUTOCTL_AUTH_METHOD", value_name = "METHOD")]
    pub(super) auth: Option<AuthMethod>,
    /// Do not edit pg_hba.conf
    #[arg(short = 'S', long)]
    pub(super) skip_pg_hba: bool,
    #[command(flatten)]
    pub(super) ssl: Ssl,
    #[command(flatten)]
    pub(super) http: Http,
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
    /// Run the node after it is created
    #[arg(short = 'x', long)]
    pub(super) run: bool,
}

/// A boolean in any spelling that Postgres takes: an unambiguous beginning of true, false, yes, no, on and off, or 1 or
/// 0, in any case. An empty text, as of an environment variable that is set to nothing, is false.
///
/// # Errors
/// Anything else.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    const WORDS: [(&str, bool, usize); 8] = [
        ("true", true, 1),
        ("yes", true, 1),
        ("on", true, 2),
        ("1", true, 1),
        ("false", false, 1),
        ("no", false, 1),
        ("off", false, 2),
        ("0", false, 1),
    ];
    let lower = text.trim().to_ascii_lowercase();
    if lower.is_empty() {
        return Ok(false);
    }
    WORDS
        .iter()
        .find(|(word, _, shortest)| word.starts_with(&lower) && lower.len() >= *shortest)
        .map(|(_, value, _)| *value)
        .ok_or_else(|| "expected true, yes, on or 1, or false, no, off or 0".to_owned())
}

/// A name and a value.
///
/// # Errors
/// There is no equals sign, or nothing before it.
pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err("expected a setting and its value, like work_mem=64MB".to_owned()),
    }
}

/// A time for which something holds: a number with s, min, h or d.
///
/// # Errors
/// Anything else.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit: u64 = match &text[digits.len()..] {
        "s" => 1,
        "min" | "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(format!("\"{text}\" is not a time like 90s, 30min, 2h or 1d")),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match seconds {
        Some(seconds) if seconds > 0 && seconds <= 366 * 86_400 => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("\"{text}\" is not a time from 1 s to a year")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_read_as_postgres_reads_them() {
        for text in ["true", "TRUE", "t", "yes", "Y", "on", "ON", "1", "tr"] {
            assert_eq!(boolean(text), Ok(true), "{text}");
        }
        for text in ["false", "F", "no", "n", "off", "of", "0", ""] {
            assert_eq!(boolean(text), Ok(false), "{text}");
        }
        for text in ["o", "2", "truely", "enabled"] {
            assert!(boolean(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_a_unit_and_a_bound() {
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        for text in ["", "h", "2", "0s", "-1h", "1w", "99999999999999999999h", "4000d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
