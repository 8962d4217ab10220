//! What operators ask a group or a node to do: failover, promotion, maintenance, and which branch of the log is right.

use std::time::Instant;

use pgaf_core::monitor::{self, Event, Refusal};
use pgaf_core::{GroupId, NodeId};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::report::checked_timeline;
use crate::catalog::load::{self, Row};
use crate::catalog::locate::{self, Place};
use crate::catalog::store;
use crate::error::Error;
use crate::gucs;
use crate::lock::{self, Wait};
use crate::statement::statements;
use crate::transition::{self, Transition};

/// Between two looks at a standby that is coming back.
const LOOK_INTERVAL_MICROSECONDS: i64 = 100_000;

statements! {
    CALLER() = "SELECT session_user::text, pg_catalog.host(pg_catalog.inet_client_addr())";
}

#[pg_extern(sql = false)]
fn perform_failover(formation_id: &str, group_id: i32) -> Result<(), ErrorReport> {
    transition::run(|client| on_group(client, formation_id, group_id, &Event::PerformFailover).map(|_| ()))
}

#[pg_extern(sql = false)]
fn perform_failover_with_data_loss(
    formation_id: &str,
    group_id: i32,
    is_allowed: bool,
) -> Result<(), ErrorReport> {
    transition::run(|client| {
        let event = if is_allowed {
            Event::FailoverWithDataLoss { who: caller(client)? }
        } else {
            Event::PerformFailover
        };
        on_group(client, formation_id, group_id, &event).map(|_| ())
    })
}

/// False when nothing had to change.
#[pg_extern(sql = false)]
fn accept_timeline(formation_id: &str, group_id: i32, timeline: i32) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        let timeline = checked_timeline(timeline)?;
        let who = caller(client)?;
        let accepted = format!(
            "{who} accepted timeline {timeline}: branches that it does not descend from are rejected"
        );
        let event = Event::AcceptTimeline { timeline, who };
        let transition = on_group(client, formation_id, group_id, &event)?;
        if let Some(node) =
            transition.group.nodes.iter().find(|node| transition.is_changed && node.timeline == timeline)
        {
            store::event(client, node.id, &accepted)?;
        }
        Ok(transition.is_changed)
    })
}

/// False when the node is the primary already.
#[pg_extern(sql = false)]
fn perform_promotion(formation_id: &str, node_name: &str) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        let place = locate::by_name(client, formation_id, node_name)?;
        let event = Event::PerformPromotion(place.node);
        await_standby(client, &place.formation, place.group, &event)?;
        lock::group(&place.formation, place.group, Wait::Blocking);
        let group = load::group(client, &place.formation, place.group)?;
        let is_primary = group.writer().is_some_and(|writer| writer.id == place.node);
        transition::decide(client, &group, &group, &event)?;
        Ok(!is_primary)
    })
}

#[pg_extern(sql = false)]
fn start_maintenance(node_id: i64) -> Result<bool, ErrorReport> {
    on_node(node_id, Event::StartMaintenance)
}

#[pg_extern(sql = false)]
fn stop_maintenance(node_id: i64) -> Result<bool, ErrorReport> {
    on_node(node_id, Event::StopMaintenance)
}

fn on_group(
    client: &mut SpiClient<'_>,
    formation: &str,
    group_id: i32,
    event: &Event,
) -> Result<Transition, Error> {
    let id = GroupId(group_id);
    await_standby(client, formation, id, event)?;
    lock::group(formation, id, Wait::Blocking);
    let group = load::group(client, formation, id)?;
    if group.nodes.is_empty() {
        return Err(Error::UnknownGroup { formation: formation.to_owned(), group: id });
    }
    transition::decide(client, &group, &group, event)
}

/// Before a command that needs a standby: waits a moment for one that is coming back, as after a restart. The group is
/// not locked meanwhile, so that its nodes can report; what is found decides nothing but whether to go on waiting.
/// Locks that a transaction block has already would be held: there nothing is waited for.
fn await_standby(
    client: &mut SpiClient<'_>,
    formation: &str,
    group: GroupId,
    event: &Event,
) -> Result<(), Error> {
    let wanted = match *event {
        Event::PerformFailover | Event::StartMaintenance(_) => None,
        Event::PerformPromotion(node) => Some(node),
        _ => return Ok(()),
    };
    let limit = gucs::failover_wait_timeout();
    // SAFETY: looks at the state of this backend's transaction.
    if limit.is_zero() || unsafe { pg_sys::IsTransactionBlock() } {
        return Ok(());
    }
    let begin = Instant::now();
    while begin.elapsed() < limit {
        let group = load::group(client, formation, group)?;
        let is_refused = matches!(
            monitor::decide(&group, event),
            Err(Refusal::NoCandidate { .. } | Refusal::NotPromotable { .. })
        );
        if !is_refused || !group.has_returning_standby(wanted) {
            break;
        }
        // SAFETY: sleeps; a signal ends that early.
        unsafe { pg_sys::pg_usleep(LOOK_INTERVAL_MICROSECONDS) };
        pg_sys::check_for_interrupts!();
    }
    Ok(())
}

/// Who calls, for the event table: the role that logged in, and from where unless it is this machine.
pub(super) fn caller(client: &mut SpiClient<'_>) -> Result<String, Error> {
    let row = CALLER.with(|statement| statement.run(client, &[]))?.next();
    let row = row.ok_or(Error::Null("the name of the session's role"))?;
    let row = Row { row, what: "the session" };
    let (role, address): (String, Option<String>) = (row.get(1)?, row.get_nullable(2)?);
    Ok(address.map_or_else(|| role.clone(), |address| format!("{role} at {address}")))
}

fn on_node(node_id: i64, event: impl FnOnce(NodeId) -> Event) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        let Place { formation, group, node } = locate::by_id(client, NodeId(node_id))?;
        let event = event(node);
        await_standby(client, &formation, group, &event)?;
        lock::group(&formation, group, Wait::Blocking);
        transition::load_and_decide(client, &formation, group, &event)?;
        Ok(true)
    })
}
