//! What load balancers and people may know, handed to the HTTP server after each turn of the loop.

use std::sync::Arc;

use pgaf_core::keeper::{Engine, Event, KeeperState, LookId, Moment, Notice, Server};

use crate::config::NodeConfig;
use crate::hooks::HookCounters;
use crate::http::{Counters, Http, Identity, NodeSite, NodeSnapshot, Seen, Settings};
use crate::postgres::{BootTime, Instance, Pulse};

/// The HTTP server of a node, when its configuration asks for one.
pub(super) struct Publisher {
    site: Arc<NodeSite>,
    http: Option<Http>,
    identity: Identity,
    hooks: Arc<HookCounters>,
    ordered: LookId,
    seen_at: Option<Moment>,
    /// The server as it was when it last answered, and its process.
    answered: Option<(i32, Server)>,
}

impl Publisher {
    pub(super) fn new(config: &NodeConfig, state: &KeeperState, hooks: Arc<HookCounters>) -> Self {
        let identity = identity(config, state);
        let initial = NodeSnapshot::initial(identity.clone(), state.reported, BootTime::now().moment());
        let mut publisher = Self {
            site: NodeSite::new(initial),
            http: None,
            identity,
            hooks,
            ordered: LookId::default(),
            seen_at: None,
            answered: None,
        };
        publisher.reconfigure(config, state);
        publisher
    }

    /// Serves as the configuration says; waits for nothing.
    pub(super) fn reconfigure(&mut self, config: &NodeConfig, state: &KeeperState) {
        self.identity = identity(config, state);
        let settings = Settings {
            http: config.http.clone(),
            ssl: config.ssl.clone(),
            secret: config.paths.http_secret(),
        };
        match &self.http {
            Some(http) => http.reconfigure(settings),
            None if settings.http.listen.is_some() => self.http = Some(self.site.serve(settings)),
            None => {}
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        self.site.counters()
    }

    pub(super) fn note(&self, notice: &Notice) {
        self.site.counters().note(notice);
    }

    /// A look was ordered; an earlier one counts for nothing.
    pub(super) const fn ordered(&mut self, look: LookId) {
        self.ordered = look;
    }

    /// The engine is about to be told this.
    pub(super) fn happened(&mut self, event: &Event, now: Moment) {
        if matches!(event, Event::Observed { look, .. } if *look == self.ordered) {
            self.seen_at = Some(now);
        }
    }

    /// This is what is known now.
    pub(super) fn publish(&mut self, engine: &Engine, instance: &Instance) {
        if self.http.is_none() {
            return;
        }
        let pulse = instance.pulse();
        let seen = self.seen(engine, pulse.as_ref().map(Pulse::pid));
        self.site.publish(NodeSnapshot {
            identity: self.identity.clone(),
            turned_at: BootTime::now().moment(),
            reported: engine.state().reported,
            assignment: engine.assignment().cloned(),
            seen,
            authority_ends: engine.authority_ends(),
            is_closing: engine.is_closing(),
            monitor_answered: engine.monitor_answered(),
            is_monitor_silent: engine.is_monitor_silent(),
            doing: engine.doing(),
            positions: engine.positions().to_vec(),
            measured: instance.measured(),
            hooks: Arc::clone(&self.hooks),
            is_postmaster_alive: Arc::new(move || pulse.as_ref().is_some_and(Pulse::beats)),
        });
    }

    /// A server that refuses the keeper serves others as before: all that is certain is that it answers.
    fn seen(&mut self, engine: &Engine, postmaster: Option<i32>) -> Option<Seen> {
        let mut observation = engine.seen()?.clone();
        match (&observation.observed.server, postmaster) {
            (Server::Running(_), Some(pid)) => {
                self.answered = Some((pid, observation.observed.server.clone()));
            }
            (Server::Refusing, Some(pid)) => {
                if let Some((_, server)) = self.answered.as_ref().filter(|(known, _)| *known == pid) {
                    observation.observed.server = server.clone();
                }
            }
            _ => {}
        }
        Some(Seen { observation, at: self.seen_at? })
    }
}

fn identity(config: &NodeConfig, state: &KeeperState) -> Identity {
    Identity {
        node: state.node.0,
        name: config.name.clone(),
        formation: config.formation.clone(),
        group: state.group.0,
        host: config.hostname.clone(),
        port: config.postgres.port,
    }
}
