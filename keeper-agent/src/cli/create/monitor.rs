//! `create monitor`

use std::io::IsTerminal as _;
use std::path::Path;

use super::super::checks;
use super::super::commands::NewMonitor;
use super::super::error::{CliError, CliResult};
use super::super::http;
use super::super::print;
use super::super::run::{claim, run_monitor};
use super::super::ssl::make_certificate;
use super::adopt::Adoption;
use super::server::{
    Earlier, Passwords, ServerSpec, earlier, failed, make_cluster, take_back, while_running,
};
use super::several;
use crate::client::Secret;
use crate::config::init_file::{self, PgdataContent, Progress};
use crate::config::{Config, MonitorConfig, Paths};
use crate::exit::Exit;
use crate::postgres::Instance;
use crate::{monitor_database, monitor_server};

/// Runs it.
pub(super) async fn run(new: &NewMonitor) -> CliResult<Exit> {
    let options = &new.server;
    checks::not_root("create a monitor")?;
    checks::user_has_name()?;
    let pgdata = options.pgdata.required()?;
    let paths = Paths::of(&pgdata)?;
    let present = paths.config.exists().then(|| Config::load(&pgdata)).transpose()?;
    if let Some(Config::Node(_)) = present {
        return Err(CliError::bad_arguments(format!(
            "\"{}\" is a data node already: choose another --pgdata, or remove it with \"pg_autoctl drop node --destroy\"",
            pgdata.display()
        )));
    }
    let claim = claim(&paths, &pgdata)?;
    let is_of_several = new.peers.is_some() || new.join.is_some();
    if !is_of_several && (new.name.is_some() || new.witness) {
        return Err(CliError::bad_arguments(
            "--name and --witness are for one of several monitors: give --peers or --join",
        ));
    }
    if is_of_several && present.is_none() {
        return several::run(new, paths, claim).await;
    }
    let is_one_of_several = matches!(&present, Some(Config::Monitor(config)) if config.monitors.is_some());
    let is_complete = present.is_some() && (is_one_of_several || pgdata.join("PG_VERSION").is_file());
    let progress = match (earlier(&paths, is_complete)?, present) {
        (Earlier::Complete, Some(Config::Monitor(config))) => {
            tracing::info!("the monitor in \"{}\" already exists", pgdata.display());
            if config.monitors.is_some() {
                return several::again(new, *config, claim).await;
            }
            let instance = Instance::new(config.instance());
            if !options.run {
                while_running(&instance, false, complete(&instance, &config)).await?;
                return Ok(Exit::Quit);
            }
            while_running(&instance, true, complete(&instance, &config)).await?;
            return run_monitor(&instance, *config, claim).await;
        }
        (Earlier::Interrupted(progress), _) => Some(progress),
        _ => None,
    };
    let spec = ServerSpec::new(options, &pgdata, progress.map(|progress| progress.pgdata))?;
    let mut config = MonitorConfig::empty(paths);
    spec.fill(&mut config.postgres, &pgdata);
    config.hostname = spec.address(None).await?;
    config.hostname_follows_network = spec.finds_address();
    let instance = Instance::new(config.instance()).patient();
    let mut adoption = None;
    if spec.before == PgdataContent::Cluster {
        instance.check_binaries().await.map_err(failed)?;
        let found = Adoption::begin(&instance, options, &mut config.postgres).await?;
        config.postgres.listen_addresses = found.listen_addresses(None, &config.hostname)?;
        adoption = Some(found);
    }
    config.ssl = spec.ssl.clone();
    if spec.passwords == Passwords::OfMonitor {
        config.node_password = Some(made_password()?);
    }
    http::take(&options.http, &mut config.http);
    http::check(&config.clone().into())?;
    init_file::store(&config.paths.init, &Progress { pgdata: spec.before, is_registering: false })?;
    instance.reconfigure(config.instance());
    if let Err(error) = make(&instance, &mut config, &spec, adoption.as_ref(), options.run).await {
        take_back(&config.paths, &pgdata, spec.before);
        return Err(error);
    }
    tracing::info!("created the monitor, nodes connect to it at {}", config.uri());
    say_password(&config, options.run)?;
    if options.run {
        return run_monitor(&instance, config, claim).await;
    }
    say_how_to_go_on(&pgdata);
    Ok(Exit::Quit)
}

fn made_password() -> CliResult<Secret> {
    Secret::random()
        .map_err(|error| CliError::new(Exit::Internal, format!("could not make a password: {error}")))
}

/// The URI with the password goes to standard output, and never to a log: that of a monitor which runs on is kept by whatever
/// has started it.
fn say_password(config: &MonitorConfig, runs: bool) -> CliResult {
    if config.node_password.is_none() {
        return Ok(());
    }
    tracing::info!(
        "the URI with its password: pg_autoctl show uri --formation monitor --pgdata {}",
        config.postgres.pgdata.display()
    );
    if runs && !std::io::stdout().is_terminal() {
        return Ok(());
    }
    print::line(&config.uri().to_uri())
}

fn say_how_to_go_on(pgdata: &Path) {
    tracing::info!("run it with: pg_autoctl run --pgdata {}", pgdata.display());
}

async fn make(
    instance: &Instance,
    config: &mut MonitorConfig,
    spec: &ServerSpec,
    adoption: Option<&Adoption>,
    keeps_running: bool,
) -> CliResult {
    make_certificate(instance, &mut config.ssl).await.map_err(failed)?;
    config.store()?;
    http::prepare(&config.clone().into())?;
    instance.reconfigure(config.instance());
    if let Some(adoption) = adoption {
        adoption.bring_in(instance).await?;
    }
    make_cluster(instance, spec.before, &spec.initdb_options).await?;
    monitor_server::apply(instance, config).await.map_err(failed)?;
    if let Some(adoption) = adoption {
        adoption.finish(instance, config.postgres.port).await?;
    }
    while_running(instance, keeps_running, complete(instance, config)).await?;
    init_file::remove(&config.paths.init).map_err(CliError::from)
}

async fn complete(instance: &Instance, config: &MonitorConfig) -> CliResult {
    let completed = monitor_database::complete(instance, config).await;
    completed.map_err(|error| CliError::new(error.exit(), error.to_string()))
}
