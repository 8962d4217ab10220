//! `perform …`: has the monitor change roles, and follows until the group is whole again.

use std::time::{Duration, Instant};

use pgaf_core::{GroupId, Health, NodeId, ReplicationState};

use super::commands::{Perform, PerformFailover};
use super::error::{CliError, CliResult};
use super::local_time::LocalTime;
use super::options::{Formation, MonitorOrPgdata, Wait};
use super::print;
use super::table::{Align, Column, Table};
use super::target::{Target, node_id};
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

/// A server that cannot be reached for so long is not just being restarted.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// More events are not caused by one command.
const EVENT_COUNT: i32 = 100;

/// Runs one of them.
pub(super) async fn run(command: &Perform) -> CliResult {
    match command {
        Perform::Failover(options) | Perform::Switchover(options) => failover(options).await,
        Perform::Promotion { monitor, formation, name, wait } => {
            promotion(monitor, formation, name.as_deref(), *wait).await
        }
    }
}

async fn failover(options: &PerformFailover) -> CliResult {
    let target = Target::of(&options.monitor)?;
    let formation = target.formation(&options.group.formation);
    let (monitor, notifications) = target.connect_and_listen().await?;
    let group = target.group(&options.group, &monitor).await?;
    let follower = Follower::begin(&monitor, notifications, &formation, group).await?;
    if options.allow_data_loss {
        give_up_commits(&monitor, &formation, group).await?;
    } else {
        monitor.perform_failover(&formation, group).await?;
    }
    follower.follow(options.wait.duration()).await
}

/// Goes on without nodes that may have acknowledged commits, and says which these are.
async fn give_up_commits(monitor: &MonitorConnection, formation: &str, group: GroupId) -> CliResult {
    let before = monitor.last_events(formation, Some(group), 1).await?.last().map_or(0, |event| event.event);
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
) -> CliResult {
    let target = Target::of(options)?;
    let formation = target.formation(formation);
    let name = target.node_name(name)?;
    let (monitor, notifications) = target.connect_and_listen().await?;
    let node = node_id(&monitor, &formation, &name).await?;
    let group = monitor.node(node).await?.map_or_else(GroupId::default, |node| node.group);
    let follower = Follower::begin(&monitor, notifications, &formation, group).await?;
    if !monitor.perform_promotion(&formation, &name).await? {
        tracing::info!("node \"{name}\" is the primary already");
        return Ok(());
    }
    follower.follow(wait.duration()).await
}

/// Listens to one group.
struct Follower<'a> {
    monitor: &'a MonitorConnection,
    notifications: Notifications,
    formation: &'a str,
    group: GroupId,
    /// Nodes that were no part of a whole group before: they are not waited for.
    absent: Vec<NodeId>,
    table: Table,
}

impl<'a> Follower<'a> {
    /// Listens before anything is asked for, so that no change is missed.
    async fn begin(
        monitor: &'a MonitorConnection,
        notifications: Notifications,
        formation: &'a str,
        group: GroupId,
    ) -> CliResult<Self> {
        monitor.listen_state().await?;
        let nodes = monitor.current_state(formation, Some(group)).await?;
        let rows: Vec<[String; 6]> = nodes
            .iter()
            .map(|node| cells("", &node.name, group, node.node, &node.host, node.port, ["", ""]))
            .collect();
        let absent = nodes.iter().filter(|node| is_absent(node)).map(|node| node.node).collect();
        let table = Table::new(&COLUMNS, &rows);
        Ok(Self { monitor, notifications, formation, group, absent, table })
    }

