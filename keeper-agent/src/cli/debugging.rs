//! `do …`: what people's test rigs use.

use std::time::{Duration, Instant};

use pgaf_core::keeper::{Step, StopMode};

use super::commands::{Debugging, Pgsetup, Restart, Service};
use super::error::{CliError, CliResult};
use super::fsm;
use super::options::Pgdata;
use crate::config::Config;
use crate::exit::Exit;
use crate::postgres::Instance;

/// Postgres is waited for at most this long.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
/// Between two tries to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Runs one of them, when PG_AUTOCTL_DEBUG is set.
pub(super) async fn run(command: &Debugging) -> CliResult<Exit> {
    if std::env::var_os("PG_AUTOCTL_DEBUG").is_none() {
        return Err(CliError::bad_arguments("the commands of \"pg_autoctl do\" need PG_AUTOCTL_DEBUG=1"));
    }
    match command {
        Debugging::Pgsetup(Pgsetup::Ready(pgdata)) => {
            Ok(if accepts_connections(&instance(pgdata)?).await { Exit::Quit } else { Exit::Sql })
        }
        Debugging::Pgsetup(Pgsetup::Wait(pgdata)) => wait(pgdata).await,
        Debugging::Fsm(command) => fsm::run(command).await.map(|()| Exit::Quit),
        Debugging::Service(Service::Restart(Restart::Postgres(pgdata))) => {
            // The keeper starts it again.
            instance(pgdata)?
                .execute(&Step::StopPostgres(StopMode::Fast))
                .await
                .map_err(|error| CliError::new(Exit::PgCtl, error.to_string()))?;
            wait(pgdata).await
        }
    }
}

fn instance(pgdata: &Pgdata) -> CliResult<Instance> {
    Ok(Instance::new(match Config::load(&pgdata.required()?)? {
        Config::Node(node) => node.instance(None),
        Config::Monitor(monitor) => monitor.instance(),
    }))
}

async fn accepts_connections(instance: &Instance) -> bool {
    instance.session("template1").await.is_ok()
}

async fn wait(pgdata: &Pgdata) -> CliResult<Exit> {
    let instance = instance(pgdata)?;
    let begin = Instant::now();
    while !accepts_connections(&instance).await {
        if begin.elapsed() > WAIT_LIMIT {
            return Err(CliError::new(
                Exit::Sql,
                format!("Postgres has not accepted connections within {} s", WAIT_LIMIT.as_secs()),
            ));
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    Ok(Exit::Quit)
}
