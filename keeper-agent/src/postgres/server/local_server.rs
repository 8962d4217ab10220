//! The local Postgres server: its configuration, its process, sessions with it, and what is known of it and cannot be
//! seen. Everything that is done to it is done by others, which are given this.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use pgaf_core::id::NodeId;
use pgaf_core::keeper::PostgresExit;
use pgaf_core::lsn::Lsn;
use tokio::sync::watch;

use crate::client::Secret;

use super::clock::BootTime;
use super::config::InstanceConfig;
use super::connection::{self, CONNECT_DEADLINE, LocalSession, Purpose};
use super::dead_mans_switch::DeadMansSwitch;
use super::error::PostgresError;
use super::postmaster::Postmaster;
use super::process;
use super::progress::Gauge;
use super::reserve::{Reserve, Session};
use super::version;

/// How long a patient caller waits for a session: a busy machine may need some seconds for one.
const PATIENT_CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// A server. All methods take `&self`: its end can be awaited while something is done to it.
pub struct LocalServer {
    config: RwLock<Arc<InstanceConfig>>,
    postmaster: watch::Sender<Option<Arc<Postmaster>>>,
    memory: Mutex<Memory>,
    gauge: Gauge,
    reserve: Reserve,
    session_deadline: Duration,
    /// Of those who may have to fence this server.
    switch: OnceLock<DeadMansSwitch>,
}

/// What is known and cannot be seen.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Memory {
    /// The value of synchronous_standby_names that all processes of this postmaster are known to follow.
    pub(in crate::postgres) followed_names: Option<(i32, String)>,
    /// The upstream to whose history pg_rewind cannot bring this data.
    pub(in crate::postgres) hopeless_rewind_to: Option<NodeId>,
    /// Where the log of a standby ends that receives nothing, nor will, in the life of this postmaster.
    pub(in crate::postgres) replay_over: Option<(i32, Lsn)>,
    /// What an operator has to see of how this server was started.
    pub(in crate::postgres) notice: Option<String>,
    /// The password that the replication role was given last.
    pub(in crate::postgres) replication_password: Option<Secret>,
    /// What was measured when the server last answered.
    pub(in crate::postgres) measured: Measured,
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
        !self.0.has_ended()
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
            memory: Mutex::default(),
            gauge: Gauge::default(),
            reserve: Reserve::default(),
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

    pub(in crate::postgres) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::postgres) const fn gauge(&self) -> &Gauge {
        &self.gauge
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
        self.memory().measured.clone()
    }

    /// Of the postmaster that is known; looks for none.
    pub fn pulse(&self) -> Option<Pulse> {
        self.postmaster.borrow().clone().map(Pulse)
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
    pub(in crate::postgres) fn postmaster(&self) -> Result<Option<Arc<Postmaster>>, PostgresError> {
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

    pub(in crate::postgres) fn supervise(&self, postmaster: Arc<Postmaster>) {
        if let (Some(switch), Some(descriptor)) = (self.switch.get(), postmaster.as_fd()) {
            switch.aim(descriptor);
        }
        self.postmaster.send_replace(Some(postmaster));
    }

    /// Sets up the dead man's switch, for a caller that may have to fence this server.
    ///
    /// # Errors
    /// The system gives no thread or no timer.
    pub fn set_up_switch(&self) -> Result<(), PostgresError> {
        let failed =
            |error| PostgresError::Refused(format!("could not set up the dead man's switch: {error}"));
        let switch = DeadMansSwitch::start(&self.config().pgdata).map_err(failed)?;
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
        version::check(&self.config()).await
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
        connection::connect(&self.config(), dbname, self.session_deadline).await
    }

    /// A session in any database: a new one, or the kept one when the server refuses another.
    pub(in crate::postgres) async fn any_session(&self) -> Result<Session, PostgresError> {
        match connection::connect_anywhere(&self.config(), Purpose::Acting, self.session_deadline).await {
            Ok(session) => Ok(Session::New(session)),
            Err(error) if error.is_refusal() => {
                let postmaster = self.postmaster()?.map(|postmaster| postmaster.pid());
                self.reserve.borrow(postmaster).await.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }
}
