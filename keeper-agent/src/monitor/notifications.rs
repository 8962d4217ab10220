//! What the monitor pushes: a new assignment, a change of state, a line of its log.

use pgaf_core::{Epoch, GroupId, NodeId, ReplicationState};
use serde::Deserialize;
use tokio::sync::mpsc::UnboundedReceiver;

/// Before the node's id in the name of its own channel.
pub(super) const NODE_CHANNEL_PREFIX: &str = "pgaf_node_";

/// The stream of notifications of one connection.
#[derive(Debug)]
pub struct Notifications {
    receiver: UnboundedReceiver<tokio_postgres::Notification>,
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// The monitor has assigned something new to this node: ask for it.
    Assigned {
        /// Whom.
        node: NodeId,
        /// Which assignment.
        epoch: Epoch,
    },
    /// A node reported or was assigned another state.
    State(StateChange),
    /// A line for people.
    Log(String),
}

/// A change of a node's state, as published on channel `state`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateChange {
    /// The node's formation.
    pub formation: String,
    /// Its group.
    pub group_id: GroupId,
    /// Its id.
    pub node_id: NodeId,
    /// Its name.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it is.
    pub reported_state: ReplicationState,
    /// What it should become.
    pub goal_state: ReplicationState,
    /// "unknown", "bad" or "good".
    pub health: String,
}

impl Notifications {
    pub(super) const fn new(receiver: UnboundedReceiver<tokio_postgres::Notification>) -> Self {
        Self { receiver }
    }

    /// The next notification; `None` once the connection is lost. Nothing is lost when the future is dropped.
    pub async fn recv(&mut self) -> Option<Notification> {
        loop {
            let raw = self.receiver.recv().await?;
            if let Some(notification) = understand(&raw) {
                return Some(notification);
            }
        }
    }

    /// A notification that has come already.
    pub fn try_recv(&mut self) -> Option<Notification> {
        while let Ok(raw) = self.receiver.try_recv() {
            if let Some(notification) = understand(&raw) {
                return Some(notification);
            }
        }
        None
    }
}

fn understand(raw: &tokio_postgres::Notification) -> Option<Notification> {
    let (channel, payload) = (raw.channel(), raw.payload());
    let notification = parse(channel, payload);
    if notification.is_none() {
        tracing::debug!("notification on channel {channel} not understood: {payload}");
    }
    notification
}

fn parse(channel: &str, payload: &str) -> Option<Notification> {
    match channel {
        "state" => serde_json::from_str(payload).ok().map(Notification::State),
        "log" => Some(Notification::Log(payload.to_owned())),
        _ => Some(Notification::Assigned {
            node: NodeId(channel.strip_prefix(NODE_CHANNEL_PREFIX)?.parse().ok()?),
            epoch: Epoch(payload.parse().ok()?),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_channels_are_understood() {
        assert_eq!(
            parse("pgaf_node_7", "12"),
            Some(Notification::Assigned { node: NodeId(7), epoch: Epoch(12) })
        );
        let payload = r#"{"type": "state", "formation": "default", "groupId": 0, "nodeId": 2, "name": "n2",
            "host": "h", "port": 5432, "reportedState": "secondary", "goalState": "prepare_promotion", "health": "good"}"#;
        let Some(Notification::State(change)) = parse("state", payload) else {
            panic!("a state change");
        };
        assert_eq!(change.goal_state, ReplicationState::PreparePromotion);
        assert_eq!(parse("log", "x"), Some(Notification::Log("x".to_owned())));
        assert_eq!(parse("state", "{}"), None);
        assert_eq!(parse("other", "1"), None);
    }
}
