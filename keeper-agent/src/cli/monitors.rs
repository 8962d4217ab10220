//! What operators want of several monitors: that one goes, or that another one leads.

use std::time::Duration;

use pgaf_core::NodeId;
use pgaf_core::monitors::{Reply, What};
use tokio::time::{Instant, sleep};

use super::error::{CliError, CliResult};
use super::options::{Pgdata, Wait};
use crate::config::{Config, Member, MonitorConfig};
use crate::exit::Exit;
use crate::monitor_peer;
use crate::monitors::{Progress, Status, drop_member, propose, status_of};

/// One that is dropped stops its Postgres first, and another one may have to take over.
const DROP_LIMIT: Duration = Duration::from_secs(60);
/// Between two questions.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// The monitor in --pgdata, which must be one of several.
pub(super) fn several(pgdata: &Pgdata) -> CliResult<MonitorConfig> {
    let pgdata = pgdata.required()?;
    match Config::load(&pgdata)? {
        Config::Monitor(config) if config.monitors.is_some() => Ok(*config),
        _ => Err(CliError::new(
            Exit::BadConfig,
            format!(
                "\"{}\" is not that of one of several monitors: run this on a host of one, with --pgdata",
                pgdata.display()
            ),
        )),
    }
}

fn members(config: &MonitorConfig) -> Vec<(u64, Member)> {
    config.monitors.iter().flat_map(|monitors| monitors.members.clone()).collect()
}

/// The number of the monitor with that name.
fn number_of(members: &[(u64, Member)], name: &str) -> CliResult<u64> {
    let found = members.iter().find(|(_, member)| member.name == name);
    found.map(|(id, _)| *id).ok_or_else(|| {
        CliError::bad_arguments(format!(
            "no monitor is called \"{name}\": \"pg_autoctl show monitors\" lists them"
        ))
    })
}

/// `drop monitor --name`
pub(super) async fn drop_named(pgdata: &Pgdata, name: &str) -> CliResult {
    let config = several(pgdata)?;
    number_of(&members(&config), name)?;
    drop_one(&config, name).await?;
    tracing::info!("monitor \"{name}\" is dropped");
    Ok(())
}

/// Has the others go on without the monitor of this machine.
pub(super) async fn drop_own(config: &MonitorConfig) -> CliResult {
    let name = config.monitors.as_ref().map(|monitors| monitors.name.clone()).unwrap_or_default();
    drop_one(config, &name).await
}

/// Goes on until it is dropped. Whoever leads may be the one that goes, and then another one goes on.
async fn drop_one(config: &MonitorConfig, name: &str) -> CliResult {
    let (identity, members) = (monitor_peer::identity(config), members(config));
    let begin = Instant::now();
    let mut is_under_way = false;
    loop {
        let reason = match drop_member(&identity, &members, name).await {
            Ok(Progress::Done) => return Ok(()),
            Ok(Progress::UnderWay) => {
                is_under_way = true;
                "it has not agreed yet".to_owned()
            }
            Err(reason) if !is_under_way => return Err(CliError::new(Exit::Monitor, reason)),
            Err(reason) => reason,
        };
        if begin.elapsed() >= DROP_LIMIT {
            return Err(CliError::new(
                Exit::Monitor,
                format!("monitor \"{name}\" is not dropped after {} s: {reason}", DROP_LIMIT.as_secs()),
            ));
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Whose server decides, as far as one of the monitors knows.
async fn writer(config: &MonitorConfig) -> Option<(NodeId, String)> {
    let identity = monitor_peer::identity(config);
    let mut newest: Option<Status> = None;
    for (id, member) in members(config) {
        let Ok(status) = status_of(&identity, id, &member).await else { continue };
        if newest.as_ref().is_none_or(|newest| status.applied > newest.applied) {
            newest = Some(status);
        }
    }
    let group = newest?.monitors.group?;
    let node = group.nodes.iter().find(|node| node.goal.is_writer() && node.goal == node.reported)?;
    Some((node.id, node.name.clone()))
}

/// `perform monitor-switchover`
pub(super) async fn switch_over(pgdata: &Pgdata, name: Option<&str>, wait: Wait) -> CliResult {
    let config = several(pgdata)?;
    let (identity, members) = (monitor_peer::identity(&config), members(&config));
    let to = name.map(|name| number_of(&members, name)).transpose()?;
    let to = to.map(|id| NodeId(id.cast_signed()));
    let before = writer(&config).await;
    if to.is_some() && before.as_ref().map(|(node, _)| *node) == to {
        tracing::info!("monitor \"{}\" decides already", name.unwrap_or_default());
        return Ok(());
    }
    let failed = |reason: String| CliError::new(Exit::Monitor, reason);
    match propose(&identity, &members, What::Switchover { to }).await.map_err(failed)? {
        Reply::Refused(reason) => return Err(failed(reason)),
        Reply::Unknown => return Err(failed("the monitors have no server yet".to_owned())),
        _ => {}
    }
    let (begin, limit) = (Instant::now(), wait.duration(None));
    loop {
        let now = writer(&config).await.filter(|now| Some(now) != before.as_ref());
        if let Some((_, name)) = now.filter(|(node, _)| to.is_none_or(|to| to == *node)) {
            tracing::info!("monitor \"{name}\" decides now");
            return Ok(());
        }
        if begin.elapsed() >= limit {
            return Err(failed(format!("no other monitor decides after {} s", limit.as_secs())));
        }
        sleep(LOOK_INTERVAL).await;
    }
}
