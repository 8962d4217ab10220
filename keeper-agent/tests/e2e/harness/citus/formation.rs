//! What a formation is made of, and how it is brought up.

use std::time::Duration;

use anyhow::{Context, Result};

use super::super::cluster::{Cluster, Setup, strings};
use super::super::security::{Auth, Security, Tls};
use super::super::wait::wait_for;
use super::super::workload::DISTRIBUTED_DDL;

/// How long half a dozen servers may take until they are up for the first time.
const STARTED: Duration = Duration::from_secs(180);
/// The second node of each group has the letter b.
const FIRST: &str = "a";
const SECOND: &str = "b";

/// Group 0 and the groups of workers, two nodes each: coord0a and coord0b, worker1a and worker1b, worker2a and so on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Formation {
    /// Without them, the scenario adds all nodes itself.
    pub(crate) has_coordinator: bool,
    pub(crate) worker_groups: u8,
    /// Everybody in the network is let in (`--pg-hba-lan`), and not only the nodes.
    pub(crate) admits_lan: bool,
    /// The scenario makes no sense without shards on the workers.
    pub(crate) needs_shards: bool,
}

impl Setup {
    /// A coordinator and so many groups of workers.
    pub(crate) fn citus(worker_groups: u8) -> Self {
        let security = Security { tls: Tls::SelfSigned, auth: Auth::Trust };
        let formation =
            Formation { has_coordinator: true, worker_groups, admits_lan: true, needs_shards: true };
        Self { security, formation: Some(formation), ..Self::default() }
    }

    /// A monitor that waits for a formation.
    pub(crate) fn citus_without_nodes() -> Self {
        Self::citus(0).formation(|formation| formation.has_coordinator = false)
    }

    /// The same where nodes are let in, and nobody else.
    pub(crate) fn without_lan(self) -> Self {
        self.formation(|formation| formation.admits_lan = false)
    }

    /// The same, also played where Citus is not installed.
    pub(crate) fn with_or_without_shards(self) -> Self {
        self.formation(|formation| formation.needs_shards = false)
    }

    fn formation(mut self, change: impl FnOnce(&mut Formation)) -> Self {
        self.formation.as_mut().map(change);
        self
    }
}

impl Formation {
    pub(crate) const USER: &str = "citus";
    pub(crate) const DATABASE: &str = "citus";

    /// Variables of every node's programs.
    pub(crate) fn environment(&self) -> [(String, String); 2] {
        [("PGUSER", Self::USER), ("PGDATABASE", Self::DATABASE)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }

    /// How the node of that name is created: its name says in which group it is.
    pub(crate) fn create(&self, name: &str) -> Vec<String> {
        let mut args = match group_in(name) {
            Some(group) => strings(&["create", "worker", "--group", &group]),
            None => strings(&["create", "coordinator"]),
        };
        if self.admits_lan {
            args.push("--pg-hba-lan".to_owned());
        }
        args
    }

    fn names(&self, letter: &str) -> Vec<String> {
        let coordinator = self.has_coordinator.then(|| format!("coord0{letter}"));
        let workers = (1..=self.worker_groups).map(|group| format!("worker{group}{letter}"));
        coordinator.into_iter().chain(workers).collect()
    }
}

fn group_in(name: &str) -> Option<String> {
    let rest = name.strip_prefix("worker")?;
    Some(rest.chars().take_while(char::is_ascii_digit).collect())
}

impl Cluster {
    /// The first node of each group, then all the others at once, then the tables.
    pub(crate) fn add_formation(&mut self, formation: Formation) -> Result<()> {
        let firsts = formation.names(FIRST);
        for name in &firsts {
            self.add_node(name, self.setup.options_of(name))?;
        }
        let alone: Vec<(&str, &str)> = firsts.iter().map(|name| (name.as_str(), "single")).collect();
        self.wait_states(&alone, STARTED)?;
        for name in formation.names(SECOND) {
            self.add_node(&name, self.setup.options_of(&name))?;
        }
        if formation.has_coordinator {
            self.wait_in_order(STARTED)?;
            self.admit_clients(formation)?;
            self.distribute_tables()?;
        }
        Ok(())
    }

    /// Makes the tables that clients write to.
    pub(crate) fn distribute_tables(&self) -> Result<()> {
        let coordinator = self.primary()?;
        let coordinator = self.host(&coordinator)?;
        for statement in DISTRIBUTED_DDL {
            wait_for("the tables to be distributed", STARTED, || {
                coordinator.psql(Formation::DATABASE, statement).map(Some)
            })?;
        }
        Ok(())
    }

    /// What an operator does where the network is not let in: a line in `pg_hba.conf` for the applications.
    fn admit_clients(&self, formation: Formation) -> Result<()> {
        if formation.admits_lan {
            return Ok(());
        }
        let line = format!("hostssl all all {}/32 trust", self.client_address());
        for host in self.nodes.iter().filter(|host| host.name.starts_with("coord")) {
            host.shell(&format!("echo '{line}' >> \"$PGDATA/pg_hba.conf\""))
                .with_context(|| host.name.clone())?;
            host.psql(Formation::DATABASE, "select pg_reload_conf()")?;
        }
        Ok(())
    }
}
