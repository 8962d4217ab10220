//! Following a change that the monitor was asked for: the table of states as they are notified, until it is done.

use std::time::{Duration, Instant};

use pgaf_core::{GroupId, NodeId};

use super::error::{CliError, CliResult};
use super::local_time::LocalTime;
use super::print;
use super::table::{Align, Column, Table};
use crate::exit::Exit;
use crate::monitor::{MonitorConnection, NodeState, Notification, Notifications, StateChange};

const COLUMNS: [Column; 6] = [
    Column::new("Time", Align::Right, 8),
    Column::new("Name", Align::Right, 0),
    Column::new("Node", Align::Right, 5),
    Column::new("Host:Port", Align::Right, 0),
    Column::new("Current State", Align::Right, 19),
    Column::new("Assigned State", Align::Right, 19),
];

/// Without a notification, the state is looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How far a change is, as a look at the nodes of the group shows it.
pub(super) enum Progress {
    /// There is nothing more to wait for.
    Done,
    /// It is done, unless something follows that has not begun yet.
    MayBeDone,
    /// It is not done: what is still missing.
    Waiting(Vec<String>),
}

/// Whether the changes are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Display {
    /// As a table, on standard output.
    Table,
    /// Not at all: the command prints something else there.
    Nothing,
}

impl Display {
    /// Where JSON is asked for, the state that comes in the end is all that is printed.
    pub(super) const fn unless_json(is_json: bool) -> Self {
        if is_json { Self::Nothing } else { Self::Table }
    }
}

/// A node that is on its way, in words.
pub(super) fn on_its_way(node: &NodeState) -> String {
    format!("node {} \"{}\" is {} and should become {}", node.node, node.name, node.reported, node.goal)
}

/// Listens to one group.
pub(super) struct Follower<'a> {
    monitor: &'a MonitorConnection,
    notifications: Notifications,
    pub(super) formation: &'a str,
    pub(super) group: GroupId,
    display: Display,
    table: Table,
    /// The nodes of the group before anything was asked for.
    pub(super) before: Vec<NodeState>,
}

impl<'a> Follower<'a> {
    /// Listens before anything is asked for, so that no change is missed.
    pub(super) async fn begin(
        monitor: &'a MonitorConnection,
        notifications: Notifications,
        formation: &'a str,
        group: GroupId,
        display: Display,
    ) -> CliResult<Self> {
        monitor.listen_state().await?;
        let before = monitor.current_state(formation, Some(group)).await?;
        let rows: Vec<[String; 6]> = before
            .iter()
            .map(|node| cells("", &node.name, group, node.node, &node.host, node.port, ["", ""]))
            .collect();
        let table = Table::new(&COLUMNS, &rows);
        Ok(Self { monitor, notifications, formation, group, display, table, before })
    }

    /// Prints what changes until `progress` says that it is done; gives what is missing when the time is over.
    pub(super) async fn follow(
        mut self,
        limit: Duration,
        mut progress: impl FnMut(&[NodeState]) -> Progress,
    ) -> CliResult<Result<(), Vec<String>>> {
        let (formation, group) = (self.formation, self.group);
        tracing::info!(
            "Listening monitor notifications about state changes in formation \"{formation}\" and group {group}"
        );
        if self.display == Display::Table {
            tracing::info!("Following table displays times when notifications are received");
            print::line(&self.table.header())?;
        }
        let begin = Instant::now();
        loop {
            let nodes = self.monitor.current_state(formation, Some(group)).await?;
            let left = limit.checked_sub(begin.elapsed());
            match (progress(&nodes), left) {
                // What was told before that look is printed before the end.
                (Progress::Done, _) | (Progress::MayBeDone, None) => {
                    self.print_what_came()?;
                    return Ok(Ok(()));
                }
                (Progress::Waiting(awaited), None) => return Ok(Err(self.reasons(awaited).await)),
                (_, Some(left)) => self.print_changes(left.min(LOOK_INTERVAL)).await?,
            }
        }
    }

    /// What the group waits for comes first: the rest follows from it.
    async fn reasons(&self, mut awaited: Vec<String>) -> Vec<String> {
        match self.monitor.waits_for(self.formation, self.group).await {
            Ok(reason) => awaited.splice(0..0, reason).for_each(drop),
            Err(error) => awaited.push(error.to_string()),
        }
        awaited
    }

    /// Prints the next change, and those that came with it.
    async fn print_changes(&mut self, limit: Duration) -> CliResult {
        match tokio::time::timeout(limit, self.notifications.recv()).await {
            Err(_) => Ok(()),
            Ok(None) => Err(CliError::new(
                Exit::Monitor,
                "lost the connection to the monitor: \"pg_autoctl show state\" shows how the change goes on",
            )),
            Ok(Some(notification)) => {
                self.print(&notification)?;
                self.print_what_came()
            }
        }
    }

    fn print_what_came(&mut self) -> CliResult {
        while let Some(notification) = self.notifications.try_recv() {
            self.print(&notification)?;
        }
        Ok(())
    }

    fn print(&self, notification: &Notification) -> CliResult {
        let Notification::State(change) = notification else {
            return Ok(());
        };
        let is_ours = change.formation == self.formation && change.group_id == self.group;
        if !is_ours || self.display == Display::Nothing {
            return Ok(());
        }
        print::line(&self.table.row(&row(change)))
    }
}

fn row(change: &StateChange) -> [String; 6] {
    cells(
        &LocalTime::now().to_string(),
        &change.name,
        change.group_id,
        change.node_id,
        &change.host,
        change.port,
        [change.reported_state.as_str(), change.goal_state.as_str()],
    )
}

fn cells(
    time: &str,
    name: &str,
    group: GroupId,
    node: NodeId,
    host: &str,
    port: u16,
    [reported, goal]: [&str; 2],
) -> [String; 6] {
    [
        time.to_owned(),
        name.to_owned(),
        format!("{group}/{node}"),
        format!("{host}:{port}"),
        reported.to_owned(),
        goal.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_show_as_people_know_them() {
        let table =
            Table::new(&COLUMNS, &[cells("", "worker2b", GroupId(2), NodeId(7), "worker2b", 5432, ["", ""])]);
        let expected = "    Time |     Name |  Node |     Host:Port |       Current State |      Assigned State\n\
                        ---------+----------+-------+---------------+---------------------+--------------------";
        assert_eq!(table.header(), expected);
        let row =
            cells("22:58:42", "worker2b", GroupId(2), NodeId(7), "worker2b", 5432, ["primary", "draining"]);
        assert_eq!(
            table.row(&row),
            "22:58:42 | worker2b |   2/7 | worker2b:5432 |             primary |            draining"
        );
    }
}
