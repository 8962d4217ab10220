//! The rest of the formation, when it is one of Citus: who the coordinator is, and what its primary has to tell it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Engine;
use super::command::Command;
use crate::formation::{FormationNode, coordinator_of};
use crate::keeper::moment::Moment;
use crate::keeper::server::Server;
use crate::node_kind::NodeKind;

/// A coordinator that could not be told to send writes here is told again after this long.
const ROUTE_RETRY: Duration = Duration::from_secs(5);
/// When nothing has changed, the coordinator is looked at again this often: somebody may have left a prepared
/// transaction behind.
const RECONCILE_PERIOD: Duration = Duration::from_secs(10);

/// What a keeper of a Citus formation knows of the other groups; empty for plain Postgres.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Formation {
    nodes: Vec<FormationNode>,
    hosts: Vec<String>,
    /// When those were asked for.
    read_at: Moment,
    /// The nodes have been read since the last run of the reconciler was begun.
    is_news: bool,
    route_retry_at: Moment,
    reconciling: Reconciling,
}

/// The runs of the reconciler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Reconciling {
    is_under_way: bool,
    /// The last one has left nothing to do.
    is_complete: bool,
    began: Option<Moment>,
    nodes: Vec<FormationNode>,
}

impl Formation {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            nodes: Vec::new(),
            hosts: Vec::new(),
            read_at: now,
            is_news: false,
            route_retry_at: now,
            reconciling: Reconciling::default(),
        }
    }

    /// The hosts of all its nodes, in ascending order.
    pub(super) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// A run of the reconciler has ended.
    pub(super) const fn reconciled(&mut self, is_complete: bool) {
        self.reconciling.is_under_way = false;
        self.reconciling.is_complete = is_complete;
    }

    /// Without the nodes, which the next answer brings.
    pub(super) fn rest(&mut self, now: Moment) {
        *self = Self::new(now);
    }

    pub(super) fn age(&mut self, by: Duration) {
        self.read_at = self.read_at.before(by);
        self.route_retry_at = self.route_retry_at.before(by);
        self.reconciling.began = self.reconciling.began.map(|moment| moment.before(by));
    }
}

impl Engine {
    /// The nodes of the formation, as the monitor has listed them after that moment.
    pub(super) fn note_formation(&mut self, nodes: Vec<FormationNode>, read_at: Moment) {
        let now = self.now();
        let hosts: BTreeSet<&String> = nodes.iter().map(|node| &node.peer.host).collect();
        if !hosts.iter().copied().eq(&self.formation.hosts) {
            let hosts: Vec<String> = hosts.into_iter().cloned().collect();
            self.formation.hosts.clone_from(&hosts);
            self.order(Command::KnowFormation { hosts });
            self.maintenance.make_due(now);
        }
        self.formation.nodes = nodes;
        self.formation.read_at = read_at;
        self.formation.is_news = true;
        if self.settings.kind == NodeKind::Worker {
            self.memory.coordinator_is(coordinator_of(&self.formation.nodes).cloned());
        }
        if self.formation.route_retry_at <= now {
            self.formation.route_retry_at = now.after(ROUTE_RETRY);
            self.memory.route_again();
        }
        self.planning.is_due = true;
    }

    /// On the primary of the coordinator's group: tells Citus what the monitor says.
    pub(super) fn reconcile_if_due(&mut self) {
        let is_coordinator = self.settings.kind == NodeKind::Coordinator;
        if !is_coordinator || !self.formation.is_news || self.formation.reconciling.is_under_way {
            return;
        }
        if !self.is_known_primary() || self.looking.is_stale() || self.shutdown.is_wanted() {
            return;
        }
        let now = self.now();
        self.formation.is_news = false;
        let reconciling = &mut self.formation.reconciling;
        let is_old = reconciling.began.is_none_or(|at| now.since(at) >= RECONCILE_PERIOD);
        if !is_old && reconciling.is_complete && reconciling.nodes == self.formation.nodes {
            return;
        }
        let nodes = self.formation.nodes.clone();
        reconciling.is_under_way = true;
        reconciling.began = Some(now);
        reconciling.nodes.clone_from(&nodes);
        let read_at = self.formation.read_at;
        self.order(Command::Reconcile { nodes, read_at });
    }

    /// It serves as a primary, has said so, and is to go on.
    pub(super) fn is_known_primary(&self) -> bool {
        let serves = matches!(
            self.server(),
            Some(Server::Running(running)) if !running.is_in_recovery && !running.is_gated
        );
        serves
            && self.state.reported.is_writer()
            && self.assignment().is_some_and(|assignment| assignment.goal.is_writer())
    }
}
