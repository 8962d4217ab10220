//! `do …`: what people's test rigs use.

use std::time::{Duration, Instant};

use pgaf_core::keeper::{Step, StopMode};
use serde::Serialize;

use super::commands::{Debugging, Fsm, Pgsetup, Restart, Service};
use super::error::{CliError, CliResult};
use super::options::Pgdata;
use super::print;
use super::process::is_postgres_running;
use super::switches::not_yet;
use super::target::state_of;
use crate::config::{Config, NodeConfig};
use crate::exit::Exit;
use crate::postgres::Instance;

/// Postgres is waited for at most this long.
const WAIT_LIMIT: Duration = Duration::from_secs(60);
/// Between two tries to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Runs one of them, when PG_AUTOCTL_DEBUG is set.
pub(super) async fn run(command: &Debugging) -> CliResult<Exit> {
    if std::env::var_os("PG_AUTOCTL_DEBUG").is_none() {
        return Err(CliError::bad_arguments("the commands of \"pg_autoctl do\" need PG_AUTOCTL_DEBUG=1"));
    }
    match command {
        Debugging::Pgsetup(Pgsetup::Ready(pgdata)) => {
            Ok(if accepts_connections(&instance(pgdata)?).await { Exit::Quit } else { Exit::PgCtl })
        }
        Debugging::Pgsetup(Pgsetup::Wait(pgdata)) => wait(pgdata).await,
        Debugging::Fsm(Fsm::State(pgdata)) => fsm_state(pgdata).map(|()| Exit::Quit),
        Debugging::Fsm(_) => Err(not_yet("controlling a node without a monitor")),
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
                Exit::PgCtl,
                format!("Postgres has not accepted connections within {} s", WAIT_LIMIT.as_secs()),
            ));
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    Ok(Exit::Quit)
}

#[derive(Serialize)]
struct FsmReport {
    postgres: PostgresReport,
    state: StateReport,
}

#[derive(Serialize)]
struct PostgresReport {
    pgdata: String,
    host: String,
    port: u16,
    running: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateReport {
    #[serde(rename = "current_role")]
    current_role: &'static str,
    #[serde(rename = "assigned_role")]
    assigned_role: &'static str,
    node_id: i64,
    group_id: i32,
}

fn fsm_state(pgdata: &Pgdata) -> CliResult {
    let node = NodeConfig::load(&pgdata.required()?)?;
    let state = state_of(&node)?;
    let goal = state.assignment.as_ref().map(|assignment| assignment.goal);
    print::json(&FsmReport {
        postgres: PostgresReport {
            pgdata: node.postgres.pgdata.display().to_string(),
            host: node.hostname.clone(),
            port: node.postgres.port,
            running: is_postgres_running(&Config::Node(Box::new(node))),
        },
        state: StateReport {
            current_role: state.reported.as_str(),
            assigned_role: goal.unwrap_or(state.reported).as_str(),
            node_id: state.node.0,
            group_id: state.group.0,
        },
    })
}
