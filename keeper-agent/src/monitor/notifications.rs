//! What the monitor pushes: a new assignment, a change of state, a line of its log.

use std::str::FromStr;

use pgaf_core::{Epoch, GroupId, NodeId, ReplicationState};
use serde::Deserialize;
use tokio::sync::mpsc::UnboundedReceiver;

/// Before the node's id in the name of its own channel.
pub(super) const NODE_CHANNEL_PREFIX: &str = "pgaf_node_";

/// Says that the monitors, where there are several, have become others.
pub const MONITORS_CHANNEL: &str = "pgaf_monitors";

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
    /// The monitors have become others.
    Monitors,
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
        tracing::debug!("unexpected notification on channel {channel}: {payload}");
    }
    notification
}

fn parse(channel: &str, payload: &str) -> Option<Notification> {
    match channel {
        "state" => serde_json::from_str(payload).ok().map(Notification::State),
        "log" => Some(Notification::Log(payload.to_owned())),
        MONITORS_CHANNEL => Some(Notification::Monitors),
        _ => Some(Notification::Assigned {
            node: NodeId(number(channel.strip_prefix(NODE_CHANNEL_PREFIX)?)?),
            epoch: Epoch(number(payload)?),
        }),
    }
}

/// A number, written as the monitor writes it and in no other way.
fn number<T: FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

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

    /// Every state, by its word.
    fn states() -> impl Strategy<Value = ReplicationState> {
        (0..ReplicationState::ALL.len()).prop_map(|index| ReplicationState::ALL[index])
    }

    fn print(change: &StateChange) -> String {
        json!({
            "type": "state",
            "formation": change.formation,
            "groupId": change.group_id,
            "nodeId": change.node_id,
            "name": change.name,
            "host": change.host,
            "port": change.port,
            "reportedState": change.reported_state.to_string(),
            "goalState": change.goal_state.to_string(),
            "health": change.health,
        })
        .to_string()
    }

    prop_compose! {
        fn changes()(
            (formation, name, host, health) in any::<(String, String, String, String)>(),
            (group, node, port) in any::<(i32, i64, u16)>(),
            reported_state in states(),
            goal_state in states(),
        ) -> StateChange {
            let (group_id, node_id) = (GroupId(group), NodeId(node));
            StateChange { formation, group_id, node_id, name, host, port, reported_state, goal_state, health }
        }
    }

    proptest! {
        #[test]
        fn a_change_of_state_reads_back(change in changes()) {
            prop_assert_eq!(parse("state", &print(&change)), Some(Notification::State(change)));
        }

        #[test]
        fn half_a_change_of_state_is_none(change in changes(), part in 0.0..1.0f64) {
            let payload = print(&change);
            let mut end = (payload.len() as f64 * part) as usize;
            while !payload.is_char_boundary(end) {
                end -= 1;
            }
            prop_assert_eq!(parse("state", &payload[..end]), None);
        }

        #[test]
        fn an_assignment_reads_back_and_is_written_in_one_way(
            channel in prop_oneof![any::<i64>().prop_map(|node| format!("pgaf_node_{node}")), "pgaf_node_[0-9+ -]{0,4}"],
            payload in prop_oneof![any::<i64>().prop_map(|epoch| epoch.to_string()), "[0-9+ -]{0,4}", any::<String>()],
        ) {
            if let Some(Notification::Assigned { node, epoch }) = parse(&channel, &payload) {
                prop_assert_eq!(format!("pgaf_node_{}", node.0), channel);
                prop_assert_eq!(epoch.0.to_string(), payload);
            } else {
                let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let is_short = channel.len() < 20 && payload.len() < 10;
                let node = channel.trim_start_matches("pgaf_node_");
                let is_padded = node.starts_with('0') || payload.starts_with('0');
                prop_assert!(!(is_plain(node) && is_plain(&payload) && is_short && !is_padded));
            }
        }

        #[test]
        fn no_notification_is_too_strange(channel in "state|pgaf_node_|\\PC{0,9}", payload: String) {
            let _whatever_it_means = parse(&channel, &payload);
        }
    }
}
