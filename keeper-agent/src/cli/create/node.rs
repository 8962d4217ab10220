//! `create postgres`

use std::path::Path;
use std::time::{Duration, Instant};

use pgaf_core::{GroupId, NodeId, NodeKind, ReplicationState, sqlstate};

use super::super::checks;
use super::super::commands::NewNode;
use super::super::error::{CliError, CliResult};
use super::super::http;
use super::super::listen_addresses::checked_listen_addresses;
use super::super::options::boolean;
use super::super::run::{claim, run_node};
use super::super::ssl::make_certificate;
use super::adopt::Adoption;
use super::server::{Earlier, Passwords, ServerSpec, earlier, failed, make_primary, take_back};
use crate::client::{ConnectError, ConnectionString};
use crate::config::init_file::{self, PgdataContent, Progress};
use crate::config::state::{self, KeeperState};
use crate::config::{CitusRole, Config, ConfigError, HbaLevel, NodeConfig, Paths};
use crate::exit::Exit;
use crate::files::atomic;
use crate::monitor::{MonitorConnection, MonitorError, RegisteredNode, Registration};
use crate::postgres::Instance;

/// A monitor that does not answer is waited for: briefly by a person, longer by what will run unattended.
const PATIENCE: Duration = Duration::from_secs(5);
const UNATTENDED_PATIENCE: Duration = Duration::from_secs(900);
/// Between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// An error that stays is said again after this long.
const REPEAT_INTERVAL: Duration = Duration::from_secs(10);

const CITUS_NEEDS_AUTH: &str = "give --auth: Citus connects the nodes of a formation to each other as the users of its clients, \
     whose passwords the monitor does not have";

/// Runs it.
pub(super) async fn run(options: &NewNode) -> CliResult<Exit> {
    checks::not_root("create a node")?;
    checks::user_has_name()?;
    let pgdata = options.server.pgdata.required()?;
    let paths = Paths::of(&pgdata)?;
    let present = paths.config.exists().then(|| Config::load(&pgdata)).transpose()?;
    if let Some(Config::Monitor(_)) = present {
        return Err(CliError::bad_arguments(format!(
            "\"{}\" is a monitor already: choose another --pgdata, or remove it with \"pg_autoctl drop monitor --destroy\"",
            pgdata.display()
        )));
    }
    let claim = claim(&paths, &pgdata)?;
    let is_complete = match &present {
        Some(Config::Node(config)) => is_registered(config).await?,
        _ => false,
    };
    let progress = match (earlier(&paths, is_complete)?, present) {
        (Earlier::Complete, Some(Config::Node(config))) => {
            tracing::info!("node \"{}\" in \"{}\" already exists", config.name, pgdata.display());
            return go_on(*config, options.server.run, claim).await;
        }
        (Earlier::Interrupted(progress), _) => Some(progress),
        _ => None,
    };
    if options.disable_monitor {
        let config = make_unmonitored(options, &pgdata, paths, progress).await?;
        return go_on(config, options.server.run, claim).await;
    }
    let config = make(options, &pgdata, paths, progress).await?;
    tracing::info!("node \"{}\" is registered in formation \"{}\"", config.name, config.formation);
    go_on(config, options.server.run, claim).await
}

/// There is a state, and the monitor has not dropped the node since. A monitor that cannot be asked is believed to know it.
async fn is_registered(config: &NodeConfig) -> CliResult<bool> {
    let Some(state) = state::load(&config.paths.state)? else {
        return Ok(false);
    };
    let Some(target) = &config.monitor else {
        return Ok(true);
    };
    let known = match MonitorConnection::connect(target).await {
        Ok((monitor, _)) => monitor.node(state.node).await,
        Err(error) => Err(error),
    };
    if matches!(known, Ok(None)) {
        tracing::info!("the monitor no longer knows node {}: registering it again", state.node);
        atomic::remove(&config.paths.state)
            .map_err(|error| ConfigError::file("cannot remove", &config.paths.state, &error))?;
        return Ok(false);
    }
    Ok(true)
}

async fn go_on(config: NodeConfig, runs: bool, claim: crate::config::pid_file::PidFile) -> CliResult<Exit> {
    if runs {
        return run_node(config, claim).await;
    }
    tracing::info!("run it with: pg_autoctl run --pgdata {}", config.postgres.pgdata.display());
    Ok(Exit::Quit)
}

