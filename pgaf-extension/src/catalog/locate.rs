//! Finds the node that a caller names, before its group is locked.

use pgaf_core::{GroupId, NodeId};
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiClient;

use super::load::Row;
use crate::error::Error;
use crate::plan::{Plan, plans};

plans! {
    BY_ID(INT8OID) = "
        SELECT formationid, groupid, nodeid FROM pgautofailover.node WHERE nodeid = $1";
    BY_ADDRESS(TEXTOID, INT4OID) = "
        SELECT formationid, groupid, nodeid FROM pgautofailover.node WHERE nodehost = $1 AND nodeport = $2";
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
    BY_ID.with(|plan| find(client, plan, &[node.0.into()]))?.ok_or(Error::UnknownNode(node))
}

/// By its host and port.
pub(crate) fn by_address(client: &mut SpiClient<'_>, host: &str, port: i32) -> Result<Place, Error> {
    let found = BY_ADDRESS.with(|plan| find(client, plan, &[host.into(), port.into()]))?;
    found.ok_or_else(|| Error::UnknownAddress { host: host.to_owned(), port })
}

/// By its name in a formation.
pub(crate) fn by_name(client: &mut SpiClient<'_>, formation: &str, name: &str) -> Result<Place, Error> {
    if let Some(place) = BY_NAME.with(|plan| find(client, plan, &[formation.into(), name.into()]))? {
        return Ok(place);
    }
    self::formation(client, formation)?;
    Err(Error::UnknownName { formation: formation.to_owned(), name: name.to_owned() })
}

/// The database and the kind of a formation.
pub(crate) fn formation(client: &mut SpiClient<'_>, name: &str) -> Result<(String, String), Error> {
    let mut rows = FORMATION.with(|plan| plan.run(client, &[name.into()]))?;
    let row = rows.next().ok_or_else(|| Error::UnknownFormation(name.to_owned()))?;
    let row = Row { row, what: "the formation" };
    Ok((row.get(1)?, row.get(2)?))
}

fn find(
    client: &mut SpiClient<'_>,
    plan: &Plan,
    arguments: &[DatumWithOid<'_>],
) -> Result<Option<Place>, Error> {
    let Some(row) = plan.run(client, arguments)?.next() else {
        return Ok(None);
    };
    let row = Row { row, what: "a node" };
    Ok(Some(Place { formation: row.get(1)?, group: GroupId(row.get(2)?), node: NodeId(row.get(3)?) }))
}
