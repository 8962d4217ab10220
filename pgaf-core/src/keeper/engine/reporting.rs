//! What the monitor is told, and when.

use std::time::Duration;

use super::Engine;
use super::command::Command;
use super::event::Observation;
use crate::id::ReportNumber;
use crate::keeper::claim::epoch_to_report;
use crate::keeper::hook::Consent;
use crate::keeper::moment::Moment;
use crate::keeper::numbering::Numbering;
use crate::keeper::server::DataDirectory;
use crate::keeper::server::Server;
use crate::lsn::{Lsn, Timeline};
use crate::message::{Position, Report, ReportDetail};

/// A report is sent at least this often,
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// and by a primary that fences itself when it hears nobody, so many times before that,
const REPORTS_BEFORE_FENCING: u32 = 8;
/// but not more often than this.
const LEAST_PERIOD: Duration = Duration::from_millis(250);
/// After a failed report, the next is sent this much later.
const RETRY: Duration = Duration::from_millis(300);

/// The monitor takes a node whose disk hangs for one that does not answer after this long: disks stall.
const DISK_PATIENCE: Duration = Duration::from_secs(3);

/// The report that is under way, and when the next is due.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reporting {
    next: Moment,
    under_way: Option<ReportNumber>,
    /// What the monitor was told last; `None` when that is not known.
    last: Option<Report>,
    numbering: Numbering,
    /// The last report was not answered.
    is_monitor_silent: bool,
    /// The monitor does not know this node, and that was told.
    pub(super) is_unknown: bool,
    /// How far the other nodes are, as the monitor last said.
    pub(super) positions: Vec<Position>,
}

impl Reporting {
    pub(super) const fn new(keeper_start: u64, now: Moment) -> Self {
        Self {
            next: now,
            under_way: None,
            last: None,
            numbering: Numbering::of_start(keeper_start),
            is_monitor_silent: false,
            is_unknown: false,
            positions: Vec::new(),
        }
    }

    /// The report with this number is under way; then it has ended.
    pub(super) fn is_for(&mut self, report: ReportNumber) -> bool {
        self.under_way.take_if(|number| *number == report).is_some()
    }

    pub(super) fn make_due(&mut self, now: Moment) {
        self.next = self.next.min(now);
    }

    /// When the next report is due; `None` while one is under way.
    pub(super) const fn due(&self) -> Option<Moment> {
        if self.under_way.is_some() { None } else { Some(self.next) }
    }

    pub(super) const fn is_monitor_silent(&self) -> bool {
        self.is_monitor_silent
    }

    /// The last report was answered: says whether the one before was not.
    pub(super) const fn monitor_answers(&mut self) -> bool {
        self.is_unknown = false;
        std::mem::replace(&mut self.is_monitor_silent, false)
    }

    /// The last report was not answered: says whether the one before was.
    pub(super) fn monitor_is_silent(&mut self, now: Moment) -> bool {
        self.next = now.after(RETRY);
        self.last = None;
        !std::mem::replace(&mut self.is_monitor_silent, true)
    }

    /// A later report was recorded: gives the start of the keeper that the next one counts for.
    pub(super) fn overtaken_by(&mut self, number: ReportNumber) -> u64 {
        self.numbering.overtaken_by(number)
    }

    /// The last report said that the keeper is told to stop, and that Postgres runs; `None` when it is not known to have
    /// come in.
    pub(super) fn last_said(&self) -> Option<(bool, bool)> {
        self.last.as_ref().map(|report| (report.detail.is_stopping, report.is_running))
    }

    /// To another monitor, or the same again: nobody has been silent yet, and all is told anew.
    pub(super) fn start_over(&mut self, now: Moment) {
        self.under_way = None;
        self.last = None;
        self.is_monitor_silent = false;
        self.next = now;
    }

    /// At rest, with a report due.
    pub(super) fn rest(&mut self, now: Moment) {
        *self = Self {
            is_monitor_silent: self.is_monitor_silent,
            numbering: self.numbering,
            ..Self::new(0, now)
        };
    }

    pub(super) const fn renumber(&mut self, keeper_start: u64) {
        self.numbering = Numbering::of_start(keeper_start);
    }

    pub(super) fn age(&mut self, by: Duration) {
        self.next = self.next.before(by);
    }
}

impl Engine {
    /// Has the next report sent at once when the monitor would decide differently on it.
    pub(super) fn report_news(&mut self) {
        let Some(seen) = self.looking.newest() else { return };
        let is_news = self.reporting.last.as_ref().is_none_or(|last| self.is_news(last, seen));
        if is_news && !self.reporting.is_monitor_silent {
            self.reporting.make_due(self.now());
        }
    }

