//! Where a node that registers belongs: which kind of formation, and which group of it.
//!
//! Group 0 of a formation of kind "citus" is that of the coordinator, and each higher number a group of workers.

use pgaf_core::{FormationKind, GroupId, NodeId, NodeKind, ReplicationState};
use pgrx::spi::SpiClient;

use super::super::cluster;
use super::request::Request;
use crate::catalog::load::Row;
use crate::catalog::locate;
use crate::error::Error;
use crate::statement::statements;

statements! {
    BECOME_CITUS(TEXTOID) = "
        UPDATE pgautofailover.formation
           SET kind = 'citus'
         WHERE formationid = $1 AND kind = 'pgsql'
           AND NOT EXISTS (SELECT FROM pgautofailover.node WHERE formationid = $1)
     RETURNING formationid";
    // A node that leaves is not counted. Copies of another cluster cannot join.
    INCOMPLETE(TEXTOID, INT8OID) = "
        SELECT n.groupid
          FROM pgautofailover.node AS n
          JOIN pgautofailover.formation AS f USING (formationid)
         WHERE n.formationid = $1 AND n.groupid > 0
      GROUP BY n.groupid, f.opt_secondary
        HAVING count(*) FILTER (WHERE n.goalstate <> 'dropped' AND n.nodecluster = 'default') = 1
           AND f.opt_secondary
           AND coalesce(pg_catalog.bool_and(n.sysidentifier = nullif($2, 0)), true)
      ORDER BY n.groupid
         LIMIT 1";
    WITHOUT_CLUSTER(TEXTOID, TEXTOID, INT8OID) = "
        SELECT groupid
          FROM pgautofailover.node
         WHERE formationid = $1 AND groupid > 0
      GROUP BY groupid
        HAVING count(*) FILTER (WHERE goalstate <> 'dropped' AND nodecluster = 'default') > 0
           AND count(*) FILTER (WHERE goalstate <> 'dropped' AND nodecluster = $2) = 0
           AND coalesce(pg_catalog.bool_and(sysidentifier = nullif($3, 0)), true)
      ORDER BY groupid
         LIMIT 1";
    HIGHEST(TEXTOID) = "
        SELECT coalesce(max(groupid), 0) FROM pgautofailover.node WHERE formationid = $1";
    HAS_PRIMARY_TO_BE(TEXTOID, INT4OID) = "
        SELECT nodeid
          FROM pgautofailover.node
         WHERE formationid = $1 AND groupid = $2 AND nodecluster = 'default' AND goalstate <> 'dropped'
         LIMIT 1";
}

fn kind_of(request: &Request<'_>) -> Result<NodeKind, Error> {
    request.kind.parse().map_err(|_| Error::Invalid {
        what: format!("\"{}\" is not a kind of node", request.kind),
        hint: "The kinds are \"standalone\", \"coordinator\" and \"worker\".",
    })
}

/// The group that a node asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// This one.
    Group(GroupId),
    /// Any group of workers: the monitor chooses.
    Workers,
}

impl Wanted {
    /// As a query takes it: -1 for any group of workers.
    pub(super) const fn as_i32(self) -> i32 {
        match self {
            Self::Group(group) => group.0,
            Self::Workers => -1,
        }
    }
}

/// The formation has the kind that the node needs. True when it has it from now on: the first node of an empty formation
/// makes it one of Citus, whichever starts first.
pub(super) fn agree_on_kind(client: &mut SpiClient<'_>, request: &Request<'_>) -> Result<bool, Error> {
    let needed = kind_of(request)?.formation_kind();
    let is_news = needed == FormationKind::Citus
        && BECOME_CITUS
            .with(|statement| statement.run(client, &[request.formation.into()]))?
            .next()
            .is_some();
    let kind = locate::formation(client, request.formation)?.kind;
    if kind == needed.as_str() {
        return Ok(is_news);
    }
    Err(Error::Invalid {
        what: format!(
            "a node of kind \"{}\" cannot join formation \"{}\", whose kind is \"{kind}\"",
            request.kind, request.formation
        ),
        hint: match needed {
            FormationKind::Citus => "Use \"pg_autoctl create postgres\", or a formation of kind \"citus\".",
            FormationKind::Pgsql => {
                "Use \"pg_autoctl create coordinator\" or \"create worker\", or a formation of kind \"pgsql\"."
            }
        },
    })
}

