//! What a keeper must not forget: who it is, and the last assignment it received.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, GroupId, MonitorId, NodeId, RegistrationId, RestartId};
use crate::message::Assignment;
use crate::postgres_settings::PostgresSettings;
use crate::state::ReplicationState;

/// The content of the state file. Whoever runs the node writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeeperState {
    /// Of the layout: [`Self::LAYOUT`].
    pub version: u32,
    /// Our id, given by the monitor.
    pub node: NodeId,
    /// Our group.
    pub group: GroupId,
    /// The state that was last observed to hold.
    pub reported: ReplicationState,
    /// The assignment under which it was.
    pub reported_epoch: Epoch,
    /// What the monitor said last; or a person, while the monitor is disabled.
    pub assignment: Option<Assignment>,
    /// The monitor is disabled, and the keeper talks to none.
    #[serde(default)]
    pub has_left_monitor: bool,
    /// Which start of the node's keeper the newest one was.
    #[serde(default)]
    pub keeper_start: u64,
    /// The monitor that has answered this node; no other may answer in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<MonitorId>,
    /// For how long a primary may serve without a word of anybody, in milliseconds, as far as the monitor is known to have
    /// heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_fence_time_ms: Option<u64>,
    /// As whom that monitor knows this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<RegistrationId>,
    /// What answers in place of the monitor does not know this node: a person has to decide.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unknown_to_monitor: bool,
    /// A restart of Postgres that the monitor has asked for and that is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<PendingRestart>,
    /// The one that was done last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted: Option<RestartId>,
    /// Settings of Postgres for all nodes of the formation, once the monitor has had any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres_settings: Option<PostgresSettings>,
}

/// A restart that is to be done once, however often the keeper is started meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PendingRestart {
    /// Which one.
    pub id: RestartId,
    /// When the server was started that ran when it was asked for, in microseconds: one with another time is the one that
    /// was started instead.
    pub server_start: i64,
}

/// No keeper reports less: settings that would lead to less are refused.
const LEAST_FENCE_TIME: Duration = Duration::from_secs(2);

impl KeeperState {
    /// The layout that is written.
    pub const LAYOUT: u32 = 1;

    /// The state of a node that has just been registered.
    pub const fn registered(node: NodeId, group: GroupId) -> Self {
        Self {
            version: Self::LAYOUT,
            node,
            group,
            reported: ReplicationState::Init,
            reported_epoch: Epoch(0),
            assignment: None,
            has_left_monitor: false,
            keeper_start: 0,
            monitor: None,
            granted_fence_time_ms: None,
            registration: None,
            is_unknown_to_monitor: false,
            restart: None,
            restarted: None,
            postgres_settings: None,
        }
    }

    /// For how long a primary may serve without a word of anybody: what the monitor has heard, or the least.
    pub fn granted_fence_time(&self) -> Duration {
        self.granted_fence_time_ms.map_or(LEAST_FENCE_TIME, Duration::from_millis)
    }

    /// Leaves its monitor, or comes to one. What one monitor has numbered means nothing to another.
    pub fn change_monitor(&mut self, has_left_monitor: bool) {
        self.has_left_monitor = has_left_monitor;
        self.monitor = None;
        self.granted_fence_time_ms = None;
        self.registration = None;
        self.is_unknown_to_monitor = false;
        self.restart = None;
        self.restarted = None;
        self.reported_epoch = Epoch(0);
        if let Some(assignment) = &mut self.assignment {
            assignment.epoch = Epoch(0);
        }
    }
}