/// Makes and registers the node, or goes on with what was interrupted.
async fn make(
    options: &NewNode,
    pgdata: &Path,
    paths: Paths,
    progress: Option<Progress>,
) -> CliResult<NodeConfig> {
    let monitor = given_monitor(options)?;
    let before = progress.as_ref().map(|progress| progress.pgdata);
    let spec = ServerSpec::new(&options.server, pgdata, before)?;
    if spec.passwords == Passwords::OfMonitor && options.part.kind != NodeKind::Standalone {
        return Err(CliError::bad_arguments(CITUS_NEEDS_AUTH));
    }
    let mut config = configuration(options, pgdata, paths, &spec, Some(monitor))?;
    let instance = Instance::new(config.instance(None)).patient();
    let adoption = adopt(&instance, options, &mut config, spec.before).await?;
    let patience = patience(options);
    let target = config.monitor.clone().unwrap_or_default();
    let connection = connect_patiently(&target, patience).await?;
    let is_wanted = spec.passwords == Passwords::OfMonitor;
    config.replication.password = connection.replication_password(&config.formation, is_wanted).await?;
    config.hostname = spec.address(Some(&target)).await?;
    settle_addresses(&mut config, options, adoption.as_ref())?;
    instance.reconfigure(config.instance(None));
    let mut progress = progress.unwrap_or(Progress { pgdata: spec.before, is_registering: false });
    init_file::store(&config.paths.init, &progress)?;
    let made = async {
        make_certificate(&instance, &mut config.ssl).await.map_err(failed)?;
        config.store()?;
        http::check_and_prepare(config.clone())?;
        instance.reconfigure(config.instance(None));
        let registered = register(options, &mut config, &instance, &connection, &mut progress).await?;
        if let Some(adoption) = &adoption {
            adoption.bring_in(&instance).await?;
        }
        settle(&instance, &config, &connection, &registered, &spec).await?;
        match &adoption {
            Some(adoption) => adoption.finish(&instance, config.postgres.port).await,
            None => Ok(()),
        }
    }
    .await;
    match made {
        Ok(()) => {
            init_file::remove(&config.paths.init)?;
            Ok(config)
        }
        Err(error) => {
            undo(&config, &connection, &progress, spec.before).await;
            Err(error)
        }
    }
}

/// Makes a node that a person will assign its states; its data are made when they say that it is the primary.
async fn make_unmonitored(
    options: &NewNode,
    pgdata: &Path,
    paths: Paths,
    progress: Option<Progress>,
) -> CliResult<NodeConfig> {
    let id = options.node_id.filter(|id| *id > 0).ok_or_else(|| {
        CliError::bad_arguments(
            "a node without a monitor needs a number, 1 or higher, that no other node of its group has: give --node-id",
        )
    })?;
    let spec = ServerSpec::new(&options.server, pgdata, progress.map(|progress| progress.pgdata))?;
    if !spec.initdb_options.is_empty() {
        return Err(CliError::bad_arguments(
            "--initdb-options cannot be given with --disable-monitor: the cluster is made when the node is assigned \"single\"",
        ));
    }
    let mut config = configuration(options, pgdata, paths, &spec, None)?;
    config.hostname = spec.address(None).await?;
    config.group = Some(options.group.map(GroupId).unwrap_or_default());
    if config.name.is_empty() {
        config.name = format!("node_{id}");
    }
    let mut state = KeeperState::registered(NodeId(id), config.group.unwrap_or_default());
    state.change_monitor(true);
    let instance = Instance::new(config.instance(Some(state.node)));
    let adoption = adopt(&instance, options, &mut config, spec.before).await?;
    settle_addresses(&mut config, options, adoption.as_ref())?;
    if let Some(adoption) = &adoption {
        adoption.bring_in(&instance).await?;
        adoption.finish(&instance, config.postgres.port).await?;
    }
    make_certificate(&instance, &mut config.ssl).await.map_err(failed)?;
    config.store()?;
    http::check_and_prepare(config.clone())?;
    state::store(&config.paths.state, &state)?;
    init_file::remove(&config.paths.init)?;
    tracing::info!("created node {id} \"{}\" without a monitor", config.name);
    Ok(config)
}

/// What is there to be known of a cluster that was there before.
async fn adopt(
    instance: &Instance,
    options: &NewNode,
    config: &mut NodeConfig,
    before: PgdataContent,
) -> CliResult<Option<Adoption>> {
    if before == PgdataContent::Empty {
        return Ok(None);
    }
    instance.check_binaries().await.map_err(failed)?;
    Adoption::begin(instance, &options.server, &mut config.postgres).await.map(Some)
}

