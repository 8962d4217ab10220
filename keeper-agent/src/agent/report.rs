//! What the monitor is told.

use pgaf_core::keeper::{DataDirectory, Server, epoch_to_report};
use pgaf_core::{Lsn, Report, ReportDetail, Timeline};

use crate::config::state::KeeperState;
use crate::postgres::Sight;

/// What a report says beside what is seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Circumstances {
    /// A step that starts Postgres is under way.
    pub(super) is_starting: bool,
    /// The keeper was told to stop and would hand over.
    pub(super) is_stopping: bool,
    /// What is awaited or being done.
    pub(super) progress: Option<String>,
}

/// The report for this state and this sight, without its number.
pub(super) fn compose(state: &KeeperState, sight: &Sight, circumstances: Circumstances) -> Report {
    let observed = &sight.observed;
    let (timeline, lsn) = match (&observed.server, &observed.data) {
        (Server::Running(running), _) => (running.timeline, running.lsn),
        (_, DataDirectory::Present(cluster)) => (cluster.timeline, cluster.checkpoint),
        _ => (Timeline::FIRST, Lsn::ZERO),
    };
    Report {
        state: state.reported,
        is_running: observed.server != Server::Stopped || circumstances.is_starting,
        timeline,
        lsn,
        sync_state: sight.sync_state.clone(),
        detail: ReportDetail {
            epoch: epoch_to_report(state.reported, state.reported_epoch, observed),
            system_identifier: match &observed.data {
                DataDirectory::Present(cluster) => Some(cluster.system_identifier),
                _ => None,
            },
            goal: state.assignment.as_ref().map(|assignment| assignment.goal),
            upstream: sight.upstream,
            is_stopping: circumstances.is_stopping,
            is_gated: matches!(&observed.server, Server::Running(running) if running.is_gated),
            is_hung: observed.server == Server::Unresponsive,
            shutdown_lsn: sight.shutdown_lsn,
            history: sight.history.clone(),
            progress: progress(sight, circumstances.progress),
            number: None,
        },
    }
}

/// What an operator has to see, before what is being done.
fn progress(sight: &Sight, doing: Option<String>) -> Option<String> {
    match (&sight.notice, doing) {
        (Some(notice), Some(doing)) => Some(format!("{notice}; {doing}")),
        (notice, doing) => notice.clone().or(doing),
    }
}

/// The monitor would decide differently on the new report: it must not wait for the next regular one.
pub(super) fn is_news(old: &Report, new: &Report) -> bool {
    let streams = |report: &Report| report.detail.upstream.is_some_and(|upstream| upstream.is_streaming);
    old.state != new.state
        || old.detail.epoch != new.detail.epoch
        || old.is_running != new.is_running
        || old.timeline != new.timeline
        || old.sync_state != new.sync_state
        || old.detail.is_stopping != new.detail.is_stopping
        || old.detail.is_hung != new.detail.is_hung
        || old.detail.shutdown_lsn != new.detail.shutdown_lsn
        || old.detail.history != new.detail.history
        || streams(old) != streams(new)
}
