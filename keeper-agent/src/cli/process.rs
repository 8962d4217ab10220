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
use crate::config::{Config, Paths, pid_file};
use crate::exit::Exit;
use crate::postgres::local_address;

/// A stop that hands over first may take this long.
const STOP_LIMIT: Duration = Duration::from_secs(180);
/// Between two looks at a process that is no child of ours.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The process that runs the node, if there is one.
pub(super) fn running(paths: &Paths) -> CliResult<Option<Pid>> {
    Ok(pid_file::read(paths)?.map(Pid::from_raw))
}

fn required(pgdata: &Path, paths: &Paths) -> CliResult<Pid> {
    running(paths)?
        .ok_or_else(|| CliError::new(Exit::BadState, format!("no pg_autoctl runs \"{}\"", pgdata.display())))
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
    let pid = required(&pgdata, &paths)?;
    let by = match (options.fast, options.immediate) {
        (_, true) => Signal::SIGQUIT,
        (true, _) => Signal::SIGINT,
        _ => Signal::SIGTERM,
    };
    signal(pid, by)?;
    wait_until_stopped(&paths, STOP_LIMIT).await
}

/// `reload`
pub(super) fn reload(pgdata: &Pgdata) -> CliResult {
    let pgdata = pgdata.required()?;
    // A configuration that cannot be read would only be refused by the running process, where nobody looks.
    let config = Config::load(&pgdata).map_err(|error| CliError::new(Exit::Reload, error.to_string()))?;
    signal(required(&pgdata, config.paths())?, Signal::SIGHUP)
}

#[derive(Serialize)]
struct StatusReport<'a> {
    postgres: PostgresStatus,
    pg_autoctl: AgentStatus<'a>,
}

#[derive(Serialize)]
struct PostgresStatus {
    status: &'static str,
    pgdata: String,
    port: u16,
}

#[derive(Serialize)]
struct AgentStatus<'a> {
    pid: Option<i32>,
    status: &'static str,
    pgdata: String,
    version: &'a str,
}

/// `status`
pub(super) fn status(options: &Status) -> CliResult<Exit> {
    let pgdata = options.pgdata.required()?;
    let config = Config::load(&pgdata)?;
    let pid = running(config.paths())?;
    let is_postgres_running = is_postgres_running(&config);
    let word = |runs: bool| if runs { "running" } else { "stopped" };
    if options.json.json {
        print::json(&StatusReport {
            postgres: PostgresStatus {
                status: word(is_postgres_running),
                pgdata: pgdata.display().to_string(),
                port: config.postgres().port,
            },
            pg_autoctl: AgentStatus {
                pid: pid.map(Pid::as_raw),
                status: word(pid.is_some()),
                pgdata: pgdata.display().to_string(),
                version: env!("CARGO_PKG_VERSION"),
            },
        })?;
    } else {
        match pid {
            Some(pid) => tracing::info!("pg_autoctl runs with pid {pid}"),
            None => tracing::info!("pg_autoctl does not run"),
        }
        tracing::info!(
            "Postgres in \"{}\" {}",
            pgdata.display(),
            if is_postgres_running { "runs" } else { "does not run" }
        );
    }
    Ok(if pid.is_some() { Exit::Quit } else { Exit::BadState })
}

/// A postmaster serves this PGDATA.
pub(super) fn is_postgres_running(config: &Config) -> bool {
    local_address(&config.postgres().pgdata).is_some()
}