/// Which group the node asks for, if it can ask for that.
pub(super) fn wanted_group(request: &Request<'_>) -> Result<Wanted, Error> {
    let refuse = |what: String, hint| Err(Error::Invalid { what, hint });
    let group = request.desired_group;
    if group < -1 {
        return refuse(
            format!("{group} cannot be the number of a group"),
            "Numbers of groups are 0 or higher; -1 lets the monitor choose.",
        );
    }
    match (kind_of(request)?, group) {
        (NodeKind::Standalone | NodeKind::Coordinator, -1 | 0) => Ok(Wanted::Group(GroupId::COORDINATOR)),
        (NodeKind::Worker, -1) => Ok(Wanted::Workers),
        (NodeKind::Standalone, _) => refuse(
            format!("formation \"{}\" of kind \"pgsql\" has no group {group}", request.formation),
            "Such a formation has one group, with number 0.",
        ),
        (NodeKind::Coordinator, _) => refuse(
            format!("a coordinator cannot join group {group}"),
            "The coordinator of a formation is in group 0: leave --group out.",
        ),
        (NodeKind::Worker, 0) => refuse(
            "a worker cannot join group 0, which is that of the coordinator".to_owned(),
            "Give --group 1 or higher, or leave it out: the monitor then chooses.",
        ),
        (NodeKind::Worker, _) => Ok(Wanted::Group(GroupId(group))),
    }
}

/// The group for a new node: groups of workers are filled pair by pair, and each Citus cluster has one node in each.
pub(super) fn choose_group(
    client: &mut SpiClient<'_>,
    request: &Request<'_>,
    wanted: Wanted,
) -> Result<GroupId, Error> {
    let (formation, system) = (request.formation.into(), request.system_identifier.into());
    let is_default = cluster::is_default(request.cluster);
    match wanted {
        Wanted::Group(group) if is_default => Ok(group),
        Wanted::Group(group) => joins_others(client, request, group).map(|()| group),
        Wanted::Workers if is_default => {
            match INCOMPLETE.with(|statement| statement.run(client, &[formation, system]))?.next() {
                Some(row) => Ok(GroupId(Row { row, what: "a group" }.get(1)?)),
                None => next_group(client, request),
            }
        }
        Wanted::Workers => {
            let arguments = [formation, request.cluster.into(), system];
            let row = WITHOUT_CLUSTER.with(|statement| statement.run(client, &arguments))?.next();
            let row =
                row.ok_or_else(|| no_primary_to_be(request, "no group of workers lacks one".to_owned()))?;
            Ok(GroupId(Row { row, what: "a group" }.get(1)?))
        }
    }
}

/// The name of a node that has brought none: `node_7`; in a formation of Citus `coord0a` or `worker2b`, with the first
/// letter that is free.
pub(super) fn choose_name(
    client: &mut SpiClient<'_>,
    request: &Request<'_>,
    group: GroupId,
    id: NodeId,
) -> Result<String, Error> {
    let kind = match kind_of(request)? {
        NodeKind::Standalone => return Ok(format!("node_{id}")),
        NodeKind::Coordinator => "coord",
        NodeKind::Worker => "worker",
    };
    for letter in 'a'..='z' {
        let name = format!("{kind}{group}{letter}");
        if locate::find_by_name(client, request.formation, &name)?.is_none() {
            return Ok(name);
        }
    }
    Ok(format!("{kind}{group}_{id}"))
}

/// A node of another cluster is not the first of its group, which becomes the primary. One that is a standby already
/// stays one.
fn joins_others(client: &mut SpiClient<'_>, request: &Request<'_>, group: GroupId) -> Result<(), Error> {
    use ReplicationState::{CatchingUp, Maintenance, Secondary};
    if matches!(request.initial, CatchingUp | Maintenance | Secondary) {
        return Ok(());
    }
    let arguments = [request.formation.into(), group.0.into()];
    match HAS_PRIMARY_TO_BE.with(|statement| statement.run(client, &arguments))?.next() {
        Some(_) => Ok(()),
        None => {
            Err(no_primary_to_be(request, format!("group {group} has no node that may become its primary")))
        }
    }
}

fn next_group(client: &mut SpiClient<'_>, request: &Request<'_>) -> Result<GroupId, Error> {
    let row = HIGHEST.with(|statement| statement.run(client, &[request.formation.into()]))?.next();
    let row = row.ok_or(Error::Null("the highest number of a group"))?;
    let highest: i32 = Row { row, what: "a group" }.get(1)?;
    highest.checked_add(1).map(GroupId).ok_or_else(|| Error::WrongState {
        what: format!("no number of a group is left after {highest}"),
        hint: "Choose a lower one with --group.",
    })
}

fn no_primary_to_be(request: &Request<'_>, why: String) -> Error {
    Error::WrongState {
        what: format!("a node of cluster \"{}\" cannot join yet: {why}", request.cluster),
        hint: "Create the nodes of cluster \"default\" first, or give the group with --group.",
    }
}
