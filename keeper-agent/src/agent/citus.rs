//! What a keeper of a Citus formation has beside its Postgres: a voice at the coordinator, and the reconciler.

use std::rc::Rc;

use pgaf_core::keeper::{KeeperState, Moment};
use pgaf_core::{FormationNode, NodeKind};

use super::slot::Slot;
use crate::citus::{Address, Citus, CitusNode, Findings, Login, Reconciler};
use crate::config::NodeConfig;
use crate::postgres::{BootTime, Instance};

/// Nothing of it does anything for plain Postgres.
pub(super) struct Formation {
    worker: Option<Rc<Citus>>,
    reconciler: Reconciler,
    reconciling: Slot<Findings>,
    /// The hosts of all nodes, as the engine knows them.
    pub(super) hosts: Vec<String>,
}

impl Formation {
    pub(super) fn new(config: &NodeConfig, state: &KeeperState, instance: &Rc<Instance>) -> Self {
        let make = || Rc::new(Citus::new(Rc::clone(instance), worker(config, state)));
        Self {
            worker: (config.kind == NodeKind::Worker).then(make),
            reconciler: Reconciler::default(),
            reconciling: Slot::empty(),
            hosts: Vec::new(),
        }
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

    pub(super) fn reconcile(
        &mut self,
        instance: &Rc<Instance>,
        config: &NodeConfig,
        nodes: Vec<FormationNode>,
        read_at: Moment,
    ) {
        let run = self.reconciler.run(Rc::clone(instance), Login::of(config), nodes, BootTime::from(read_at));
        self.reconciling.start(run);
    }

    /// Waits for the end of the run; says whether it has left nothing to do.
    pub(super) async fn reconciled(&mut self) -> bool {
        let findings = self.reconciling.done().await;
        self.reconciler.note(findings)
    }
}

fn worker(config: &NodeConfig, state: &KeeperState) -> CitusNode {
    CitusNode {
        group: state.group,
        node: state.node,
        address: Address { host: config.hostname.clone(), port: config.postgres.port },
        proxy_port: config.postgres.proxy_port,
        login: Login::of(config),
    }
}
