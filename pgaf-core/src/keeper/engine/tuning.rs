//! The settings of Postgres that the monitor keeps for the formation: written when they have changed, and looked at again
//! when another server runs, for which what waited for a restart may be in force.

use std::time::Duration;

use super::Engine;
use super::command::Command;
use super::notice::Notice;
use crate::keeper::moment::Moment;
use crate::keeper::server::{DataDirectory, Server};
use crate::postgres_settings::{PostgresSettings, SettingsStatus};

/// What could not be written is tried again after this long.
const RETRY: Duration = Duration::from_secs(5);
/// What is not in force is looked at again this often: a person may have removed what keeps it from that.
const UNSETTLED_PERIOD: Duration = Duration::from_secs(10);

/// For what the settings were written last, and what has become of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tuning {
    applied: Option<Applied>,
    under_way: Option<Applied>,
    status: SettingsStatus,
    /// Not before, after a failure; and not later, as long as something is not in force.
    next: Moment,
    has_failed: bool,
}

/// Which settings, on which server; `None` when none ran.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Applied {
    settings: PostgresSettings,
    server_start: Option<i64>,
}

impl Tuning {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            applied: None,
            under_way: None,
            status: SettingsStatus::default(),
            next: now,
            has_failed: false,
        }
    }

    /// What is not in force, and why.
    pub(super) const fn status(&self) -> &SettingsStatus {
        &self.status
    }

    pub(super) fn rest(&mut self, now: Moment) {
        *self =
            Self { applied: self.applied.take(), status: std::mem::take(&mut self.status), ..Self::new(now) };
    }

    pub(super) fn age(&mut self, by: Duration) {
        self.next = self.next.before(by);
    }
}

impl Engine {
    /// What the monitor has for the formation, with every answer.
    pub(super) fn note_postgres_settings(&mut self, settings: PostgresSettings) {
        let is_news = match &self.state.postgres_settings {
            Some(known) => *known != settings,
            None => !settings.is_empty(),
        };
        if is_news {
            self.state.postgres_settings = Some(settings);
            self.saving.state_changed();
        }
    }

    pub(super) fn tune_if_due(&mut self) {
        let Some(settings) = &self.state.postgres_settings else { return };
        let now = self.now();
        if self.tuning.under_way.is_some() || self.looking.is_stale() || self.work.is_busy() {
            return;
        }
        let Some(seen) = self.looking.newest() else { return };
        let is_settled = matches!(seen.observed.server, Server::Running(_) | Server::Stopped);
        if !is_settled || seen.is_disk_hung || !matches!(seen.observed.data, DataDirectory::Present(_)) {
            return;
        }
        let wanted = Applied { settings: settings.clone(), server_start: seen.server_start };
        let is_new = self.tuning.applied.as_ref() != Some(&wanted);
        let is_time = self.tuning.next <= now;
        let is_due = if self.tuning.has_failed {
            is_time
        } else {
            is_new || (is_time && !self.tuning.status.is_settled())
        };
        if is_due {
            self.order(Command::ApplyPostgresSettings(wanted.settings.clone()));
            self.tuning.under_way = Some(wanted);
        }
    }

    pub(super) fn on_postgres_settings_applied(&mut self, outcome: Result<SettingsStatus, String>) {
        let now = self.now();
        let Some(applied) = self.tuning.under_way.take() else { return };
        match outcome {
            Ok(status) => {
                self.tuning.applied = Some(applied);
                self.tuning.has_failed = false;
                self.tuning.next = now.after(UNSETTLED_PERIOD);
                if status != self.tuning.status {
                    for (name, reason) in &status.not_applied {
                        self.tell(Notice::SettingNotApplied { name: name.clone(), reason: reason.clone() });
                    }
                    self.tuning.status = status;
                    self.reporting.make_due(now);
                }
            }
            Err(reason) => {
                self.tuning.next = now.after(RETRY);
                if !std::mem::replace(&mut self.tuning.has_failed, true) {
                    self.tell(Notice::SettingsNotApplied(reason));
                }
            }
        }
    }
}
