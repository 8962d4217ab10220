//! What goes on beside Postgres on a node: the hooks of the user, and the poolers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use pgaf_core::keeper::{HookCall, HookKind, Role};
use pgaf_core::{GroupId, NodeId, Timeline};

use crate::config::NodeConfig;
use crate::hooks::{Call, HookCounters, Hooks, NodeFacts};
use crate::pooler::Poolers;
use crate::postgres::PostgresError;

/// Hooks and poolers, as they are configured at the moment.
pub(super) struct Companions {
    hooks: Hooks,
    config: RefCell<NodeConfig>,
}

impl Companions {
    pub(super) fn new(config: &NodeConfig) -> Rc<Self> {
        Rc::new(Self { hooks: Hooks::default(), config: RefCell::new(config.clone()) })
    }

    pub(super) fn reconfigure(&self, config: &NodeConfig) {
        self.config.replace(config.clone());
    }

    /// Calls a hook, if there is one, and does not wait for it.
    pub(super) fn call(&self, call: &HookCall) {
        let config = self.config.borrow();
        if let Some(command) = config.hooks.get(&call.kind) {
            self.hooks.call(command.clone(), Call::of_node(call, &NodeFacts::of(&config)));
        }
    }

    /// How often hooks were called.
    pub(super) fn hook_counters(&self) -> Arc<HookCounters> {
        self.hooks.counters()
    }

    /// Asks the hook whether this node may take over.
    pub(super) async fn ask(
        &self,
        (node, group): (NodeId, GroupId),
        timeline: Timeline,
    ) -> Result<(), PostgresError> {
        let asked = {
            let config = self.config.borrow();
            let call = HookCall {
                kind: HookKind::BeforePromote,
                old_role: Role::Standby,
                new_role: Role::Primary,
                node,
                group,
                timeline: Some(timeline),
            };
            let command = config.hooks.get(&call.kind).cloned();
            command.map(|command| (command, Call::of_node(&call, &NodeFacts::of(&config))))
        };
        match asked {
            Some((command, call)) => self.hooks.ask(&command, &call).await.map_err(PostgresError::Refused),
            None => Ok(()),
        }
    }

    fn poolers(&self) -> Poolers {
        Poolers::new(self.config.borrow().pooler.clone())
    }

    pub(super) async fn pause_poolers(&self) -> Result<(), PostgresError> {
        self.poolers().pause().await.map_err(PostgresError::Refused)
    }

    pub(super) async fn route_poolers(&self) -> Result<(), PostgresError> {
        self.poolers().route().await.map_err(PostgresError::Refused)
    }

    /// Looks after the poolers; what goes wrong is logged.
    pub(super) async fn check_poolers(&self) {
        if let Err(reason) = self.poolers().check().await {
            tracing::warn!("could not check the poolers: {reason}; retrying");
        }
    }

    /// Waits, not for long, until the calls of hooks have ended.
    pub(super) async fn finish(&self) {
        self.hooks.finish().await;
    }
}
