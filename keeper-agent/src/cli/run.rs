//! `run`: the process of a node.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use super::checks;
use super::commands::Run;
use super::error::{CliError, CliResult};
use super::http;
use super::properties::move_node;
use crate::agent;
use crate::config::init_file;
use crate::config::pid_file::{self, PidFile};
use crate::config::state::KeeperState;
use crate::config::{Config, MonitorConfig, NodeConfig, Paths};
use crate::exit::Exit;
use crate::monitor_database::NODE_ROLE;
use crate::monitor_peer;
use crate::monitor_server;
use crate::postgres::{Instance, PostgresError};
use crate::upgrade::{self, Processes, UpgradeError};
use crate::user;

/// Runs it.
pub(super) async fn run(options: &Run) -> CliResult<Exit> {
    checks::not_root("run a node")?;
    let pgdata = options.pgdata.required()?;
    let config = Config::load(&pgdata)?;
    let processes = Processes::find(&config.paths().pid);
    if let Some(pid) = processes.supervisor {
        return Err(UpgradeError::Running(pid).into());
    }
    let state = match &config {
        Config::Node(node) => upgrade::check_node(node).await?,
        Config::Monitor(_) => None,
    };
    let claim = claim(config.paths(), &pgdata)?;
    upgrade::end_services(config.paths(), &processes).await?;
    if let (Some(state), Config::Node(node)) = (&state, &config) {
        take_over(node, state).await?;
    }
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

/// Takes over a node that 2.x ran, with the Postgres that runs. The state file comes last: before that, all of it is done
/// again when this process ends.
async fn take_over(node: &NodeConfig, state: &KeeperState) -> CliResult {
    let failed = |error: PostgresError| CliError::new(Exit::PgCtl, error.to_string());
    let server = Instance::new(node.instance(Some(state.node))).patient();
    server.write_settings().await.map_err(failed)?;
    server.take_over_alter_system().await.map_err(failed)?;
    server.reload().await.map_err(failed)?;
    upgrade::take_over_state(node, state)?;
    Ok(())
}

/// Claims the node for this process. From then on others tell it of a changed configuration: that must not end it before it
/// listens, and it reads the configuration again once it does.
pub(super) fn claim(paths: &Paths, pgdata: &Path) -> CliResult<PidFile> {
    let hangup = signal(SignalKind::hangup());
    drop(hangup.map_err(|error| CliError::new(Exit::Internal, format!("cannot receive signals: {error}")))?);
    pid_file::create(paths, pgdata).map_err(CliError::from)
}

async fn node_as_asked(options: &Run, pgdata: &Path, node: NodeConfig, claim: PidFile) -> CliResult<Exit> {
    let node = with_http(options, node)?;
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

/// With what the options say of HTTP, which stays.
fn with_http(options: &Run, mut node: NodeConfig) -> CliResult<NodeConfig> {
    let is_given = http::take(&options.http, &mut node.http);
    http::ready(node.clone(), is_given)?;
    if is_given {
        node.store()?;
    }
    Ok(node)
}

async fn monitor_as_asked(options: &Run, mut monitor: MonitorConfig, claim: PidFile) -> CliResult<Exit> {
    if options.name.is_some() {
        return Err(CliError::bad_arguments("a monitor has no name: leave --name out"));
    }
    if let Some(hostname) = &options.hostname {
        monitor.hostname = checks::given_hostname(hostname)?;
        monitor.hostname_follows_network = false;
    }
    if let Some(port) = options.pgport {
        monitor.postgres.port = port;
    }
    let is_given = http::take(&options.http, &mut monitor.http);
    http::ready(monitor.clone(), is_given)?;
    if monitor.postgres.username == NODE_ROLE {
        // 2.x connects as the role of the keepers there.
        upgrade::keep_copy(&monitor.paths.config)?;
        monitor.postgres.username = user::name().unwrap_or_else(|| "postgres".to_owned());
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
    if monitor.monitors.is_some() {
        let ended = monitor_peer::run(monitor).await;
        return ended.map_err(|error| CliError::new(error.exit(), error.to_string()));
    }
    monitor_server::run(instance, monitor)
        .await
        .map_err(|error| CliError::new(error.exit(), error.to_string()))
}
