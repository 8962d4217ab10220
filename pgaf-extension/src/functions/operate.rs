//! What operators ask a group or a node to do: failover, promotion, maintenance, and which branch of the log is right.

use pgaf_core::monitor::Event;
use pgaf_core::{GroupId, NodeId};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::report::checked_timeline;
use crate::catalog::load::{self, Row};
use crate::catalog::locate::{self, Place};
use crate::catalog::store;
use crate::error::Error;
use crate::lock::{self, Wait};
use crate::plan::plans;
use crate::step::{self, Step};

plans! {
    CALLER() = "SELECT session_user::text, pg_catalog.host(pg_catalog.inet_client_addr())";
}

#[pg_extern(sql = false)]
fn perform_failover(formation_id: &str, group_id: i32) -> Result<(), ErrorReport> {
    step::run(|client| on_group(client, formation_id, group_id, &Event::PerformFailover).map(|_| ()))
}

#[pg_extern(sql = false)]
fn perform_failover_with_data_loss(
    formation_id: &str,
    group_id: i32,
    is_allowed: bool,
) -> Result<(), ErrorReport> {
    step::run(|client| {
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
    step::run(|client| {
        let timeline = checked_timeline(timeline)?;
        let who = caller(client)?;
        let accepted = format!(
            "{who} accepted timeline {timeline}: branches that it does not descend from are rejected"
        );
        let event = Event::AcceptTimeline { timeline, who };
        let step = on_group(client, formation_id, group_id, &event)?;
        if let Some(node) = step.group.nodes.iter().find(|node| step.is_changed && node.timeline == timeline)
        {
            store::event(client, node.id, &accepted)?;
        }
        Ok(step.is_changed)
    })
}

/// False when the node is the primary already.
#[pg_extern(sql = false)]
fn perform_promotion(formation_id: &str, node_name: &str) -> Result<bool, ErrorReport> {
    step::run(|client| {
        let place = locate::by_name(client, formation_id, node_name)?;
        lock::group(&place.formation, place.group, Wait::Blocking);
        let group = load::group(client, &place.formation, place.group)?;
        let is_primary = group.writer().is_some_and(|writer| writer.id == place.node);
        step::decide(client, &group, &group, &Event::PerformPromotion(place.node))?;
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
) -> Result<Step, Error> {
    let id = GroupId(group_id);
    lock::group(formation, id, Wait::Blocking);
    let group = load::group(client, formation, id)?;
    if group.nodes.is_empty() {
        return Err(Error::UnknownGroup { formation: formation.to_owned(), group: id });
    }
    step::decide(client, &group, &group, event)
}

/// Who calls, for the event table: the role that logged in, and from where unless it is this machine.
fn caller(client: &mut SpiClient<'_>) -> Result<String, Error> {
    let row = CALLER.with(|plan| plan.run(client, &[]))?.next();
    let row = row.ok_or(Error::Null("the name of the session's role"))?;
    let row = Row { row, what: "the session" };
    let (role, address): (String, Option<String>) = (row.get(1)?, row.get_nullable(2)?);
    Ok(address.map_or_else(|| role.clone(), |address| format!("{role} at {address}")))
}

fn on_node(node_id: i64, event: impl FnOnce(NodeId) -> Event) -> Result<bool, ErrorReport> {
    step::run(|client| {
        let Place { formation, group, node } = locate::by_id(client, NodeId(node_id))?;
        lock::group(&formation, group, Wait::Blocking);
        step::load_and_decide(client, &formation, group, &event(node))?;
        Ok(true)
    })
}
