//! Tells who listens: keepers of their new goals, people and programs of every change.

use pgaf_core::{Epoch, Group, Node, NodeId, ReplicationState};
use pgrx::spi::SpiClient;
use serde::Serialize;

use crate::error::Error;
use crate::server_log;
use crate::statement::statements;

statements! {
    NOTIFY(TEXTOID, TEXTOID) = "SELECT pg_catalog.pg_notify($1, $2)";
}

/// Postgres refuses longer payloads.
const MAX_PAYLOAD_BYTES: usize = 7_999;

/// What is sent on channel `state`, in the order in which it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateMessage<'a> {
    r#type: &'static str,
    formation: &'a str,
    group_id: i32,
    node_id: i64,
    name: &'a str,
    host: &'a str,
    port: u16,
    reported_state: ReplicationState,
    goal_state: ReplicationState,
    health: &'static str,
}

/// A node's reported state, goal or health has changed.
pub(crate) fn state(
    client: &mut SpiClient<'_>,
    group: &Group,
    node: &Node,
    goal: ReplicationState,
) -> Result<(), Error> {
    let message = StateMessage {
        r#type: "state",
        formation: &group.formation,
        group_id: group.id.0,
        node_id: node.id.0,
        name: &node.name,
        host: &node.host,
        port: node.port,
        reported_state: node.reported,
        goal_state: goal,
        health: node.health.as_str(),
    };
    let payload = serde_json::to_string(&message)
        .map_err(|error| Error::Damaged { what: "a notification".to_owned(), why: error.to_string() })?;
    send(client, "state", &payload)
}

/// A line for people: to those who listen, and to the server's log.
pub(crate) fn log(client: &mut SpiClient<'_>, line: &str) -> Result<(), Error> {
    server_log::line(line);
    send(client, "log", line)
}

/// A node has a new assignment: its keeper asks for it at once.
pub(crate) fn keeper(client: &mut SpiClient<'_>, node: NodeId, epoch: Epoch) -> Result<(), Error> {
    send(client, &format!("pgaf_node_{node}"), &epoch.to_string())
}

fn send(client: &mut SpiClient<'_>, channel: &str, payload: &str) -> Result<(), Error> {
    let end = payload.floor_char_boundary(MAX_PAYLOAD_BYTES);
    NOTIFY.with(|statement| statement.run(client, &[channel.into(), payload[..end].into()]))?;
    Ok(())
}