    async fn follow(mut self, limit: Duration) -> CliResult {
        let (formation, group) = (self.formation, self.group);
        tracing::info!(
            "Waiting {} secs for a notification with state \"primary\" in formation \"{formation}\" and group {group}",
            limit.as_secs()
        );
        tracing::info!(
            "Listening monitor notifications about state changes in formation \"{formation}\" and group {group}"
        );
        tracing::info!("Following table displays times when notifications are received");
        print::line(&self.table.header())?;
        let begin = Instant::now();
        let mut lost_since = None;
        loop {
            let nodes = self.monitor.current_state(formation, Some(group)).await?;
            let awaited = awaited(&nodes, &self.absent);
            let left = limit.checked_sub(begin.elapsed());
            match (awaited, left) {
                (Some(_), Some(_)) => lost_since = None,
                (Some(awaited), None) => return Err(self.not_whole(limit, awaited).await),
                (None, Some(_)) if has_lost(&nodes, &self.absent) => {
                    if lost_since.get_or_insert_with(Instant::now).elapsed() >= LOST_AFTER {
                        return self.print_what_came();
                    }
                }
                // What was told before that look is printed before the end.
                (None, _) => return self.print_what_came(),
            }
            let left = left.unwrap_or_default();
            self.print_changes(left.min(LOOK_INTERVAL)).await?;
        }
    }

    async fn not_whole(&self, limit: Duration, mut awaited: Vec<String>) -> CliError {
        // What the group waits for comes first: the rest follows from it.
        match self.monitor.waits_for(self.formation, self.group).await {
            Ok(reason) => awaited.splice(0..0, reason).for_each(drop),
            Err(error) => awaited.push(error.to_string()),
        }
        CliError::new(
            Exit::Monitor,
            format!(
                "the group is not whole after {} s: {}; \"pg_autoctl show state\" shows how it goes on",
                limit.as_secs(),
                awaited.join("; ")
            ),
        )
    }

