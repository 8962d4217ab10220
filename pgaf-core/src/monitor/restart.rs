//! Restarts of Postgres that an operator asks for, one node after the other: only while the group is whole, and never of a
//! primary that somebody could take over from.

use super::{Draft, Refusal};
use crate::group::Group;
use crate::id::{NodeId, RestartId};
use crate::state::ReplicationState::{Primary, Secondary, Single};

impl Draft {
    /// Asks the node for a restart, under its present assignment: with another goal it will not do it.
    pub(super) fn restart(&mut self, id: NodeId, restart: &RestartId) -> Result<(), Refusal> {
        let node = self.known(id)?;
        let is_alone = self.group.others(id).next().is_none();
        if node.goal.is_writer() && !is_alone {
            return Err(Refusal::IsPrimary(id));
        }
        let group = &self.group;
        if group.is_failover_paused {
            return Err(Refusal::Paused(group.formation.clone()));
        }
        if let Some(what) = why_not_whole(group) {
            return Err(Refusal::NotWhole { formation: group.formation.clone(), group: group.id, what });
        }
        for node in self.group.nodes.iter_mut().filter(|node| node.id == id) {
            node.restart = Some((restart.clone(), node.goal_epoch));
        }
        Ok(())
    }

    /// The node has not begun, or goes on with it.
    pub(super) fn cancel_restart(&mut self, id: NodeId) -> Result<(), Refusal> {
        self.known(id)?;
        for node in self.group.nodes.iter_mut().filter(|node| node.id == id) {
            node.restart = None;
        }
        Ok(())
    }
}

/// Who of a group is missing or not what it shall be; `None` when there is a primary that commits for standbys, or one
/// alone, and everybody else is a standby of it.
fn why_not_whole(group: &Group) -> Option<String> {
    let is_whole =
        |goal| if group.nodes.len() == 1 { goal == Single } else { matches!(goal, Primary | Secondary) };
    let missing = group.nodes.iter().find(|node| {
        let is_restarting = node.due_restart().is_some();
        !is_whole(node.goal) || !node.has_reached_goal() || !group.is_alive(node) || is_restarting
    });
    if let Some(node) = missing {
        let label = node.label();
        return Some(if !is_whole(node.goal) || !node.has_reached_goal() {
            format!("{label} is {}, with goal {}", node.reported, node.goal)
        } else if group.is_alive(node) {
            format!("{label} is being restarted")
        } else {
            format!("{label} does not report, or its Postgres does not answer")
        });
    }
    group.writer().is_none().then(|| "it has no primary".to_owned())
}

#[cfg(test)]
mod tests {
    use crate::group::Node;
    use crate::id::{Epoch, GroupId};
    use crate::monitor::{Event, answer_for, decide};
    use crate::state::ReplicationState;

    use super::*;

    fn node(id: i64, state: ReplicationState) -> Node {
        Node {
            goal: state,
            reported: state,
            goal_epoch: Epoch(3),
            reported_epoch: Epoch(3),
            has_reported: true,
            ..Node::new(NodeId(id))
        }
    }

    fn group(states: &[ReplicationState]) -> Group {
        let nodes = (1..).zip(states).map(|(id, state)| node(id, *state)).collect();
        Group { nodes, ..Group::new("default", GroupId(0)) }
    }

    fn ask(group: &Group, node: i64) -> Result<Group, Refusal> {
        let restart = RestartId("r".to_owned());
        decide(group, &Event::Restart { node: NodeId(node), restart }).map(|decision| decision.group)
    }

    #[test]
    fn a_standby_is_told_until_it_has_done_it() {
        let mut group = ask(&group(&[Primary, Secondary, Secondary]), 2).expect("accepted");
        let told = |group: &Group, node| answer_for(group, NodeId(node)).expect("a member").restart;
        assert_eq!(told(&group, 2), Some(RestartId("r".to_owned())));
        assert_eq!((told(&group, 1), told(&group, 3)), (None, None));
        group.nodes[1].goal_epoch = Epoch(4);
        assert_eq!(told(&group, 2), None, "under another assignment");
        group.nodes[1].goal_epoch = Epoch(3);
        group.nodes[1].restarted = Some(RestartId("r".to_owned()));
        assert_eq!(told(&group, 2), None, "it is done");
    }

    #[test]
    fn one_at_a_time_and_only_of_a_group_that_is_whole() {
        let whole = group(&[Primary, Secondary, Secondary]);
        assert_eq!(ask(&whole, 1), Err(Refusal::IsPrimary(NodeId(1))));
        let restarting = ask(&whole, 2).expect("accepted");
        assert!(matches!(ask(&restarting, 3), Err(Refusal::NotWhole { .. })));
        let paused = Group { is_failover_paused: true, ..whole.clone() };
        assert!(matches!(ask(&paused, 2), Err(Refusal::Paused(_))));
        let mut down = whole;
        down.nodes[2].is_running = false;
        assert!(matches!(ask(&down, 2), Err(Refusal::NotWhole { .. })));
        for incomplete in [
            group(&[ReplicationState::WaitPrimary, Secondary]),
            group(&[Primary, Secondary, ReplicationState::Maintenance]),
            group(&[Secondary, Secondary]),
        ] {
            assert!(matches!(ask(&incomplete, 2), Err(Refusal::NotWhole { .. })), "{incomplete:?}");
        }
        assert!(ask(&group(&[Single]), 1).is_ok(), "a node that is alone is restarted in place");
    }

    #[test]
    fn a_restart_that_is_cancelled_is_told_no_more() {
        let asked = ask(&group(&[Primary, Secondary]), 2).expect("accepted");
        let cancelled = decide(&asked, &Event::CancelRestart(NodeId(2))).expect("accepted").group;
        assert_eq!(answer_for(&cancelled, NodeId(2)).expect("a member").restart, None);
    }
}
