//! What a keeper may say it has reached.

use super::observed::Observed;
use super::server::Server;
use crate::id::Epoch;
use crate::message::Assignment;
use crate::state::ReplicationState;

/// The epoch to report with a state that was reached under `reached`: an older one when the state does not hold any more.
///
/// That matters for a standby that is counted in an election. After a crash it knows only a position before the end of
/// its log until everything is replayed again, and such a vote would let somebody win who lacks what it has.
pub fn epoch_to_report(state: ReplicationState, reached: Epoch, observed: &Observed) -> Epoch {
    let is_log_end_known = matches!(&observed.server, Server::Running(running) if running.is_in_recovery && running.is_replay_over);
    if state == ReplicationState::ReportLsn && !is_log_end_known { Epoch(reached.0 - 1) } else { reached }
}

/// What holds of a state that was reached under `reached`: only `wait_primary` while a primary's commits do not wait as
/// its assignment says, because somebody has changed a setting. The monitor knows then that its standbys may lack what is
/// acknowledged, until the rule is confirmed again.
pub fn state_that_holds(
    state: ReplicationState,
    reached: Epoch,
    assignment: Option<&Assignment>,
    observed: &Observed,
) -> ReplicationState {
    let (Some(assignment), Server::Running(running)) = (assignment, &observed.server) else {
        return state;
    };
    let rule = &assignment.commit_rule;
    // A value that is right, and perhaps not yet in force everywhere, begins like the rule: after a restart of the keeper
    // it is proved anew.
    let is_followed = running.synchronous_standby_names.starts_with(&rule.synchronous_standby_names());
    let is_claimed = state.is_writer() && rule.is_synchronous() && reached == assignment.epoch;
    if is_claimed && !running.is_in_recovery && !is_followed { ReplicationState::WaitPrimary } else { state }
}
