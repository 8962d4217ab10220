//! Changed settings, a monitor that is disabled or enabled, and what a person assigns while there is none.

use super::Engine;
use super::command::Command;
use super::event::Outcome;
use super::notice::Notice;
use super::settings::Settings;
use crate::keeper::authority::Authority;
use crate::keeper::hook::Consent;
use crate::keeper::manual::ManualAssignment;
use crate::keeper::server::DataDirectory;

impl Engine {
    /// There is no monitor to report to.
    pub(super) const fn is_unmonitored(&self) -> bool {
        !self.settings.is_monitored
    }

    /// Nobody answers now, or would.
    pub(super) const fn has_no_answer(&self) -> bool {
        self.reporting.is_monitor_silent() || self.is_unmonitored()
    }

    pub(super) fn on_started(&mut self) {
        self.note_companions();
        self.note_monitor();
    }

    pub(super) fn on_reconfigured(&mut self, settings: Settings, has_other_monitor: bool) {
        if has_other_monitor {
            self.abandon_report();
            self.reporting.make_due(self.now());
        }
        self.settings = settings;
        self.note_companions();
        self.note_monitor();
        self.memory.forget_admitted();
        self.looking.look_again();
        // Without data there is nothing to write settings to: they are written when there is.
        let seen = self.looking.newest();
        if seen.is_some_and(|seen| matches!(seen.observed.data, DataDirectory::Present(_))) {
            self.order(Command::ApplySettings);
        }
    }

    pub(super) fn on_settings_applied(&mut self, outcome: Outcome) {
        self.tell(match outcome {
            Ok(()) => Notice::SettingsApplied,
            Err(reason) => Notice::SettingsNotApplied(reason),
        });
    }

    /// What the plan depends on besides Postgres: a hook to ask, and poolers to tell.
    fn note_companions(&mut self) {
        if self.settings.has_before_promote && self.memory.consent == Consent::NotNeeded {
            // The monitor has to know before it plans a promotion.
            let now = self.now();
            self.reporting.make_due(now);
        }
        self.memory.has_before_promote(self.settings.has_before_promote);
        self.memory.has_poolers(self.settings.has_poolers);
    }

    /// Leaves the monitor, or comes to one, as the settings say. The state file tells whoever asked for it that it is
    /// done.
    fn note_monitor(&mut self) {
        if self.state.has_left_monitor == self.is_unmonitored() {
            return;
        }
        let now = self.now();
        self.tell(if self.is_unmonitored() { Notice::MonitorDisabled } else { Notice::MonitorEnabled });
        self.state.change_monitor(self.is_unmonitored());
        // Nobody has been silent yet.
        self.authority = Authority::new(now);
        self.abandon_report();
        self.reporting.start_over(now);
        self.saving.assignment_changed();
    }

    pub(super) fn on_assigned(&mut self, manual: &ManualAssignment) {
        if !self.is_unmonitored() {
            return;
        }
        if let Some(assignment) = manual.assignment(&self.state, &self.settings.dbname) {
            self.tell(Notice::AssignedByPerson);
            self.accept(assignment);
        }
    }
}
