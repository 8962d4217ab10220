//! A client that writes all the time: one row, one commit, the next.
//!
//! It behaves as an application with a multi-host URI and `target_session_attrs=read-write&connect_timeout=2` does,
//! and gives up on a statement after two seconds, because a frozen host never closes a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::ledger::Ledger;
use super::network::Door;
use super::sql::{Session, Target, new_runtime};
use super::wait::wait_for;
use super::workload::{Server, Workload};

/// `connect_timeout`, for each host, and after how long without an answer most clients drop a connection and connect again.
const PATIENCE: Duration = Duration::from_secs(2);

/// How fast a writer is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Between two commits.
    pub(crate) commit: Duration,
    /// Between two attempts to connect.
    pub(crate) retry: Duration,
}

impl Pace {
    /// Enough commits to measure with, and the machine is left free for the servers.
    pub(crate) const BRISK: Self =
        Self { commit: Duration::from_millis(3), retry: Duration::from_millis(10) };
}

/// A running writer; stopped on drop.
pub(crate) struct Writer {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Whom a client writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Looks for the server that accepts writes.
    ReadWrite,
    /// Writes to whatever it is connected to, as a client that was told one address only.
    Any,
}

/// What kind of client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Application {
    pub(crate) audience: Audience,
    pub(crate) pace: Pace,
    pub(crate) workload: Workload,
    /// After this long without an answer it drops the connection and connects again; each host may take as long.
    pub(crate) patience: Duration,
    /// It sends again what was not acknowledged, until it is: its pauses are those of the shard that was meant, and not
    /// of the luckiest one.
    pub(crate) insists: bool,
}

impl Application {
    /// One row of the ledger a commit.
    pub(crate) const fn new(audience: Audience, pace: Pace) -> Self {
        Self { audience, pace, workload: Workload::Row, patience: PATIENCE, insists: false }
    }
}

impl Writer {
    /// Starts writing from the namespace behind the door.
    pub(crate) fn start(number: usize, door: Door, targets: Vec<Target>, application: Application) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::new(number)));
        let stop = Arc::new(AtomicBool::new(false));
        let client = Client {
            number,
            targets,
            application,
            ledger: Arc::clone(&ledger),
            stop: Arc::clone(&stop),
            next_value: 1,
        };
        let thread = std::thread::spawn(move || client.run(&door));
        Self { ledger, stop, thread: Some(thread) }
    }

    /// What it was told so far.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the acknowledgement of something that is sent from now on; returns when that was.
    pub(crate) fn wait_for_ack(&self, within: Duration) -> Result<Instant> {
        let since = Instant::now();
        let look = || Ok(self.ledger().first_after(since).map(|ack| ack.acked));
        wait_for("an acknowledged commit", within, look).map_err(|error| {
            let last = self.ledger().errors.back().map(|(_, error)| error.clone());
            anyhow!("{error}; the writer's last error: {}", last.unwrap_or_default())
        })
    }

    /// Waits until something has gone wrong since then: the connection lost, a statement without an answer.
    pub(crate) fn wait_for_interruption(&self, since: Instant, within: Duration) -> Result<()> {
        wait_for("the writer to be interrupted", within, || {
            Ok(self.ledger().errors.back().filter(|(at, _)| *at > since).map(|_| ()))
        })
    }

    /// The longest pause since then, once commits are acknowledged again.
    pub(crate) fn pause_since(&self, since: Instant, within: Duration) -> Result<Duration> {
        self.wait_for_ack(within)?;
        Ok(self.ledger().longest_pause(since))
    }

    /// Stops and hands over what it was told.
    pub(crate) fn stop(mut self) -> Ledger {
        self.end();
        self.ledger().clone()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the writer has panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

struct Client {
    number: usize,
    targets: Vec<Target>,
    application: Application,
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    next_value: u64,
}

impl Client {
    fn run(mut self, door: &Door) {
        let runtime = door.enter().and_then(|()| new_runtime());
        match runtime {
            Ok(runtime) => runtime.block_on(self.write()),
            Err(error) => self.ledger().error(&error),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    async fn write(&mut self) {
        while !self.is_stopped() {
            match self.connect().await {
                Ok(session) => {
                    let written = self.write_through(&session).await;
                    if let Err(error) = written {
                        self.ledger().error(&error);
                        if self.application.audience == Audience::Any {
                            // A server that is there and refuses refuses again at once.
                            tokio::time::sleep(self.application.pace.retry).await;
                        }
                    }
                }
                Err(error) => {
                    self.ledger().error(&error);
                    tokio::time::sleep(self.application.pace.retry).await;
                }
            }
        }
    }

    /// Nobody waits longer for a connection than most do.
    fn connect_timeout(&self) -> Duration {
        self.application.patience.min(PATIENCE)
    }

    /// Tries the hosts in their order.
    async fn connect(&self) -> Result<Session> {
        let mut last = anyhow!("no host to connect to");
        for target in &self.targets {
            if self.is_stopped() {
                break;
            }
            match tokio::time::timeout(self.connect_timeout(), self.try_host(target)).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(error)) => last = error.context(target.host),
                Err(_elapsed) => last = anyhow!("{}: no answer", target.host),
            }
        }
        Err(last)
    }

    async fn try_host(&self, target: &Target) -> Result<Session> {
        let session = Session::open(target, self.connect_timeout()).await?;
        if self.application.audience == Audience::ReadWrite {
            let rows = session.rows("show transaction_read_only", self.connect_timeout()).await?;
            if rows.first().and_then(|row| row.first()).cloned().flatten().as_deref() != Some("off") {
                bail!("the session is read-only");
            }
        }
        Ok(session)
    }

    async fn write_through(&mut self, session: &Session) -> Result<()> {
        let Application { pace, workload, patience, insists, .. } = self.application;
        let server = Server::behind(session, patience).await?;
        while !self.is_stopped() {
            let value = self.next_value;
            if !insists {
                self.next_value += 1;
            }
            self.ledger().last_sent = value;
            let sent = Instant::now();
            workload.commit(session, self.number, value, patience).await?;
            let acked = Instant::now();
            let warnings = session.take_inbox().warnings;
            if !warnings.is_empty() {
                self.ledger().unreplicated.push(value);
                bail!("the commit of {value} came with a warning: {}", warnings.join("; "));
            }
            self.ledger().acks.push(server.ack(value, sent, acked));
            self.next_value = value + 1;
            tokio::time::sleep(pace.commit).await;
        }
        Ok(())
    }
}
