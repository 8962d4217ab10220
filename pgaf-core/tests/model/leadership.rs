//! Three monitors, of which one leads: another one may lead from any moment on, between any two messages.
//!
//! What a node was answered is in the rows of whoever leads next: it comes after a commit that another monitor has, and those
//! who elect have cut themselves off from the former leader for good. What was decided and not answered may be in them or
//! not: it is, when the report was read and its answer lost, and it is not, when the report was sent to the former leader
//! later. That one goes on reading reports and deciding, in rows of its own. None of its commits ends any more, so that it
//! answers nobody. The new leader has heard of no node, and its clock is another one: nobody is silent for longer than it
//! leads.
//!
//! How the monitors elect is not here: the consensus is a library's, and their own servers are a group like any other.

use pgaf_core::keeper::Event;
use pgaf_core::monitor::{self, answer_for, decide};
use pgaf_core::{Group, NodeId, Report};

use super::check::Cluster;
use super::invariants::isolated_primaries_fence_first;
use super::keeper::NOW;
use super::scope::{Kind, Scope};
use super::shared::Shared;
use super::story::Chapter;
use super::world::{Budget, World};

/// The slip is found within so many.
const STATES: usize = 30_000;

/// What monitors could do wrong when the leadership changes, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slip {
    None,
    /// A monitor that was deposed answers from its memory, without a commit.
    AnswersFromMemory,
}

impl World {
    /// Another monitor leads, and a host may be left on the side of the former one.
    pub(crate) fn change_leader(&mut self, left: Option<usize>) {
        self.story.tell(|| Chapter::Restarted);
        self.deposed = Some(self.group.clone());
        self.start_monitor();
        if let Some(index) = left {
            self.isolate(index);
        }
    }

    /// A report is sent to the monitor that led before: its keeper waits in vain.
    pub(crate) fn report_to_deposed(&mut self, index: usize, report: Report) -> Option<Event> {
        let number = report.detail.number?;
        let unanswered = Event::Unanswered { report: number, reason: String::new() };
        self.hosts[index].answer = None;
        if self.slip != Slip::AnswersFromMemory {
            return Some(unanswered);
        }
        let id = NodeId(index as i64 + 1);
        let mut rows = Group::clone(self.deposed.as_ref()?);
        rows.nodes.iter_mut().find(|node| node.id == id)?.hear(&report);
        rows = decide(&rows, &monitor::Event::Reported(id)).ok()?.group;
        let answer = answer_for(&rows, id);
        self.deposed = Some(Shared::new(rows));
        let answered =
            |answer| Event::Answered { report: number, sent: NOW, answer: Box::new(answer), formation: None };
        Some(answer.map_or(unanswered, answered))
    }
}

/// The invariant that a slip breaks in a group of two, one of which is left with the former leader.
fn broken_by(slip: Slip) -> Option<&'static str> {
    let budget = Budget { commits: 0, faults: 1, commands: 0 };
    let scope = Scope { nodes: 2, number_sync_standbys: 0, kinds: &[Kind::Leadership], budget };
    let cluster = Cluster::new(scope, u64::MAX).slipping(slip);
    cluster.violation(STATES, usize::MAX).map(|(invariant, actions)| {
        println!("{slip:?}: {invariant}, in {} steps: {actions:?}", actions.len());
        invariant
    })
}

#[test]
fn a_deposed_monitor_that_answers_is_found() {
    assert_eq!(broken_by(Slip::AnswersFromMemory), Some(isolated_primaries_fence_first::NAME));
}

#[test]
fn without_a_slip_nothing_is_found() {
    assert_eq!(broken_by(Slip::None), None);
}
