//! A monitor that is one of several: its part in their elections, and the keeper of its Postgres.
//!
//! The monitors agree on who is the primary of their own servers, and each one's engine makes its server what was agreed,
//! as a keeper does on a data node. Here is what comes around that: joining the group, making the database on the first
//! one, and looking after what is in it.

mod files;
mod membership;

use std::path::Path;
use std::time::Duration;

use pgaf_core::keeper::{KeeperState, Step, StopMode};
use pgaf_core::monitors::{Candidacy, Reply, What};
use pgaf_core::{GroupId, NodeId, ReplicationState};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::agent::{self, AgentError};
use crate::config::MonitorConfig;
use crate::config::state::{self, StateError};
use crate::exit::Exit;
use crate::files::atomic;
use crate::monitor_database::{self, DatabaseError};
use crate::monitor_server::hba_entries;
use crate::monitor_watch::Watch;
use crate::monitors::{Beginning, Handle, Peer, PeerError};
use crate::postgres::{Instance, PostgresError};
use crate::supervisor;

pub(crate) use files::{identity, store};

/// Until the monitors answer, they are asked again this often.
const RETRY: Duration = Duration::from_millis(300);
/// And so often the log says that they do not.
const REPEAT: Duration = Duration::from_secs(10);
/// How long a new server may take until it accepts connections.
const STARTED_WITHIN: Duration = Duration::from_secs(60);
/// Notes that this monitor's data directory is left to its engine from now on, which copies what is not there.
const MADE: &str = "made";

/// Why a monitor cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum MonitorPeerError {
    /// Its part in the elections.
    #[error(transparent)]
    Peer(#[from] PeerFailure),
    /// The keeper of its server.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// Its state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Its server.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A file.
    #[error("\"{path}\": {error}")]
    File {
        /// Which one.
        path: String,
        /// The system's.
        error: std::io::Error,
    },
    /// The configuration does not name it.
    #[error("the configuration does not say which of the monitors this is: create it again")]
    Nameless,
}

/// What the consensus does not begin without.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PeerFailure(#[from] PeerError);

impl MonitorPeerError {
    /// What the program ends with.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Peer(_) | Self::State(_) | Self::File { .. } => Exit::BadState,
            Self::Agent(error) => error.exit(),
            Self::Database(error) => error.exit(),
            Self::Postgres(_) => Exit::PgCtl,
            Self::Nameless => Exit::BadConfig,
        }
    }
}

/// Runs it until it is told to stop.
///
/// # Errors
/// What makes it impossible to begin.
pub async fn run(config: MonitorConfig) -> Result<Exit, MonitorPeerError> {
    let monitors = config.monitors.clone().ok_or(MonitorPeerError::Nameless)?;
    let (id, member) = monitors.own().cloned().ok_or(MonitorPeerError::Nameless)?;
    let node = NodeId(id.cast_signed());
    tracing::info!("monitor \"{}\" starts, one of {}", monitors.name, monitors.names());
    let peer = Peer {
        id,
        members: monitors.members.clone(),
        beginning: if monitors.has_joined { Beginning::Joined } else { Beginning::Together },
        is_witness: monitors.is_witness,
        port: member.port,
        store: store(&config),
        identity: identity(&config),
    };
    let handle = peer.start().map_err(PeerFailure)?;
    let follows = membership::follow(config.clone(), handle.clone());
    if monitors.is_witness {
        tokio::spawn(follows);
        return witness(&config, id).await;
    }
    let candidacy = Candidacy {
        node,
        name: monitors.name,
        host: config.hostname.clone(),
        port: config.postgres.port,
        dbname: config.postgres.dbname.clone(),
    };
    if state::load(&config.paths.state)?.is_none() {
        state::store(&config.paths.state, &KeeperState::registered(node, GroupId(0)))?;
    }
    let instance = Instance::new(config.instance());
    let made = config.paths.monitors().join(MADE);
    if !made.exists() {
        let Some(goal) = join(&handle, &candidacy).await else {
            tracing::info!("this monitor was dropped");
            return Ok(Exit::Dropped);
        };
        // Whoever was the first has it made before it reports: as long as nobody has data, nobody has seen any.
        let is_first = goal.is_writer() && !has_data(&handle);
        if is_first {
            make(&instance, &config).await?;
        }
        let noted = atomic::write(&made, b"");
        noted.map_err(|error| MonitorPeerError::File { path: made.display().to_string(), error })?;
    }
    let entries = hba_entries(&config);
    let mut watch = Watch::of_one_of_several();
    let keeper = agent::run_monitor(config.as_node(), handle.clone());
    let joins = async {
        // Its address may be another one than before. Whether it was dropped, its engine hears with its next report.
        join(&handle, &candidacy).await;
        std::future::pending::<()>().await;
    };
    let publishes = membership::publish(&instance, &config, &handle);
    let looks_after = async {
        // The address of one of several is what the others were told: it never follows the network.
        watch.look_after(&instance, &config, &entries).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        exit = keeper => Ok(exit?),
        () = looks_after => Ok(Exit::Quit),
        () = joins => Ok(Exit::Quit),
        () = follows => Ok(Exit::Quit),
        () = publishes => Ok(Exit::Quit),
    }
}

