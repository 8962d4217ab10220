//! One Postgres server, with everything that the keeper does to it and asks it.

use std::ops::Deref;

use pgaf_core::keeper::{Observation, Step, StopMode};
use pgaf_core::message::{Peer, Position};

use super::data::{checkpoint, start};
use super::observe::Observer;
use super::replication::{admit, base_backup, follow, promote, rewind, synchronous_standby_names};
use super::server::{InstanceConfig, LocalServer, PostgresError, stop};

/// A server, and what is remembered of it between two looks. All methods take `&self`: it can be observed, and its end
/// awaited, while a step is executed.
pub struct Instance {
    server: LocalServer,
    observer: tokio::sync::Mutex<Observer>,
    executing: tokio::sync::Mutex<()>,
}

impl Deref for Instance {
    type Target = LocalServer;

    fn deref(&self) -> &LocalServer {
        &self.server
    }
}

impl Instance {
    /// Nothing is started or touched.
    pub fn new(config: InstanceConfig) -> Self {
        Self {
            server: LocalServer::new(config),
            observer: tokio::sync::Mutex::default(),
            executing: tokio::sync::Mutex::default(),
        }
    }

    /// The same, for a caller that has nothing better to do than to wait for a session.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { server: self.server.patient(), ..self }
    }

    /// Looks at files and processes. `upstream` is whom the assignment says to follow.
    pub async fn observe(&self, upstream: Option<&Peer>) -> Observation {
        self.observer.lock().await.observe(&self.server, upstream).await
    }

    /// Does one step. Dropping the future ends the program that runs for it; the step can be executed again.
    ///
    /// # Errors
    /// The step did not reach what it is for: observe, and plan again.
    pub async fn execute(&self, step: &Step) -> Result<(), PostgresError> {
        let _one_at_a_time = self.executing.lock().await;
        match step {
            Step::Checkpoint => checkpoint::run(&self.server).await,
            Step::StopPostgres(mode) => stop::run(&self.server, *mode).await,
            Step::StartPostgres => start::run(&self.server, start::Gate::Open).await,
            Step::StartGated => start::run(&self.server, start::Gate::Closed).await,
            Step::BaseBackup { upstream } => base_backup::run(&self.server, upstream).await,
            Step::Rewind { upstream } => rewind::run(&self.server, upstream).await,
            Step::Follow { upstream } => follow::run(&self.server, upstream.as_ref()).await,
            Step::Promote => promote::run(&self.server).await,
            Step::AdmitStandbys { peers } => admit::run(&self.server, peers).await,
            Step::SetSynchronousStandbyNames(names) => {
                synchronous_standby_names::run(&self.server, names).await
            }
            Step::BeforePromote { .. } | Step::PausePoolers | Step::RoutePoolers => {
                Err(PostgresError::Refused(format!("Postgres cannot {step}")))
            }
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
    pub async fn maintain_peers(&self, peers: &[Peer], positions: &[Position]) -> Result<(), PostgresError> {
        let _one_at_a_time = self.executing.lock().await;
        admit::maintain(&self.server, peers, positions).await
    }

    /// Stops the server as if it crashed, and waits for nothing else that is done to it.
    ///
    /// # Errors
    /// A process of the server is still there.
    pub async fn fence(&self) -> Result<(), PostgresError> {
        stop::run(&self.server, StopMode::Immediate).await
    }

    /// Writes the settings, and has a running server take them over.
    ///
    /// # Errors
    /// A file cannot be written, or the server cannot be told.
    pub async fn apply_settings(&self) -> Result<(), PostgresError> {
        let _one_at_a_time = self.executing.lock().await;
        self.server.write_settings().await?;
        self.server.reload().await
    }
}
