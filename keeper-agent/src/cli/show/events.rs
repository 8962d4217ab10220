//! `show events`: what happened last, oldest first.

use std::time::Duration;

use super::super::commands::ShowEvents;
use super::super::error::CliResult;
use super::super::print;
use super::super::table::{Align, Column, Table, render};
use super::super::target::Target;
use super::super::watch;
use crate::monitor::{NodeEvent, Notification};

const COLUMNS: [Column; 5] = [
    Column::new("Event Time", Align::Right, 30),
    Column::new("Node", Align::Right, 6),
    Column::new("Current State", Align::Right, 19),
    Column::new("Assigned State", Align::Right, 19),
    Column::new("Comment", Align::Free, 10),
];

/// An event that nobody told is seen after this long.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks there are never more.
const WATCH_COUNT: i32 = 1000;

/// Runs it.
pub(super) async fn run(options: &ShowEvents) -> CliResult {
    if options.watch && watch::is_possible() {
        return watch::run(&options.monitor, &options.group, Some(options.count)).await;
    }
    let target = Target::of(&options.monitor)?;
    let formation = target.formation(&options.group.formation);
    let group = options.group.group();
    let (monitor, mut notifications) = target.connect_and_listen().await?;
    if options.json.json {
        let json = monitor.last_events_json(&formation, group, options.count).await?;
        return print::line(&json);
    }
    let events = monitor.last_events(&formation, group, options.count).await?;
    let rows: Vec<[String; 5]> = events.iter().map(row).collect();
    let shown = render(&COLUMNS, &rows);
    if !options.watch {
        return print::line(&shown);
    }
    // Who reads a pipe gets the events as they come.
    print::line(shown.trim_end_matches('\n'))?;
    let table = Table::new(&COLUMNS, &rows);
    let mut last = events.last().map_or(0, |event| event.event);
    monitor.listen_state().await?;
    loop {
        let awaited = tokio::time::timeout(WATCH_INTERVAL, notifications.recv()).await;
        if matches!(awaited, Ok(Some(Notification::Log(_)))) {
            continue;
        }
        let events = monitor.last_events(&formation, group, WATCH_COUNT).await?;
        for event in events.iter().filter(|event| event.event > last) {
            print::line(&table.row(&row(event)))?;
        }
        last = events.last().map_or(last, |event| event.event);
    }
}

fn row(event: &NodeEvent) -> [String; 5] {
    [
        event.time.clone(),
        format!("{}/{}", event.group, event.node),
        event.reported.to_string(),
        event.goal.to_string(),
        event.description.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use pgaf_core::{GroupId, NodeId, ReplicationState};

    use super::*;

    #[test]
    fn events_show_as_people_know_them() {
        let event = NodeEvent {
            event: 13,
            time: "2026-11-23 13:34:11.56265+00".to_owned(),
            moment: std::time::UNIX_EPOCH,
            node: NodeId(1),
            group: GroupId(0),
            reported: ReplicationState::WaitPrimary,
            goal: ReplicationState::Primary,
            description: "what happened".to_owned(),
        };
        let expected = "                    \
                     Event Time |   Node |       Current State |      Assigned State | Comment
-------------------------------+--------+---------------------+---------------------+-----------
  2026-11-23 13:34:11.56265+00 |    0/1 |        wait_primary |             primary | what happened
";
        assert_eq!(render(&COLUMNS, &[row(&event)]), expected);
    }
}
