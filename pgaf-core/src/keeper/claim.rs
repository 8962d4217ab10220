//! What a keeper may say it has reached.

use super::observed::{Observed, Server};
use crate::id::Epoch;
use crate::state::ReplicationState;

/// The epoch to report with a state that was reached under `reached`: an older one when the state does not hold any more.
///
/// That matters for a standby that is counted in an election. After a crash it knows only a position before the end of
/// its log until everything is replayed again, and such a vote would let somebody win who lacks what it has.
pub fn epoch_to_report(state: ReplicationState, reached: Epoch, observed: &Observed) -> Epoch {
    let is_log_end_known = matches!(&observed.server, Server::Running(running) if running.is_in_recovery && running.is_replay_over);
    if state == ReplicationState::ReportLsn && !is_log_end_known { Epoch(reached.0 - 1) } else { reached }
}