/// Where Postgres shall listen, now that the address of this machine is known.
fn settle_addresses(config: &mut NodeConfig, options: &NewNode, adoption: Option<&Adoption>) -> CliResult {
    let given = options.server.listen.as_deref();
    config.postgres.listen_addresses = match (adoption, given) {
        (Some(adoption), given) => adoption.listen_addresses(given, &config.hostname)?,
        (None, Some(given)) => checked_listen_addresses(given, &config.hostname)?,
        (None, None) => return Ok(()),
    };
    Ok(())
}

fn given_monitor(options: &NewNode) -> CliResult<ConnectionString> {
    let given = options.monitor.as_deref().filter(|uri| !uri.is_empty());
    let uri = given.ok_or_else(|| {
        CliError::bad_arguments(
            "no monitor given: use --monitor with its URI, as \"pg_autoctl show uri --monitor\" prints it on the monitor",
        )
    })?;
    Ok(uri.parse::<ConnectionString>()?)
}

fn configuration(
    options: &NewNode,
    pgdata: &Path,
    paths: Paths,
    spec: &ServerSpec,
    monitor: Option<ConnectionString>,
) -> CliResult<NodeConfig> {
    let mut config = NodeConfig::empty(paths);
    spec.fill(&mut config.postgres, pgdata);
    config.monitor = monitor;
    config.formation.clone_from(&options.formation);
    config.group = options.group.map(GroupId);
    config.kind = options.part.kind;
    config.citus = options.part.citus.clone();
    config.name = options.name.clone().unwrap_or_default();
    config.hostname_follows_network = spec.finds_address();
    config.ssl = spec.ssl.clone();
    http::take(&options.server.http, &mut config.http);
    let postgres = &mut config.postgres;
    postgres.proxy_port = options.part.proxy_port;
    if let Some(host) = options.pghost.as_ref().filter(|host| !host.is_empty()) {
        postgres.host = Some(host.clone());
    }
    if let Some(username) = options.username.as_ref().filter(|name| !name.is_empty()) {
        postgres.username.clone_from(username);
    }
    if let Some(dbname) = options.dbname.as_ref().filter(|name| !name.is_empty()) {
        postgres.dbname.clone_from(dbname);
    }
    let wants_lan = options.pg_hba_lan || environment_says("PG_AUTOCTL_PG_HBA_LAN")?;
    if wants_lan && postgres.hba_level == HbaLevel::Minimal {
        postgres.hba_level = HbaLevel::Lan;
    }
    let mut config = Config::Node(Box::new(config));
    config.set("replication.maximum_backup_rate", &options.maximum_backup_rate)?;
    match config {
        Config::Node(config) => Ok(*config),
        Config::Monitor(_) => Err(CliError::new(Exit::Internal, "a node's configuration became a monitor's")),
    }
}

/// What a second name of an environment variable says; clap knows one for each option.
fn environment_says(name: &str) -> CliResult<bool> {
    let Ok(value) = std::env::var(name) else {
        return Ok(false);
    };
    boolean(&value).map_err(|why| CliError::bad_arguments(format!("{name} is \"{value}\": {why}")))
}

const fn patience(options: &NewNode) -> Duration {
    if options.server.run { UNATTENDED_PATIENCE } else { PATIENCE }
}

