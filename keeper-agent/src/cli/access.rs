//! The column that tells what clients can do on a node.

use pgaf_core::{Health, ReplicationState};

/// What a client can do there; "!" when the monitor cannot reach it, "?" when it has not tried.
pub(super) fn access(reported: ReplicationState, health: Health) -> String {
    use ReplicationState as State;
    let possible = match reported {
        state if state.is_writer() => "read-write",
        State::CatchingUp
        | State::Secondary
        | State::PreparePromotion
        | State::StopReplication
        | State::WaitMaintenance
        | State::ReportLsn
        | State::FastForward
        | State::JoinSecondary => "read-only",
        _ => "none",
    };
    match health {
        Health::Good => possible.to_owned(),
        Health::Bad => format!("{possible} !"),
        Health::Unknown => format!("{possible} ?"),
    }
}
