//! `do …`: what people's test rigs use.

mod demo;
mod network;
mod pgsetup;
mod tmux;

use pgaf_core::keeper::{Step, StopMode};

use super::commands::{Debugging, Restart, Service};
use super::error::{CliError, CliResult};
use super::fsm;
use super::options::Pgdata;
use crate::config::Config;
use crate::exit::Exit;
use crate::postgres::Instance;

/// Runs one of them, when PG_AUTOCTL_DEBUG is set.
pub(super) async fn run(command: &Debugging) -> CliResult<Exit> {
    if std::env::var_os("PG_AUTOCTL_DEBUG").is_none() {
        return Err(CliError::bad_arguments("the commands of \"pg_autoctl do\" need PG_AUTOCTL_DEBUG=1"));
    }
    let done = match command {
        Debugging::Pgsetup(command) => return pgsetup::run(command).await,
        Debugging::Service(Service::Restart(Restart::Postgres(pgdata))) => return restart(pgdata).await,
        Debugging::Fsm(command) => fsm::run(command).await,
        Debugging::Show(command) => network::run(command).await,
        Debugging::Demo(command) => demo::run(command).await,
        Debugging::Tmux(command) => tmux::run(command),
    };
    done.map(|()| Exit::Quit)
}

/// The keeper starts Postgres again.
async fn restart(pgdata: &Pgdata) -> CliResult<Exit> {
    let config = Config::load(&pgdata.required()?)?;
    Instance::new(config.instance())
        .execute(&Step::StopPostgres(StopMode::Fast))
        .await
        .map_err(|error| CliError::new(Exit::PgCtl, error.to_string()))?;
    pgsetup::wait(pgdata).await
}
