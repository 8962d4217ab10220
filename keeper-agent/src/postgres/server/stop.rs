//! Stops the server: asks, and insists when the answer does not come.

use std::path::Path;
use std::time::Duration;

use pgaf_core::keeper::StopMode;
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use super::config::InstanceConfig;
use super::error::PostgresError;
use super::local_server::LocalServer;
use super::postmaster::Postmaster;
use super::process;
use super::shutdown::Shutdown;

/// How long the way of a crash may take before the kernel is asked.
const IMMEDIATE_PATIENCE: Duration = Duration::from_millis(1500);
/// A process that was killed and is not gone hangs in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the progress of a shutdown; its end is not polled for.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Stops it. When this returns, no process of the server is left.
pub(crate) async fn run(server: &LocalServer, mode: StopMode) -> Result<(), PostgresError> {
    let config = server.config();
    let Some(postmaster) = server.postmaster()? else {
        return sweep(&config).await;
    };
    let _wish = Wish::new(&postmaster);
    let mut has_ended = match mode {
        StopMode::Fast => ask(&postmaster, &config.pgdata).await,
        StopMode::Immediate => false,
    };
    if !has_ended {
        postmaster.signal(Signal::QUIT);
        has_ended = timeout(IMMEDIATE_PATIENCE, postmaster.exited()).await.is_ok();
    }
    if !has_ended {
        tracing::warn!("Postgres does not stop: its processes are killed");
        postmaster.signal(Signal::KILL);
        process::kill_all(&process::processes_of(&config.pgdata));
        timeout(KILL_PATIENCE, postmaster.exited()).await.map_err(|_| still_there(KILL_PATIENCE))?;
    }
    server.forget(&postmaster);
    sweep(&config).await
}

fn still_there(after: Duration) -> PostgresError {
    PostgresError::TimedOut { what: "the end of a killed process of Postgres".to_owned(), after }
}

/// A clean shutdown; false when it has to be ended.
async fn ask(postmaster: &Postmaster, pgdata: &Path) -> bool {
    postmaster.signal(Signal::INT);
    let mut shutdown = Shutdown::new();
    loop {
        if timeout(LOOK_INTERVAL, postmaster.exited()).await.is_ok() {
            return true;
        }
        if !shutdown.goes_on(postmaster.pid(), pgdata) {
            return false;
        }
    }
}

/// Kills what a dead postmaster has left behind, and waits until it is gone: its processes still write.
pub(crate) async fn sweep(config: &InstanceConfig) -> Result<(), PostgresError> {
    let give_up = Instant::now() + KILL_PATIENCE;
    loop {
        let left = process::processes_of(&config.pgdata);
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= give_up {
            return Err(still_there(KILL_PATIENCE));
        }
        process::kill_all(&left);
        sleep(Duration::from_millis(2)).await;
    }
}

/// Says that the end of the postmaster is wanted, for as long as it is waited for.
struct Wish<'a>(&'a Postmaster);

impl<'a> Wish<'a> {
    fn new(postmaster: &'a Postmaster) -> Self {
        postmaster.ask_to_stop(true);
        Self(postmaster)
    }
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        if self.0.exit_if_over().is_none() {
            self.0.ask_to_stop(false);
        }
    }
}
