//! A change of roles that was asked for: following it until the group is whole again, and whether it was carried out.

use std::time::{Duration, Instant};

use pgaf_core::{GroupId, Health, NodeId, ReplicationState};

use super::error::{CliError, CliResult};
use super::follow::{Display, Follower, Progress, on_its_way};
use super::target::Target;
use crate::exit::Exit;
use crate::monitor::{MonitorConnection, NodeEvent, NodeState};

/// A server that cannot be reached for so long is not just being restarted.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// More events are not caused by one command.
pub(super) const EVENT_COUNT: i32 = 100;

/// Has the primary of a group hand over, and follows until the group is whole again.
pub(super) async fn switch_over(
    target: &Target,
    formation: &str,
    group: GroupId,
    limit: Duration,
    display: Display,
) -> CliResult {
    let (monitor, notifications) = target.connect_and_listen().await?;
    let follower = Follower::begin(&monitor, notifications, formation, group, display).await?;
    let asked = Asked::now(&monitor, &follower).await?;
    monitor.perform_failover(formation, group).await?;
    await_whole(follower, limit).await?;
    asked.check_done(&monitor).await
}

/// Follows until the group has one node that accepts writes, and everybody who can be reached takes part again.
pub(super) async fn await_whole(follower: Follower<'_>, limit: Duration) -> CliResult {
    tracing::info!(
        "Waiting {} secs for a notification with state \"primary\" in formation \"{}\" and group {}",
        limit.as_secs(),
        follower.formation,
        follower.group
    );
    let absent: Vec<NodeId> =
        follower.before.iter().filter(|node| is_absent(node)).map(|node| node.node).collect();
    let mut lost_since = None;
    let progress = move |nodes: &[NodeState]| match awaited(nodes, &absent) {
        Some(awaited) => {
            lost_since = None;
            Progress::Waiting(awaited)
        }
        None if has_lost(nodes, &absent)
            && lost_since.get_or_insert_with(Instant::now).elapsed() < LOST_AFTER =>
        {
            Progress::MayBeDone
        }
        None => Progress::Done,
    };
    follower.follow(limit, progress).await?.map_err(|awaited| {
        CliError::new(
            Exit::Internal,
            format!(
                "the group is not whole after {} s: {}; \"pg_autoctl show state\" shows how it goes on",
                limit.as_secs(),
                awaited.join("; ")
            ),
        )
    })
}

/// How a group was before it was asked for another primary.
pub(super) struct Asked {
    formation: String,
    group: GroupId,
    /// Who was the primary.
    primary: Option<NodeId>,
    /// The newest event.
    event: i64,
}

impl Asked {
    pub(super) async fn now(monitor: &MonitorConnection, follower: &Follower<'_>) -> CliResult<Self> {
        let (formation, group) = (follower.formation.to_owned(), follower.group);
        let event = last_event(monitor, &formation, group).await?;
        let primary = follower.before.iter().find(|node| node.goal.is_writer()).map(|node| node.node);
        Ok(Self { formation, group, primary, event })
    }

    /// The group is whole again, and neither a hook nor an accident has kept the roles from changing.
    pub(super) async fn check_done(&self, monitor: &MonitorConnection) -> CliResult {
        let nodes = monitor.current_state(&self.formation, Some(self.group)).await?;
        let mut events = monitor.last_events(&self.formation, Some(self.group), EVENT_COUNT).await?;
        events.retain(|event| event.event > self.event);
        check_not_refused(&events)?;
        self.check_not_given_up(&nodes, &events)
    }

    /// The group is whole again: with another primary, or with the same one, and a reason.
    fn check_not_given_up(&self, nodes: &[NodeState], events: &[NodeEvent]) -> CliResult {
        let Some(primary) =
            nodes.iter().find(|node| node.goal.is_writer() && Some(node.node) == self.primary)
        else {
            return Ok(());
        };
        let descriptions = events.iter().map(|event| &*event.description);
        let Some(reason) = descriptions.filter_map(reason_of_giving_up).next_back() else { return Ok(()) };
        Err(CliError::new(
            Exit::Internal,
            format!(
                "node {} \"{}\" is still the primary, the change of roles was given up: {reason}",
                primary.node, primary.name
            ),
        ))
    }
}

/// The rules by which a standby that was to take over does not, and the primary goes on.
const GIVING_UP: [&str; 4] =
    ["candidate_lacks_commits", "candidate_is_lost", "hand_over_is_given_up", "old_primary_takes_back"];

/// Why, in the words of the event's rule.
fn reason_of_giving_up(description: &str) -> Option<&str> {
    let (described, rule) = description.strip_suffix(']')?.rsplit_once(" [")?;
    let reason = described.split_once(" because ").map(|(_, reason)| reason);
    reason.filter(|_| GIVING_UP.contains(&rule))
}

pub(super) async fn last_event(
    monitor: &MonitorConnection,
    formation: &str,
    group: GroupId,
) -> CliResult<i64> {
    let events = monitor.last_events(formation, Some(group), 1).await?;
    Ok(events.last().map_or(0, |event| event.event))
}

/// A group is also whole when the standby's hook has refused that it takes over.
fn check_not_refused(events: &[NodeEvent]) -> CliResult {
    match events.iter().find(|event| event.description.ends_with("[hand_over_is_refused]")) {
        None => Ok(()),
        Some(event) => Err(CliError::new(
            Exit::Monitor,
            format!(
                "the primary goes on: hook before_promote of node {} refused; the log of its pg_autoctl has the reason",
                event.node
            ),
        )),
    }
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
        .map(on_its_way)
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
    fn the_reason_of_giving_up_is_found_in_the_event() {
        let event = |rule: &str| {
            format!("Setting goal state of node 2 \"n2\" (h:1) to catchingup because it was lost [{rule}]")
        };
        for rule in GIVING_UP {
            assert_eq!(reason_of_giving_up(&event(rule)), Some("it was lost"));
        }
        assert_eq!(reason_of_giving_up(&event("old_primary_rejoins")), None);
        assert_eq!(reason_of_giving_up("New state of node 2 is catchingup"), None);
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
}
