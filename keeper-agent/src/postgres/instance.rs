//! One Postgres server, and what is remembered of it between two looks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use pgaf_core::id::NodeId;
use pgaf_core::keeper::Step;
use pgaf_core::lsn::Lsn;
use pgaf_core::message::{Peer, Position};
use tokio::sync::watch;

use crate::config::HbaLevel;

use crate::client::Secret;

use super::config::InstanceConfig;
use super::connection::{self, CONNECT_DEADLINE, LocalSession};
use super::control_data::ControlData;
use super::error::PostgresError;
use super::hba::{self, HbaAddress, HbaEntry};
use super::observe::{Observer, Sight};
use super::postmaster::{Exit, Postmaster};
use super::progress::Gauge;
use super::settings::{self, Changing};
use super::{
    admit, base_backup, checkpoint, conninfo, files, follow, marker, process, promote, rewind, start, stop,
    synchronous_standby_names,
};

/// How long a patient caller waits for a session: a busy machine may need some seconds for one.
const PATIENT_CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// A server. All methods take `&self`: it can be observed, and its end awaited, while a step is executed.
pub struct Instance {
    config: RwLock<Arc<InstanceConfig>>,
    postmaster: watch::Sender<Option<Arc<Postmaster>>>,
    observer: tokio::sync::Mutex<Observer>,
    executing: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
    gauge: Gauge,
    session_deadline: Duration,
}

/// What is known and cannot be seen.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The value of synchronous_standby_names that all processes of this postmaster are known to follow.
    pub(super) followed_names: Option<(i32, String)>,
    /// The upstream to whose history pg_rewind cannot bring this data.
    pub(super) hopeless_rewind_to: Option<NodeId>,
    /// Where the log of a standby ends that receives nothing, nor will, in the life of this postmaster.
    pub(super) replay_over: Option<(i32, Lsn)>,
    /// The nodes of the formation that were let in last.
    pub(super) admitted_hosts: Vec<String>,
    /// The password that the replication role was given last.
    pub(super) replication_password: Option<Secret>,
}

impl Instance {
    /// Nothing is started or touched.
    pub fn new(config: InstanceConfig) -> Self {
        Self {
            config: RwLock::new(Arc::new(config)),
            postmaster: watch::Sender::new(None),
            observer: tokio::sync::Mutex::default(),
            executing: tokio::sync::Mutex::default(),
            memory: Mutex::default(),
            gauge: Gauge::default(),
            session_deadline: CONNECT_DEADLINE,
        }
    }

