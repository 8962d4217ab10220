//! The rest of the formation, when it is one of Citus: who the coordinator is, and what its primary has to tell it.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pgaf_core::Peer;
use pgaf_core::keeper::Server;

use super::Keeper;
use crate::agent::slot::Slot;
use crate::citus::{Address, Citus, Findings, Login, Reconciler, Worker};
use crate::config::state::KeeperState;
use crate::config::{NodeConfig, NodeKind};
use crate::monitor::{FormationNode, coordinator_of};
use crate::postgres::{BootTime, Instance, InstanceConfig};

/// A coordinator that could not be told to send writes here is told again after this long.
const ROUTE_RETRY: Duration = Duration::from_secs(5);

/// What a keeper of a Citus formation knows of the other groups; empty for plain Postgres.
pub(super) struct Formation {
    kind: NodeKind,
    nodes: Vec<FormationNode>,
    /// When those were asked for.
    read_at: BootTime,
    worker: Option<Rc<Citus>>,
    reconciler: Reconciler,
    reconciling: Slot<Findings>,
    /// The nodes have been read since the last run was begun.
    is_news: bool,
    routed_again_at: Instant,
}

impl Formation {
    pub(super) fn new(config: &NodeConfig, state: &KeeperState, instance: &Rc<Instance>) -> Self {
        let make = || Rc::new(Citus::new(Rc::clone(instance), worker(config, state)));
        let worker = (config.kind == NodeKind::Worker).then(make);
        Self {
            kind: config.kind,
            nodes: Vec::new(),
            read_at: BootTime::now(),
            worker,
            reconciler: Reconciler::default(),
            reconciling: Slot::empty(),
            is_news: false,
            routed_again_at: Instant::now(),
        }
    }

    pub(super) fn is_citus(&self) -> bool {
        self.kind != NodeKind::Standalone
    }

    /// What carries out the steps that concern the coordinator; on workers only.
    pub(super) fn worker(&self) -> Option<Rc<Citus>> {
        self.worker.clone()
    }

    pub(super) fn reconfigure(&self, config: &NodeConfig, state: &KeeperState) {
        if let Some(citus) = &self.worker {
            citus.reconfigure(worker(config, state));
        }
    }

    pub(super) async fn reconciled(&mut self) -> Findings {
        self.reconciling.done().await
    }

    pub(super) fn note(&mut self, findings: Findings) {
        self.reconciler.note(findings);
    }

    /// The primary of the coordinator's group, for a worker.
    fn coordinator(&self) -> Option<Peer> {
        coordinator_of(&self.nodes).filter(|_| self.worker.is_some()).cloned()
    }

    fn hosts(&self) -> Vec<String> {
        let hosts: BTreeSet<String> = self.nodes.iter().map(|node| node.peer.host.clone()).collect();
        hosts.into_iter().collect()
    }
}

fn worker(config: &NodeConfig, state: &KeeperState) -> Worker {
    Worker {
        group: state.group,
        node: state.node,
        address: Address { host: config.hostname.clone(), port: config.postgres.port },
        proxy_port: config.postgres.proxy_port,
        login: Login::of(config),
    }
}

impl Keeper {
    pub(super) fn instance_config(&self) -> InstanceConfig {
        let formation_hosts = self.formation.hosts();
        InstanceConfig { formation_hosts, ..self.config.instance(Some(self.state.node)) }
    }

    /// The nodes of the formation, as the monitor has listed them after that moment.
    pub(super) fn note_formation(&mut self, nodes: Vec<FormationNode>, read_at: BootTime) {
        let hosts = self.formation.hosts();
        self.formation.nodes = nodes;
        self.formation.read_at = read_at;
        self.formation.is_news = true;
        if self.formation.hosts() != hosts {
            self.instance.reconfigure(self.instance_config());
            self.next_tending = Instant::now();
        }
        self.recall.coordinator_is(self.formation.coordinator());
        if self.formation.routed_again_at.elapsed() >= ROUTE_RETRY {
            self.formation.routed_again_at = Instant::now();
            self.recall.route_again();
        }
        self.is_considered = false;
    }

    /// On the primary of the coordinator's group: tells Citus what the monitor says.
    pub(super) fn reconcile(&mut self) {
        let formation = &mut self.formation;
        let is_coordinator = formation.kind == NodeKind::Coordinator;
        if !is_coordinator || !formation.is_news || formation.reconciling.is_busy() {
            return;
        }
        let server = self.sight.as_ref().map(|sight| &sight.observed.server);
        let Some(Server::Running(running)) = server else { return };
        let is_primary = !running.is_in_recovery
            && !running.is_gated
            && self.state.reported.is_writer()
            && self.state.assignment.as_ref().is_some_and(|assignment| assignment.goal.is_writer());
        if !is_primary || self.is_sight_stale || self.shutdown.is_wanted() {
            return;
        }
        formation.is_news = false;
        if !formation.reconciler.is_due(&formation.nodes) {
            return;
        }
        let (instance, nodes) = (Rc::clone(&self.instance), formation.nodes.clone());
        let run = formation.reconciler.run(instance, Login::of(&self.config), nodes, formation.read_at);
        formation.reconciling.start(run);
    }
}
