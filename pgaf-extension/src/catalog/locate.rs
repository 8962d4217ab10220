//! Finds the node that a caller names, before its group is locked.

use pgaf_core::{GroupId, MonitorId, NodeId};
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiClient;

use super::load::Row;
use crate::error::Error;
use crate::statement::{Statement, statements};

statements! {
    BY_ID(INT8OID) = "
        SELECT formationid, groupid, nodeid FROM pgautofailover.node WHERE nodeid = $1";
    BY_ADDRESS(TEXTOID, INT4OID) = "
        SELECT formationid, groupid, nodeid FROM pgautofailover.node WHERE nodehost = $1 AND nodeport = $2";
    IDENTITY() = "
        SELECT identity::text FROM pgautofailover.monitor ORDER BY createtime, identity LIMIT 1";
    IS_REMOVED(INT8OID) = "
        SELECT true FROM pgautofailover.removed_node WHERE nodeid = $1";
    BY_NAME(TEXTOID, TEXTOID) = "
        SELECT formationid, groupid, nodeid FROM pgautofailover.node WHERE formationid = $1 AND nodename = $2";
    FORMATION(TEXTOID) = "
        SELECT dbname::text, kind FROM pgautofailover.formation WHERE formationid = $1";
}

/// Where a node is. A group never changes, but the node may be gone once the group is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) formation: String,
    pub(crate) group: GroupId,
    pub(crate) node: NodeId,
}

/// By its id.
pub(crate) fn by_id(client: &mut SpiClient<'_>, node: NodeId) -> Result<Place, Error> {
    find_by_id(client, node)?.ok_or(Error::UnknownNode(node))
}

/// Which monitor this is.
pub(crate) fn monitor(client: &mut SpiClient<'_>) -> Result<MonitorId, Error> {
    let row = IDENTITY.with(|statement| statement.run(client, &[]))?.next().ok_or(Error::NoIdentity)?;
    Ok(MonitorId(Row { row, what: "the monitor" }.get(1)?))
}

/// A node that is not there was removed here, and not by somebody else.
pub(crate) fn was_removed(client: &mut SpiClient<'_>, node: NodeId) -> Result<bool, Error> {
    Ok(IS_REMOVED.with(|statement| statement.run(client, &[node.0.into()]))?.next().is_some())
}

/// By its id, if it is there.
pub(crate) fn find_by_id(client: &mut SpiClient<'_>, node: NodeId) -> Result<Option<Place>, Error> {
    BY_ID.with(|statement| find(client, statement, &[node.0.into()]))
}

/// By its host and port.
pub(crate) fn by_address(client: &mut SpiClient<'_>, host: &str, port: i32) -> Result<Place, Error> {
    let unknown = || Error::UnknownAddress { host: host.to_owned(), port };
    find_by_address(client, host, port)?.ok_or_else(unknown)
}

/// By its host and port, if it is there.
pub(crate) fn find_by_address(
    client: &mut SpiClient<'_>,
    host: &str,
    port: i32,
) -> Result<Option<Place>, Error> {
    BY_ADDRESS.with(|statement| find(client, statement, &[host.into(), port.into()]))
}

/// By its name in a formation.
pub(crate) fn by_name(client: &mut SpiClient<'_>, formation: &str, name: &str) -> Result<Place, Error> {
    if let Some(place) = find_by_name(client, formation, name)? {
        return Ok(place);
    }
    self::formation(client, formation)?;
    Err(Error::UnknownName { formation: formation.to_owned(), name: name.to_owned() })
}

/// By its name in a formation, if both are there.
pub(crate) fn find_by_name(
    client: &mut SpiClient<'_>,
    formation: &str,
    name: &str,
) -> Result<Option<Place>, Error> {
    BY_NAME.with(|statement| find(client, statement, &[formation.into(), name.into()]))
}

/// What nodes have to agree with when they join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Formation {
    pub(crate) dbname: String,
    pub(crate) kind: String,
}

/// A formation by its name.
pub(crate) fn formation(client: &mut SpiClient<'_>, name: &str) -> Result<Formation, Error> {
    find_formation(client, name)?.ok_or_else(|| Error::UnknownFormation(name.to_owned()))
}

/// A formation by its name, if it is there.
pub(crate) fn find_formation(client: &mut SpiClient<'_>, name: &str) -> Result<Option<Formation>, Error> {
    let Some(row) = FORMATION.with(|statement| statement.run(client, &[name.into()]))?.next() else {
        return Ok(None);
    };
    let row = Row { row, what: "the formation" };
    Ok(Some(Formation { dbname: row.get(1)?, kind: row.get(2)? }))
}

fn find(
    client: &mut SpiClient<'_>,
    statement: &Statement,
    arguments: &[DatumWithOid<'_>],
) -> Result<Option<Place>, Error> {
    let Some(row) = statement.run(client, arguments)?.next() else {
        return Ok(None);
    };
    let row = Row { row, what: "a node" };
    Ok(Some(Place { formation: row.get(1)?, group: GroupId(row.get(2)?), node: NodeId(row.get(3)?) }))
}