    pub(super) fn report_if_due(&mut self) {
        let now = self.now();
        let is_due = self.reporting.due().is_some_and(|moment| moment <= now);
        if !is_due || self.is_unmonitored() || self.looking.is_stale() {
            return;
        }
        let Some(seen) = self.looking.newest() else { return };
        let mut report = self.compose(seen);
        if !report.is_running {
            self.authority.goes_down(now);
        }
        self.note_fence_time_reported();
        self.reporting.last = Some(report.clone());
        let number = self.reporting.numbering.next();
        report.detail.number = Some(number);
        self.reporting.under_way = Some(number);
        self.reporting.next = now.after(self.report_period());
        self.order(Command::Report(Box::new(report)));
    }

    /// A host that stands still for a moment must find, when it goes on, that it has been heard shortly before.
    fn report_period(&self) -> Duration {
        if !self.is_synchronous_writer() {
            return PERIOD;
        }
        (self.fence_limit() / REPORTS_BEFORE_FENCING).clamp(LEAST_PERIOD, PERIOD)
    }

    /// Gives up the report that is under way, so that another can be sent.
    pub(super) fn abandon_report(&mut self) {
        if self.reporting.under_way.take().is_some() {
            self.order(Command::AbandonReport);
        }
    }

    /// The report for this look, without its number.
    fn compose(&self, seen: &Observation) -> Report {
        let observed = &seen.observed;
        let (timeline, lsn) = position(seen);
        Report {
            state: self.state.reported,
            is_running: self.is_running(seen),
            timeline,
            lsn,
            sync_state: seen.sync_state.clone(),
            detail: ReportDetail {
                epoch: epoch_to_report(self.state.reported, self.state.reported_epoch, observed),
                system_identifier: match &observed.data {
                    DataDirectory::Present(cluster) => Some(cluster.system_identifier),
                    _ => None,
                },
                goal: self.assignment().map(|assignment| assignment.goal),
                upstream: seen.upstream,
                is_stopping: self.shutdown.is_wanted(),
                is_gated: matches!(&observed.server, Server::Running(running) if running.is_gated),
                is_hung: self.is_hung(seen),
                fence_after_ms: self.fence_after_ms(),
                shutdown_lsn: seen.shutdown_lsn,
                history: seen.history.clone(),
                progress: self.progress_to_report(seen),
                number: None,
                monitor: self.state.monitor.clone(),
                asks_before_promotion: self.settings.has_before_promote,
                refuses_promotion: self.memory.consent == Consent::Refused,
                registration: self.state.registration.clone(),
                restarted: self.state.restarted.clone(),
                settings: self.tuning.status().clone(),
            },
        }
    }

    fn fence_after_ms(&self) -> Option<u64> {
        u64::try_from(self.fence_time_to_report().as_millis()).ok()
    }

    /// What an operator has to see comes before what is being done.
    pub(super) fn progress_to_report(&self, seen: &Observation) -> Option<String> {
        if seen.is_disk_hung {
            return Some("the disk of the data directory does not answer".to_owned());
        }
        match (&seen.notice, self.planning.describe(seen.copied_percent)) {
            (Some(notice), Some(doing)) => Some(format!("{notice}; {doing}")),
            (notice, doing) => notice.clone().or(doing),
        }
    }

    /// The server does not answer, or the disk under it has not for some time.
    fn is_hung(&self, seen: &Observation) -> bool {
        let is_disk_hung = self.looking.disk_hung_for(self.now()).is_some_and(|time| time >= DISK_PATIENCE);
        seen.observed.server == Server::Unresponsive || is_disk_hung
    }

    fn is_running(&self, seen: &Observation) -> bool {
        seen.observed.server != Server::Stopped || self.work.is_starting_postgres()
    }

    /// The monitor would decide differently on this look: it must not wait for the next regular report.
    fn is_news(&self, last: &Report, seen: &Observation) -> bool {
        let observed = &seen.observed;
        let streams = |upstream: Option<crate::message::Upstream>| upstream.is_some_and(|it| it.is_streaming);
        last.state != self.state.reported
            || last.detail.epoch != epoch_to_report(self.state.reported, self.state.reported_epoch, observed)
            || last.is_running != self.is_running(seen)
            || last.timeline != position(seen).0
            || last.sync_state != seen.sync_state
            || last.detail.is_stopping != self.shutdown.is_wanted()
            || last.detail.is_hung != self.is_hung(seen)
            || last.detail.refuses_promotion != (self.memory.consent == Consent::Refused)
            || last.detail.fence_after_ms != self.fence_after_ms()
            || last.detail.shutdown_lsn != seen.shutdown_lsn
            || last.detail.history != seen.history
            || streams(last.detail.upstream) != streams(seen.upstream)
    }
}

/// How far the local log goes, and on which timeline.
fn position(seen: &Observation) -> (Timeline, Lsn) {
    match (&seen.observed.server, &seen.observed.data) {
        (Server::Running(running), _) => (running.timeline, running.lsn),
        (_, DataDirectory::Present(cluster)) => (cluster.timeline, cluster.checkpoint),
        _ => (Timeline::FIRST, Lsn::ZERO),
    }
}
