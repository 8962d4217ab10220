//! What the worker reads and writes: nodes, their health, and the groups in which time has run out.

use std::collections::BTreeSet;
use std::time::Duration;

use pgaf_core::monitor::Event;
use pgaf_core::{GroupId, Health, NodeId};
use pgrx::Spi;

use super::prober::Target;
use crate::catalog::load::{self, Row};
use crate::catalog::{notify, store};
use crate::clock;
use crate::error::Error;
use crate::gucs;
use crate::lock::{self, Wait};
use crate::statement::statements;
use crate::transition;

statements! {
    OVERDUE(INT8OID, INT8OID, INT8OID, INT8OID) = "
        SELECT formationid, groupid, nodeid, silent_in, cut_in
          FROM (SELECT formationid, groupid, nodeid,
                       CASE WHEN reportserverstart = pg_catalog.pg_postmaster_start_time() AND reportclock <= $1
                            THEN reportclock ELSE $2 END + $3 - $1 AS silent_in,
                       CASE WHEN reportdetail -> 'upstream' -> 'is_streaming' = 'false'
                            THEN greatest(reportclock + $3 - $1 - (reportdetail -> 'upstream' ->> 'silent_ms')::numeric,
                                          -1000000000)::bigint
                       END AS cut_in
                  FROM pgautofailover.node) AS ages
         WHERE silent_in <= $4 OR cut_in <= $4";
    NODES() = "
        SELECT formationid, groupid, nodeid, nodehost, nodeport, health FROM pgautofailover.node";
    FORGET() = "
        UPDATE pgautofailover.node SET health = -1 WHERE health <> -1";
    HEALTH(INT8OID, TEXTOID, INT4OID, INT4OID) = "
        UPDATE pgautofailover.node
           SET health = $4, healthchecktime = pg_catalog.clock_timestamp(), isrefusing = isrefusing AND $4 <> 1
         WHERE nodeid = $1 AND nodehost = $2 AND nodeport = $3 AND (health <> $4 OR isrefusing AND $4 = 1)
     RETURNING nodeid";
    HANG_UP(INT8OID, INT4OID, INT8OID) = "
        UPDATE pgautofailover.node
           SET hangupclock = $3, isrefusing = false
         WHERE nodeid = $1 AND reportpid = $2 AND reportserverstart = pg_catalog.pg_postmaster_start_time()
     RETURNING nodeid";
    REFUSAL(INT8OID, TEXTOID, INT4OID) = "
        UPDATE pgautofailover.node
           SET isrefusing = true
         WHERE nodeid = $1 AND nodehost = $2 AND nodeport = $3 AND hangupclock IS NOT NULL AND NOT isrefusing
     RETURNING nodeid";
}

/// A node as the worker knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) formation: String,
    pub(super) group: GroupId,
    pub(super) target: Target,
    pub(super) health: Health,
}

/// An age of a node that has passed a time-out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Overdue {
    pub(super) formation: String,
    pub(super) group: GroupId,
    node: NodeId,
    is_silent: bool,
    is_cut: bool,
}

/// Every node.
pub(super) fn nodes() -> Result<Vec<Known>, Error> {
    Spi::connect(|client| {
        let rows = NODES.with(|statement| statement.read(client, &[]))?;
        rows.map(|row| {
            let row = Row { row, what: "a node" };
            let port = u16::try_from(row.get::<i32>(5)?).unwrap_or(0);
            let target = Target { node: NodeId(row.get(3)?), host: row.get(4)?, port };
            Ok(Known {
                formation: row.get(1)?,
                group: GroupId(row.get(2)?),
                target,
                health: Health::from_i32(row.get(6)?),
            })
        })
        .collect()
    })
}

/// The nodes whose ages have passed a time-out.
pub(super) struct Ages {
    pub(super) overdue: BTreeSet<Overdue>,
    /// When the next will be, if that is soon.
    pub(super) next_in: Option<Duration>,
}

/// The nodes that have been silent, or cut off, for longer than a healthy node may be; and when one will have been next,
/// within so much time.
pub(super) fn overdue(within: Duration) -> Result<Ages, Error> {
    let started = clock::started().ok_or(Error::NotPreloaded)?;
    let limit = gucs::timeouts().unhealthy_after;
    let arguments = [
        clock::now_ms().into(),
        clock::as_ms(started).into(),
        clock::as_ms(limit).into(),
        clock::as_ms(within).into(),
    ];
    let mut ages = Ages { overdue: BTreeSet::new(), next_in: None };
    Spi::connect(|client| {
        for row in OVERDUE.with(|statement| statement.read(client, &arguments))? {
            let row = Row { row, what: "a node" };
            let (silent_in, cut_in) = (row.get::<i64>(4)?, row.get_nullable::<i64>(5)?);
            let (is_silent, is_cut) = (silent_in <= 0, cut_in.is_some_and(|time| time <= 0));
            let coming =
                [Some(silent_in), cut_in].into_iter().flatten().filter_map(|time| u64::try_from(time).ok());
            let next = coming.filter(|time| *time > 0).min().map(Duration::from_millis);
            ages.next_in = ages.next_in.into_iter().chain(next).min();
            if is_silent || is_cut {
                let (formation, group) = (row.get(1)?, GroupId(row.get(2)?));
                ages.overdue.insert(Overdue {
                    formation,
                    group,
                    node: NodeId(row.get(3)?),
                    is_silent,
                    is_cut,
                });
            }
        }
        Ok(ages)
    })
}

