//! A restart of Postgres that a person has asked the monitor for: done once, by a node that is what it shall be.
//!
//! The restart is written to the state file before Postgres is stopped, with the time at which the server was started that
//! shall go. A server with another time is the one that was started instead, whoever has started it: so a restart is
//! neither forgotten nor done twice when the keeper itself is restarted.

use super::Engine;
use super::event::Observation;
use super::notice::Notice;
use super::shutdown::Shutdown;
use crate::id::RestartId;
use crate::keeper::saved::PendingRestart;
use crate::keeper::step::{Step, StopMode};
use crate::state::ReplicationState;

impl Engine {
    /// What the monitor wants restarted, as it answers every report.
    pub(super) fn note_restart_wanted(&mut self, wanted: Option<RestartId>) {
        let Some(id) = wanted else { return self.withdraw_restart() };
        let is_known = self.state.restart.as_ref().is_some_and(|restart| restart.id == id);
        if is_known || self.state.restarted.as_ref() == Some(&id) {
            return;
        }
        let Some(server_start) = self.looking.newest().and_then(|seen| seen.server_start) else { return };
        self.state.restart = Some(PendingRestart { id, server_start });
        // Nothing is planned before that is on disk.
        self.saving.assignment_changed();
        self.planning.is_due = true;
    }

    /// The monitor does not want it any more: it is done with if Postgres has not been stopped for it yet.
    fn withdraw_restart(&mut self) {
        let runs = |start| self.looking.newest().and_then(|seen| seen.server_start) == Some(start);
        let is_begun = self.work.is_stopping_postgres();
        if self.state.restart.take_if(|restart| !is_begun && runs(restart.server_start)).is_some() {
            self.saving.state_changed();
        }
    }

    /// Another server than the one that should go answers: the restart is done.
    pub(super) fn note_restarted(&mut self, seen: &Observation) {
        let Some(start) = seen.server_start else { return };
        if let Some(restart) = self.state.restart.take_if(|restart| restart.server_start != start) {
            self.state.restarted = Some(restart.id);
            self.saving.state_changed();
            self.reporting.make_due(self.now());
            self.tell(Notice::Restarted);
        }
    }

    /// Stops Postgres for a restart, once the goal has been reached; it is started again as the goal says. Only a standby
    /// and the only node of its group are restarted: any other primary hands over first.
    pub(super) fn restart_if_wanted(&mut self) {
        let goal = self.assignment().map(|assignment| assignment.goal);
        let stop = Step::StopPostgres(StopMode::Fast);
        let steps = match goal {
            Some(ReplicationState::Secondary) => vec![stop],
            Some(ReplicationState::Single) => vec![Step::Checkpoint, stop],
            _ => return,
        };
        let start = self.looking.newest().and_then(|seen| seen.server_start);
        let is_wanted = self.state.restart.as_ref().is_some_and(|it| Some(it.server_start) == start);
        let is_free =
            self.shutdown == Shutdown::None && !self.is_unmonitored() && !self.work.is_backing_off();
        if is_wanted && is_free {
            self.begin(steps);
        }
    }
}
