//! Stops the server: asks, and insists when the answer does not come.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgaf_core::keeper::StopMode;
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use super::error::PostgresError;
use super::local_server::LocalServer;
use super::postmaster::Postmaster;
use super::process;
use super::shutdown::Shutdown;

/// How long the way of a crash may take before the kernel is asked.
const IMMEDIATE_PATIENCE: Duration = Duration::from_millis(1500);
/// A process that was killed and is not gone hangs in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// A clean stop writes: it is not waited for longer on a disk that does not answer.
const HUNG_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the progress of a shutdown; its end is not polled for.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Stops it. When this returns, no process of the server is left.
pub(crate) async fn run(server: &LocalServer, mode: StopMode) -> Result<(), PostgresError> {
    let Some(postmaster) = server.postmaster().await? else {
        return sweep(server).await;
    };
    let _wish = Wish::new(&postmaster);
    let mut has_ended = match mode {
        StopMode::Fast => ask(server, &postmaster).await,
        StopMode::Immediate => false,
    };
    if !has_ended {
        postmaster.signal(Signal::QUIT);
        has_ended = timeout(IMMEDIATE_PATIENCE, postmaster.exited()).await.is_ok();
    }
    if !has_ended {
        tracing::warn!("Postgres does not stop: killing its processes");
        let children = process::children(postmaster.pid());
        postmaster.signal(Signal::KILL);
        process::kill_all(&children);
        timeout(KILL_PATIENCE, postmaster.exited()).await.map_err(|_| still_there(KILL_PATIENCE))?;
    }
    server.forget(&postmaster);
    sweep(server).await
}

fn still_there(after: Duration) -> PostgresError {
    PostgresError::TimedOut { what: "the end of a killed process of Postgres".to_owned(), after }
}

/// A clean shutdown; false when it has to be ended.
async fn ask(server: &LocalServer, postmaster: &Postmaster) -> bool {
    postmaster.signal(Signal::INT);
    let shutdown = Arc::new(Mutex::new(Shutdown::new()));
    let mut last_look = Instant::now();
    loop {
        if timeout(LOOK_INTERVAL, postmaster.exited()).await.is_ok() {
            return true;
        }
        let (config, shutdown, pid) = (server.config(), Arc::clone(&shutdown), postmaster.pid());
        let look = move || {
            let mut shutdown = shutdown.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(shutdown.goes_on(pid, &config.pgdata))
        };
        match server.files().look("looking at the stop of Postgres", look).await {
            Ok(true) => last_look = Instant::now(),
            Ok(false) => return false,
            Err(error) if last_look.elapsed() >= HUNG_PATIENCE => {
                tracing::warn!("{error}: Postgres cannot stop cleanly");
                return false;
            }
            Err(_) => {}
        }
    }
}

/// Kills what a dead postmaster has left behind, and waits until it is gone: its processes still write.
pub(crate) async fn sweep(server: &LocalServer) -> Result<(), PostgresError> {
    let give_up = Instant::now() + KILL_PATIENCE;
    loop {
        let left = server.processes().await?;
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
        if !self.0.has_ended() {
            self.0.ask_to_stop(false);
        }
    }
}