/// What an earlier worker knew of the nodes is not known any more.
pub(super) fn forget_health() -> Result<(), Error> {
    Spi::connect_mut(|client| FORGET.with(|statement| statement.run(client, &[])).map(|_| ()))
        .map_err(Error::from)
}

/// Writes a node's new health and decides. False when its group is locked: then it is tried again.
pub(super) fn write_health(known: &Known, health: Health) -> Result<bool, Error> {
    Spi::connect_mut(|client| {
        if !lock::group(&known.formation, known.group, Wait::Never) {
            return Ok(false);
        }
        let target = &known.target;
        let arguments = [
            target.node.0.into(),
            target.host.as_str().into(),
            i32::from(target.port).into(),
            health.as_i32().into(),
        ];
        let is_changed = HEALTH.with(|statement| statement.run(client, &arguments))?.next().is_some();
        if is_changed {
            let group = load::group(client, &known.formation, known.group)?;
            if let Some(node) = group.node(target.node) {
                notify::state(client, &group, node, node.goal)?;
                notify::log(client, &format!("Health of {} is {} now", node.label(), health.as_str()))?;
            }
            transition::decide(client, &group, &group, &Event::Tick)?;
        }
        Ok(true)
    })
}

/// Whether something was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The group is locked: it has to be tried again.
    NotYet,
    /// It does not concern the node any more.
    Nothing,
    /// Decided upon.
    Something,
}

/// Notes that the keeper of a node has hung up, and asks the others of its group what they see.
pub(super) fn write_hang_up(known: &Known, pid: i32) -> Result<Written, Error> {
    Spi::connect_mut(|client| {
        if !lock::group(&known.formation, known.group, Wait::Never) {
            return Ok(Written::NotYet);
        }
        let id = known.target.node;
        let arguments = [id.0.into(), pid.into(), clock::now_ms().into()];
        if HANG_UP.with(|statement| statement.run(client, &arguments))?.next().is_none() {
            return Ok(Written::Nothing);
        }
        let group = load::group(client, &known.formation, known.group)?;
        if let Some(node) = group.node(id) {
            let what = format!("The keeper of {} has hung up: its process is gone", node.label());
            store::event(client, id, &what)?;
        }
        for other in group.others(id) {
            notify::keeper(client, other.id, other.goal_epoch)?;
        }
        transition::decide(client, &group, &group, &Event::Tick)?;
        Ok(Written::Something)
    })
}

/// Notes that the port of a node refuses connections, and decides.
pub(super) fn write_refusal(known: &Known) -> Result<Written, Error> {
    Spi::connect_mut(|client| {
        if !lock::group(&known.formation, known.group, Wait::Never) {
            return Ok(Written::NotYet);
        }
        let target = &known.target;
        let arguments = [target.node.0.into(), target.host.as_str().into(), i32::from(target.port).into()];
        if REFUSAL.with(|statement| statement.run(client, &arguments))?.next().is_none() {
            return Ok(Written::Nothing);
        }
        let group = load::group(client, &known.formation, known.group)?;
        if let Some(node) = group.node(target.node) {
            store::event(client, node.id, &format!("Postgres of {} refuses connections", node.label()))?;
        }
        transition::decide(client, &group, &group, &Event::Tick)?;
        Ok(Written::Something)
    })
}

/// Lets a group decide because time has passed. False when it is locked: then it is tried again.
pub(super) fn tick(formation: &str, group: GroupId) -> Result<bool, Error> {
    Spi::connect_mut(|client| {
        if !lock::group(formation, group, Wait::Never) {
            return Ok(false);
        }
        transition::load_and_decide(client, formation, group, &Event::Tick)?;
        Ok(true)
    })
}

/// Since the monitor started, nobody counts as lost for this long.
pub(super) fn is_grace_over() -> bool {
    let uptime = clock::started().map_or(Duration::ZERO, |started| clock::now().saturating_sub(started));
    uptime >= gucs::timeouts().startup_grace
}