/// A monitor may be starting at the same time as its nodes.
async fn connect_patiently(target: &ConnectionString, patience: Duration) -> CliResult<MonitorConnection> {
    let begin = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        let error = match MonitorConnection::connect(target).await {
            Ok((connection, _)) => return Ok(connection),
            Err(error) => error,
        };
        if !may_come_up(&error) || begin.elapsed() >= patience {
            return Err(error.into());
        }
        if said.is_none_or(|said| said.elapsed() >= REPEAT_INTERVAL) {
            tracing::warn!("{error}; waiting for it");
            said = Some(Instant::now());
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// While a monitor is being made there is first no server, then no role and no database, then no extension.
fn may_come_up(error: &MonitorError) -> bool {
    const BEING_MADE: [&str; 2] = ["28000", "3D000"];
    match error {
        MonitorError::Unreachable(ConnectError::Refused { sqlstate, .. }) => {
            BEING_MADE.contains(&sqlstate.code()) || sqlstate.code().starts_with("57P")
        }
        MonitorError::ExtensionMissing(_) => true,
        error => error.is_transient(),
    }
}

/// Registers the node, unless an interrupted try has done so.
async fn register(
    options: &NewNode,
    config: &mut NodeConfig,
    instance: &Instance,
    monitor: &MonitorConnection,
    progress: &mut Progress,
) -> CliResult<RegisteredNode> {
    let earlier = match state::load(&config.paths.state)? {
        Some(state) => monitor.node(state.node).await?,
        None if progress.is_registering => {
            let (host, port) = (&config.hostname, config.postgres.port);
            let found = monitor.node_at(&config.formation, host, port).await?;
            found.filter(|node| node.reported == ReplicationState::Init)
        }
        None => None,
    };
    let registered = match earlier {
        Some(node) => node,
        None => {
            let registration = registration(options, config, instance, progress.pgdata).await?;
            let target = config.monitor.clone().unwrap_or_default();
            progress.is_registering = true;
            init_file::store(&config.paths.init, progress)?;
            register_patiently(options, monitor, &target, &registration).await.inspect_err(|error| {
                // The monitor has answered, and has not registered the node.
                progress.is_registering = error.sqlstate().is_none();
            })?
        }
    };
    config.group = Some(registered.group);
    config.name.clone_from(&registered.name);
    config.store()?;
    state::store(&config.paths.state, &KeeperState::registered(registered.node, registered.group))?;
    instance.reconfigure(config.instance(Some(registered.node)));
    Ok(registered)
}

/// Registers the node. One that only reads waits until its group has a primary; what will run unattended asks a monitor
/// that gives no answer again, which then answers as it would have.
async fn register_patiently(
    options: &NewNode,
    monitor: &MonitorConnection,
    target: &ConnectionString,
    registration: &Registration,
) -> Result<RegisteredNode, MonitorError> {
    let begin = Instant::now();
    let patience = patience(options);
    let is_reader = options.part.citus.role == CitusRole::Secondary;
    let mut reopened: Option<MonitorConnection> = None;
    let mut is_said = false;
    loop {
        let connection = reopened.as_ref().unwrap_or(monitor);
        let error = match connection.register(registration).await {
            Ok(registered) => return Ok(registered),
            Err(error) => error,
        };
        let is_early = is_reader && error.sqlstate() == Some(sqlstate::WRONG_STATE);
        let is_unanswered = options.server.run && error.is_transient();
        if !(is_early || is_unanswered) || begin.elapsed() >= patience {
            return Err(error);
        }
        if !std::mem::replace(&mut is_said, true) {
            tracing::warn!("{error}; asking again");
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
        if is_unanswered {
            reopened = MonitorConnection::connect(target).await.ok().map(|(connection, _)| connection);
        }
    }
}

async fn registration(
    options: &NewNode,
    config: &NodeConfig,
    instance: &Instance,
    before: PgdataContent,
) -> CliResult<Registration> {
    let system_identifier = match before {
        PgdataContent::Empty => None,
        PgdataContent::Cluster => Some(instance.control_data().await.map_err(failed)?.system_identifier),
    };
    Ok(Registration {
        formation: config.formation.clone(),
        host: config.hostname.clone(),
        port: config.postgres.port,
        dbname: config.postgres.dbname.clone(),
        name: config.name.clone(),
        system_identifier,
        role: ReplicationState::Init,
        node: None,
        group: config.group,
        kind: config.kind,
        candidate_priority: options.candidate_priority,
        replication_quorum: options.replication_quorum,
        cluster: config.citus.cluster_name.clone(),
    })
}

/// The first node of a group gets its cluster now; the others copy it when they run.
async fn settle(
    instance: &Instance,
    config: &NodeConfig,
    monitor: &MonitorConnection,
    registered: &RegisteredNode,
    spec: &ServerSpec,
) -> CliResult {
    if registered.goal != ReplicationState::Single {
        return Ok(());
    }
    make_primary(instance, config, spec.before, &spec.initdb_options).await?;
    if spec.before == PgdataContent::Empty {
        let identifier = instance.control_data().await.map_err(failed)?.system_identifier;
        monitor.set_node_system_identifier(registered.node, identifier).await?;
    }
    Ok(())
}

/// Leaves things as they were found; when the monitor cannot be told, the init file stays for another try.
async fn undo(config: &NodeConfig, monitor: &MonitorConnection, progress: &Progress, before: PgdataContent) {
    let known = match state::load(&config.paths.state) {
        Ok(Some(state)) => monitor.node(state.node).await,
        _ if progress.is_registering => {
            monitor.node_at(&config.formation, &config.hostname, config.postgres.port).await
        }
        _ => Ok(None),
    };
    let removed = match known {
        Ok(Some(node)) => monitor.remove_node(node.node, true).await.map(|_| ()),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => take_back(&config.paths, &config.postgres.pgdata, before),
        Err(error) => {
            tracing::warn!(
                "the monitor could not be told ({error}): run the same command again, it goes on from here"
            );
        }
    }
}