    /// Prints the next change, and those that came with it.
    async fn print_changes(&mut self, limit: Duration) -> CliResult {
        match tokio::time::timeout(limit, self.notifications.recv()).await {
            Err(_) => Ok(()),
            Ok(None) => Err(CliError::new(
                Exit::Monitor,
                "the connection to the monitor is lost: \"pg_autoctl show state\" shows how it goes on",
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
        if change.formation != self.formation || change.group_id != self.group {
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

/// It is joining, leaving, or getting its data: that goes on for as long as it takes.
fn is_absent(node: &NodeState) -> bool {
    use ReplicationState::{CatchingUp, Dropped, Init, WaitStandby};
    matches!(node.goal, Init | WaitStandby | CatchingUp | Dropped)
}

/// It is where the monitor wants it to be, and takes part.
fn is_there(node: &NodeState) -> bool {
    use ReplicationState::{Maintenance, Secondary};
    node.reported == node.goal && (node.goal.is_writer() || matches!(node.goal, Secondary | Maintenance))
}

/// Whether a node is on its way whose server cannot be reached: it may be lost, or its server is being started.
fn has_lost(nodes: &[NodeState], absent: &[NodeId]) -> bool {
    let is_joining = |node: &NodeState| absent.contains(&node.node) && is_absent(node);
    nodes.iter().any(|node| !is_there(node) && !is_joining(node))
}

/// What is still missing, or `None` when the group is whole: one node accepts writes and all others that were there and can
/// be reached are secondary, or out for maintenance.
fn awaited(nodes: &[NodeState], absent: &[NodeId]) -> Option<Vec<String>> {
    let is_writer = |node: &&NodeState| node.reported == node.goal && node.goal.is_writer();
    let mut missing: Vec<String> = nodes
        .iter()
        .filter(|node| {
            let is_missed = node.health != Health::Bad && !(absent.contains(&node.node) && is_absent(node));
            !is_there(node) && (is_missed || node.goal.is_writer())
        })
        .map(|node| {
            format!(
                "node {} \"{}\" is {} and should become {}",
                node.node, node.name, node.reported, node.goal
            )
        })
        .collect();
    match nodes.iter().filter(is_writer).count() {
        1 => {}
        0 => missing.push("no node accepts writes yet".to_owned()),
        _ => missing.push("a former primary still has to step back".to_owned()),
    }
    (!missing.is_empty()).then_some(missing)
}

#[cfg(test)]
mod tests {
    use ReplicationState as State;
    use pgaf_core::{Lsn, Timeline};

    use super::*;

    fn group(nodes: &[(State, State, Health)]) -> Vec<NodeState> {
        let node = |(id, (reported, goal, health)): (i64, &(State, State, Health))| NodeState {
            node: NodeId(id),
            group: GroupId(2),
            name: format!("n{id}"),
            host: "h".to_owned(),
            port: 5432,
            reported: *reported,
            goal: *goal,
            timeline: Timeline::FIRST,
            lsn: Lsn::ZERO,
            health: *health,
            candidate_priority: 50,
            replication_quorum: true,
        };
        (1..).zip(nodes).map(node).collect()
    }

    #[test]
    fn a_group_is_whole_when_nothing_more_can_come() {
        let whole = |nodes: &[(State, State, Health)]| awaited(&group(nodes), &[]).is_none();
        let primary = (State::Primary, State::Primary, Health::Good);
        let alone = (State::WaitPrimary, State::WaitPrimary, Health::Good);
        let standby = (State::Secondary, State::Secondary, Health::Good);
        assert!(whole(&[standby, primary]));
        assert!(whole(&[alone, (State::Demoted, State::CatchingUp, Health::Bad)]));
        assert!(whole(&[alone, (State::Maintenance, State::Maintenance, Health::Good)]));
        assert!(!whole(&[alone, (State::Demoted, State::CatchingUp, Health::Good)]));
        assert!(!whole(&[primary, (State::Secondary, State::PreparePromotion, Health::Good)]));
        assert!(!whole(&[standby, standby]));
        assert!(!whole(&[standby, (State::Primary, State::Primary, Health::Good), alone]));
    }

    #[test]
    fn a_server_that_is_started_again_may_be_unreachable_for_a_moment() {
        let primary = (State::WaitPrimary, State::WaitPrimary, Health::Good);
        let starting = group(&[primary, (State::Demoted, State::CatchingUp, Health::Bad)]);
        assert!(awaited(&starting, &[]).is_none() && has_lost(&starting, &[]));
        assert!(!has_lost(&starting, &[NodeId(2)]), "it was joining before");
        assert!(!has_lost(&group(&[primary, (State::Maintenance, State::Maintenance, Health::Bad)]), &[]));
    }

    #[test]
    fn groups_of_three_are_whole_without_the_lost_and_the_joining() {
        let primary = (State::Primary, State::Primary, Health::Good);
        let standby = (State::Secondary, State::Secondary, Health::Good);
        let joining = (State::WaitStandby, State::CatchingUp, Health::Good);
        let lost = (State::Primary, State::DemoteTimeout, Health::Bad);
        let whole = |nodes: &[(State, State, Health)], absent: &[i64]| {
            let absent: Vec<NodeId> = absent.iter().copied().map(NodeId).collect();
            awaited(&group(nodes), &absent).is_none()
        };
        assert!(whole(&[standby, primary, standby], &[]));
        assert!(whole(&[lost, primary, standby], &[]));
        assert!(whole(&[standby, primary, joining], &[3]));
        assert!(!whole(&[standby, primary, joining], &[]), "it was a secondary before");
        let elected = (State::ReportLsn, State::PreparePromotion, Health::Good);
        assert!(!whole(&[lost, standby, elected], &[3]));
    }

    #[test]
    fn the_reason_of_a_loss_is_found_in_the_event() {
        let event = "Setting goal state of node 2 \"n2\" (h:5432) to report_lsn because bob allowed to lose commits \
                     that only node 1 \"n1\" (h:5432) may have [failover_with_data_loss]";
        let reason = "bob allowed to lose commits that only node 1 \"n1\" (h:5432) may have";
        assert_eq!(reason_of_loss(event), Some(reason));
        assert_eq!(reason_of_loss("New state is reported"), None);
    }

    #[test]
    fn what_is_awaited_is_said() {
        let nodes = group(&[
            (State::Draining, State::Demoted, Health::Good),
            (State::WaitPrimary, State::WaitPrimary, Health::Good),
        ]);
        assert_eq!(
            awaited(&nodes, &[]),
            Some(vec!["node 1 \"n1\" is draining and should become demoted".to_owned()])
        );
    }

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
