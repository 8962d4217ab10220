//! `run`: the process of a node.

use std::path::Path;

use super::checks;
use super::commands::Run;
use super::error::{CliError, CliResult};
use super::properties::move_node;
use crate::agent;
use crate::config::init_file;
use crate::config::pid_file::{self, PidFile};
use crate::config::{Config, MonitorConfig, NodeConfig, Paths};
use crate::exit::Exit;
use crate::monitor_server;
use crate::postgres::Instance;

/// Runs it.
pub(super) async fn run(options: &Run) -> CliResult<Exit> {
    checks::not_root("run a node")?;
    let pgdata = options.pgdata.required()?;
    let config = Config::load(&pgdata)?;
    let claim = claim(config.paths(), &pgdata)?;
    if init_file::load(&config.paths().init)?.is_some() {
        return Err(CliError::new(
            Exit::BadState,
            "this node is not complete, as \"pg_autoctl create\" was interrupted: run that command again, it goes on from there",
        ));
    }
    match config {
        Config::Node(node) => node_as_asked(options, &pgdata, *node, claim).await,
        Config::Monitor(monitor) => monitor_as_asked(options, *monitor, claim).await,
    }
}

/// Claims the node for this process.
pub(super) fn claim(paths: &Paths, pgdata: &Path) -> CliResult<PidFile> {
    pid_file::create(&paths.pid, pgdata).map_err(CliError::from)
}

async fn node_as_asked(options: &Run, pgdata: &Path, node: NodeConfig, claim: PidFile) -> CliResult<Exit> {
    let changes_name = options.name.as_ref().is_some_and(|name| *name != node.name);
    let changes_host = options.hostname.as_ref().is_some_and(|host| *host != node.hostname);
    let changes_port = options.pgport.is_some_and(|port| port != node.postgres.port);
    if !(changes_name || changes_host || changes_port) {
        return run_node(node, claim).await;
    }
    let node =
        move_node(pgdata, options.name.as_deref(), options.hostname.as_deref(), options.pgport).await?;
    run_node(node, claim).await
}

async fn monitor_as_asked(options: &Run, mut monitor: MonitorConfig, claim: PidFile) -> CliResult<Exit> {
    if options.name.is_some() {
        return Err(CliError::bad_arguments("a monitor has no name: leave --name out"));
    }
    if let Some(hostname) = &options.hostname {
        monitor.hostname = checks::hostname(Some(hostname), None)?;
    }
    if let Some(port) = options.pgport {
        monitor.postgres.port = port;
    }
    monitor.store()?;
    let instance = Instance::new(monitor.instance());
    run_monitor(&instance, monitor, claim).await
}

/// Runs a data node until it is told to stop.
pub(super) async fn run_node(node: NodeConfig, _claim: PidFile) -> CliResult<Exit> {
    agent::run(node).await.map_err(|error| CliError::new(error.exit(), error.to_string()))
}

/// Runs a monitor until it is told to stop.
pub(super) async fn run_monitor(
    instance: &Instance,
    monitor: MonitorConfig,
    _claim: PidFile,
) -> CliResult<Exit> {
    monitor_server::run(instance, monitor)
        .await
        .map_err(|error| CliError::new(Exit::PgCtl, error.to_string()))
}
