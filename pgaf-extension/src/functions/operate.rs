//! What operators ask a group or a node to do: failover, promotion, maintenance.

use pgaf_core::monitor::Event;
use pgaf_core::{GroupId, NodeId};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::catalog::load;
use crate::catalog::locate::{self, Place};
use crate::error::Error;
use crate::lock::{self, Wait};
use crate::step;

#[pg_extern(sql = false)]
fn perform_failover(formation_id: &str, group_id: i32) -> Result<(), ErrorReport> {
    step::run(|client| {
        let id = GroupId(group_id);
        lock::group(formation_id, id, Wait::Blocking);
        let group = load::group(client, formation_id, id)?;
        if group.nodes.is_empty() {
            return Err(Error::UnknownGroup { formation: formation_id.to_owned(), group: id });
        }
        step::decide(client, &group, &Event::PerformFailover).map(|_| ())
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
        step::decide(client, &group, &Event::PerformPromotion(place.node))?;
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

fn on_node(node_id: i64, event: impl FnOnce(NodeId) -> Event) -> Result<bool, ErrorReport> {
    step::run(|client| {
        let Place { formation, group, node } = locate::by_id(client, NodeId(node_id))?;
        lock::group(&formation, group, Wait::Blocking);
        step::load_and_decide(client, &formation, group, &event(node))?;
        Ok(true)
    })
}
