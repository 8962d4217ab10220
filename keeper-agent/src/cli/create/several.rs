//! `create monitor --peers`: a monitor that is one of several.
//!
//! Nothing is made but its configuration, its certificate and an empty log: what its Postgres shall be is agreed when a
//! majority of the monitors runs.

use super::super::checks;
use super::super::commands::NewMonitor;
use super::super::error::{CliError, CliResult};
use super::super::run::run_monitor;
use super::super::ssl::make_certificate;
use super::server::{ServerSpec, failed, take_back};
use crate::config::init_file::PgdataContent;
use crate::config::pid_file::PidFile;
use crate::config::{MonitorConfig, MonitorsConfig, Paths, parse_members};
use crate::exit::Exit;
use crate::monitor_peer;
use crate::monitors::{Token, create_store};
use crate::postgres::Instance;

/// Makes it, and runs it when asked to.
pub(super) async fn run(new: &NewMonitor, paths: Paths, claim: PidFile) -> CliResult<Exit> {
    let options = &new.server;
    let pgdata = options.pgdata.required()?;
    if std::env::var_os("PG_AUTOCTL_DEBUG").is_none() {
        return Err(CliError::bad_arguments(
            "--peers is for trials only so far: a monitor that is lost for good cannot be replaced yet",
        ));
    }
    let monitors = monitors_of(new)?;
    let token =
        new.join_token_file.as_deref().ok_or_else(|| CliError::bad_arguments("give --join-token-file"))?;
    let token = Token::of_file(token).map_err(CliError::bad_arguments)?;
    if !options.initdb_options.is_empty() {
        return Err(CliError::bad_arguments("--initdb-options cannot be given for one of several monitors"));
    }
    let spec = ServerSpec::new(options, &pgdata, None)?;
    if spec.before != PgdataContent::Empty {
        return Err(CliError::bad_arguments(format!(
            "\"{}\" has a cluster: one of several monitors begins with an empty directory",
            pgdata.display()
        )));
    }
    let mut config = MonitorConfig::empty(paths);
    spec.fill(&mut config.postgres, &pgdata);
    if options.hostname.is_some() {
        return Err(CliError::bad_arguments("--peers says where this monitor is: leave --hostname out"));
    }
    if let Some((_, member)) = monitors.own() {
        config.hostname = checks::given_hostname(&member.host)?;
    }
    config.ssl = spec.ssl.clone();
    config.monitors = Some(monitors);
    if let Err(error) = make(&mut config, &token).await {
        take_back(&config.paths, &pgdata, PgdataContent::Empty);
        return Err(error);
    }
    let name = config.monitors.as_ref().map(|monitors| monitors.name.clone()).unwrap_or_default();
    tracing::info!("created monitor \"{name}\"");
    go_on(new, config, claim).await
}

/// It is there already.
pub(super) async fn again(new: &NewMonitor, config: MonitorConfig, claim: PidFile) -> CliResult<Exit> {
    if new.peers.is_some() && config.monitors != Some(monitors_of(new)?) {
        return Err(CliError::bad_arguments(
            "this monitor was created with another --name or other --peers: drop it first, with \"pg_autoctl drop monitor --destroy\"",
        ));
    }
    go_on(new, config, claim).await
}

async fn go_on(new: &NewMonitor, config: MonitorConfig, claim: PidFile) -> CliResult<Exit> {
    if new.server.run {
        let instance = Instance::new(config.instance());
        return run_monitor(&instance, config, claim).await;
    }
    tracing::info!("run it with: pg_autoctl run --pgdata {}", config.postgres.pgdata.display());
    Ok(Exit::Quit)
}

fn monitors_of(new: &NewMonitor) -> CliResult<MonitorsConfig> {
    let (Some(name), Some(peers)) = (&new.name, &new.peers) else {
        return Err(CliError::bad_arguments("give --name and --peers"));
    };
    let members = parse_members(peers).map_err(CliError::bad_arguments)?;
    let monitors = MonitorsConfig { name: name.clone(), members };
    if monitors.own().is_none() {
        return Err(CliError::bad_arguments(format!("--peers does not have \"{name}\", which --name says")));
    }
    match monitors.members.len() {
        3 | 5 => Ok(monitors),
        count => Err(CliError::bad_arguments(format!(
            "--peers names {count} monitors: one can be lost of three, two of five"
        ))),
    }
}

async fn make(config: &mut MonitorConfig, token: &Token) -> CliResult {
    let bad_state = |reason: String| CliError::new(Exit::BadState, reason);
    let name = config.monitors.as_ref().map(|monitors| monitors.name.clone()).unwrap_or_default();
    let instance = Instance::new(config.instance());
    instance.check_binaries().await.map_err(failed)?;
    make_certificate(&instance, &mut config.ssl).await.map_err(failed)?;
    monitor_peer::identity(config).create(token, &name).map_err(bad_state)?;
    create_store(&monitor_peer::store(config)).map_err(|error| bad_state(error.to_string()))?;
    Ok(config.store()?)
}
