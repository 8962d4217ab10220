//! What the monitor is told, and when.

use pgaf_core::{Lsn, Report, ReportDetail, Timeline};

use super::super::postgres::{Files, Postgres};
use super::super::wal::Archive;
use super::look::timeline;
use super::{Exchange, Keeper, REPORT_DEADLINE_MS, REPORT_PERIOD_MS, moment};
use pgaf_core::keeper::{DataDirectory, Server, epoch_to_report};

impl Keeper {
    /// The report to send now, when one is due and none is under way.
    pub(crate) fn next_report(&mut self, postgres: &Postgres, archive: &Archive, now: u64) -> Option<Report> {
        if self.exchange.is_some() || self.next_report > now || self.is_sight_stale {
            return None;
        }
        let mut report = self.compose()?;
        if postgres.files == Files::Present && report.timeline == timeline(postgres, archive) {
            let history = archive.history(postgres.end);
            let is_news = history.timeline == report.timeline && self.told_history.as_ref() != Some(&history);
            report.detail.history = is_news.then_some(history);
        }
        report.detail.shutdown_lsn = postgres.shutdown_lsn().filter(|_| self.is_stopped_in_sight());
        if !report.is_running {
            self.authority.goes_down(moment(now));
        }
        self.last_report = Some(report.clone());
        report.detail.number = Some(self.numbering.next());
        self.next_report = now + REPORT_PERIOD_MS;
        self.exchanges += 1;
        self.exchange =
            Some(Exchange { number: self.exchanges, sent: now, fails_at: now + REPORT_DEADLINE_MS });
        Some(report)
    }

    /// From the newest sight.
    fn compose(&self) -> Option<Report> {
        let observed = self.observed()?;
        let (timeline, lsn) = match (&observed.server, &observed.data) {
            (Server::Running(running), _) => (running.timeline, running.lsn),
            (_, DataDirectory::Present(cluster)) => (cluster.timeline, cluster.checkpoint),
            _ => (Timeline::FIRST, Lsn::ZERO),
        };
        let has_data = matches!(observed.data, DataDirectory::Present(_));
        Some(Report {
            state: self.reported,
            is_running: observed.server != Server::Stopped || self.work.is_starting_postgres(),
            timeline,
            lsn,
            sync_state: String::new(),
            detail: ReportDetail {
                epoch: epoch_to_report(self.reported, self.reported_epoch, observed),
                system_identifier: has_data.then_some(1),
                goal: self.assignment.as_ref().map(|assignment| assignment.goal),
                upstream: self.upstream_in_sight(),
                is_gated: matches!(&observed.server, Server::Running(running) if running.is_gated),
                ..ReportDetail::default()
            },
        })
    }

    /// Has a report sent at once when the monitor would decide differently on it.
    pub(super) fn report_news(&mut self, now: u64) {
        if self.is_monitor_failing {
            return;
        }
        let Some(new) = self.compose() else { return };
        if self.last_report.as_ref().is_none_or(|old| is_news(old, &new)) {
            self.next_report = now;
        }
    }
}

fn is_news(old: &Report, new: &Report) -> bool {
    let streams = |report: &Report| report.detail.upstream.is_some_and(|upstream| upstream.is_streaming);
    old.state != new.state
        || old.detail.epoch != new.detail.epoch
        || old.is_running != new.is_running
        || old.timeline != new.timeline
        || streams(old) != streams(new)
}
