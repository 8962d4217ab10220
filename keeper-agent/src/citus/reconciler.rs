//! Tells the local coordinator what the monitor says, again and again.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;

use pgaf_core::{FormationNode, GroupId, coordinator_of};

use super::address::Address;
use super::coordinator::{Coordinator, Login};
use super::hold::HoldName;
use super::metadata::Metadata;
use super::reconcile::{Action, Known, Situation, actions};
use super::registration::{register_coordinator, register_secondary, register_worker, remove};
use super::routing::move_to;
use super::two_phase_commit;
use crate::postgres::{BootTime, Instance, PostgresError, resolve};

/// A session waits so long for the locks of others.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '5s'";

/// What is remembered between two runs.
#[derive(Debug, Default)]
pub struct Reconciler {
    known: Known,
    findings: Findings,
    told: Vec<String>,
}

/// What a run has seen and could not do.
#[derive(Debug, Default)]
pub struct Findings {
    /// Prepared transactions that it has seen.
    holds: Vec<HoldName>,
    /// The primaries of all groups when two-phase commits were last recovered.
    primaries: Vec<Address>,
    /// One sentence each.
    failures: Vec<String>,
    /// When it was over.
    ended_at: Option<BootTime>,
}

impl Reconciler {
    /// A run, as a future that does not borrow this. `read_at` is when the nodes were asked for.
    pub fn run(
        &mut self,
        instance: Rc<Instance>,
        login: Login,
        nodes: Vec<FormationNode>,
        read_at: BootTime,
    ) -> impl Future<Output = Findings> + 'static {
        self.known.note(&nodes);
        let is_older = self.findings.ended_at.is_some_and(|ended_at| ended_at <= read_at);
        let old_holds = if is_older { self.findings.holds.clone() } else { Vec::new() };
        let run = Run {
            login,
            known: self.known.clone(),
            nodes,
            old_holds,
            recovered: self.findings.primaries.clone(),
        };
        async move { run.run(&instance).await }
    }

    /// Takes what a run has found; tells what has failed, once. Says whether nothing was left to do.
    pub fn note(&mut self, findings: Findings) -> bool {
        for failure in findings.failures.iter().filter(|failure| !self.told.contains(failure)) {
            tracing::warn!("{failure}; retrying");
        }
        self.told.clone_from(&findings.failures);
        self.findings = findings;
        self.findings.failures.is_empty() && self.findings.holds.is_empty()
    }
}

struct Run {
    login: Login,
    known: Known,
    nodes: Vec<FormationNode>,
    old_holds: Vec<HoldName>,
    recovered: Vec<Address>,
}

impl Run {
    async fn run(self, instance: &Instance) -> Findings {
        let mut findings = Findings { primaries: self.recovered.clone(), ..Findings::default() };
        if let Err(error) = self.go_through(instance, &mut findings).await {
            findings.failures.push(format!("could not update the node table of the coordinator: {error}"));
        }
        findings.ended_at = Some(BootTime::now());
        findings
    }

    async fn go_through(&self, instance: &Instance, findings: &mut Findings) -> Result<(), PostgresError> {
        let coordinator = Coordinator::local(instance).await?;
        coordinator.query("set a limit", LOCK_TIMEOUT, &[]).await?;
        let metadata = coordinator.metadata().await?;
        findings.holds.clone_from(&metadata.holds);
        let situation = Situation {
            nodes: &self.nodes,
            known: &self.known,
            metadata: &metadata,
            old_holds: &self.old_holds,
        };
        for action in actions(situation) {
            match self.carry_out(&coordinator, &action).await {
                Ok(true) => tracing::info!("updated the coordinator: {action}"),
                Ok(false) => {}
                Err(error) => findings.failures.push(format!("cannot {action}: {error}")),
            }
        }
        self.recover(instance, &coordinator, findings).await;
        Ok(())
    }

    /// False when it turned out that there was nothing to do. What was done before may have changed the rows.
    async fn carry_out(&self, coordinator: &Coordinator, action: &Action) -> Result<bool, PostgresError> {
        match action {
            Action::FinishHold(name) => coordinator.end_prepared("COMMIT", name).await,
            Action::DropHold(name) => coordinator.end_prepared("ROLLBACK", name).await,
            Action::SetCoordinator(own) => register_coordinator(coordinator, own).await.map(|()| true),
            Action::Move { row, to } => {
                let metadata: Metadata = coordinator.metadata().await?;
                match metadata.rows.iter().find(|other| other.id == row.id) {
                    Some(row) if row.address != *to => {
                        if row.is_active && row.group != GroupId::COORDINATOR {
                            Coordinator::at(&self.login, to).await?.must_have_data_of(row.group).await?;
                        }
                        move_to(coordinator, &metadata, row, to, 0).await.map(|()| true)
                    }
                    _ => Ok(false),
                }
            }
            Action::AddWorker { group, address } => {
                register_worker(coordinator, &coordinator.metadata().await?, *group, address).await
            }
            Action::AddSecondary { group, address, cluster } => {
                register_secondary(coordinator, *group, address, cluster).await.map(|()| true)
            }
            Action::Remove(row) => remove(coordinator, row).await.map(|()| true),
        }
    }

    /// Sessions that wait for a primary of before would do so for as long as it is frozen.
    async fn close_connections_to_former(&self, instance: &Instance, primaries: &[Address]) {
        let mut gone = BTreeSet::new();
        for address in self.recovered.iter().filter(|address| !primaries.contains(address)) {
            gone.extend(resolve(&address.host).await.into_iter().map(|ip| SocketAddr::new(ip, address.port)));
        }
        if gone.is_empty() {
            return;
        }
        match instance.close_connections_to(&gone).await {
            Ok(0) => {}
            Ok(count) => tracing::info!("closed {count} connections to former primaries"),
            Err(error) => tracing::warn!("could not close connections to former primaries: {error}"),
        }
    }

    /// What was lost with a primary is decided at once, and not when Citus next looks for it.
    async fn recover(&self, instance: &Instance, coordinator: &Coordinator, findings: &mut Findings) {
        // Before its own address is right, it would ask the coordinator of before.
        if coordinator_of(&self.nodes).is_none() {
            return;
        }
        let writers = || self.nodes.iter().filter(|node| node.writes());
        let primaries: Vec<Address> = writers().map(|node| Address::from(&node.peer)).collect();
        if primaries == self.recovered {
            return;
        }
        self.close_connections_to_former(instance, &primaries).await;
        let workers = writers().filter(|node| node.group != GroupId::COORDINATOR);
        let workers: Vec<Address> = workers.map(|node| Address::from(&node.peer)).collect();
        let failures = two_phase_commit::recover(coordinator, &self.login, &workers).await;
        if failures.is_empty() {
            findings.primaries = primaries;
        }
        findings.failures.extend(failures);
    }
}
