//! What a supervisor such as systemd is told.

use sd_notify::NotifyState;
use tracing::debug;

/// The service is up.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The service is about to end.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Without a supervisor this does nothing.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        debug!("could not notify the supervisor: {error}");
    }
}
