//! The process that runs a node: `stop`, `reload` and `status`.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

use super::commands::{Status, Stop};
use super::error::{CliError, CliResult};
use super::options::Pgdata;
use super::print;
use super::setup::Setup;
use super::target::UNKNOWN_TO_MONITOR;
use crate::config::{Config, Paths, pid_file, state};
use crate::exit::Exit;
use crate::postgres::{Instance, PostmasterStatus, local_address};

/// A stop that hands over first may take this long.
const STOP_LIMIT: Duration = Duration::from_secs(180);
/// Between two looks at a process that is no child of ours.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The process that runs the node, if there is one.
pub(super) fn running(paths: &Paths) -> CliResult<Option<Pid>> {
    Ok(pid_file::read(paths)?.map(Pid::from_raw))
}

/// Sends a signal.
pub(super) fn signal(pid: Pid, signal: Signal) -> CliResult {
    kill(pid, signal).map_err(|errno| {
        CliError::new(Exit::BadState, format!("cannot send {signal} to process {pid}: {}", errno.desc()))
    })
}

/// Waits until no process runs the node.
pub(super) async fn wait_until_stopped(paths: &Paths, limit: Duration) -> CliResult {
    let begin = Instant::now();
    while let Some(pid) = running(paths)? {
        if begin.elapsed() > limit {
            return Err(CliError::new(
                Exit::BadState,
                format!(
                    "process {pid} has not ended within {} s: \"pg_autoctl stop --immediate\" does not wait for Postgres",
                    limit.as_secs()
                ),
            ));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

/// `stop`
pub(super) async fn stop(options: &Stop) -> CliResult {
    let pgdata = options.pgdata.required()?;
    let paths = Paths::of(&pgdata)?;
    let pid = running(&paths)?.ok_or_else(|| {
        CliError::new(Exit::Internal, format!("no pg_autoctl runs \"{}\"", pgdata.display()))
    })?;
    let by = match (options.fast, options.immediate, options.sigkill) {
        (_, _, true) => Signal::SIGKILL,
        (_, true, _) => Signal::SIGQUIT,
        (true, _, _) => Signal::SIGINT,
        _ => Signal::SIGTERM,
    };
    signal(pid, by)?;
    if let Some(postmaster) = PostmasterStatus::of(&pgdata).pid.filter(|_| options.sigkill) {
        signal(Pid::from_raw(postmaster), Signal::SIGKILL)?;
    }
    wait_until_stopped(&paths, STOP_LIMIT).await
}

/// `reload`
pub(super) fn reload(pgdata: &Pgdata) -> CliResult {
    let pgdata = pgdata.required()?;
    // A configuration that cannot be read would only be refused by the running process, where nobody looks.
    let config = Config::load(&pgdata).map_err(|error| CliError::new(Exit::Reload, error.to_string()))?;
    let pid = running(config.paths())?.ok_or_else(|| {
        CliError::new(Exit::BadState, format!("no pg_autoctl runs \"{}\"", pgdata.display()))
    })?;
    signal(pid, Signal::SIGHUP)
}

#[derive(Serialize)]
struct StatusReport<'a> {
    postgres: PostgresReport,
    pg_autoctl: AgentStatus<'a>,
}

#[derive(Serialize)]
struct PostgresReport {
    status: &'static str,
    #[serde(flatten)]
    setup: Setup,
}

#[derive(Serialize)]
struct AgentStatus<'a> {
    pid: Option<i32>,
    status: &'static str,
    pgdata: String,
    version: &'a str,
}

/// `status`: 0 when both pg_autoctl and Postgres run, 3 when pg_autoctl does not, 5 when Postgres alone does not accept
/// connections.
pub(super) async fn status(options: &Status) -> CliResult<Exit> {
    let pgdata = options.pgdata.required()?;
    let config = Config::load(&pgdata)?;
    let pid = running(config.paths())?;
    let postmaster = PostmasterStatus::of(&config.postgres().pgdata);
    let word = |runs: bool| if runs { "running" } else { "stopped" };
    if options.json.json {
        print::json(&StatusReport {
            postgres: PostgresReport {
                status: word(postmaster.pid.is_some()),
                setup: Setup::find(&config, &Instance::new(config.instance())).await?,
            },
            pg_autoctl: AgentStatus {
                pid: pid.map(Pid::as_raw),
                status: word(pid.is_some()),
                pgdata: pgdata.display().to_string(),
                version: env!("CARGO_PKG_VERSION"),
            },
        })?;
    } else {
        say_status(&pgdata, pid, &postmaster);
        let is_unknown = match &config {
            Config::Node(node) => {
                state::load(&node.paths.state)?.is_some_and(|state| state.is_unknown_to_monitor)
            }
            Config::Monitor(_) => false,
        };
        if is_unknown {
            tracing::warn!("{UNKNOWN_TO_MONITOR}");
        }
    }
    Ok(match (pid, postmaster.is_ready()) {
        (None, _) => Exit::BadState,
        (Some(_), false) => Exit::PgCtl,
        (Some(_), true) => Exit::Quit,
    })
}

fn say_status(pgdata: &Path, pid: Option<Pid>, postmaster: &PostmasterStatus) {
    match pid {
        Some(pid) => tracing::info!("pg_autoctl is running with pid {pid}"),
        None => tracing::info!("pg_autoctl is not running at \"{}\"", pgdata.display()),
    }
    match postmaster.pid {
        Some(pid) => {
            tracing::info!(
                "Postgres is running at \"{}\" with pid {pid}, {}",
                pgdata.display(),
                postmaster.status
            )
        }
        None => tracing::info!("Postgres is not running at \"{}\"", pgdata.display()),
    }
}

/// A postmaster serves this PGDATA.
pub(super) fn is_postgres_running(config: &Config) -> bool {
    local_address(&config.postgres().pgdata).is_some()
}