/// Runs one that has no server, until it is told to stop or was dropped.
async fn witness(config: &MonitorConfig, id: u64) -> Result<Exit, MonitorPeerError> {
    let mut stops = Vec::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()] {
        stops.push(signal(kind).map_err(AgentError::Signals)?);
    }
    // It has nothing to read again.
    let _reload = signal(SignalKind::hangup()).map_err(AgentError::Signals)?;
    let told_to_stop = std::future::poll_fn(|context| {
        let is_told = stops.iter_mut().any(|stop| stop.poll_recv(context).is_ready());
        if is_told { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    supervisor::ready();
    tokio::select! {
        () = told_to_stop => Ok(Exit::Quit),
        () = membership::dropped(config, id) => {
            tracing::info!("this witness was dropped");
            Ok(Exit::Dropped)
        }
    }
}

/// Joins the group of the monitors, which may take until a majority of them runs; gives the goal of this one, or nothing
/// when it was dropped.
async fn join(handle: &Handle, candidacy: &Candidacy) -> Option<ReplicationState> {
    let mut told_at: Option<Instant> = None;
    loop {
        let reason = match handle.submit(What::Register(candidacy.clone())).await {
            Ok(Reply::Answer(answer)) => return Some(answer.assignment.goal),
            Ok(Reply::Unknown) => return None,
            Ok(other) => format!("{other:?}"),
            Err(reason) => reason,
        };
        if told_at.is_none_or(|at| at.elapsed() >= REPEAT) {
            tracing::info!("waiting for a majority of the monitors: {reason}");
            told_at = Some(Instant::now());
        }
        sleep(RETRY).await;
    }
}

/// A monitor has reported that it has the database.
fn has_data(handle: &Handle) -> bool {
    let agreed = handle.agreed();
    let monitors = agreed.borrow();
    monitors.group.iter().flat_map(|group| &group.nodes).any(|node| node.has_data)
}

/// Makes the database, on the monitor that was the first to join. Whatever an interrupted attempt has left goes: nobody has
/// seen it.
async fn make(instance: &Instance, config: &MonitorConfig) -> Result<(), MonitorPeerError> {
    let pgdata = &config.postgres.pgdata;
    tracing::info!("making the monitors' database in \"{}\"", pgdata.display());
    if instance.is_postmaster_running().await {
        instance.execute(&Step::StopPostgres(StopMode::Immediate)).await?;
    }
    remove(pgdata)?;
    instance.initdb().await?;
    instance.check_binaries().await?;
    instance.write_settings().await?;
    instance.write_hba(&hba_entries(config)).await?;
    instance.execute(&Step::StartPostgres).await?;
    let completed = fill(instance, config).await;
    instance.execute(&Step::StopPostgres(StopMode::Fast)).await?;
    completed
}

async fn fill(instance: &Instance, config: &MonitorConfig) -> Result<(), MonitorPeerError> {
    let begin = Instant::now();
    while let Err(error) = instance.session("template1").await {
        if begin.elapsed() >= STARTED_WITHIN || !instance.is_postmaster_running().await {
            return Err(error.into());
        }
        sleep(RETRY).await;
    }
    monitor_database::complete(instance, config).await?;
    Ok(instance.ensure_replication_roles().await?)
}

fn remove(pgdata: &Path) -> Result<(), MonitorPeerError> {
    atomic::remove_tree(pgdata)
        .map_err(|error| MonitorPeerError::File { path: pgdata.display().to_string(), error })
}
