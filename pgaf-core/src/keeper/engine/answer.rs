//! What the monitor says, and what it means when it says nothing.

use super::Engine;
use super::command::Ending;
use super::notice::Notice;
use super::shutdown::Shutdown;
use crate::formation::FormationNode;
use crate::keeper::moment::Moment;
use crate::message::{Answer, Assignment};

impl Engine {
    pub(super) fn on_answered(
        &mut self,
        sent: Moment,
        answer: Answer,
        formation: Option<Vec<FormationNode>>,
    ) {
        if let (Some(ours), Some(theirs)) = (&self.state.monitor, &answer.monitor)
            && ours != theirs
        {
            let reason = format!("monitor {theirs} answers, and this node was registered at monitor {ours}");
            return self.on_unknown_node(reason);
        }
        if let (Some(ours), Some(theirs)) = (&self.state.registration, &answer.registration)
            && ours != theirs
        {
            let reason = format!("the monitor answers for another node {}", self.state.node);
            return self.on_unknown_node(reason);
        }
        self.note_identity(&answer);
        if let Some(number) = answer.overtaken_by {
            self.tell(Notice::Overtaken(number));
            self.state.keeper_start = self.reporting.overtaken_by(number);
            self.saving.state_changed();
            self.reporting.make_due(self.now());
            return;
        }
        if self.reporting.monitor_answers() {
            self.tell(Notice::MonitorAnswers);
        }
        self.authority.answered(sent);
        self.note_fence_time_answered();
        self.note_answer_for_shutdown(&answer);
        self.note_restart_wanted(answer.restart);
        self.note_postgres_settings(answer.postgres_settings);
        self.reporting.positions = answer.positions;
        if let Some(nodes) = formation {
            self.note_formation(nodes, sent);
        }
        self.accept(answer.assignment);
    }

    /// Keeps who the monitor is, and as whom it knows this node.
    fn note_identity(&mut self, answer: &Answer) {
        let state = &mut self.state;
        let known = (state.monitor.is_some(), state.registration.is_some(), state.is_unknown_to_monitor);
        state.monitor = state.monitor.take().or_else(|| answer.monitor.clone());
        state.registration = state.registration.take().or_else(|| answer.registration.clone());
        state.is_unknown_to_monitor = false;
        if known != (state.monitor.is_some(), state.registration.is_some(), false) {
            self.saving.state_changed();
        }
    }

    pub(super) fn on_unanswered(&mut self, reason: String) {
        self.authority.failed();
        if self.reporting.monitor_is_silent(self.now()) {
            self.tell(Notice::MonitorSilent(reason));
        }
        self.planning.is_due = true;
    }

    /// Whoever it is, it knows nothing of this node, and its answer confirms nothing: the node goes on as if nobody
    /// had answered.
    pub(super) fn on_unknown_node(&mut self, reason: String) {
        self.authority.failed();
        self.reporting.monitor_is_silent(self.now());
        if !std::mem::replace(&mut self.reporting.is_unknown, true) {
            self.tell(Notice::UnknownToMonitor(reason));
        }
        if !std::mem::replace(&mut self.state.is_unknown_to_monitor, true) {
            self.saving.state_changed();
        }
        self.planning.is_due = true;
    }

    pub(super) fn on_dropped(&mut self) {
        self.tell(Notice::Dropped);
        self.shutdown = Shutdown::Stopping { immediately: false, ending: Ending::Dropped };
        self.looking.look_again();
    }

    /// Takes an assignment. It is acted on when it is saved, and Postgres was looked at again.
    pub(super) fn accept(&mut self, assignment: Assignment) {
        if self.assignment() == Some(&assignment) {
            self.planning.is_due = true;
            return;
        }
        if self.assignment().map(|known| known.goal) != Some(assignment.goal) {
            self.tell(Notice::Goal { goal: assignment.goal, reached: self.state.reported });
        }
        self.give_up_work_unless_for(&assignment);
        self.state.assignment = Some(assignment);
        self.saving.assignment_changed();
        self.looking.look_again();
    }
}
