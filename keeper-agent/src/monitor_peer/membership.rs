//! What the monitors have agreed on about who they are, kept where it is needed: in the configuration of each one, and in the
//! database, from which keepers learn it.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::files::identity;
use crate::client::Host;
use crate::config::{Config, ConfigError, MonitorConfig, MonitorsConfig};
use crate::monitor::MONITORS_CHANNEL;
use crate::monitors::{Handle, status_of};
use crate::postgres::{Instance, PostgresError};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// A look at the database, and a change of it, which another monitor has to have.
const DEADLINE: Duration = Duration::from_secs(5);
/// Between two questions of a witness whether it is still one of the monitors.
const QUESTION_PERIOD: Duration = Duration::from_secs(5);

/// The servers of the monitors, by their numbers, as was agreed.
fn servers(handle: &Handle) -> Vec<(i64, Host)> {
    let agreed = handle.agreed();
    let monitors = agreed.borrow();
    let nodes = monitors.group.iter().flat_map(|group| &group.nodes);
    nodes.map(|node| (node.id.0, Host { name: node.host.clone(), port: node.port, address: None })).collect()
}

/// Keeps the configuration file as was agreed: who restarts finds the others. Never ends.
pub(super) async fn follow(mut config: MonitorConfig, handle: Handle) {
    loop {
        sleep(PERIOD).await;
        let members = handle.members().borrow().clone();
        let servers: Vec<Host> = servers(&handle).into_iter().map(|(_, host)| host).collect();
        let Some(known) = &config.monitors else { continue };
        let is_one = members.iter().any(|(_, member)| member.name == known.name);
        if !is_one || (members == known.members && servers == known.servers) {
            continue;
        }
        let monitors = MonitorsConfig { members, servers, ..known.clone() };
        match store(&config, &monitors) {
            Ok(()) => tracing::info!("the monitors are now: {}", monitors.names()),
            Err(error) => tracing::warn!("the other monitors could not be written down: {error}"),
        }
        config.monitors = Some(monitors);
    }
}

fn store(config: &MonitorConfig, monitors: &MonitorsConfig) -> Result<(), ConfigError> {
    // An operator may have changed the rest.
    if let Config::Monitor(mut present) = Config::load(&config.postgres.pgdata)? {
        present.monitors = Some(monitors.clone());
        present.store()?;
    }
    Ok(())
}

/// Writes into the database where the servers of all monitors are, as long as this one's server is the one that decides.
/// Never ends.
pub(super) async fn publish(instance: &Instance, config: &MonitorConfig, handle: &Handle) {
    loop {
        sleep(PERIOD).await;
        let servers = servers(handle);
        if servers.is_empty() || !instance.is_postmaster_running().await {
            continue;
        }
        match timeout(DEADLINE, write(instance, &config.postgres.dbname, &servers)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("could not tell the nodes where the monitors are: {error}"),
            Err(_) => tracing::debug!("could not tell the nodes where the monitors are in time"),
        }
    }
}

const PRESENT: &str = "\
SELECT pg_catalog.pg_is_in_recovery(),
       coalesce((SELECT pg_catalog.string_agg(pg_catalog.format('%s %s:%s', nodeid, host, port), ',' ORDER BY nodeid)
                   FROM pgautofailover.monitor_server), '')";
const WRITE: &str = "\
WITH given AS (SELECT * FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]),
                                       pg_catalog.unnest($3::integer[])) AS server (nodeid, host, port)),
     gone AS (DELETE FROM pgautofailover.monitor_server WHERE nodeid NOT IN (SELECT nodeid FROM given)),
     kept AS (INSERT INTO pgautofailover.monitor_server (nodeid, host, port) SELECT * FROM given
                  ON CONFLICT (nodeid) DO UPDATE SET host = excluded.host, port = excluded.port)
SELECT pg_catalog.pg_notify($4::text, '')";

async fn write(instance: &Instance, dbname: &str, servers: &[(i64, Host)]) -> Result<(), PostgresError> {
    let failed = |error| PostgresError::sql("write where the monitors are")(error);
    let session = instance.session(dbname).await?;
    let wanted: Vec<String> =
        servers.iter().map(|(id, host)| format!("{id} {}:{}", host.name, host.port)).collect();
    let row = session.query_one(PRESENT, &[]).await.map_err(failed)?;
    if row.get::<_, bool>(0) || row.get::<_, &str>(1) == wanted.join(",") {
        return Ok(());
    }
    let ids: Vec<i64> = servers.iter().map(|(id, _)| *id).collect();
    let hosts: Vec<&str> = servers.iter().map(|(_, host)| host.name.as_str()).collect();
    let ports: Vec<i32> = servers.iter().map(|(_, host)| i32::from(host.port)).collect();
    session.query_one(WRITE, &[&ids, &hosts, &ports, &MONITORS_CHANNEL]).await.map_err(failed)?;
    Ok(())
}

/// Waits until a majority of the monitors says that this one is none of them.
pub(super) async fn dropped(config: &MonitorConfig, id: u64) {
    let identity = identity(config);
    loop {
        sleep(QUESTION_PERIOD).await;
        let Ok(Config::Monitor(present)) = Config::load(&config.postgres.pgdata) else { continue };
        for (other, member) in present.monitors.iter().flat_map(|monitors| &monitors.members) {
            let Ok(status) = status_of(&identity, *other, member).await else { continue };
            let is_one = status.members.iter().any(|(member, _)| *member == id);
            if *other != id && status.has_majority && !status.members.is_empty() && !is_one {
                return;
            }
        }
    }
}
