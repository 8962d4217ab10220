//! `drop …`: removes monitors, nodes and formations.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pgaf_core::keeper::{Step, StopMode};
use pgaf_core::{Lsn, NodeId, ReplicationState, Report, ReportDetail, Timeline};

use super::checks;
use super::commands::{Drop, DropNode};
use super::error::{CliError, CliResult};
use super::monitors;
use super::process;
use super::target::{Target, node_id};
use crate::config::state::{self, KeeperState};
use crate::config::{Config, NodeConfig, Paths};
use crate::exit::Exit;
use crate::files::atomic;
use crate::monitor::{MonitorConnection, MonitorError};
use crate::postgres::{Instance, InstanceConfig};

/// A stop of the monitor's Postgres may take this long.
const STOP_LIMIT: Duration = Duration::from_secs(180);
/// Between two questions to the monitor.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Runs one of them.
pub(super) async fn run(command: &Drop) -> CliResult {
    match command {
        Drop::Monitor { pgdata, name: Some(name), .. } => monitors::drop_named(pgdata, name).await,
        Drop::Monitor { pgdata, name: None, destroy } => monitor(&pgdata.required()?, *destroy).await,
        Drop::Node(options) => node(options).await,
        Drop::Formation { monitor, formation } => {
            let target = Target::of(monitor)?;
            target.connect().await?.drop_formation(formation).await?;
            Ok(())
        }
    }
}

async fn monitor(pgdata: &Path, destroy: bool) -> CliResult {
    checks::not_root("drop a monitor")?;
    let Config::Monitor(config) = Config::load(pgdata)? else {
        return Err(CliError::bad_arguments(format!(
            "\"{}\" is a data node: \"pg_autoctl drop node\" removes it",
            pgdata.display()
        )));
    };
    if config.monitors.is_some()
        && let Err(error) = monitors::drop_own(&config).await
    {
        tracing::warn!("the other monitors still count on this one: {error}");
    }
    if let Some(pid) = process::running(&config.paths)? {
        process::signal(pid, Signal::SIGTERM)?;
        process::wait_until_stopped(&config.paths, STOP_LIMIT).await?;
    }
    stop_postgres(config.instance()).await?;
    remove_files(&config.paths, pgdata, destroy)
}

async fn node(options: &DropNode) -> CliResult {
    if options.name.is_none() && options.hostname.is_none() {
        let pgdata = options.monitor.pgdata.required()?;
        return local_node(&pgdata, options).await;
    }
    let target = Target::of(&options.monitor)?;
    let formation = target.formation(&options.formation);
    let monitor = target.connect().await?;
    let node = match (&options.name, &options.hostname) {
        (Some(name), _) => node_id(&monitor, &formation, name).await?,
        (None, Some(host)) => node_at(&monitor, &formation, host, options.pgport).await?,
        (None, None) => return Err(CliError::bad_arguments("no node given: use --name or --hostname")),
    };
    monitor.remove_node(node, options.force).await?;
    wait_until_gone(&monitor, node, options.wait.duration(target.node())).await
}

async fn node_at(monitor: &MonitorConnection, formation: &str, host: &str, port: u16) -> CliResult<NodeId> {
    let found = monitor.node_at(formation, host, port).await?;
    found.map(|node| node.node).ok_or_else(|| {
        CliError::new(
            Exit::Monitor,
            format!("formation \"{formation}\" has no node at {host}:{port}: \"pg_autoctl show state\" lists its nodes"),
        )
    })
}

