//! `remove_node`: a node leaves its formation.

use pgaf_core::NodeId;
use pgaf_core::monitor::Event;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::catalog::load;
use crate::catalog::locate::{self, Place};
use crate::error::Error;
use crate::lock;
use crate::transition;

#[pg_extern(sql = false)]
fn remove_node(node_id: i64, force: bool) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        let place = locate::by_id(client, NodeId(node_id))?;
        remove(client, &place, force)
    })
}

#[pg_extern(sql = false)]
fn remove_node_by_address(host: &str, port: i32, force: bool) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        let place = locate::by_address(client, host, port)?;
        remove(client, &place, force)
    })
}

/// With `force` the row goes at once; else the node is told, and its row goes when it has reported that it left.
fn remove(client: &mut SpiClient<'_>, place: &Place, force: bool) -> Result<bool, Error> {
    // How many standbys are left can change a setting of the formation.
    lock::formation(&place.formation);
    let event = Event::Remove { node: place.node, force };
    let before = load::group(client, &place.formation, place.group)?;
    let transition = transition::decide(client, &before, &before, &event)?;
    transition::follow_setting(client, &before, &transition.group)?;
    Ok(true)
}