    /// The same, for somebody who has nothing better to do than to wait for a session.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { session_deadline: PATIENT_CONNECT_DEADLINE, ..self }
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<InstanceConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a changed configuration for everything that is done from now on.
    pub fn reconfigure(&self, config: InstanceConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// How many percent of the data have been copied, while that goes on.
    pub fn progress(&self) -> Option<u8> {
        self.gauge.percent()
    }

    /// Takes over a postmaster that already runs on this data directory; false when there is none.
    ///
    /// # Errors
    /// It runs, but cannot be watched.
    pub fn adopt(&self) -> Result<bool, PostgresError> {
        self.postmaster().map(|found| found.is_some())
    }

    /// A postmaster runs.
    pub fn is_postmaster_running(&self) -> bool {
        self.postmaster().is_ok_and(|found| found.is_some())
    }

    /// The live postmaster, ours or one that was started by others.
    pub(super) fn postmaster(&self) -> Result<Option<Arc<Postmaster>>, PostgresError> {
        if let Some(known) = self.postmaster.borrow().as_ref() {
            match known.exit_if_over() {
                None => return Ok(Some(Arc::clone(known))),
                // `exited` has to report it first.
                Some(_) if process::postmaster_of(&self.config().pgdata).is_none() => {
                    return Ok(None);
                }
                Some(_) => {}
            }
        }
        let found = Postmaster::adopt(&self.config().pgdata)?.map(Arc::new);
        if let Some(found) = &found {
            tracing::info!("Postgres runs already, as process {}", found.pid());
            self.supervise(Arc::clone(found));
        }
        Ok(found)
    }

    pub(super) fn supervise(&self, postmaster: Arc<Postmaster>) {
        self.postmaster.send_replace(Some(postmaster));
    }

    /// Waits for the end of the postmaster, unless `StopPostgres` asked for it. Never ends while there is none. May be
    /// dropped and called again: an end is reported once.
    pub async fn exited(&self) -> Exit {
        let mut changes = self.postmaster.subscribe();
        loop {
            let current = changes.borrow_and_update().clone();
            let ended = async {
                match &current {
                    Some(postmaster) => (postmaster.exited().await, postmaster),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                (exit, postmaster) = ended => {
                    let is_asked_for = postmaster.is_asked_to_stop();
                    self.forget(postmaster);
                    if !is_asked_for {
                        return exit;
                    }
                }
                // The sender lives as long as this instance.
                _ = changes.changed() => {}
            }
        }
    }

    pub(super) fn forget(&self, ended: &Arc<Postmaster>) {
        self.postmaster.send_if_modified(|current| {
            let is_same = current.as_ref().is_some_and(|current| Arc::ptr_eq(current, ended));
            if is_same {
                *current = None;
            }
            is_same
        });
    }

    /// Looks at files and processes. `upstream` is whom the assignment says to follow.
    pub async fn observe(&self, upstream: Option<&Peer>) -> Sight {
        self.observer.lock().await.observe(self, upstream).await
    }

    /// Does one step. Dropping the future ends the program that runs for it; the step can be executed again.
    ///
    /// # Errors
    /// The step did not reach what it is for: observe, and plan again.
    pub async fn execute(&self, step: &Step) -> Result<(), PostgresError> {
        let _one_at_a_time = self.executing.lock().await;
        match step {
            Step::Checkpoint => checkpoint::run(self).await,
            Step::StopPostgres(mode) => stop::run(self, *mode).await,
            Step::StartPostgres => start::run(self, start::Gate::Open).await,
            Step::StartGated => start::run(self, start::Gate::Closed).await,
            Step::BaseBackup { upstream } => base_backup::run(self, upstream).await,
            Step::Rewind { upstream } => rewind::run(self, upstream).await,
            Step::Follow { upstream } => follow::run(self, upstream.as_ref()).await,
            Step::Promote => promote::run(self).await,
            Step::AdmitStandbys { peers } => admit::run(self, peers).await,
            Step::SetSynchronousStandbyNames(names) => synchronous_standby_names::run(self, names).await,
            Step::HoldWrites { .. } | Step::ReleaseWrites | Step::RouteWrites { .. } => {
                Err(PostgresError::Refused("this node is no worker of a Citus formation".to_owned()))
            }
        }
    }

    /// Keeps a slot for each peer, moved on to where that peer is, and the password of the replication role. Nothing
    /// waits for this, and dropping the future ends it.
    ///
    /// # Errors
    /// The server does not run.
    pub async fn tend(&self, peers: &[Peer], positions: &[Position]) -> Result<(), PostgresError> {
        let _one_at_a_time = self.executing.lock().await;
        admit::tend(self, peers, positions).await
    }

    /// All nodes of the formation that are configured were let in.
    pub fn admits_formation(&self) -> bool {
        self.memory().admitted_hosts == self.config().formation_hosts
    }

    /// A session with the local server as its superuser.
    ///
    /// # Errors
    /// The server does not run, or does not let us in.
    pub async fn session(&self, dbname: &str) -> Result<LocalSession, PostgresError> {
        connection::connect(&self.config(), dbname, self.session_deadline).await
    }

    /// A session in any database.
    pub(super) async fn any_session(&self) -> Result<LocalSession, PostgresError> {
        connection::connect_anywhere(&self.config(), self.session_deadline).await
    }

    /// Reads the control file.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub async fn control_data(&self) -> Result<ControlData, PostgresError> {
        ControlData::read(&self.config()).await
    }

    /// Writes the included files, their include lines, and the passfile; a running server is not told. Without a
    /// cluster there is nothing to configure yet: a start does it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub async fn write_settings(&self) -> Result<(), PostgresError> {
        let config = self.config();
        files::blocking("writing the settings", move || {
            conninfo::write_passfile(&config)?;
            if marker::is_set(&config) || !config.in_pgdata("PG_VERSION").exists() {
                return Ok(());
            }
            settings::write(&config, &Changing::read(&config.pgdata)?)
        })
        .await
    }

    /// Writes our entries of pg_hba.conf: the keeper's own, and these. Those of the other nodes stay. A running server
    /// is not told.
    ///
    /// # Errors
    /// A file cannot be written, or the local network cannot be found out.
    pub async fn write_hba(&self, entries: &[HbaEntry]) -> Result<(), PostgresError> {
        let config = self.config();
        let mut entries = entries.to_vec();
        if config.hba_level == HbaLevel::Lan {
            entries.push(HbaEntry {
                database: "all".to_owned(),
                user: "all".to_owned(),
                address: HbaAddress::Lan,
                method: config.auth,
            });
        }
        let access = hba::access_entries(&config, &entries).await?;
        files::blocking("writing pg_hba.conf", move || {
            hba::update(&config, |managed| managed.access = access)
        })
        .await
    }
}
