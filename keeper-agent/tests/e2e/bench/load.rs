//! `pgbench`, which goes on with whoever is primary.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::harness::{Cluster, run_to_end};

const SCALE: &str = "20";
const FILLED_WITHIN: Duration = Duration::from_secs(600);
/// So much is dirty by then that a checkpoint has something to do.
const WARM_AFTER: Duration = Duration::from_secs(10);
const RETRY_PACE: Duration = Duration::from_millis(50);

/// A load that runs until it is dropped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    running: Arc<Mutex<Option<Child>>>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Fills the tables, unless they are there, and starts; returns when it has run for a while.
    pub(crate) fn start(cluster: &Cluster, clients: u32) -> Result<Self> {
        let pgbench = cluster.monitor.tools.bin.join("pgbench");
        let hosts: Vec<String> = cluster.nodes.iter().map(|host| host.address().to_string()).collect();
        let server = format!(
            "host={} port=5432 user=postgres dbname=postgres target_session_attrs=read-write connect_timeout=2",
            hosts.join(",")
        );
        let primary = cluster.host(&cluster.primary()?)?;
        if primary.psql("postgres", "select to_regclass('pgbench_accounts') is null")? == "t" {
            let mut fill = Command::new(&pgbench);
            run_to_end(fill.args(["-i", "-q", "-s", SCALE, &server]), FILLED_WITHIN)?.success()?;
        }
        let load = Self::spawn(pgbench, server, clients)?;
        std::thread::sleep(WARM_AFTER);
        ensure!(load.is_running(), "pgbench does not run");
        Ok(load)
    }

    fn spawn(pgbench: PathBuf, server: String, clients: u32) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let running = Arc::new(Mutex::new(Some(start(&pgbench, &server, clients)?)));
        let (is_over, child) = (Arc::clone(&stop), Arc::clone(&running));
        let thread = std::thread::spawn(move || {
            // It ends when a connection is lost.
            while !is_over.load(Ordering::Relaxed) {
                let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
                let has_ended = child.as_mut().is_none_or(|child| matches!(child.try_wait(), Ok(Some(_))));
                if has_ended {
                    *child = start(&pgbench, &server, clients).ok();
                }
                drop(child);
                std::thread::sleep(RETRY_PACE);
            }
        });
        Ok(Self { stop, running, thread: Some(thread) })
    }

    fn is_running(&self) -> bool {
        let mut child = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic is its own; the child is ended here.
            let _panicked = thread.join();
        }
        if let Some(mut child) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // One that has ended already only has to be reaped.
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

fn start(pgbench: &PathBuf, server: &str, clients: u32) -> Result<Child> {
    Command::new(pgbench)
        .args(["-n", "-c", &clients.to_string(), "-j", "2", "-T", "86400", server])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start pgbench")
}
