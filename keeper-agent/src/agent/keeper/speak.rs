//! Reporting to the monitor, and taking its answer.

use std::time::{Duration, Instant};

use pgaf_core::{Answer, Assignment};
use tracing::{error, info, warn};

use super::{Keeper, REPORT_PERIOD};
use crate::agent::contact::Exchange;
use crate::agent::report::{self, Circumstances};
use crate::agent::shutdown::Shutdown;
use crate::agent::work::Purpose;
use crate::exit::Exit;
use crate::monitor::MonitorError;
use crate::postgres::BootTime;

/// After a failed exchange with the monitor, the next is begun this much later.
const CONTACT_RETRY: Duration = Duration::from_millis(300);

impl Keeper {
    pub(super) fn circumstances(&self) -> Circumstances {
        let percent = self.instance.progress();
        let progress = self.progress.as_ref().map(|progress| match percent {
            Some(percent) => format!("{progress}: {percent} %"),
            None => progress.clone(),
        });
        Circumstances {
            is_starting: self.work.is_starting_postgres(),
            is_stopping: self.shutdown.is_wanted(),
            progress,
        }
    }

    /// Has the next report sent at once when the monitor would decide differently on it.
    pub(super) fn report_news(&mut self) {
        let Some(sight) = &self.sight else { return };
        let report = report::compose(&self.state, sight, self.circumstances());
        let is_news = self.last_report.as_ref().is_none_or(|last| report::is_news(last, &report));
        if is_news && !self.is_monitor_failing {
            self.next_report = Instant::now();
        }
    }

    pub(super) fn speak(&mut self) {
        let is_due = self.next_report <= Instant::now() && !self.is_unmonitored();
        if self.contacting.is_busy() || self.is_sight_stale || !is_due {
            return;
        }
        let Some(sight) = &self.sight else { return };
        let mut report = report::compose(&self.state, sight, self.circumstances());
        if !report.is_running {
            self.authority.goes_down(BootTime::now().moment());
        }
        self.last_report = Some(report.clone());
        report.detail.number = Some(self.numbering.next());
        self.next_report = Instant::now() + REPORT_PERIOD;
        if let Some(exchange) = self.link.exchange(self.state.node, self.state.group, report) {
            self.contacting.start(exchange);
        }
    }

    pub(super) fn on_answer(&mut self, mut exchange: Exchange) {
        self.link.settle(&mut exchange);
        match exchange.result {
            Ok(Answer { overtaken_by: Some(number), .. }) => {
                warn!(
                    "the monitor knows report {number} of this node, which is a later one; reporting again"
                );
                self.state.keeper_start = self.numbering.overtaken_by(number);
                self.save();
                self.next_report = Instant::now();
            }
            Ok(answer) => {
                if std::mem::take(&mut self.is_monitor_failing) {
                    info!("the monitor answers again");
                }
                self.authority.answered(exchange.sent.moment());
                self.note_answer_for_shutdown(&exchange.report, &answer);
                self.positions = answer.positions;
                if let Some(nodes) = exchange.nodes.take() {
                    self.note_formation(nodes, exchange.sent);
                }
                self.accept(answer.assignment);
            }
            Err(MonitorError::NodeDropped { .. }) => {
                error!("this node was dropped from its formation: Postgres is stopped");
                self.shutdown = Shutdown::Stopping { immediately: false, exit: Exit::Dropped };
                self.look_again();
            }
            Err(error) => self.on_unanswered(&error),
        }
    }

    pub(super) fn on_unanswered(&mut self, error: &MonitorError) {
        self.authority.failed();
        if !std::mem::replace(&mut self.is_monitor_failing, true) {
            warn!("the monitor does not answer: {error}; this node goes on with its last assignment");
        }
        self.next_report = Instant::now() + CONTACT_RETRY;
        self.last_report = None;
        self.is_considered = false;
    }

    pub(super) fn accept(&mut self, assignment: Assignment) {
        if self.assignment() == Some(&assignment) {
            self.is_considered = false;
            return;
        }
        if self.assignment().map(|known| known.goal) != Some(assignment.goal) {
            info!("goal: {} (was {})", assignment.goal, self.state.reported);
        }
        self.work.drop_unless_for(&Purpose::from(&assignment));
        self.state.assignment = Some(assignment);
        self.save();
        self.look_again();
    }
}
