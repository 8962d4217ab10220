//! `do …`: what people's test rigs use.

mod demo;
mod network;
mod pgsetup;
mod service;
mod tmux;

use super::commands::Debugging;
use super::error::{CliError, CliResult};
use super::fsm;
use crate::exit::Exit;

/// Runs one of them, when PG_AUTOCTL_DEBUG is set.
pub(super) async fn run(command: &Debugging) -> CliResult<Exit> {
    if let Debugging::Service(command) = command
        && service::is_of_a_supervisor(command)
    {
        return service::run(command).await;
    }
    if std::env::var_os("PG_AUTOCTL_DEBUG").is_none() {
        return Err(CliError::bad_arguments("the commands of \"pg_autoctl do\" need PG_AUTOCTL_DEBUG=1"));
    }
    let done = match command {
        Debugging::Pgsetup(command) => return pgsetup::run(command).await,
        Debugging::Service(command) => return service::run(command).await,
        Debugging::Fsm(command) => fsm::run(command).await,
        Debugging::Show(command) => network::run(command).await,
        Debugging::Demo(command) => demo::run(command).await,
        Debugging::Tmux(command) => tmux::run(command),
    };
    done.map(|()| Exit::Quit)
}
