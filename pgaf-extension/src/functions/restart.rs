//! Restarts of Postgres that a person asks for, one node after the other.

use pgaf_core::monitor::Event;
use pgaf_core::{NodeId, RestartId};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::operate;
use crate::catalog::load::Row;
use crate::catalog::locate::{self, Place};
use crate::catalog::{notify, store};
use crate::error::Error;
use crate::lock::{self, Wait};
use crate::statement::statements;
use crate::transition;

statements! {
    NEW_ID() = "SELECT pg_catalog.gen_random_uuid()::text";
}

/// Gives the name of the restart: the node says it in its reports when it is done.
#[pg_extern(sql = false)]
fn restart_node(node_id: i64) -> Result<String, ErrorReport> {
    transition::run(|client| {
        let Place { formation, group, node } = locate::by_id(client, NodeId(node_id))?;
        lock::group(&formation, group, Wait::Blocking);
        let row = NEW_ID.with(|statement| statement.run(client, &[]))?.next();
        let row = row.ok_or(Error::Null("the name of a restart"))?;
        let id: String = Row { row, what: "the name of a restart" }.get(1)?;
        let event = Event::Restart { node, restart: RestartId(id.clone()) };
        let step = transition::load_and_decide(client, &formation, group, &event)?;
        let who = operate::caller(client)?;
        store::event(client, node, &format!("{who} asked to restart Postgres"))?;
        if let Some(node) = step.group.node(node) {
            notify::keeper(client, node.id, node.goal_epoch)?;
        }
        Ok(id)
    })
}

/// False when the node has no restart to do.
#[pg_extern(sql = false)]
fn cancel_restart(node_id: i64) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        let Place { formation, group, node } = locate::by_id(client, NodeId(node_id))?;
        lock::group(&formation, group, Wait::Blocking);
        let step = transition::load_and_decide(client, &formation, group, &Event::CancelRestart(node))?;
        if step.is_changed {
            let who = operate::caller(client)?;
            store::event(client, node, &format!("{who} cancelled the restart of Postgres"))?;
        }
        Ok(step.is_changed)
    })
}
