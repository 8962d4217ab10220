//! `perform …`: has the monitor change roles, and follows until the group is whole again.

use pgaf_core::GroupId;

use super::arrange;
use super::commands::{Perform, PerformFailover};
use super::error::{CliError, CliResult};
use super::follow::{Display, Follower};
use super::hand_over::{Asked, EVENT_COUNT, await_whole, last_event};
use super::monitors;
use super::options::{Formation, Json, MonitorOrPgdata, Wait};
use super::print;
use super::rolling;
use super::target::{Target, node_id};
use crate::exit::Exit;
use crate::monitor::MonitorConnection;

/// Runs one of them.
pub(super) async fn run(command: &Perform) -> CliResult {
    match command {
        Perform::Failover(options) | Perform::Switchover(options) => failover(options).await,
        Perform::Promotion { monitor, formation, name, wait, json } => {
            promotion(monitor, formation, name.as_deref(), *wait, *json).await
        }
        Perform::Restart(options) => rolling::run(options).await,
        Perform::MonitorSwitchover { pgdata, name, wait } => {
            monitors::switch_over(pgdata, name.as_deref(), *wait).await
        }
    }
}

async fn failover(options: &PerformFailover) -> CliResult {
    let target = Target::of(&options.monitor)?;
    let formation = target.formation(&options.group.formation);
    let (monitor, notifications) = target.connect_and_listen().await?;
    let group = target.group(&options.group, &monitor).await?;
    if options.cancel {
        return arrange::cancel(&monitor, &formation, group).await;
    }
    if let Some(time) = &options.at {
        return arrange::schedule(&monitor, &formation, group, time).await;
    }
    let display = Display::unless_json(options.json.json);
    let follower = Follower::begin(&monitor, notifications, &formation, group, display).await?;
    let asked = Asked::now(&monitor, &follower).await?;
    if options.allow_data_loss {
        give_up_commits(&monitor, &formation, group).await?;
    } else {
        monitor.perform_failover(&formation, group).await?;
    }
    await_whole(follower, options.wait.duration(target.node())).await?;
    asked.check_done(&monitor).await?;
    show_group(&monitor, &formation, group, options.json).await
}

async fn show_group(monitor: &MonitorConnection, formation: &str, group: GroupId, json: Json) -> CliResult {
    if !json.json {
        return Ok(());
    }
    print::line(&monitor.current_state_json(formation, Some(group)).await?)
}

/// Goes on without nodes that may have acknowledged commits, and says which these are.
async fn give_up_commits(monitor: &MonitorConnection, formation: &str, group: GroupId) -> CliResult {
    let before = last_event(monitor, formation, group).await?;
    monitor.perform_failover_with_data_loss(formation, group).await?;
    let events = monitor.last_events(formation, Some(group), EVENT_COUNT).await?;
    let new = events.iter().filter(|event| event.event > before);
    if let Some(reason) = new.filter_map(|event| reason_of_loss(&event.description)).next() {
        tracing::warn!("{reason}");
    }
    Ok(())
}

/// Why, in the words of the event's rule.
fn reason_of_loss(description: &str) -> Option<&str> {
    let described = description.strip_suffix(" [failover_with_data_loss]")?;
    described.split_once(" because ").map(|(_, reason)| reason)
}

async fn promotion(
    options: &MonitorOrPgdata,
    formation: &Formation,
    name: Option<&str>,
    wait: Wait,
    json: Json,
) -> CliResult {
    let target = Target::of(options)?;
    let formation = target.formation(formation);
    let name = target.node_name(name)?;
    let (monitor, notifications) = target.connect_and_listen().await?;
    // As in 2.2: the name is an argument that is wrong, and not a monitor that refuses.
    let node = node_id(&monitor, &formation, &name).await.map_err(|error| match error.exit {
        Exit::Monitor => CliError::bad_arguments(error.message),
        _ => error,
    })?;
    let group = monitor.node(node).await?.map_or_else(GroupId::default, |node| node.group);
    let display = Display::unless_json(json.json);
    let follower = Follower::begin(&monitor, notifications, &formation, group, display).await?;
    let asked = Asked::now(&monitor, &follower).await?;
    if monitor.perform_promotion(&formation, &name).await? {
        await_whole(follower, wait.duration(target.node())).await?;
        asked.check_done(&monitor).await?;
    } else {
        tracing::info!("node \"{name}\" is the primary already");
    }
    show_group(&monitor, &formation, group, json).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_loss_is_found_in_the_event() {
        let event = "Setting goal state of node 2 \"n2\" (h:5432) to report_lsn because bob allowed to lose commits \
                     that only node 1 \"n1\" (h:5432) may have [failover_with_data_loss]";
        let reason = "bob allowed to lose commits that only node 1 \"n1\" (h:5432) may have";
        assert_eq!(reason_of_loss(event), Some(reason));
        assert_eq!(reason_of_loss("New state is reported"), None);
    }
}