async fn wait_until_gone(monitor: &MonitorConnection, node: NodeId, limit: Duration) -> CliResult {
    let begin = Instant::now();
    while let Some(known) = monitor.node(node).await? {
        if begin.elapsed() >= limit {
            return Err(CliError::new(
                Exit::Monitor,
                format!(
                    "node {node} \"{}\" is {} and has not agreed to be dropped within {} s: give --force when it will not come back",
                    known.name,
                    known.reported,
                    limit.as_secs()
                ),
            ));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

/// Removes the node in PGDATA: from the monitor, and from this machine.
async fn local_node(pgdata: &Path, options: &DropNode) -> CliResult {
    checks::not_root("drop the node of this machine")?;
    let config = NodeConfig::load(pgdata)?;
    let target = match options.monitor.given()? {
        Some(given) => Some(given),
        None => config.monitor.clone(),
    };
    let Some(target) = target else {
        return unmonitored_node(&config, options).await;
    };
    // Without a state it never was at the monitor.
    if let Some(state) = state::load(&config.paths.state)? {
        let (monitor, _) = MonitorConnection::connect(&target).await?;
        let is_running = process::running(&config.paths)?.is_some();
        match monitor.remove_node(state.node, options.force).await {
            Err(MonitorError::Refused { sqlstate, .. }) if sqlstate == pgaf_core::sqlstate::UNKNOWN_NODE => {}
            removed => {
                removed?;
                if !is_running {
                    stop_postgres(config.instance(Some(state.node))).await?;
                    say_dropped(&monitor, &config, &state).await?;
                }
                wait_until_gone(&monitor, state.node, options.wait.duration(Some(&config))).await?;
            }
        }
        process::wait_until_stopped(&config.paths, options.wait.duration(Some(&config))).await?;
    }
    if options.destroy {
        stop_postgres(config.instance(None)).await?;
    }
    remove_files(&config.paths, pgdata, options.destroy)
}

/// Removes a node that no monitor knows.
async fn unmonitored_node(config: &NodeConfig, options: &DropNode) -> CliResult {
    if let Some(pid) = process::running(&config.paths)? {
        process::signal(pid, Signal::SIGTERM)?;
        process::wait_until_stopped(&config.paths, STOP_LIMIT).await?;
    }
    stop_postgres(config.instance(None)).await?;
    remove_files(&config.paths, &config.postgres.pgdata, options.destroy)
}

/// In the place of a keeper that does not run, or does not report: agrees to be dropped.
pub(super) async fn say_dropped(
    monitor: &MonitorConnection,
    config: &NodeConfig,
    state: &KeeperState,
) -> CliResult {
    let mut report = Report {
        state: state.reported,
        is_running: false,
        timeline: Timeline::FIRST,
        lsn: Lsn::ZERO,
        sync_state: String::new(),
        detail: ReportDetail::default(),
    };
    let answer = monitor.node_active(&config.formation, state.node, state.group, &report).await;
    let assigned = match answer {
        Err(MonitorError::NodeDropped(_)) => return Ok(()),
        answer => answer?.assignment,
    };
    if assigned.goal != ReplicationState::Dropped {
        return Ok(());
    }
    report.state = ReplicationState::Dropped;
    report.detail.epoch = assigned.epoch;
    report.detail.goal = Some(assigned.goal);
    match monitor.node_active(&config.formation, state.node, state.group, &report).await {
        Ok(_) | Err(MonitorError::NodeDropped(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn stop_postgres(config: InstanceConfig) -> CliResult {
    let instance = Instance::new(config);
    if !instance.is_postmaster_running().await {
        return Ok(());
    }
    instance
        .execute(&Step::StopPostgres(StopMode::Fast))
        .await
        .map_err(|error| CliError::new(Exit::PgCtl, error.to_string()))
}

/// Removes the state; with `destroy` the data and all other files, too.
fn remove_files(paths: &Paths, pgdata: &Path, destroy: bool) -> CliResult {
    let (what, removed) = if destroy {
        let removed = atomic::remove_tree(pgdata).and_then(|()| paths.remove_all());
        ("what is left", removed)
    } else {
        let files = [&paths.state, &paths.init, &paths.manual_assignment()];
        ("the state", files.into_iter().try_for_each(|file| atomic::remove(file)))
    };
    removed.map_err(|error| {
        let node = pgdata.display();
        CliError::new(Exit::BadConfig, format!("cannot remove {what} of \"{node}\": {error}"))
    })?;
    if destroy {
        tracing::info!("\"{}\" is deleted", pgdata.display());
    } else {
        tracing::info!("the data in \"{}\" is kept, --destroy deletes it", pgdata.display());
    }
    Ok(())
}
