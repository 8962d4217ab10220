//! What can happen to a host.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::host::Host;
use super::process::{kill_namespace, pids_in_namespace, signal, signal_namespace};

impl Host {
    /// SIGKILL to the postmaster; the keeper lives on.
    pub(crate) fn kill_postmaster(&self) -> Result<()> {
        signal(self.postmaster_pid()?, Signal::SIGKILL)
    }

    /// A signal to the keeper alone.
    pub(crate) fn signal_keeper(&self, with: Signal) -> Result<()> {
        signal(self.keeper_pid()?, with)
    }

    /// SIGKILL to the keeper; its Postgres lives on.
    pub(crate) fn kill_keeper(&mut self) -> Result<()> {
        self.signal_keeper(Signal::SIGKILL)?;
        self.keeper_end(Duration::from_secs(10)).map(drop)
    }

    /// SIGKILL to every process of the host.
    pub(crate) fn kill_everything(&mut self) -> Result<()> {
        // The keeper is a child of the test: until it is reaped it would be found again and again.
        signal_namespace(self.link.namespace.name(), Signal::SIGKILL)?;
        if self.keeper_pid().is_ok() {
            self.keeper_end(Duration::from_secs(10))?;
        }
        kill_namespace(self.link.namespace.name())
    }

    /// SIGSTOP to every process of the host.
    pub(crate) fn freeze(&self) -> Result<()> {
        signal_namespace(self.link.namespace.name(), Signal::SIGSTOP)
    }

    /// SIGCONT to every process of the host.
    pub(crate) fn thaw(&self) -> Result<()> {
        signal_namespace(self.link.namespace.name(), Signal::SIGCONT)
    }

    /// A signal to every process of the host that runs that program.
    pub(crate) fn signal_program(&self, program: &str, with: Signal) -> Result<()> {
        for pid in pids_in_namespace(self.link.namespace.name()) {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if comm.trim_end() == program {
                signal(pid, with)?;
            }
        }
        Ok(())
    }

    /// Removes `global/pg_control` and stops Postgres, which cannot start again from what is left.
    pub(crate) fn lose_pg_control(&self) -> Result<()> {
        let path = self.pgdata().join("global/pg_control");
        fs::remove_file(&path).with_context(|| path.display().to_string())?;
        let pgdata = self.pgdata().display().to_string();
        let args = ["stop", "-D", &pgdata, "-m", "immediate"];
        // Whether it was still there to be stopped makes no difference.
        let _stopped =
            super::process::run_to_end(&mut self.command("pg_ctl", &args), Duration::from_secs(60))?;
        Ok(())
    }

    /// Whether any process runs on the host.
    pub(crate) fn is_populated(&self) -> bool {
        !pids_in_namespace(self.link.namespace.name()).is_empty()
    }
}
