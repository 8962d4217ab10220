//! What a node is called and where it is.

use pgaf_core::monitor::Event;
use pgaf_core::{MAX_NAME_BYTES, NodeId};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::catalog::load::{self, Row};
use crate::catalog::locate::{self, Place};
use crate::error::Error;
use crate::lock::{self, Wait};
use crate::record::Record;
use crate::statement::statements;
use crate::transition;

statements! {
    MOVE(INT8OID, TEXTOID, TEXTOID, INT4OID) = "
        UPDATE pgautofailover.node SET nodename = $2, nodehost = $3, nodeport = $4 WHERE nodeid = $1";
    OTHER_SYSTEM(INT8OID, INT8OID) = "
        SELECT other.sysidentifier
          FROM pgautofailover.node AS n
          JOIN pgautofailover.node AS other USING (formationid, groupid)
         WHERE n.nodeid = $1 AND other.nodeid <> n.nodeid AND other.sysidentifier <> $2
         LIMIT 1";
    IDENTIFY(INT8OID, INT8OID) = "
        UPDATE pgautofailover.node SET sysidentifier = $2 WHERE nodeid = $1 RETURNING nodename, nodehost, nodeport";
}

/// As long as a name in DNS.
const MAX_HOST_BYTES: usize = 255;

/// A node has data now: every copy of a cluster has the identifier that initdb gave it.
#[pg_extern(sql = false)]
fn set_node_system_identifier(
    node_id: i64,
    system_identifier: i64,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Record, ErrorReport> {
    let columns = transition::run(|client| {
        let node = NodeId(node_id);
        let place = locate::by_id(client, node)?;
        lock::group(&place.formation, place.group, Wait::Blocking);
        let arguments = [node_id.into(), system_identifier.into()];
        if let Some(row) = OTHER_SYSTEM.with(|statement| statement.run(client, &arguments))?.next() {
            let theirs: i64 = Row { row, what: "a node" }.get(1)?;
            return Err(Error::WrongState {
                what: format!(
                    "node {node} cannot have system identifier {system_identifier}: that of its group is {theirs}"
                ),
                hint: "Give the node an empty data directory, or register it in another formation.",
            });
        }
        let row = IDENTIFY
            .with(|statement| statement.run(client, &arguments))?
            .next()
            .ok_or(Error::UnknownNode(node))?;
        let row = Row { row, what: "a node" };
        let columns = [node.to_string(), row.get(1)?, row.get(2)?, row.get::<i32>(3)?.to_string()];
        Ok(columns.map(Some))
    })?;
    Ok(Record::new(fcinfo, &columns)?)
}

/// A NULL leaves a property as it is.
#[pg_extern(sql = false)]
fn update_node_metadata(
    node_id: Option<i64>,
    name: Option<&str>,
    host: Option<&str>,
    port: Option<i32>,
) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        let node = NodeId(node_id.ok_or(Error::Null("the id of the node"))?);
        let place = locate::by_id(client, node)?;
        lock::formation(&place.formation);
        let group = load::group(client, &place.formation, place.group)?;
        let old = group.node(node).ok_or(Error::UnknownNode(node))?;
        let name = name.unwrap_or(&old.name);
        let host = host.unwrap_or(&old.host);
        let port = port.unwrap_or_else(|| i32::from(old.port));
        check_name(name)?;
        check_address(host, port)?;
        check_not_taken(client, &place, name, host, port)?;
        if (name, host, port) != (&old.name, &old.host, i32::from(old.port)) {
            MOVE.with(|statement| {
                statement.run(client, &[node.0.into(), name.into(), host.into(), port.into()])
            })?;
            let moved = load::group(client, &place.formation, place.group)?;
            transition::decide(client, &group, &moved, &Event::NodeMoved(node))?;
        }
        Ok(true)
    })
}

fn check_not_taken(
    client: &mut SpiClient<'_>,
    place: &Place,
    name: &str,
    host: &str,
    port: i32,
) -> Result<(), Error> {
    const HINT: &str = "Choose another, or change that node first.";
    let named = locate::find_by_name(client, &place.formation, name)?;
    if let Some(other) = named.filter(|other| other.node != place.node) {
        return Err(Error::Duplicate {
            what: format!("node {} is called \"{name}\"", other.node),
            hint: HINT,
        });
    }
    let there = locate::find_by_address(client, host, port)?;
    if let Some(other) = there.filter(|other| other.node != place.node) {
        return Err(Error::Duplicate {
            what: format!("node {} is at {host}:{port}", other.node),
            hint: HINT,
        });
    }
    Ok(())
}

/// A name that reads well in a log, in a table and in a connection string.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let is_printable = !name.chars().any(|letter| letter.is_control() || letter == '"');
    if !name.trim().is_empty() && name.len() <= MAX_NAME_BYTES && is_printable {
        return Ok(());
    }
    Err(Error::Invalid {
        what: format!("{name:?} cannot be the name of a node"),
        hint: "A name has 1 to 63 bytes, and neither quotes nor control characters.",
    })
}

/// A host that can be looked up, and a port that can be connected to.
pub(super) fn check_address(host: &str, port: i32) -> Result<(), Error> {
    let is_host = !host.is_empty()
        && host.len() <= MAX_HOST_BYTES
        && !host
            .chars()
            .any(|letter| letter.is_control() || letter.is_whitespace() || ",/@".contains(letter));
    if !is_host {
        return Err(Error::Invalid {
            what: format!("{host:?} cannot be the host of a node"),
            hint: "Give a host name or an address at which the other nodes reach it, with --hostname.",
        });
    }
    if !(1..=i32::from(u16::MAX)).contains(&port) {
        return Err(Error::Invalid {
            what: format!("{port} cannot be the port of a node"),
            hint: "A port is between 1 and 65535.",
        });
    }
    Ok(())
}
