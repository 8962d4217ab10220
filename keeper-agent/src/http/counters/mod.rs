//! What is counted and measured as it happens, since the process began.

mod exposition;

pub(super) use exposition::{Exposition, Labels, flag, float};

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pgaf_core::keeper::{Notice, PostgresExit, Step};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use exposition::{Counts, Histograms};

/// Upper bounds in seconds, from a report to a base backup.
const BUCKETS: [f64; 16] =
    [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// Of the process: the log has no place to keep it.
static DISCARDED_LOG_MESSAGES: AtomicU64 = AtomicU64::new(0);

/// One more message was discarded.
pub fn note_discarded_log_message() {
    DISCARDED_LOG_MESSAGES.fetch_add(1, Ordering::Relaxed);
}

/// How many were.
pub(super) fn discarded_log_messages() -> u64 {
    DISCARDED_LOG_MESSAGES.load(Ordering::Relaxed)
}

/// The counters of a process.
pub struct Counters {
    steps: Histograms,
    failed_steps: Counts,
    postgres_exits: Counts,
    fencings: Counter,
    reports: Histograms,
    failed_reports: Counter,
    failovers: Histograms,
    requests: Counts,
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

fn histograms() -> Histograms {
    Histograms::new_with_constructor(histogram as fn() -> Histogram)
}

impl Counters {
    /// Nothing was counted.
    pub fn new() -> Self {
        let counters = Self {
            steps: histograms(),
            failed_steps: Counts::default(),
            postgres_exits: Counts::default(),
            fencings: Counter::default(),
            reports: histograms(),
            failed_reports: Counter::default(),
            failovers: histograms(),
            requests: Counts::default(),
        };
        // A first one is an increase as well.
        for how in ["clean", "crashed"] {
            drop(counters.postgres_exits.get_or_create(&vec![("how", how.to_owned())]));
        }
        drop(counters.reports.get_or_create(&Labels::new()));
        for kind in ["planned", "unplanned"] {
            drop(counters.failovers.get_or_create(&vec![("kind", kind.to_owned())]));
        }
        counters
    }

    /// What the keeper tells its log.
    pub fn note(&self, notice: &Notice) {
        match notice {
            Notice::StepDone(step, after) => {
                self.steps.get_or_create(&of_step(step)).observe(after.as_secs_f64());
            }
            Notice::StepFailed { step, .. } => {
                self.failed_steps.get_or_create(&of_step(step)).inc();
            }
            Notice::PostgresEnded(exit) => {
                let how = match exit {
                    PostgresExit::Clean => "clean",
                    PostgresExit::Crashed => "crashed",
                };
                self.postgres_exits.get_or_create(&vec![("how", how.to_owned())]).inc();
            }
            Notice::Fencing => {
                self.fencings.inc();
            }
            _ => {}
        }
    }

    /// A report to the monitor was answered after this long; `None` when it was not.
    pub fn note_report(&self, after: Option<Duration>) {
        match after {
            Some(after) => self.reports.get_or_create(&Labels::new()).observe(after.as_secs_f64()),
            None => {
                self.failed_reports.inc();
            }
        }
    }

    /// A failover took so long.
    pub(in crate::http) fn note_failover(&self, is_planned: bool, duration: Duration) {
        let kind = if is_planned { "planned" } else { "unplanned" };
        self.failovers.get_or_create(&vec![("kind", kind.to_owned())]).observe(duration.as_secs_f64());
    }

    /// A request over HTTP was answered with this code.
    pub(in crate::http) fn note_request(&self, code: u16) {
        self.requests.get_or_create(&vec![("code", code.to_string())]).inc();
    }

    pub(in crate::http) fn add_common(&self, exposition: &mut Exposition) {
        exposition.counts(
            "pgautofailover_http_requests",
            "Requests over HTTP, by the status code of the answer",
            &self.requests,
        );
    }

    pub(in crate::http) fn add_keeper(&self, exposition: &mut Exposition) {
        exposition.histograms(
            "pgautofailover_keeper_step_duration_seconds",
            "Duration of the steps that ended well, by the kind of step",
            &self.steps,
        );
        exposition.counts(
            "pgautofailover_keeper_step_failures",
            "Steps that failed, by the kind of step",
            &self.failed_steps,
        );
        exposition.counts(
            "pgautofailover_keeper_postgres_exits",
            "Ends of Postgres that the keeper did not ask for, by how: clean or crashed",
            &self.postgres_exits,
        );
        exposition.counter(
            "pgautofailover_keeper_fencings",
            "Times that this primary was stopped because nobody confirmed it",
            self.fencings.get(),
        );
        exposition.histograms(
            "pgautofailover_keeper_report_duration_seconds",
            "Time from a report to the monitor's answer",
            &self.reports,
        );
        exposition.counter(
            "pgautofailover_keeper_report_failures",
            "Reports that the monitor did not answer",
            self.failed_reports.get(),
        );
    }

    pub(in crate::http) fn add_monitor(&self, exposition: &mut Exposition) {
        exposition.histograms(
            "pgautofailover_monitor_failover_duration_seconds",
            "Time from the goal that ended a primary to the report of the new one, by kind: planned, which no pause of writers is longer than, or unplanned, which none is shorter than",
            &self.failovers,
        );
    }
}

fn of_step(step: &Step) -> Labels {
    let name = match step {
        Step::Checkpoint => "checkpoint",
        Step::StopPostgres(_) => "stop",
        Step::StartPostgres => "start",
        Step::StartGated => "start_gated",
        Step::BaseBackup { .. } => "base_backup",
        Step::Rewind { .. } => "rewind",
        Step::Follow { .. } => "follow",
        Step::Promote => "promote",
        Step::AdmitStandbys { .. } => "admit_standbys",
        Step::SetSynchronousStandbyNames(_) => "set_synchronous_standby_names",
        Step::HoldWrites { .. } => "hold_writes",
        Step::ReleaseWrites => "release_writes",
        Step::RouteWrites { .. } => "route_writes",
        Step::BeforePromote { .. } => "before_promote",
        Step::PausePoolers => "pause_poolers",
        Step::RoutePoolers => "route_poolers",
    };
    vec![("step", name.to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_counted() {
        let counters = Counters::new();
        counters.note(&Notice::StepDone(Step::Promote, Duration::from_millis(30)));
        counters.note(&Notice::Fencing);
        counters.note_report(Some(Duration::from_millis(3)));
        counters.note_report(None);
        let mut exposition = Exposition::new();
        counters.add_keeper(&mut exposition);
        let text = exposition.text();
        for line in [
            "pgautofailover_keeper_step_duration_seconds_bucket{le=\"0.05\",step=\"promote\"} 1",
            "pgautofailover_keeper_step_duration_seconds_count{step=\"promote\"} 1",
            "pgautofailover_keeper_fencings_total 1.0",
            "pgautofailover_keeper_report_failures_total 1.0",
            "pgautofailover_keeper_postgres_exits_total{how=\"crashed\"} 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
