//! `create …`: makes monitors, nodes and formations.
//!
//! Everything is checked before anything is made. From the first change on there is an init file that says what was there
//! before: a `create` that was interrupted goes on when it is run again, one that failed takes back what it made.

mod adopt;
mod citus;
mod formation;
mod monitor;
mod node;
mod server;
mod several;

pub(super) use server::make_primary;

use super::commands::Create;
use super::error::CliResult;
use pgaf_core::NodeKind;

use crate::exit::Exit;

/// Runs one of them.
pub(super) async fn run(command: &Create) -> CliResult<Exit> {
    match command {
        Create::Monitor(options) => monitor::run(options).await,
        Create::Postgres(options) => node::run(options).await,
        Create::Formation(options) => formation::run(options).await.map(|()| Exit::Quit),
        Create::Coordinator(options) => citus::run(options, NodeKind::Coordinator).await,
        Create::Worker(options) => citus::run(options, NodeKind::Worker).await,
    }
}
