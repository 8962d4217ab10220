//! The local Postgres server: its configuration, its process, sessions with it, and what is known of it and cannot be
//! seen. Everything that is done to it is done by others, which are given this.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use pgaf_core::id::NodeId;
use pgaf_core::keeper::PostgresExit;
use pgaf_core::lsn::Lsn;
use tokio::sync::watch;

use crate::client::{Secret, within};

use super::clock::BootTime;
use super::config::InstanceConfig;
use super::connection::{self, CONNECT_DEADLINE, LocalSession, Purpose};
use super::dead_mans_switch::DeadMansSwitch;
use super::error::PostgresError;
use super::files::Files;
use super::owners_commands::{self, ArchiveHangs};
use super::postmaster::Postmaster;
use super::process;
use super::progress::Gauge;
use super::reserve::{Reserve, Session};
use super::version;

/// How long a patient caller waits for a session: a busy machine may need some seconds for one.
const PATIENT_CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// How long the start of a postmaster by somebody else may take, before it counts as one that hangs.
const BEGIN_DEADLINE: Duration = Duration::from_secs(2);

/// Who has answered a question about the processes.
enum Found<T> {
    /// The disk.
    Told(T),
    /// The system: those that work in the data directory.
    Working(Vec<i32>),
}

/// A server. All methods take `&self`: its end can be awaited while something is done to it.
pub struct LocalServer {
    config: RwLock<Arc<InstanceConfig>>,
    postmaster: watch::Sender<Option<Arc<Postmaster>>>,
    /// Held by whoever starts a postmaster, or takes over one: no process is watched twice.
    beginning: tokio::sync::Mutex<()>,
    files: Files,
    state: Mutex<ServerState>,
    gauge: Gauge,
    reserve: Reserve,
    archive_hangs: ArchiveHangs,
    session_deadline: Duration,
    /// Of those who may have to fence this server.
    switch: OnceLock<DeadMansSwitch>,
}

/// What is known and cannot be seen.
#[derive(Debug, Default)]
pub(in crate::postgres) struct ServerState {
    /// The value of synchronous_standby_names that all processes of this postmaster are known to follow.
    pub(in crate::postgres) followed_names: Option<(i32, String)>,
    /// The upstream to whose history pg_rewind cannot bring this data.
    pub(in crate::postgres) hopeless_rewind_to: Option<NodeId>,
    /// Where the log of a standby ends that receives nothing, nor will, in the life of this postmaster.
    pub(in crate::postgres) replay_over: Option<(i32, Lsn)>,
    /// What an operator has to see of how this server was started.
    pub(in crate::postgres) notice: Option<String>,
    /// What was last said of lines that the server refuses.
    pub(in crate::postgres) refused_lines: Option<String>,
    /// The password that the replication role was given last, and what Postgres keeps of it.
    pub(in crate::postgres) replication_role: Option<(Secret, Secret)>,
    /// What was measured when the server last answered.
    pub(in crate::postgres) measured: Measured,
    /// The path of the data directory without links, once the disk has told it.
    real_pgdata: Option<PathBuf>,
}

/// What a server that answers says of itself for people alone: nothing is decided on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// How long ago a standby's last replayed transaction was committed; zero when it has replayed all it has, absent on a
    /// primary and before the first one.
    pub replay_delay: Option<Duration>,
    /// How many bytes of WAL each replication slot keeps.
    pub slot_bytes: BTreeMap<String, u64>,
}

/// Tells whether a postmaster lives, without waiting for anything or anybody.
#[derive(Clone)]
pub struct Pulse(Arc<Postmaster>);

impl Pulse {
    /// It lives.
    pub fn beats(&self) -> bool {
        !self.0.is_dead()
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.0.pid()
    }
}

impl LocalServer {
    /// Nothing is started or touched.
    pub fn new(config: InstanceConfig) -> Self {
        Self {
            config: RwLock::new(Arc::new(config)),
            postmaster: watch::Sender::new(None),
            beginning: tokio::sync::Mutex::default(),
            files: Files::default(),
            state: Mutex::default(),
            gauge: Gauge::default(),
            reserve: Reserve::default(),
            archive_hangs: ArchiveHangs::default(),
            session_deadline: CONNECT_DEADLINE,
            switch: OnceLock::new(),
        }
    }

