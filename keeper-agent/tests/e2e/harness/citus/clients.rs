//! Applications that write through the coordinator, all at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::super::cluster::Cluster;
use super::super::ledger::Ledger;
use super::super::wait::wait_for;
use super::super::workload::Workload;
use super::super::writer::{Application, Audience, Pace, Writer};

/// What each of them does.
const WORKLOADS: [Workload; 4] = [Workload::Row, Workload::Row, Workload::Pair, Workload::Pair];
/// Enough commits on every shard, and the machine is left free for the servers.
const PACE: Pace = Pace { commit: Duration::from_millis(10), retry: Duration::from_millis(10) };

/// How long clients wait for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Two seconds, then they connect again: a frozen host never closes a connection.
    Short,
    /// As long as it takes: whatever is only held is no error.
    Long,
}

/// Running applications; stopped on drop.
pub(crate) struct Clients(Vec<Writer>);

impl From<Writer> for Clients {
    fn from(only: Writer) -> Self {
        Self(vec![only])
    }
}

impl Cluster {
    /// Starts them outside the formation; they know both coordinators.
    pub(crate) fn clients(&mut self, patience: Patience) -> Result<Clients> {
        let is_coordinator = |name: &str| ["coord0a", "coord0b"].contains(&name);
        let coordinators = self.nodes.iter().filter(|host| is_coordinator(&host.name));
        let targets: Vec<_> = coordinators.map(|host| self.target(host)).collect();
        let application = |workload| {
            let usual = Application::new(Audience::ReadWrite, PACE);
            let patience = match patience {
                Patience::Short => usual.patience,
                Patience::Long => Duration::from_secs(20),
            };
            Application { workload, patience, ..usual }
        };
        let mut clients = Vec::new();
        for workload in WORKLOADS {
            let door = self.client_door()?;
            clients.push(self.start_writer(door, targets.clone(), application(workload))?);
        }
        Ok(Clients(clients))
    }
}

impl Clients {
    /// Waits until each of them has an acknowledgement of something that it sends from now on.
    pub(crate) fn wait_for_acks(&self, within: Duration) -> Result<()> {
        self.0.iter().try_for_each(|client| client.wait_for_ack(within).map(drop))
    }

    /// The longest pause of any of them since then, once all have acknowledgements again.
    pub(crate) fn pause_since(&self, since: Instant, within: Duration) -> Result<Duration> {
        self.wait_for_acks(within)?;
        Ok(self.longest_pause(since))
    }

    /// The longest pause of any of them since then, up to now.
    pub(crate) fn longest_pause(&self, since: Instant) -> Duration {
        let pauses = self.0.iter().map(|client| client.ledger().longest_pause(since));
        pauses.max().unwrap_or_default()
    }

    /// Waits until something has gone wrong for one of them since then.
    pub(crate) fn wait_for_interruption(&self, since: Instant, within: Duration) -> Result<()> {
        wait_for("a client to be interrupted", within, || {
            let is_interrupted =
                |client: &Writer| client.ledger().errors.back().is_some_and(|(at, _)| *at > since);
            Ok(self.0.iter().any(is_interrupted).then_some(()))
        })
    }

    /// Nothing has gone wrong for any of them.
    pub(crate) fn expect_no_errors(&self) -> Result<()> {
        for client in &self.0 {
            let ledger = client.ledger();
            let said: Vec<&str> = ledger.errors.iter().map(|(_, error)| error.as_str()).collect();
            ensure!(
                said.is_empty(),
                "client {} saw {} errors:\n{}",
                ledger.writer,
                ledger.failures,
                said.join("\n")
            );
        }
        Ok(())
    }

    /// Stops them and hands over what they were told.
    pub(crate) fn stop(self) -> Vec<Ledger> {
        self.0.into_iter().map(Writer::stop).collect()
    }
}