    /// The same, for a caller that has nothing better to do than to wait for a session.
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

    pub(in crate::postgres) fn state(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who reads and writes its files.
    pub(in crate::postgres) const fn files(&self) -> &Files {
        &self.files
    }

    pub(in crate::postgres) const fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// For whoever ends commands of its owner.
    pub(in crate::postgres) fn archive_hangs(&self) -> ArchiveHangs {
        self.archive_hangs.clone()
    }

    /// The session for what must not fail.
    pub(in crate::postgres) const fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    /// How many percent of the data have been copied, while that goes on.
    pub fn progress(&self) -> Option<u8> {
        self.gauge.percent()
    }

    /// What was measured when it last answered.
    pub fn measured(&self) -> Measured {
        self.state().measured.clone()
    }

    /// Of the postmaster that is known; looks for none.
    pub fn pulse(&self) -> Option<Pulse> {
        self.postmaster.borrow().clone().map(Pulse)
    }

    /// Takes over a postmaster that already runs on this data directory; false when there is none.
    ///
    /// # Errors
    /// It runs, but cannot be watched.
    pub async fn adopt(&self) -> Result<bool, PostgresError> {
        self.postmaster().await.map(|found| found.is_some())
    }

    /// A postmaster runs.
    pub async fn is_postmaster_running(&self) -> bool {
        self.postmaster().await.is_ok_and(|found| found.is_some())
    }

    /// The live postmaster, ours or one that was started by others. One that is known needs no look at the disk.
    ///
    /// # Errors
    /// The disk does not tell whether there is one, or it cannot be watched.
    pub(in crate::postgres) async fn postmaster(&self) -> Result<Option<Arc<Postmaster>>, PostgresError> {
        if let Some(known) = self.known_postmaster() {
            return Ok(Some(known));
        }
        let _beginning = within(BEGIN_DEADLINE, "the start of the postmaster", self.beginning.lock()).await?;
        if let Some(known) = self.known_postmaster() {
            return Ok(Some(known));
        }
        let Some(pid) = self.find_postmaster().await? else { return Ok(None) };
        let found = Arc::new(Postmaster::adopt(pid, &self.config().pgdata)?);
        // Between the look and the descriptor the number could have changed hands.
        if self.find_postmaster().await? != Some(pid) {
            return Ok(None);
        }
        tracing::info!("Postgres runs already, as process {pid}");
        self.supervise(Arc::clone(&found));
        Ok(Some(found))
    }

    /// One that has ended stays here until `exited` has told it.
    fn known_postmaster(&self) -> Option<Arc<Postmaster>> {
        self.postmaster.borrow().clone().filter(|known| !known.has_ended())
    }

    async fn find_postmaster(&self) -> Result<Option<i32>, PostgresError> {
        match self.look_at_processes(process::postmaster_of).await? {
            Found::Told(pid) => Ok(pid),
            Found::Working(processes) => Ok(process::postmaster_among(&processes)),
        }
    }

    /// Every process of Postgres in the data directory.
    ///
    /// # Errors
    /// Nobody tells.
    pub(in crate::postgres) async fn processes(&self) -> Result<Vec<i32>, PostgresError> {
        match self.look_at_processes(process::processes_of).await? {
            Found::Told(processes) | Found::Working(processes) => Ok(processes),
        }
    }

    /// Asks the disk; when that hangs, the system, which knows by its path where a process works.
    async fn look_at_processes<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> Result<Found<T>, PostgresError> {
        let config = self.config();
        let looked = self.files.look("looking at the processes of Postgres", move || {
            Ok((look(&config.pgdata), std::fs::canonicalize(&config.pgdata).ok()))
        });
        let error = match looked.await {
            Ok((found, real)) => {
                if real.is_some() {
                    self.state().real_pgdata = real;
                }
                return Ok(Found::Told(found));
            }
            Err(error) => error,
        };
        let real = self.state().real_pgdata.clone().ok_or(error)?;
        Ok(Found::Working(process::working_in(&real)))
    }

    /// Starts a postmaster with these settings on its command line, and does not wait for it.
    ///
    /// # Errors
    /// It cannot be started, or the disk hangs.
    pub(in crate::postgres) async fn spawn_postmaster(
        &self,
        settings: Vec<(&'static str, String)>,
    ) -> Result<Arc<Postmaster>, PostgresError> {
        let _beginning = self.beginning.lock().await;
        let started = Arc::new(Postmaster::spawn(&self.files, &self.config(), settings).await?);
        self.supervise(Arc::clone(&started));
        Ok(started)
    }

    fn supervise(&self, postmaster: Arc<Postmaster>) {
        if let (Some(switch), Some(descriptor)) = (self.switch.get(), postmaster.as_fd()) {
            switch.aim(descriptor);
        }
        if self.config().replicates() {
            let (pgdata, hangs) = (self.config().pgdata.clone(), self.archive_hangs.clone());
            tokio::spawn(owners_commands::watch(Arc::clone(&postmaster), pgdata, hangs));
        }
        self.postmaster.send_replace(Some(postmaster));
    }

    /// Sets up the dead man's switch, for a caller that may have to fence this server.
    ///
    /// # Errors
    /// The system gives no thread or no timer.
    pub async fn set_up_switch(&self) -> Result<(), PostgresError> {
        let failed =
            |error| PostgresError::Refused(format!("could not set up the dead man's switch: {error}"));
        let pgdata = self.config().pgdata.clone();
        let given = pgdata.clone();
        let real = self.files.look("looking for the data directory", move || {
            Ok(std::fs::canonicalize(&given).unwrap_or(given))
        });
        // A disk that hangs: most paths are given as the system has them.
        let real = real.await.unwrap_or(pgdata);
        let switch = DeadMansSwitch::start(&real).map_err(failed)?;
        if let Some(descriptor) = self.postmaster.borrow().as_ref().and_then(|postmaster| postmaster.as_fd())
        {
            switch.aim(descriptor);
        }
        self.switch.get_or_init(|| switch);
        Ok(())
    }

    /// The dead man's switch: unless it is told a later moment before, Postgres is killed at this one, whatever the caller
    /// is busy with then; `None` disarms it. What is started after that moment is killed, too.
    pub fn arm(&self, deadline: Option<BootTime>) {
        if let Some(switch) = self.switch.get() {
            switch.arm(deadline);
        }
    }

    /// Waits for the end of the postmaster, unless `StopPostgres` asked for it. Never ends while there is none. May be
    /// dropped and called again: an end is reported once.
    pub async fn exited(&self) -> PostgresExit {
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

    pub(in crate::postgres) fn forget(&self, ended: &Arc<Postmaster>) {
        self.postmaster.send_if_modified(|current| {
            let is_same = current.as_ref().is_some_and(|current| Arc::ptr_eq(current, ended));
            if is_same {
                *current = None;
            }
            is_same
        });
    }

    /// The major version of the data is that of the binaries. Without data, it is.
    ///
    /// # Errors
    /// It is another, or the binaries cannot be run.
    pub async fn check_binaries(&self) -> Result<(), PostgresError> {
        version::check(&self.files, &self.config()).await
    }

    /// The version of the binaries, like `15.4`.
    ///
    /// # Errors
    /// They cannot be run.
    pub async fn binary_version(&self) -> Result<String, PostgresError> {
        version::of_binaries(&self.config()).await
    }

    /// A session with the local server as its superuser.
    ///
    /// # Errors
    /// The server does not run, or does not let us in.
    pub async fn session(&self, dbname: &str) -> Result<LocalSession, PostgresError> {
        connection::connect(&self.files, &self.config(), dbname, self.session_deadline).await
    }

    /// A session in any database: a new one, or the kept one when the server refuses another.
    pub(in crate::postgres) async fn any_session(&self) -> Result<Session, PostgresError> {
        match connection::connect_anywhere(
            &self.files,
            &self.config(),
            Purpose::Acting,
            self.session_deadline,
        )
        .await
        {
            Ok(session) => Ok(Session::New(session)),
            Err(error) if error.is_refusal() => {
                let postmaster = self.postmaster().await?.map(|postmaster| postmaster.pid());
                self.reserve.borrow(postmaster).await.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }
}
